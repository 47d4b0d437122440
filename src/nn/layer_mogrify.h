/* The second engine of layers, for cells whose input is gated by their state (mogrify.h): the input's products are
 * inside the loop over time. Same contract as layer.h's functions of that name. */
#ifndef UNROLL_NN_LAYER_MOGRIFY_H
#define UNROLL_NN_LAYER_MOGRIFY_H

#include "layer.h"
#include "mogrify.h"

/* A round of a layer. Rows are positions [T][B]; in evaluation those of one step, [B], since nothing is kept. */
struct mogrify_round {
    struct mogrify_shape shape;
    int stride;                      /* of rows of gate and value */
    struct gemm_weights left, right; /* what is read times right is narrow, that times left what the gate's sigmoid is
                                        of; full matrices: left alone */
    struct gemm_weights left_back, right_back;
    size_t left_gradient, right_gradient; /* in a gradient array */
    float *gate;     /* [rows][stride] the sigmoid; backward turns it to the gradient of its argument, settled */
    float *value;    /* [rows][stride] what the round gates, afterwards */
    void *dense;     /* the same as products read it; in float32 it is value */
    void *narrow;    /* [rows][rank_stride] dense; NULL: full matrices */
    float *d_narrow; /* [rows][rank_stride] settled */
};

/* Between two steps of the backward loop, shared by all layers: [B] rows. */
struct mogrify_scratch {
    float *dh;      /* of h_stride: the gradient of the state, through the next step's products */
    float *product; /* of product_stride: what a round adds to the gradient of what it reads */
    int64_t product_stride;
    float *dx; /* [T * B] rows of in_stride, the gradient of the input */
};

struct mogrify {
    int rounds, rank, rank_stride;
    struct mogrify_round round[MOGRIFY_ROUNDS_MAX + 1];                      /* from 1 on */
    struct gemm_weights input[CELL_BLOCKS_MAX], input_back[CELL_BLOCKS_MAX]; /* W_ih, gate by gate */
    float *nothing; /* [gates * slot_stride] zeros: the projection that the cell's step adds */
    struct mogrify_scratch scratch;
};

/* For all layers, which are there already. */
void mogrify_create(struct common *common, struct layer *layers);
void mogrify_pack(const struct common *common, struct layer *layer);
void mogrify_forward(const struct common *common, struct layer *layer);
void mogrify_backward(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook);
void mogrify_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                       struct lane_node node, float *grad);
void mogrify_input_gradient(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                            float *dx);

/* ---- between layer_mogrify.c and layer_mogrify_steps.c ---- */

/* The row of lane b at time t in the arrays of rounds. */
static inline int64_t mogrify_row(const struct common *common, int t, int b)
{
    return common->shape.train ? (int64_t)t * common->lanes + b : b;
}

/* What round i makes, as products read it, from row `row` on; round 0 makes h_(t-1): rows of layer_rows_from. */
struct gemm_view mogrify_made(const struct common *common, const struct layer *layer, int i, int64_t row);
/* The last round that gates the input; the state: perhaps 0. */
static inline int mogrify_last_x(const struct mogrify *mogrify)
{
    return mogrify->rounds - (mogrify->rounds + 1) % 2;
}
static inline int mogrify_last_h(const struct mogrify *mogrify)
{
    return mogrify->rounds - mogrify->rounds % 2;
}

#endif
