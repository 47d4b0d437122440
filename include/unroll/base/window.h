/* A window: `T` consecutive time steps of all lanes of this rank, what one step unrolls. The one thing that `data`
 * fills and `nn` reads. */
#ifndef UNROLL_BASE_WINDOW_H
#define UNROLL_BASE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_STEPS_MAX 65535      /* random numbers count time steps in 16 bits (base/rng.h) */
#define WINDOW_NO_TARGET UINT32_MAX /* this position has no loss: padding, or past the lane's end */

struct window {
    int T;                 /* time steps in this window, <= bptt; the last window of an epoch may be shorter */
    int lanes;             /* lanes of this rank, B_r */
    int lane0;             /* global number of the first of them */
    bool reset;            /* state is zeroed before the first step (start of an epoch) */
    const uint32_t *input; /* [T][B_r] token ids; owned by whoever filled the window */
    /* [T][B_r] token ids or WINDOW_NO_TARGET. For a classifier a text begins at its lane's first step and has one
     * target, its label, at its last token; what follows is padding. */
    const uint32_t *target;
};

#endif
