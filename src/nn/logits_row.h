/* One row of logits, `padded` to whole vectors (VROUND) with -infinity: what a softmax over it needs. */
#ifndef UNROLL_NN_LOGITS_ROW_H
#define UNROLL_NN_LOGITS_ROW_H

#include <math.h>
#include <stdbool.h>

#include "unroll/base/vmath.h"

#define LOGITS_CHAINS (VPAD / VLEN) /* vectors whose elements are summed on their own: VPAD chains on every target */

/* Of logits and their biases. */
static inline float logits_largest(const float *logits, const float *bias, int padded)
{
    vfloat most = vset(-INFINITY);
    float largest = -INFINITY;
    for (int v = 0; v < padded; v += VLEN)
        most = vmax(vload(logits + v) + vload(bias + v), most);
    for (int i = 0; i < VLEN; i++)
        largest = most[i] > largest ? most[i] : largest;
    return largest;
}

/* exp(logit + bias - largest) in the logits' place, if `stored`; and their sum. */
static inline float logits_exponentials(float *logits, const float *bias, int padded, float largest, bool stored)
{
    vfloat sums[LOGITS_CHAINS] = {{0}};
    for (int v = 0; v < padded; v += VPAD)
        for (int i = 0; i < LOGITS_CHAINS; i++) {
            float *place = logits + v + i * VLEN;
            vfloat p = vexp(vload(place) + vload(bias + v + i * VLEN) - largest);
            sums[i] += p;
            if (stored)
                vstore(place, p);
        }
    float sum = 0;
    for (int i = 0; i < VPAD; i++)
        sum += sums[i / VLEN][i % VLEN];
    return sum;
}

#endif
