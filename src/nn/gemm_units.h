/* Trials of a unit for bf16 against emulation. */
#ifndef UNROLL_NN_GEMM_UNITS_H
#define UNROLL_NN_GEMM_UNITS_H

#include "gemm_private.h"

/* Same bits of a short product, underflow, subnormal numbers, infinities and NaN included? Some 80 us. */
bool gemm_units_agree(const struct gemm_kind *unit, const struct gemm_kind *emulation);
/* At twenty rows. Some 100 us. */
bool gemm_units_faster(const struct gemm_kind *unit, const struct gemm_kind *emulation);

#endif
