/* The output layer of the fast model: what all kinds have. */
#ifndef UNROLL_NN_OUTPUT_PRIVATE_H
#define UNROLL_NN_OUTPUT_PRIVATE_H

#include "common.h"
#include "unroll/nn/output.h"

struct output {
    const struct output_kind *kind;
    void *own; /* the kind's, kept by the store */

    /* Of the last window. */
    float *row_loss;                                     /* [T][B] */
    double *group_loss;                                  /* [groups] */
    int64_t *group_targets;                              /* [groups] */
    double *group_normaliser, *group_normaliser_squares; /* [groups] of kinds with OUTPUT_NORMALISER, else NULL */
    int64_t *group_correct;                              /* [groups] where the kind has labels, else NULL */
};

/* What a window of the layers leaves, and what it wants. Rows have the stride of H. */
struct output_step {
    const float *h;           /* [T][B] the top layer's outputs */
    struct gemm_view rows;    /* the same, as products read them */
    float *const *node_grads; /* [nodes] gradient arrays, overwritten; NULL: losses alone */
    float *dh;                /* [T][B] with node_grads, or by `last`: the gradient of h */
};

#endif
