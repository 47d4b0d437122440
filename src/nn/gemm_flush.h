/* While bf16 products are computed, numbers that are subnormal are zero with their sign, read or after rounding; all
 * other sums keep theirs. A kernel sets that on its way in and restores it on its way out. */
#ifndef UNROLL_NN_GEMM_FLUSH_H
#define UNROLL_NN_GEMM_FLUSH_H

#if defined __SSE__
#include <xmmintrin.h>

static inline unsigned gemm_flush_on(void)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u); /* FTZ and DAZ */
    return before;
}

static inline void gemm_flush_restore(unsigned before)
{
    _mm_setcsr(before);
}
#else
static inline unsigned gemm_flush_on(void)
{
    return 0;
}

static inline void gemm_flush_restore(unsigned before)
{
    (void)before;
}
#endif

#endif
