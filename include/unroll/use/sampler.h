/* New text from a model: several texts at once, each in its own lane of one batch.
 *
 * Text k draws its n-th token with the random numbers of (seed, k, n) alone (base/rng.h), and a lane's arithmetic does
 * not depend on the other lanes (nn/model.h): so text k is the same tokens for any number of texts and threads.
 *
 * How a token is drawn from the logits z: "<unk>" is left out, always; weights are exp(z / temperature); of those
 * the `top_k` largest are kept, then the fewest largest that together have at least `top_p` of the remaining weight
 * (Holtzman et al. 2020, nucleus sampling); ties go to the lower token id. Temperature 0 takes the largest logit. */
#ifndef UNROLL_USE_SAMPLER_H
#define UNROLL_USE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"

struct sampler_rule {
    double temperature; /* >= 0 */
    int64_t top_k;      /* 0: all */
    double top_p;       /* in (0, 1]; 1: all */
    uint32_t forbidden; /* a token that is not drawn, besides "<unk>"; VOCAB_UNK: none */
};

struct sampler_candidate {
    double weight;
    uint32_t token;
};

#define SAMPLER_NONE UINT32_MAX

/* Draws a token of 1 .. V-1 from logits [V] with the uniform number `u` in [0, 1). `scratch` has room for V candidates.
 * SAMPLER_NONE if no token has a finite logit or one is NaN. A pure function; used by sampler_next, and by tests. */
uint32_t sampler_choose(const float *logits, int V, const struct sampler_rule *rule, double u,
                        struct sampler_candidate *scratch);

struct sampler;

struct sampler_config {
    struct sampler_rule rule;
    uint64_t seed;
    int texts;           /* written at once, >= 1 */
    uint32_t first_text; /* number k of the first of them */
    int threads;
    int64_t no_end_before; /* the line end is none of a text's first tokens, so many */
    bool logp;             /* sampler_logp is wanted */
};

/* `values` and `vocab` stay the caller's and must outlive the sampler. STATUS_CHECKPOINT if the vocabulary has
 * nothing but "<unk>"; STATUS_OS if memory is short. Release with sampler_free. */
enum status sampler_create(const struct model_config *model, const float *values, const struct vocab *vocab,
                           const struct sampler_config *config, struct sampler **out, struct error *e);
void sampler_free(struct sampler *sampler); /* NULL is allowed */
/* What a sampler of one text takes. */
size_t sampler_bytes(const struct model_config *model);

/* Starts all texts anew, as texts first_text, first_text + 1, ..., by feeder_start. Without a line end in the
 * vocabulary and without a prime the first token is drawn by the counts of the training text (all alike where none
 * are known) instead of by the model. */
void sampler_start(struct sampler *sampler, uint32_t first_text, const uint32_t *prime, int64_t count);

/* The next token of every text into tokens [texts]. STATUS_CHECKPOINT if the model gives no finite probabilities. */
enum status sampler_next(struct sampler *sampler, uint32_t *tokens, struct error *e);

/* With config.logp: ln p of the tokens that the last sampler_next drew, [texts], as the model has it: over the whole
 * vocabulary and whatever the rule. For a first token that the counts gave, that of the counts. */
const float *sampler_logp(const struct sampler *sampler);

#endif
