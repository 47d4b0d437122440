/* A window's rows in the order of lane groups, group after group and in each time-major over its lanes: the order in
 * which output layers of language models take them, so that a group's rows stand side by side. */
#ifndef UNROLL_NN_ORDERED_H
#define UNROLL_NN_ORDERED_H

#include "common.h"
#include "output_private.h"

struct ordered {
    int in, stride;   /* H, and the stride of rows of so many */
    void *y;          /* [T * B][stride] the top layer's outputs, through dropout; dense (nn/gemm.h) */
    uint32_t *target; /* [T * B] */
    float *loss;      /* [T * B] the kind's to fill */
    int *group_row;   /* [groups + 1] the first row of each group */
};

void ordered_create(struct common *common, struct ordered *ordered);
/* Of the window at hand, from its positions: outputs (through dropout, where the step has some) and targets. */
void ordered_fill(const struct common *common, const struct ordered *ordered, const struct output_step *step);
/* The rows from row `first` on, as products read them. */
struct gemm_view ordered_rows(const struct common *common, const struct ordered *ordered, int first);
/* To positions: dy, from the first row of `node` on, goes to dh [T][B], rows of `stride`. */
void ordered_scatter(const struct common *common, const struct ordered *ordered, struct lane_node node, const float *dy,
                     float *dh);
/* Through the dropout, where the step has some: dh of all positions. */
void ordered_drop_gradients(const struct common *common, const struct ordered *ordered, float *dh);
/* The output's losses of rows and groups, from `loss`. */
void ordered_sum_losses(const struct common *common, const struct ordered *ordered, struct output *output);

#endif
