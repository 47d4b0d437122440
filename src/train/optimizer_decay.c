/* Repeated multiplication of float32 by a factor below one.
 *
 * Processors take a hundred times as long for a multiplication with a subnormal operand or result, and means that
 * decay end as subnormals: 0.9 rounds 4 times 2^-149 to itself, 0.999 rounds 499 times. So numbers are of two kinds:
 *
 *   large   |x| >= 2^-125, or zero: multiplied as they are, as often as no result can fall below 2^-126
 *   small   below it: x = n 2^-149 with an integer n < 2^24, between which and zero float32 has the multiples of 2^-149
 *           alone. keep n is exact in double (24 + 24 bits); rounding it to the nearest even integer is float32's
 *           rounding. The bits of |x| as an integer are n.
 *
 * A number's kind is looked at again before a large one may have become subnormal. */
#include "optimizer_decay.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/vmath.h"

#define SMALL 0x01000000 /* the bits of 2^-125 */
#define SIGN INT32_MIN
#define INFINITE 0x7f800000

#define TOGETHER 8 /* vectors that are multiplied side by side: what hides how long one multiplication takes */
#define GROUP_MAX (TOGETHER * VLEN > 64 ? TOGETHER * VLEN : 64)

struct decay decay_of(float keep)
{
    /* in one rounding a product loses 2^-24 of itself at most */
    double bits = -arithmetic_log(keep * (1 - 0x1p-24)) / arithmetic_log(2);
    return (struct decay){keep, keep > 0 ? 0.999 / bits : 0};
}

/* ---- large numbers ---- */

/* By `times` factors, which stand `stride` apart: 0 or 1. */
static void multiply_together(float *x, const float *factor, int stride, int times)
{
    vfloat v[TOGETHER];
#pragma GCC unroll 8
    for (int i = 0; i < TOGETHER; i++)
        v[i] = vload(x + i * VLEN);
    for (int t = 0; t < times; t++, factor += stride)
#pragma GCC unroll 8
        for (int i = 0; i < TOGETHER; i++)
            v[i] *= *factor;
#pragma GCC unroll 8
    for (int i = 0; i < TOGETHER; i++)
        vstore(x + i * VLEN, v[i]);
}

static void multiply(float *x, int count, const float *factor, int stride, int times)
{
    int i = 0;
    for (; i + TOGETHER * VLEN <= count; i += TOGETHER * VLEN)
        multiply_together(x + i, factor, stride, times);
    for (; i < count; i += VLEN) {
        vfloat v = vload(x + i);
        for (int t = 0; t < times; t++)
            v *= factor[t * stride];
        vstore(x + i, v);
    }
}

void decay_by_each(const float *factor, float *x, int count, int times)
{
    multiply(x, count, factor, 1, times);
}

/* ---- small numbers ---- */

#define SMALL_TOGETHER (VLEN > 8 ? 8 : 4)
#define SMALL_BLOCK (SMALL_TOGETHER * VDOUBLES)

/* Integers below 2^24, as often times `keep`, rounded each time; until none changes. */
static void shrink(double *n, double keep, int times)
{
    const double magic = 0x1.8p52; /* adding it rounds to an integer */
    vdouble v[SMALL_TOGETHER];
#pragma GCC unroll 8
    for (int i = 0; i < SMALL_TOGETHER; i++)
        v[i] = *(vdouble *)(n + i * VDOUBLES);
    while (times > 0) {
        int now = times < 16 ? times : 16;
        times -= now;
        for (int t = 0; t < now; t++)
#pragma GCC unroll 8
            for (int i = 0; i < SMALL_TOGETHER; i++)
                v[i] = v[i] * keep + magic - magic;
        double changed = 0;
        for (int i = 0; i < SMALL_TOGETHER; i++) {
            vdouble next = v[i] * keep + magic - magic;
            for (int j = 0; j < VDOUBLES; j++)
                changed += v[i][j] - next[j];
        }
        if (changed == 0) /* they only become smaller */
            break;
    }
#pragma GCC unroll 8
    for (int i = 0; i < SMALL_TOGETHER; i++)
        *(vdouble *)(n + i * VDOUBLES) = v[i];
}

/* ---- both ---- */

static int32_t magnitude(const float *x)
{
    int32_t bits;
    memcpy(&bits, x, sizeof bits);
    return bits & ~SIGN;
}

/* The least of the large numbers, as its bits, or `INFINITE`; *small: how many are small. */
static int32_t look(const float *x, int count, int *small)
{
    const vint *bits = (const vint *)x;
    vint least = INFINITE - (vint){0}, smalls = {0};
    for (int i = 0; i < count / VLEN; i++) {
        vint one = bits[i] & ~SIGN, is_small = (one < SMALL) & (one > 0), lower = (one >= SMALL) & (one < least);
        least = (lower & one) | (~lower & least);
        smalls -= is_small;
    }
    int32_t lowest = INFINITE;
    *small = 0;
    for (int j = 0; j < VLEN; j++) {
        lowest = least[j] < lowest ? least[j] : lowest;
        *small += smalls[j];
    }
    return lowest;
}

/* Small numbers are taken out of x while the large are multiplied. */
static void apply_mixed(float *x, int count, int small, float keep, int times)
{
    _Alignas(64) double n[GROUP_MAX + SMALL_BLOCK] = {0};
    int place[GROUP_MAX], found = 0;
    float sign[GROUP_MAX];
    for (int i = 0; i < count && found < small; i++) {
        int32_t size = magnitude(x + i);
        if (size == 0 || size >= SMALL)
            continue;
        place[found] = i;
        sign[found] = x[i];
        n[found++] = size;
        x[i] = 0;
    }
    multiply(x, count, &keep, 0, times);
    for (int i = 0; i < found; i += SMALL_BLOCK)
        shrink(n + i, keep, times);
    for (int i = 0; i < found; i++) {
        int32_t size = (int32_t)n[i];
        float back;
        memcpy(&back, &size, sizeof back);
        x[place[i]] = size == 0 ? 0 : copysignf(back, sign[i]);
    }
}

/* One multiplication, whatever it takes; whether it changed anything. */
static bool apply_once(float *x, int count, float keep)
{
    bool changed = false;
    for (int i = 0; i < count; i++) {
        float next = keep * x[i] + 0.0f;
        changed |= memcmp(&next, &x[i], sizeof next) != 0;
        x[i] = next;
    }
    return changed;
}

static void apply_group(const struct decay *decay, float *x, int count, int times)
{
    for (int i = 0; i < count; i++)
        x[i] += 0.0f; /* -0 becomes 0 with the first step, and no step makes one */
    while (times > 0) {
        int small;
        int32_t least = look(x, count, &small);
        if (least == INFINITE && small == 0) /* all are zero, infinite or NaN */
            times = times > 1 ? 1 : times;
        double safe = ((least >> 23) - 1) * decay->a_halving; /* from the least number's power of two to 2^-126 */
        int now = safe < times ? (int)safe : times;
        if (now < 1) {
            if (!apply_once(x, count, decay->keep))
                return;
            now = 1;
        } else if (small > 0) {
            apply_mixed(x, count, small, decay->keep, now);
        } else {
            multiply(x, count, &decay->keep, 0, now);
        }
        times -= now;
    }
}

void decay_apply(const struct decay *decay, float *x, int count, int times)
{
    for (int i = 0; times > 0 && i < count; i += GROUP_MAX)
        apply_group(decay, x + i, count - i < GROUP_MAX ? count - i : GROUP_MAX, times);
}
