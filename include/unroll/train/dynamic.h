/* Dynamic evaluation by root mean squares, and with a pull back to the trained values: Krause, Kahembwe, Murray and
 * Renals 2018 ("Dynamic evaluation of neural sequence models", section 4). Parameters that the training text gave large
 * gradients take small steps, and go back fast. With theta the values, theta_g those trained, g the gradient of a
 * window's mean loss, after each window
 *
 *   theta = theta - lr g / (sqrt(MS) + epsilon) + (theta_g - theta) min(decay N, 1)
 *   MS = mean over windows of the training split of g^2, with theta_g        N = sqrt(MS) / avg(sqrt(MS))
 *
 * element by element; both terms are of theta before the step. avg is the mean over tensors of each one's mean, as in
 * the authors' program (benkrause/dynamic-evaluation), tied weights being one tensor. The minimum is the paper's
 * clipping of N at 1 / decay: no step goes beyond the trained value.
 *
 * Statistics: the training split in lanes as in training, each from a zero state that is carried on, no dropout, in
 * windows as long as those of the evaluation. They depend on batch and bptt, for g is a mean. They are kept in memory
 * alone, two numbers a parameter, and are the same bits whatever the ranks and threads. */
#ifndef UNROLL_TRAIN_DYNAMIC_H
#define UNROLL_TRAIN_DYNAMIC_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/nn/gradient.h"
#include "unroll/sys/comm.h"

struct dynamic_config {
    double decay;      /* lambda of the paper, >= 0 */
    double epsilon;    /* > 0 */
    int64_t windows;   /* of the training split, from the beginning of each lane; 0: all */
    int batch, groups; /* its lanes, as in training, and lane groups; fewer in a short split */
};

struct dynamic;

/* Collective: collects the statistics of `values`, which are read here alone. `table` stays the caller's. STATUS_DATA
 * without a training split; STATUS_CONFIG for more ranks than lane groups; STATUS_OS; all the same on all ranks. */
enum status dynamic_create(const struct comm *comm, struct corpus *corpus, const struct dynamic_config *config,
                           const struct model_config *model, const struct param_table *table, const float *values,
                           int bptt, int threads, struct dynamic **out, struct error *e);
void dynamic_free(struct dynamic *dynamic); /* NULL is allowed */

/* The step above. `scale` times the gradient is g; `trained` and `values` are [table->total]. */
void dynamic_update(struct dynamic *dynamic, const struct param_gradient *gradient, float scale, double lr,
                    const float *trained, float *values, int threads);

/* [table->trained] sqrt(MS) */
const float *dynamic_root(const struct dynamic *dynamic);

#endif
