/* Log-probabilities of texts: each text from a zero state, or from that in which another text left the model, many at
 * once in the lanes of a batch, over all ranks.
 *
 * A text is a run of tokens of which the first is context only: the model is fed tokens 0 .. n-2 and predicts tokens
 * 1 .. n-1. Texts are sorted by length into batches, so that lanes end together, and the batches are dealt to the
 * ranks. A lane's arithmetic does not depend on the other lanes (nn/model.h), so every number is the same bits
 * whatever the order of the texts, the batches, the ranks and the threads. */
#ifndef UNROLL_USE_SCORER_H
#define UNROLL_USE_SCORER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/cache.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"

#define SCORER_LANES 64  /* of a batch, unless there are fewer texts */
#define SCORER_WINDOW 32 /* time steps computed at once; longer texts carry their state */
#define SCORER_POOL_TOKENS (1 << 18)
#define SCORER_POOL_TEXTS (1 << 14)

/* Texts to be scored together: all that is held in memory at a time. */
struct score_pool {
    int texts;
    int64_t *offset;  /* [SCORER_POOL_TEXTS + 1] text i is tokens [offset[i], offset[i+1]); offset[0] = 0 */
    uint32_t *tokens; /* [SCORER_POOL_TOKENS] */
    float *logp;      /* [SCORER_POOL_TOKENS] ln p(token | the text before it); 0 for a text's first token */
};

/* STATUS_OS if memory is short. Release with score_pool_free. */
enum status score_pool_create(struct score_pool **out, struct error *e);
void score_pool_free(struct score_pool *pool); /* NULL is allowed */

struct scorer;

/* Not collective. Batches of `lanes` 1 .. SCORER_LANES texts, `threads` on this rank. `values` stays the caller's
 * and must outlive the scorer. STATUS_OS if memory is short. Release with scorer_free. */
enum status scorer_create(const struct model_config *model, const float *values, int lanes, int threads,
                          struct scorer **out, struct error *e);
void scorer_free(struct scorer *scorer); /* NULL is allowed */
/* Not collective, before the first text: logits in place of log-probabilities, in a time that does not grow with the
 * vocabulary. Of output layers with OUTPUT_NORMALISER (nn/output.h). */
void scorer_leave_unnormalised(struct scorer *scorer);

/* Not collective, before the first text: probabilities are mixed with those of a cache (nn/cache.h), which goes with
 * the state: it is empty where a text begins in a zero state, and else holds what the model read before. Not with
 * scorer_leave_unnormalised. Batches may have fewer lanes, so that their caches stay below SCORER_CACHE_BYTES. */
#define SCORER_CACHE_BYTES ((size_t)256 << 20)
void scorer_use_cache(struct scorer *scorer, const struct cache_config *config);

/* Collective. Scores the texts that stand in rank 0's pool; the others' pools receive them. The log-probabilities are
 * complete on rank 0 only. Tokens must be below the model's V; a text may be empty. STATUS_OS, on all ranks, if memory
 * for the models, which are made when first needed, is short. */
enum status scorer_run(struct scorer *scorer, const struct comm *comm, struct score_pool *pool, struct error *e);

/* Collective. From now on every text, on all ranks, begins in the state in which scorer_continue left rank 0's text.
 * STATUS_OS, on all ranks. */
enum status scorer_begin_here(struct scorer *scorer, const struct comm *comm, struct error *e);

/* Not collective. One text too long for a pool, in pieces of `count` >= 2 tokens: tokens[0] is context, and the last
 * token of the piece before unless this one is the `first`. No scorer_run may come between. Gives the same numbers
 * as scorer_run. STATUS_OS as above. */
enum status scorer_continue(struct scorer *scorer, bool first, const uint32_t *tokens, int64_t count, float *logp,
                            struct error *e);

#endif
