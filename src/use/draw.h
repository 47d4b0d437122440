/* Helpers of sampler and beam search: loading logits as doubles, and selecting the best candidates. */
#ifndef UNROLL_USE_DRAW_H
#define UNROLL_USE_DRAW_H

#include <math.h>
#include <string.h>

#include "unroll/base/vmath.h"
#include "unroll/use/sampler.h"

/* The first eight of `count` > 0 logits; behind the last -infinity, whose exp is zero. */
static inline vdouble load_logits(const float *logits, int count)
{
    typedef float part __attribute__((vector_size(4 * VDOUBLES)));
    part z = (part){0} - INFINITY;
    if (count >= VDOUBLES)
        memcpy(&z, logits, sizeof z);
    else
        memcpy(&z, logits, sizeof *logits * (size_t)count);
    return __builtin_convertvector(z, vdouble);
}

/* Candidates have a strict order: heavier first, then the lower id, so that no two are equal. Brings the first k of
 * n to the front and sorts them. */
void draw_select(struct sampler_candidate *items, int n, int k);

#endif
