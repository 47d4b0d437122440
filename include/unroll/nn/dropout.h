/* Inverted dropout (Srivastava et al. 2014; kept units are scaled by 1/(1-p)), at L + 1 sites: site 0 on the embedding,
 * site l on the output of layer l (between layers, and after the last). Masks are a pure function of
 * (seed, site, step, lane, time, unit): the same on any rank and thread, and in the reference. */
#ifndef UNROLL_NN_DROPOUT_H
#define UNROLL_NN_DROPOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/nn/gemm.h"

/* The probability in units of 1/65536, as the masks use it: a unit is dropped if its 16 random bits are below this. */
uint32_t dropout_threshold(double p);
float dropout_scale(uint32_t threshold); /* 1 / (1 - threshold/65536) */

/* mask[u] = scale if unit u is kept, else 0, for u in [0, units). Eight units share one Philox block: unit u uses the
 * 16-bit half u%2 of word (u%8)/2 of block u/8 (low half first). */
void dropout_mask(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int units, uint32_t threshold,
                  float *mask);

/* The dropout of a model in one window. */
struct dropout {
    uint64_t seed;
    uint32_t threshold; /* 0: none */
    int64_t step;       /* < 0: evaluation, nothing is dropped */
    int lanes, lane0;   /* of the window */
    int threads;
    float *mask; /* [threads][mask_stride] for the masks of rows */
    int mask_stride;
};

static inline bool dropout_active(const struct dropout *dropout)
{
    return dropout->threshold && dropout->step >= 0;
}

/* Rows of `units`, [T][lanes], that go through a site. */
struct dropout_copy {
    int T, units;
    const float *from;
    const uint32_t *index;          /* [T][lanes] which row of `from` each is; NULL: they stand in this order */
    void *to;                       /* floats, may be `from`; with `gemm` dense rows for products */
    int64_t from_stride, to_stride; /* in numbers */
    const struct gemm *gemm;        /* NULL: `to` has floats */
};
/* By all threads; forward and backward are the same. Only where dropout_active. */
void dropout_rows(const struct dropout *dropout, int site, struct dropout_copy rows);

/* The mask of a row, in the calling thread's memory until its next one. */
const float *dropout_mask_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units);

/* One row in place, of a lane of the window, by the calling thread. */
void dropout_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units, float *row);

#endif
