/* Vectors of 16 floats and the elementary functions of the cells on them. GCC's vector extension: the same source is one
 * AVX-512 register, two AVX2 registers or scalar code, element by element the same operations in the same order, so a
 * unit's bits do not depend on where in a row it stands.
 *
 * exp: Cody-Waite reduction by ln 2 and a Taylor polynomial of degree 7 on [-ln2/2, ln2/2] (remainder below 3e-9), error
 * below 2 ulp; results below 2^-126 flush to zero, above 2^128 give infinity; NaN stays NaN. sigmoid = 1 / (1 + exp(-x));
 * tanh = its odd Taylor polynomial of degree 9 for |x| < 1/4, else 1 - 2 / (exp(2x) + 1); both below 4 ulp. */
#ifndef UNROLL_NN_VMATH_H
#define UNROLL_NN_VMATH_H

#include <stdint.h>

#define VLEN 16
typedef float vfloat __attribute__((vector_size(64), may_alias));
typedef int32_t vint __attribute__((vector_size(64), may_alias));

/* Floats that a row of n takes when padded to whole vectors. */
#define VROUND(n) (((n) + VLEN - 1) / VLEN * VLEN)

static inline vfloat vload(const float *p) /* 64-byte aligned */
{
    return *(const vfloat *)p;
}

static inline void vstore(float *p, vfloat v)
{
    *(vfloat *)p = v;
}

static inline vfloat vset(float x)
{
    return x - (vfloat){0};
}

static inline vfloat vselect(vint mask, vfloat yes, vfloat no)
{
    return (vfloat)((mask & (vint)yes) | (~mask & (vint)no));
}

/* NaN in either argument gives b. */
static inline vfloat vmax(vfloat a, vfloat b)
{
    return vselect(a > b, a, b);
}

static inline vfloat vexp(vfloat x)
{
    const float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float round_magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    vint overflow = x > 88.72283f, underflow = x < -87.33654f;
    vfloat safe = vselect(overflow | underflow, vset(0), x);
    vfloat shifted = safe * log2e + round_magic;
    vfloat n = shifted - round_magic;
    vfloat r = safe - n * ln2_high;
    r = r - n * ln2_low;
    vfloat p = vset(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    vint exponent = (vint)shifted - (vint)vset(round_magic);
    /* two factors, because 2^128 / 2 times 2 is reachable while 2^128 is not a float */
    vint half = exponent >> 1;
    vfloat scale_a = (vfloat)((half + 127) << 23), scale_b = (vfloat)((exponent - half + 127) << 23);
    vfloat result = p * scale_a * scale_b;
    result = vselect(overflow, vset(__builtin_inff()), result);
    return vselect(underflow, vset(0), result);
}

static inline vfloat vsigmoid(vfloat x)
{
    return 1.0f / (1.0f + vexp(-x));
}

static inline vfloat vtanh(vfloat x)
{
    vfloat square = x * x;
    vfloat p = vset(62.0f / 2835);
    p = p * square - 17.0f / 315;
    p = p * square + 2.0f / 15;
    p = p * square - 1.0f / 3;
    vfloat small = x + x * square * p;
    vfloat large = 1.0f - 2.0f / (vexp(x + x) + 1.0f);
    return vselect(square < 0.0625f, small, large);
}

#endif
