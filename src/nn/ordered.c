/* Between the order of positions and that of lane groups. */
#include "ordered.h"

#include <string.h>

#include "unroll/base/team.h"

void ordered_create(struct common *common, struct ordered *ordered)
{
    struct store *store = &common->store;
    size_t rows = (size_t)common->shape.bptt * common->lanes;
    *ordered = (struct ordered){.in = common->config.hidden, .stride = gemm_stride(common->config.hidden)};
    ordered->y = store_take(store, rows * ordered->stride, gemm_number_bytes(&common->gemm), "ordered outputs");
    ordered->target = store_take(store, rows, sizeof *ordered->target, "targets");
    ordered->loss = store_floats(store, rows, "losses");
    ordered->group_row = store_take(store, common->groups + 1, sizeof *ordered->group_row, "lane groups");
}

struct gemm_view ordered_rows(const struct common *common, const struct ordered *ordered, int first)
{
    struct gemm_view view = gemm_dense(&common->gemm, ordered->y, ordered->stride);
    view.base = (const char *)view.base + first * view.stride;
    return view;
}

struct ordering {
    const struct common *common;
    const struct ordered *ordered;
    struct gemm_view from; /* [T * B] where rows come from */
    const float *dy;       /* gradients of rows, from the first of group `first` on */
    float *dh;             /* [T][B] where they go */
    int first;
};

/* Read and written. */
static int64_t order_bytes(const struct ordered *ordered, int rows)
{
    return 8 * (int64_t)rows * ordered->stride;
}

static void order_groups(void *context, int64_t begin_group, int64_t end_group, int thread)
{
    (void)thread;
    const struct ordering *work = context;
    const struct ordered *ordered = work->ordered;
    const struct window *window = work->common->window;
    int64_t stride = work->from.stride;
    for (int64_t g = begin_group; g < end_group; g++) {
        struct lanes of_group = common_group_lanes(work->common, (int)g);
        int lanes = of_group.end - of_group.begin;
        for (int t = 0; t < window->T; t++) {
            int64_t row = ordered->group_row[g] + (int64_t)t * lanes;
            int64_t position = (int64_t)t * work->common->lanes + of_group.begin;
            memcpy((char *)ordered->y + row * stride, (const char *)work->from.base + position * stride,
                   (size_t)(lanes * stride));
            memcpy(ordered->target + row, window->target + position, sizeof *ordered->target * lanes);
        }
    }
}

void ordered_fill(const struct common *common, const struct ordered *ordered, const struct output_step *step)
{
    int T = common->window->T;
    struct gemm_view from = step->rows;
    if (dropout_active(&common->dropout, common->config.layers)) {
        float *dropped = common->scratch.dropped_outputs;
        dropout_rows(&common->dropout, common->config.layers,
                     (struct dropout_copy){.T = T,
                                           .units = ordered->in,
                                           .from = step->h,
                                           .from_stride = ordered->stride,
                                           .to = dropped,
                                           .to_stride = ordered->stride,
                                           .gemm = &common->gemm});
        from = gemm_dense(&common->gemm, dropped, ordered->stride);
    }
    for (int g = 0; g <= common->groups; g++)
        ordered->group_row[g] = common->group_lane[g] * T;
    struct ordering order = {.common = common, .ordered = ordered, .from = from};
    team_share(common->shape.threads, common->groups, order_bytes(ordered, common->lanes * T), order_groups, &order);
}

static void scatter_groups(void *context, int64_t begin_group, int64_t end_group, int thread)
{
    (void)thread;
    const struct ordering *work = context;
    const struct common *common = work->common;
    int64_t stride = work->ordered->stride;
    int T = common->window->T;
    for (int64_t g = work->first + begin_group; g < work->first + end_group; g++) {
        int begin = common->group_lane[g], lanes = common->group_lane[g + 1] - begin;
        int first = (begin - common->group_lane[work->first]) * T;
        for (int t = 0; t < T; t++)
            memcpy(work->dh + ((int64_t)t * common->lanes + begin) * stride,
                   work->dy + (int64_t)(first + t * lanes) * stride, sizeof(float) * lanes * stride);
    }
}

void ordered_scatter(const struct common *common, const struct ordered *ordered, struct lane_node node, const float *dy,
                     float *dh)
{
    struct ordering order = {
        .common = common, .ordered = ordered, .dy = dy, .dh = dh, .first = node.begin - common->group0};
    struct lanes lanes = common_node_lanes(common, node);
    team_share(common->shape.threads, node.end - node.begin,
               order_bytes(ordered, (lanes.end - lanes.begin) * common->window->T), scatter_groups, &order);
}

void ordered_drop_gradients(const struct common *common, const struct ordered *ordered, float *dh)
{
    if (dropout_active(&common->dropout, common->config.layers))
        dropout_rows(&common->dropout, common->config.layers,
                     (struct dropout_copy){.T = common->window->T,
                                           .units = ordered->in,
                                           .from = dh,
                                           .from_stride = ordered->stride,
                                           .to = dh,
                                           .to_stride = ordered->stride});
}

void ordered_sum_losses(const struct common *common, const struct ordered *ordered, struct output *output)
{
    for (int g = 0; g < common->groups; g++) {
        struct lanes group = common_group_lanes(common, g);
        int lanes = group.end - group.begin;
        output->group_loss[g] = 0;
        output->group_targets[g] = 0;
        for (int t = 0; t < common->window->T; t++)
            for (int b = 0; b < lanes; b++) {
                int row = ordered->group_row[g] + t * lanes + b;
                output->row_loss[(int64_t)t * common->lanes + group.begin + b] = ordered->loss[row];
                output->group_loss[g] += ordered->loss[row];
                output->group_targets[g] += ordered->target[row] != WINDOW_NO_TARGET;
            }
    }
}
