/* What sampled output layers draw their samples from: a distribution Q over all V ids, K distinct ids of it in a step,
 * and how often each id is to be expected among them. Same numbers on every rank and processor: a function of the
 * distribution, the seed and the step.
 *
 * log-uniform: P(rank) = log((rank + 2) / (rank + 1)) / log(V + 1), ranks being the order of counts (nn/constants.h): a
 *   stand-in for Zipf's law that needs no counts.
 * unigram: in proportion to counts^0.75 (Mikolov et al. 2013, "Distributed representations of words and phrases and
 *   their compositionality"); a count of zero is taken for one, so that no id is impossible.
 *
 * Drawing, and the expected count of an id, which is K Q(id) of the formulas, are those of TensorFlow's candidate
 * samplers with unique=True (tensorflow/core/kernels/range_sampler.cc; tf.random.log_uniform_candidate_sampler): ids
 * are drawn until K of them are distinct; where that took T tries, the count is 1 - (1 - P)^T, or K P where T = K. K =
 * V takes all ids, with counts of one.
 *
 * Where K is above V / 2, or T would be large, the rest is drawn in one pass over the ids, with the same distribution
 * of ids and T: the next distinct id is the one whose exponential clock of rate P rings first, and how many tries it
 * took is geometric. */
#ifndef UNROLL_NN_PROPOSAL_H
#define UNROLL_NN_PROPOSAL_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"

enum proposal { PROPOSAL_LOG_UNIFORM, PROPOSAL_UNIGRAM };
extern const struct choices proposal_choices;

/* The arrays are the caller's and outlive it. */
struct proposal_law {
    enum proposal kind;
    int V;
    const uint32_t *order, *rank; /* [V] of log-uniform: order[rank] = id, rank[id]; both NULL: a rank is an id */
    const float *counts;          /* [V] of unigram */
    double *cumulative;           /* [V] of unigram: work */
    double scale;                 /* log(V + 1), or the sum of counts^0.75 */
};
/* Fills cumulative and scale; the rest is there. */
void proposal_prepare(struct proposal_law *law);
/* P of an id. */
double proposal_probability(const struct proposal_law *law, uint32_t id);

struct proposal_draw {
    int K;        /* 1 to V */
    uint32_t *id; /* [K] ascending, each once */
    double tries; /* that it took; infinite: all ids */
    void *work;   /* proposal_work_bytes(K), 8-byte aligned */
};
size_t proposal_work_bytes(int K);
void proposal_draw(const struct proposal_law *law, uint64_t seed, int64_t step, struct proposal_draw *draw);
/* The expected count of any id among the K, and its logarithm as float32. */
double proposal_count(const struct proposal_law *law, const struct proposal_draw *draw, uint32_t id);
float proposal_log_count(const struct proposal_law *law, const struct proposal_draw *draw, uint32_t id);
/* The place of an id among the samples, -1: it is none. */
int proposal_place(const struct proposal_draw *draw, uint32_t id);

#endif
