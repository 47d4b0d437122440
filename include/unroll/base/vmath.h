/* Vectors of floats and the elementary functions of the cells and of softmax on them: part of the arithmetic that bits
 * depend on (base/arithmetic.h). A vector is a register of the target; every element goes through the same operations
 * in the same order whatever the register's width, so a unit's bits depend neither on it nor on where in a row the unit
 * stands.
 *
 * exp: Cody and Waite's reduction by ln 2 (Software Manual for the Elementary Functions, 1980), and on [-ln2/2,
 * ln2/2] 1 + r + r^2 P(r), where P is the minimax polynomial of degree 4 for the relative error (3.2e-9). exp(x) =
 * scale (high + low) keeps what rounding 1 + r loses; sigmoid and tanh keep what their sums lose, and add what the
 * quotient lacks. At most 1 ulp for -87 < x < 88 (exp 0.79, sigmoid 0.76, tanh 0.90 were found;
 * tests/unit/test_vmath.c against MPFR). Above 88 exp stays at 1.65e38, below -87.9 it is zero. NaN stays NaN. tanh
 * is odd, bit for bit. */
#ifndef UNROLL_BASE_VMATH_H
#define UNROLL_BASE_VMATH_H

#include <stdint.h>
#include <string.h>

#if defined __AVX512F__ || defined __AVX2__
#include <immintrin.h>
#elif defined __ARM_NEON
#include <arm_neon.h>
#endif

#if defined __AVX512F__
#define VLEN 16
#elif defined __AVX2__
#define VLEN 8
#else
#define VLEN 4
#endif

typedef float vfloat __attribute__((vector_size(4 * VLEN), may_alias));
typedef int32_t vint __attribute__((vector_size(4 * VLEN), may_alias));

/* Floats that a row of n takes when padded: whole vectors of every target, so that files and loops look alike on
 * all. */
#define VPAD 16
#define VROUND(n) (((n) + VPAD - 1) / VPAD * VPAD)
/* Vectors whose elements are summed on their own: VPAD chains on every target. */
#define VCHAINS (VPAD / VLEN)

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

/* The sum of VCHAINS vectors' elements, one after another. */
static inline float vsum_chains(const vfloat *chains)
{
    float sum = 0;
    for (int i = 0; i < VPAD; i++)
        sum += chains[i / VLEN][i % VLEN];
    return sum;
}

/* The largest element that is no NaN; -infinity without one. */
static inline float vlargest(vfloat v)
{
    float largest = -__builtin_inff();
    for (int i = 0; i < VLEN; i++)
        largest = v[i] > largest ? v[i] : largest;
    return largest;
}

static inline vfloat vselect(vint mask, vfloat yes, vfloat no)
{
    return (vfloat)((mask & (vint)yes) | (~mask & (vint)no));
}

/* a * b + c with one rounding: the only multiplication and addition that are ever fused are those written so. */
static inline vfloat vfma(vfloat a, vfloat b, vfloat c)
{
#if defined __AVX512F__
    return _mm512_fmadd_ps(a, b, c);
#elif defined __AVX2__ && defined __FMA__
    return _mm256_fmadd_ps(a, b, c);
#elif defined __ARM_NEON
    return vfmaq_f32(c, a, b);
#else
    for (int i = 0; i < VLEN; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

/* a > b ? a : b: NaN in either argument gives b. */
static inline vfloat vmax(vfloat a, vfloat b)
{
#if defined __AVX512F__
    return _mm512_max_ps(a, b);
#elif defined __AVX2__
    return _mm256_max_ps(a, b);
#else
    return vselect(a > b, a, b);
#endif
}

/* a < b ? a : b: NaN in either argument gives b. */
static inline vfloat vmin(vfloat a, vfloat b)
{
#if defined __AVX512F__
    return _mm512_min_ps(a, b);
#elif defined __AVX2__
    return _mm256_min_ps(a, b);
#else
    return vselect(a < b, a, b);
#endif
}

/* exp(x) = scale (high + low) for -88.3 < x < 88.3: high is 1 + r rounded, low the rest, scale a power of two, or
 * zero below 2^-126. */
struct vexp_parts {
    vfloat scale, high, low;
};

static inline struct vexp_parts vexp_split(vfloat x)
{
    const float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float round_magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const int32_t round_bits = 0x4b400000; /* of round_magic */
    vfloat shifted = vfma(x, vset(log2e), vset(round_magic));
    vfloat n = shifted - round_magic;
    vfloat r = vfma(n, vset(-ln2_low), vfma(n, vset(-ln2_high), x));
    vfloat p = vset(0x1.6a4cb4p-10f);
    p = vfma(p, r, vset(0x1.123986p-7f));
    p = vfma(p, r, vset(0x1.5558bp-5f));
    p = vfma(p, r, vset(0x1.555492p-3f));
    p = vfma(p, r, vset(0x1.fffffcp-2f));
    vfloat high = 1.0f + r, lost = r - (high - 1.0f);
    vfloat scale = (vfloat)(((vint)shifted - (round_bits - 127)) << 23);
    return (struct vexp_parts){scale, high, vfma(r * r, p, lost)};
}

static inline vfloat vexp_clamp(vfloat x)
{
    return vmin(vset(88.0f), vmax(vset(-87.9f), x));
}

static inline vfloat vexp(vfloat x)
{
    struct vexp_parts e = vexp_split(vexp_clamp(x));
    return (e.high + e.low) * e.scale;
}

/* 1 / (1 + exp(-x)) */
static inline vfloat vsigmoid(vfloat x)
{
    struct vexp_parts e = vexp_split(vexp_clamp(-x));
    vfloat one = vset(1.0f), head = e.scale * e.high, sum = head + one;
    vfloat rest = vfma(e.scale, e.low, vmin(head, one) - (sum - vmax(head, one)));
    vfloat d = sum + rest, d_low = rest - (d - sum); /* 1 + exp(-x) */
    vfloat y = 1.0f / d;
    return vfma(vfma(-d_low, y, vfma(-d, y, one)), y, y);
}

/* (exp(2 |x|) - 1) / (exp(2 |x|) + 1), with the sign of x */
static inline vfloat vtanh(vfloat x)
{
    vint sign = (vint)x & INT32_MIN;
    vfloat size = vmin(vset(10.0f), (vfloat)((vint)x & INT32_MAX)); /* from 9.02 on tanh is 1 */
    struct vexp_parts e = vexp_split(size + size);
    vfloat two = vset(2.0f), head = e.scale * e.high, difference = head - 1.0f;
    vfloat rest = vfma(e.scale, e.low, -1.0f - (difference - head));
    vfloat n = difference + rest, n_low = rest - (n - difference);
    vfloat d = n + two, d_low = vmin(n, two) - (d - vmax(n, two)) + n_low;
    vfloat y = 1.0f / d, quotient = n * y;
    vfloat lacks = vfma(-quotient, d, n) + vfma(-quotient, d_low, n_low);
    return (vfloat)((vint)vfma(lacks, y, quotient) | sign);
}

/* ---- eight doubles ---- */

#define VDOUBLES 8
typedef double vdouble __attribute__((vector_size(8 * VDOUBLES), may_alias));
typedef int64_t vlong __attribute__((vector_size(8 * VDOUBLES), may_alias));

static inline vdouble vdouble_fma(vdouble a, vdouble b, vdouble c)
{
#if defined __AVX512F__
    return _mm512_fmadd_pd(a, b, c);
#else
    double x[VDOUBLES], y[VDOUBLES], z[VDOUBLES];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    memcpy(z, &c, sizeof c);
    for (int i = 0; i < VDOUBLES; i++)
        z[i] = __builtin_fma(x[i], y[i], z[i]);
    memcpy(&c, z, sizeof c);
    return c;
#endif
}

/* exp for x <= 0 by the same reduction and a Taylor polynomial of degree 13 on [-ln2/2, ln2/2] (remainder below
 * 1e-17); at most 1 ulp; below -708 zero. */
static inline vdouble vdouble_exp(vdouble x)
{
    const double log2e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01,
                 ln2_low = 1.90821492927058770002e-10;
    const double round_magic = 6755399441055744.0; /* 1.5 * 2^52 */
    static const double factor[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    const vdouble zero = {0};
    vlong underflow = x < -708.0;
    x = (vdouble)(~underflow & (vlong)x);
    vdouble shifted = vdouble_fma(x, zero + log2e, zero + round_magic), n = shifted - round_magic;
    vdouble r = vdouble_fma(n, zero - ln2_low, vdouble_fma(n, zero - ln2_high, x));
    vdouble p = zero + 1.0 / 6227020800;
    for (int i = 0; i < (int)(sizeof factor / sizeof *factor); i++)
        p = vdouble_fma(p, r, zero + factor[i]);
    vlong scale = ((vlong)shifted - (vlong)(zero + round_magic) + 1023) << 52;
    return (vdouble)(~underflow & (vlong)(p * (vdouble)scale));
}

#endif
