/* Labels of texts: the probability of every label for each, many texts at once in the lanes of a batch, over all ranks.
 *
 * As in training each text begins with an empty state and its class is that of its last token; a text longer than the
 * model was trained on (`longest` tokens) is cut after `longest` tokens. A lane's arithmetic does not depend on the
 * others (nn/model.h), so every number is the same bits whatever the order of the texts, the ranks and the threads. */
#ifndef UNROLL_USE_CLASSIFY_H
#define UNROLL_USE_CLASSIFY_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"

/* Texts to be classified together: all that is held in memory at a time. */
struct classify_pool {
    int texts, texts_max;
    int64_t tokens_max; /* room in `tokens`; at least `longest` */
    int64_t *offset;    /* [texts_max + 1] text i is tokens [offset[i], offset[i + 1]), 1 to `longest`; offset[0] = 0 */
    uint32_t *tokens;   /* [tokens_max] */
    float *probability; /* [texts_max][labels] */
};

/* STATUS_OS if memory is short. Release with classify_pool_free. */
enum status classify_pool_create(int labels, int longest, struct classify_pool **out, struct error *e);
void classify_pool_free(struct classify_pool *pool); /* NULL is allowed */

struct classifier;

/* Not collective. `values` stays the caller's and must outlive the classifier. STATUS_OS if memory is short. */
enum status classifier_create(const struct model_config *model, const float *values, int longest, int threads,
                              struct classifier **out, struct error *e);
void classifier_free(struct classifier *classifier); /* NULL is allowed */

/* Collective. Classifies the texts that stand in rank 0's pool; the others' pools receive them. The probabilities are
 * complete on rank 0 only. Tokens must be below the model's V. */
void classifier_run(struct classifier *classifier, const struct comm *comm, struct classify_pool *pool);

#endif
