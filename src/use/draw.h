/* Parts of drawing a token, and of choosing the best: exp of many logits, and the first of many candidates. */
#ifndef UNROLL_USE_DRAW_H
#define UNROLL_USE_DRAW_H

#include <math.h>
#include <string.h>

#include "unroll/use/sampler.h"

/* Eight doubles. exp for x <= 0 by Cody-Waite reduction and a Taylor polynomial of degree 13 on [-ln2/2, ln2/2] (remainder
 * below 1e-17); results below 2^-1022 are zero. */
#define WEIGHTS 8
typedef double weights __attribute__((vector_size(8 * WEIGHTS)));
typedef int64_t exponents __attribute__((vector_size(8 * WEIGHTS)));

static inline weights exp_of(weights x)
{
    const double round_magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    exponents underflow = x < -708.0;
    x = (weights)(~underflow & (exponents)x);
    weights shifted = x * 1.4426950408889634074 + round_magic;
    weights n = shifted - round_magic;
    weights r = x - n * 6.93147180369123816490e-01;
    r = r - n * 1.90821492927058770002e-10;
    weights p = r * (1.0 / 6227020800) + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    exponents scale = ((exponents)shifted - (exponents)((weights){0} + round_magic) + 1023) << 52;
    return (weights)(~underflow & (exponents)(p * (weights)scale));
}

/* The first eight of `count` > 0 logits; behind the last -infinity, whose exp is zero. */
static inline weights load_logits(const float *logits, int count)
{
    typedef float part __attribute__((vector_size(4 * WEIGHTS)));
    part z = (part){0} - INFINITY;
    if (count >= WEIGHTS)
        memcpy(&z, logits, sizeof z);
    else
        memcpy(&z, logits, sizeof *logits * (size_t)count);
    return __builtin_convertvector(z, weights);
}

/* Candidates have a strict order: heavier first, then the lower id, so that no two are equal. Brings the first k of n to
 * the front and sorts them. */
void draw_select(struct sampler_candidate *items, int n, int k);

#endif
