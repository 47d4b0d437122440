/* While bf16 products are computed, numbers that are subnormal are zero with their sign, read or after rounding; all
 * other sums keep theirs. A kernel sets that on its way in and restores it on its way out, and is a function of its
 * own, so that the compiler moves no addition across; it adds by gemm_fma and gemm_add, and reads sums that others left
 * by gemm_flushed. */
#ifndef UNROLL_NN_GEMM_FLUSH_H
#define UNROLL_NN_GEMM_FLUSH_H

#include "unroll/base/vmath.h"

/* Processors of Arm decide before rounding whether a result is subnormal, x86 afterwards: there, and in a test, it is
 * done by hand. */
#if !defined __SSE__ && !defined GEMM_FLUSH_BY_HAND
#define GEMM_FLUSH_BY_HAND
#endif

#ifndef GEMM_FLUSH_BY_HAND
#include <xmmintrin.h>

static inline unsigned gemm_flush_on(void)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u); /* FTZ and DAZ */
    __asm__ volatile("" ::: "memory");
    return before;
}

static inline void gemm_flush_restore(unsigned before)
{
    __asm__ volatile("" ::: "memory");
    _mm_setcsr(before);
}

static inline vfloat gemm_flushed(vfloat x)
{
    return x;
}

static inline vfloat gemm_fma(vfloat a, vfloat b, vfloat c)
{
    return vfma(a, b, c);
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

static inline vfloat gemm_flushed(vfloat x)
{
    vint sign = (vint)x & INT32_MIN, size = (vint)x & INT32_MAX;
    return (vfloat)(sign | (size & (size >= 0x00800000)));
}

/* A result of 2^-126 may have been less: rounding to 24 bits, had the exponent no end, takes what is at least 2^-126 -
 * 2^-151 there; rounding to a subnormal takes from 2^-126 - 2^-150 on. So close to it the sum of an exact product and a
 * number that is not subnormal is exact in double. */
static inline vfloat gemm_fma(vfloat a, vfloat b, vfloat c)
{
    vfloat sum = vfma(a, b, c);
    for (int i = 0; i < VLEN; i++)
        if (__builtin_fabsf(sum[i]) == 0x1p-126f) {
            double exact = (double)a[i] * (double)b[i] + (double)c[i];
            if (__builtin_fabs(exact) < 0x1p-126 - 0x1p-151)
                sum[i] = __builtin_copysignf(0, sum[i]);
        }
    return gemm_flushed(sum);
}
#endif

/* Sums of numbers that are not subnormal are exact where they are. */
static inline vfloat gemm_add(vfloat a, vfloat b)
{
    return gemm_flushed(a + b);
}

#endif
