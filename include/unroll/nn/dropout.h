/* Inverted dropout (Srivastava et al. 2014): what is kept is scaled by 1 / (1 - p). Every mask is a pure function of
 * the coordinates named below and of nothing else: the same on any rank and thread, and in the reference.
 *
 * Below, draw(what, step, lane, time, unit) are 16 random bits: half unit%2 (0 the low one) of word (unit%8)/2 of
 * rng_philox(seed, what, step, lane, time, unit/8), and keep(p, ...) is 0 if they are below dropout_threshold(p), else
 * dropout_scale of it.
 *
 * Units, at L + 1 sites: x_t of site 0 are the embeddings, of site l the outputs of layer l (between layers, and after
 * the last). With p = model_dropout(config, site)
 *   element:  x_t[lane][u] * keep(p, RNG_DROPOUT + site, step, lane, t, u)
 *   locked:   x_t[lane][u] * keep(p, RNG_DROPOUT + site, step, lane, 0, u), so one mask for all time steps of a window
 *             (Gal and Ghahramani 2016). A classifier drops the row that its text is pooled to, in both kinds by t = 0.
 *
 * Words, where they are embedded (Gal and Ghahramani 2016; Merity et al. 2017): the vector of token v, all of it,
 *   encoder.weight[v] * keep(p, RNG_DROPPED_WORD, step, 0, 0, v)
 * in the whole window and all lanes; before site 0. A tied output layer reads the weights themselves.
 *
 * States, as W_hh multiplies them (variational dropout of Gal and Ghahramani 2016), of layer l, from 0:
 *   h_(t-1)[lane][u] * keep(p, RNG_DROPPED_STATE + l, step, lane, 0, u)
 * for all t of a window. What else a cell does with h, and what it hands on, is not masked.
 *
 * Weights (DropConnect on W_hh, Merity et al. 2017), of layer l, all gates:
 *   W_hh[row][column] * keep(p, RNG_DROPPED_WEIGHT + l, step, row, 0, column)
 * one mask for a step. The gradient is masked and scaled behind the sum over ranks, for the scaled numbers of parts add
 * up to other bits.
 *
 * `lane` counts over all ranks, t from the window's beginning, `step` is the optimizer's. */
#ifndef UNROLL_NN_DROPOUT_H
#define UNROLL_NN_DROPOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/nn/gemm.h"
#include "unroll/nn/model_config.h"

/* The probability in units of 1/65536, as the masks use it: a unit is dropped if its 16 random bits are below this. */
uint32_t dropout_threshold(double p);
float dropout_scale(uint32_t threshold); /* 1 / (1 - threshold/65536) */

/* mask[u] = keep(p, RNG_DROPOUT + site, step, lane, time, u) for u in [0, units). */
void dropout_mask(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int units, uint32_t threshold,
                  float *mask);
/* keep(p, RNG_DROPPED_STATE + layer, step, lane, 0, u) for u in [0, units) */
void dropout_state_mask(uint64_t seed, int layer, uint32_t step, uint32_t lane, int units, uint32_t threshold,
                        float *mask);
/* keep(p, RNG_DROPPED_WEIGHT + layer, step, row, 0, column) for column in [0, columns) */
void dropout_weight_mask(uint64_t seed, int layer, uint32_t step, uint32_t row, int columns, uint32_t threshold,
                         float *mask);
/* keep(p, RNG_DROPPED_WORD, step, 0, 0, token) */
float dropout_word(uint64_t seed, uint32_t step, uint32_t token, uint32_t threshold);

/* The dropout of a model in one window. Thresholds: 0 where nothing is dropped. */
struct dropout {
    uint64_t seed;
    uint32_t site[MODEL_LAYERS_MAX + 1]; /* of each site */
    bool locked;                         /* at the sites */
    uint32_t words, states, weights;
    int64_t step;     /* < 0: evaluation, nothing is dropped */
    int lanes, lane0; /* of the window */
    int threads;
    float *mask; /* [threads][2][mask_stride] for the masks of rows, and rows */
    int mask_stride;
};

struct dropout dropout_of(const struct model_config *config);
/* Whether it needs `mask`. */
bool dropout_needs_masks(const struct dropout *dropout);

static inline bool dropout_active(const struct dropout *dropout, int site)
{
    return dropout->site[site] && dropout->step >= 0;
}

static inline bool dropout_active_words(const struct dropout *dropout)
{
    return dropout->words && dropout->step >= 0;
}

static inline bool dropout_active_states(const struct dropout *dropout)
{
    return dropout->states && dropout->step >= 0;
}

/* A row of numbers of the calling thread, [mask_stride]. */
static inline float *dropout_room(const struct dropout *dropout, int thread)
{
    return dropout->mask + 2 * (int64_t)thread * dropout->mask_stride;
}

/* Rows of `units`, [T][lanes], that go through a site. */
struct dropout_copy {
    int T, units;
    const float *from;
    const uint32_t *index; /* [T][lanes] which row of `from` each is; NULL: they stand in this order */
    const uint32_t *token; /* [T][lanes] whose vector, or its gradient, a row is: it goes through the dropout of
                              words, too; NULL: it is none */
    void *to;              /* floats, may be `from`; with `gemm` dense rows for products */
    int64_t from_stride, to_stride; /* in numbers */
    const struct gemm *gemm;        /* NULL: `to` has floats */
};
/* By all threads; forward and backward are the same. Only where dropout_active. */
void dropout_rows(const struct dropout *dropout, int site, struct dropout_copy rows);

/* The mask of a row, in the calling thread's memory until its next one. */
const float *dropout_mask_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units);

/* One row in place, of a lane of the window, by the calling thread. */
void dropout_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units, float *row);

/* Rows of `units`, each the vector of a token or its gradient, that go through the dropout of words alone. */
struct dropout_vectors {
    int rows, units;
    const uint32_t *token; /* [rows] */
    const float *from;
    bool indexed;                   /* row r is row token[r] of `from`, not row r */
    void *to;                       /* as in struct dropout_copy */
    int64_t from_stride, to_stride; /* in numbers */
    const struct gemm *gemm;
};
/* By all threads; forward and backward are the same. Only where dropout_active_words. */
void dropout_words(const struct dropout *dropout, struct dropout_vectors vectors);

#endif
