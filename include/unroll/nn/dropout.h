/* Inverted dropout (Srivastava et al. 2014; kept units are scaled by 1/(1-p)), at L + 1 sites: site 0 on the embedding,
 * site l on the output of layer l (between layers, and after the last). Masks are a pure function of
 * (seed, site, step, lane, time, unit): the same on any rank and thread, and in the reference. */
#ifndef UNROLL_NN_DROPOUT_H
#define UNROLL_NN_DROPOUT_H

#include <stdint.h>

/* The probability in units of 1/65536, as the masks use it: a unit is dropped if its 16 random bits are below this. */
uint32_t dropout_threshold(double p);
float dropout_scale(uint32_t threshold); /* 1 / (1 - threshold/65536) */

/* mask[u] = scale if unit u is kept, else 0, for u in [0, units). Eight units share one Philox block: unit u uses the
 * 16-bit half u%2 of word (u%8)/2 of block u/8 (low half first). */
void dropout_mask(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int units, uint32_t threshold,
                  float *mask);

#endif
