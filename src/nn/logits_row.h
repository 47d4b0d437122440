/* One row of logits, `padded` to whole vectors (VROUND) with -infinity: what a softmax over it needs. */
#ifndef UNROLL_NN_LOGITS_ROW_H
#define UNROLL_NN_LOGITS_ROW_H

#include <math.h>
#include <stdbool.h>

#include "unroll/base/vmath.h"

/* Of logits and their biases. */
static inline float logits_largest(const float *logits, const float *bias, int padded)
{
    vfloat most = vset(-INFINITY);
    for (int v = 0; v < padded; v += VLEN)
        most = vmax(vload(logits + v) + vload(bias + v), most);
    return vlargest(most);
}

/* exp(logit + bias - largest) in the logits' place, if `stored`; and their sum. */
static inline float logits_exponentials(float *logits, const float *bias, int padded, float largest, bool stored)
{
    vfloat sums[VCHAINS] = {{0}};
    for (int v = 0; v < padded; v += VPAD)
        for (int i = 0; i < VCHAINS; i++) {
            float *place = logits + v + i * VLEN;
            vfloat p = vexp(vload(place) + vload(bias + v + i * VLEN) - largest);
            sums[i] += p;
            if (stored)
                vstore(place, p);
        }
    return vsum_chains(sums);
}

#endif
