/* In which numbers matrix products are computed, and in which order bf16 products are added. Both are part of a model's
 * mathematics; what is rounded where stands in base/bf16.h. */
#ifndef UNROLL_NN_PRECISION_H
#define UNROLL_NN_PRECISION_H

#include "unroll/base/choice.h"

enum precision { PRECISION_FLOAT32, PRECISION_BF16 };

/* Of the sum over k of a[k] b[k], products of two bf16 numbers being exact in float32. Every addition rounds to nearest
 * even; numbers that are subnormal, read or after rounding, are zero with their sign.
 * - tile: for each block of 32 k, counted from the row's start, two chains of fused multiply-adds from zero, one over
 *   the even and one over the odd k; then C + (even + odd). It is what TDPBF16PS of AMX does.
 * - pair: for each pair of k the odd product is fused into C, then the even one, as by VDPBF16PS of AVX512_BF16.
 * A block or pair that k does not fill is filled with zeros. */
enum bf16_order { BF16_TILE, BF16_PAIR };

extern const struct choices precision_choices;  /* "float32", "bf16" */
extern const struct choices bf16_order_choices; /* "tile", "pair" */

#endif
