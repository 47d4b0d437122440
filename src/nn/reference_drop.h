/* Masks of recurrent products, for the reference. */
#ifndef UNROLL_NN_REFERENCE_DROP_H
#define UNROLL_NN_REFERENCE_DROP_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/nn/model_config.h"

struct reference_drop {
    const struct model_config *config;
    uint64_t seed;
    int64_t step; /* below 0: nothing is dropped */
    float *room;  /* [the widest layer] */
};

/* mask [H] of what W_hh of layer l reads of a lane's states, a number of all lanes; ones without. */
void reference_drop_states(const struct reference_drop *drop, int l, int64_t lane, double *mask);
/* Whether weights are dropped; then W_hh of layer l, or its gradient, through the mask: `to` may be `from`. */
bool reference_drops_weights(const struct reference_drop *drop);
void reference_drop_weights(const struct reference_drop *drop, int l, const double *from, double *to);

#endif
