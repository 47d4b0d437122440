/* What the parts of a model (embedding, layers, output) share: the configuration, the lanes of this rank, the window
 * at hand, and scratch. A part sees this and itself; the order of a step is model.c's. */
#ifndef UNROLL_NN_COMMON_H
#define UNROLL_NN_COMMON_H

#include "store.h"
#include "unroll/nn/dropout.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/gradient.h"
#include "unroll/nn/model.h"

/* Arrays that parts use one after another. Names that never hold something at the same time share storage. */
struct scratch {
    /* Rows of all positions, [T * B] of the widest row stride. During a step they hold one after another: the top
     * layer's outputs through dropout, until ordered.c has put them in order; the gradient of each layer's outputs,
     * from the top down (it becomes the gradient of the layer's input, which is that of the outputs of the layer
     * below); the gradient of the embedding's rows. */
    float *dropped_outputs, *row_gradients;

    /* Packed activations. What products need besides lies in common->gemm. */
    void *factor;     /* weight gradients: what gemm_factor_pack packs */
    void *flow_notes; /* flow.c: the same storage, since it sums no weight gradients */

    /* The recurrence of layer.c. */
    float *recurrent; /* [threads][R][B][GEMM_WIDE]; NULL without a recurrent product */
    float *carry;     /* [B][h_stride] */
};

struct common {
    struct model_config config;
    struct model_shape shape;
    struct param_table table;
    struct gradient_layout layout;
    struct touched touched; /* by the step at hand, here: model_touch */
    const float *values;    /* [table.total]; NULL where memory is only counted */
    struct gemm gemm;

    int lanes, groups;                     /* B of this rank, and its lane groups */
    int *group_lane;                       /* [groups + 1] local lane at which each group starts */
    int group0;                            /* the global number of the first group */
    int nodes;                             /* of the lane tree that are this rank's: each has a gradient array */
    struct lane_node node[LANE_NODES_MAX]; /* their groups have global numbers */

    const struct window *window; /* at hand */
    struct dropout dropout;      /* of the window */
    uint8_t *fresh;              /* [T][B] 1: the lane's state is zero before this step; NULL without a reset token */

    struct scratch scratch;
    struct store store;
};

/* All but scratch. common->config, shape, values and store are there. */
enum status common_create(struct common *common, struct error *e);
/* row_stride: the widest of all layers' inputs and outputs; width: the most features of one. */
void common_create_scratch(struct common *common, int row_stride, int width);
/* Makes it the window at hand, with dropout masks of `step`, or none if that is below 0. */
void common_begin(struct common *common, const struct window *window, int64_t step);

/* The lanes of a node or of group g, local numbers: [begin, end). */
struct lanes {
    int begin, end;
};
static inline struct lanes common_node_lanes(const struct common *common, struct lane_node node)
{
    return (struct lanes){common->group_lane[node.begin - common->group0],
                          common->group_lane[node.end - common->group0]};
}
static inline struct lanes common_group_lanes(const struct common *common, int g)
{
    return (struct lanes){common->group_lane[g], common->group_lane[g + 1]};
}

/* The sum over a node's lanes and the window's steps. */
static inline struct gemm_sum common_sum(const struct common *common, struct lane_node node)
{
    return (struct gemm_sum){node, common->group0, common->group_lane, common->window->T, common->shape.exact};
}

/* Where the dense gradient of a parameter begins in a gradient array. */
static inline float *common_gradient(const struct common *common, float *grad, int place)
{
    return grad + common->layout.offset[place];
}

static inline const struct param *common_param(const struct common *common, int place)
{
    return &common->table.param[place];
}
/* NULL where memory is only counted. */
static inline const float *common_weights(const struct common *common, size_t offset)
{
    return common->values ? common->values + offset : NULL;
}
static inline const float *common_values(const struct common *common, int place)
{
    return common_weights(common, common->table.param[place].offset);
}

#endif
