/* The output layer and its loss, in chunks of rows: logits, log-sum-exp, loss, gradient of the logits (in place), gradients of
 * the rows and of the decoder, so that no array of window tokens x vocabulary exists. Rows are taken in lane-group order, and
 * a chunk is a node of the lane tree, so that decoder gradients add up the tree like all others. */
#include <math.h>
#include <string.h>

#include "model_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"

/* The most bytes of logits: every chunk reads the decoder twice and writes its gradient, so chunks are as large as it, or
 * 64 MiB if that is more; 1024 instead of 512 rows gained 6 % at H = 1024 and V = 10000. */
static int64_t chunk_bytes(const struct model_config *config)
{
    int64_t decoder = (int64_t)config->vocab * config->hidden * (int64_t)sizeof(float), least = (int64_t)64 << 20;
    return decoder > least ? decoder : least;
}

/* Splits nodes until their rows fit `rows_max` or a single group is left. Returns the most rows of a chunk; adds to
 * *partial_sums how deep sums of chunks nest beyond the first two. */
static int chunk_rows(struct lane_node node, int group0, const int *group_lane, int T, int64_t rows_max, int depth,
                      int *deepest)
{
    int rows = (group_lane[node.end - group0] - group_lane[node.begin - group0]) * T;
    if (rows <= rows_max || node.end - node.begin == 1) {
        if (depth > *deepest)
            *deepest = depth;
        return rows;
    }
    int middle = lane_node_middle(node.begin, node.end);
    int left = chunk_rows((struct lane_node){node.begin, middle}, group0, group_lane, T, rows_max, depth + 1, deepest);
    int right = chunk_rows((struct lane_node){middle, node.end}, group0, group_lane, T, rows_max, depth + 1, deepest);
    return left > right ? left : right;
}

int softmax_chunk_rows(const struct model_config *config, const struct model_shape *shape, const int *group_lane,
                       int *partial_sums)
{
    struct lane_node nodes[LANE_NODES_MAX];
    int count = lane_share_nodes(&shape->share, nodes), most = 0, deepest = 0;
    int64_t rows_max = chunk_bytes(config) / (gemm_stride(config->vocab) * (int64_t)sizeof(float));
    for (int i = 0; i < count; i++) {
        int rows = chunk_rows(nodes[i], shape->share.group_begin, group_lane, shape->bptt, rows_max, 0, &deepest);
        most = rows > most ? rows : most;
    }
    *partial_sums = deepest > 0 ? deepest - 1 : 0;
    return most;
}

#define CHAINS (VPAD / VLEN) /* vectors whose elements are summed on their own: VPAD chains on every target */

/* One row: adds the bias, returns -log p(target), and with `gradient` replaces logits by p - onehot(target). */
static float row_loss(float *logits, const float *bias, int V, int v_stride, uint32_t target, bool gradient)
{
    int padded = VROUND(V);
    for (int v = V; v < padded; v++)
        logits[v] = -INFINITY; /* the last vector's tail: probability zero */
    vfloat most = vset(-INFINITY);
    for (int v = 0; v < padded; v += VLEN)
        most = vmax(vload(logits + v) + vload(bias + v), most);
    float maximum = -INFINITY;
    for (int i = 0; i < VLEN; i++)
        maximum = most[i] > maximum ? most[i] : maximum;
    float target_logit = logits[target] + bias[target];
    vfloat sums[CHAINS] = {{0}};
    for (int v = 0; v < padded; v += VPAD)
        for (int i = 0; i < CHAINS; i++) {
            float *place = logits + v + i * VLEN;
            vfloat p = vexp(vload(place) + vload(bias + v + i * VLEN) - maximum);
            sums[i] += p;
            if (gradient)
                vstore(place, p);
        }
    float sum = 0;
    for (int i = 0; i < VPAD; i++)
        sum += sums[i / VLEN][i % VLEN];
    if (gradient) {
        float scale = 1.0f / sum;
        for (int v = 0; v < padded; v += VLEN)
            vstore(logits + v, vload(logits + v) * scale);
        logits[target] -= 1.0f;
        memset(logits + padded, 0, sizeof *logits * (v_stride - padded));
    }
    return arithmetic_logf(sum) + (maximum - target_logit);
}

/* Rows [first, first + rows) of the ordered outputs: loss, and with `grad` gradients; decoder gradients are added to
 * `grad`, or overwrite it. */
struct chunk {
    int first, rows;
    struct gemm_sum sum;
};

void softmax_logits(struct model *model, const float *y, int rows)
{
    struct gemm_operand operand = {.segments = 1, .segment = {{y, &model->decoder}}, .lda = model->h_stride};
    gemm_rows(&model->gemm, &operand, rows, model->logits, model->v_stride);
}

static bool has_targets(const struct model *model, struct chunk chunk)
{
    for (int row = 0; row < chunk.rows; row++)
        if (model->target[chunk.first + row] != WINDOW_NO_TARGET)
            return true;
    return false;
}

struct losing {
    struct model *model;
    int first; /* row of the chunk */
    bool gradient;
};

static void lose_rows(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct losing *work = context;
    struct model *model = work->model;
    for (int64_t row = begin; row < end; row++) {
        float *logits = model->logits + row * model->v_stride;
        uint32_t target = model->target[work->first + row];
        float *loss = &model->ordered_loss[work->first + row];
        if (target == WINDOW_NO_TARGET) {
            *loss = 0;
            memset(logits, 0, sizeof *logits * model->v_stride);
        } else {
            *loss = row_loss(logits, model->decoder_bias, model->V, model->v_stride, target, work->gradient);
        }
    }
}

#define LOSS_FLOPS 30 /* of a logit: the exponential */

static void forward_chunk(struct model *model, struct chunk chunk, bool gradient)
{
    if (!gradient &&
        !has_targets(model, chunk)) { /* as when sampling: what follows wants logits of the last step only */
        memset(model->ordered_loss + chunk.first, 0, sizeof *model->ordered_loss * (size_t)chunk.rows);
        return;
    }
    softmax_logits(model, model->y + (int64_t)chunk.first * model->h_stride, chunk.rows);
    struct losing work = {model, chunk.first, gradient};
    team_share(model->shape.threads, chunk.rows, (int64_t)chunk.rows * model->V * LOSS_FLOPS, lose_rows, &work);
}

/* Rows of groups, from the order of lane groups or into it. */
struct ordering {
    struct model *model;
    const struct window *window; /* where they come from; NULL for outputs of a chunk */
    const float *h;
    int first, T; /* group; time steps */
};

/* Position t, lane of ordered row `row` within group g: rows of a group are time-major over its lanes. */
static void scatter_groups(void *context, int64_t begin_group, int64_t end_group, int thread)
{
    (void)thread;
    const struct ordering *work = context;
    struct model *model = work->model;
    for (int64_t g = work->first + begin_group; g < work->first + end_group; g++) {
        int begin = model->group_lane[g], lanes = model->group_lane[g + 1] - begin;
        int first = (begin - model->group_lane[work->first]) * work->T;
        for (int t = 0; t < work->T; t++)
            memcpy(model->dx + ((int64_t)t * model->lanes + begin) * model->h_stride,
                   model->dy + (int64_t)(first + t * lanes) * model->h_stride, sizeof(float) * lanes * model->h_stride);
    }
}

/* Read and written. */
static int64_t order_bytes(const struct model *model, int rows)
{
    return 8 * (int64_t)rows * model->h_stride;
}

static void scatter_outputs(struct model *model, struct lane_node node, int T)
{
    int first = node.begin - model->shape.share.group_begin, last = node.end - model->shape.share.group_begin;
    struct ordering work = {model, NULL, NULL, first, T};
    int rows = (model->group_lane[last] - model->group_lane[first]) * T;
    team_share(model->shape.threads, last - first, order_bytes(model, rows), scatter_groups, &work);
}

static void backward_chunk(struct model *model, struct chunk chunk, bool add, float *weight_grad, float *bias_grad)
{
    struct gemm_operand operand = {
        .segments = 1, .segment = {{model->logits, &model->decoder_back}}, .lda = model->v_stride};
    gemm_rows(&model->gemm, &operand, chunk.rows, model->dy, model->h_stride);
    scatter_outputs(model, chunk.sum.node, chunk.sum.T);

    /* both operands stand in lane-group order: group g's lanes are `row` numbers, with one time step */
    struct gemm_factor factor = {chunk.sum, {model->y, 0, model->h_stride}, model->V, model->H, model->factor};
    factor.sum.T = 1;
    factor.sum.group_lane = model->ordered_row;
    gemm_factor_pack(&model->gemm, &factor);
    struct gemm_gradient gradient = {.factor = &factor,
                                     .a = {model->logits - (int64_t)chunk.first * model->v_stride, 0, model->v_stride},
                                     .add = add,
                                     .c = weight_grad,
                                     .ldc = model->H,
                                     .bias = bias_grad};
    gemm_gradient(&model->gemm, &gradient);
}

struct addition {
    float *to;
    const float *from;
};

static void add_range(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    float *to = ((const struct addition *)context)->to;
    const float *from = ((const struct addition *)context)->from;
#pragma omp simd
    for (int64_t i = begin; i < end; i++)
        to[i] += from[i];
}

static void add_arrays(float *to, const float *from, size_t n, int threads)
{
    struct addition work = {to, from};
    team_share(threads, (int64_t)n, 12 * (int64_t)n, add_range, &work);
}

/* The loss over `node`, and its gradients into weight and bias when they are given: overwritten, or added by a node that
 * is a single chunk. `sums` are the unused partial sums. */
static void node_loss(struct model *model, int T, struct lane_node node, bool add, float *weight, float *bias,
                      float *sums)
{
    int group0 = model->shape.share.group_begin;
    int first = model->group_lane[node.begin - group0] * T;
    int rows = model->group_lane[node.end - group0] * T - first;
    if (rows <= model->chunk_rows) {
        struct chunk chunk = {first, rows, {node, group0, model->group_lane, T, model->shape.exact}};
        forward_chunk(model, chunk, weight != NULL);
        if (weight)
            backward_chunk(model, chunk, add, weight, bias);
        return;
    }
    struct lane_node left = {node.begin, lane_node_middle(node.begin, node.end)}, right = {left.end, node.end};
    CHECK(!add);
    node_loss(model, T, left, false, weight, bias, sums);
    int right_rows = (model->group_lane[right.end - group0] - model->group_lane[right.begin - group0]) * T;
    if (right_rows <= model->chunk_rows || !weight) {
        node_loss(model, T, right, weight != NULL, weight, bias, sums);
        return;
    }
    size_t weights = (size_t)model->V * model->H;
    node_loss(model, T, right, false, sums, sums + weights, sums + model->decoder_sum_size);
    add_arrays(weight, sums, weights, model->shape.threads);
    add_arrays(bias, sums + weights, model->V, model->shape.threads);
}

static void order_groups(void *context, int64_t begin_group, int64_t end_group, int thread)
{
    (void)thread;
    const struct ordering *work = context;
    struct model *model = work->model;
    for (int64_t g = begin_group; g < end_group; g++) {
        int begin = model->group_lane[g], lanes = model->group_lane[g + 1] - begin;
        for (int t = 0; t < work->T; t++) {
            int64_t row = model->ordered_row[g] + (int64_t)t * lanes, position = (int64_t)t * model->lanes + begin;
            memcpy(model->y + row * model->h_stride, work->h + position * model->h_stride,
                   sizeof(float) * lanes * model->h_stride);
            memcpy(model->target + row, work->window->target + position, sizeof *model->target * lanes);
        }
    }
}

/* Copies the top layer's outputs and the targets into lane-group order. */
static void order_rows(struct model *model, const struct window *window)
{
    const struct layer *top = &model->layer[model->config.layers - 1];
    const float *h = top->h + (int64_t)model->lanes * model->h_stride;
    if (dropout_active(&model->dropout)) {
        dropout_rows(&model->dropout, model->config.layers,
                     (struct dropout_copy){window->T, model->H, h, model->dx, model->h_stride, model->h_stride});
        h = model->dx;
    }
    for (int g = 0; g <= model->groups; g++)
        model->ordered_row[g] = model->group_lane[g] * window->T;
    struct ordering work = {model, window, h, 0, window->T};
    team_share(model->shape.threads, model->groups, order_bytes(model, model->lanes * window->T), order_groups, &work);
}

static void sum_losses(struct model *model, const struct window *window)
{
    for (int g = 0; g < model->groups; g++) {
        int begin = model->group_lane[g], lanes = model->group_lane[g + 1] - begin;
        model->group_loss[g] = 0;
        model->group_targets[g] = 0;
        for (int t = 0; t < window->T; t++)
            for (int b = 0; b < lanes; b++) {
                int row = model->ordered_row[g] + t * lanes + b;
                model->row_loss[(int64_t)t * model->lanes + begin + b] = model->ordered_loss[row];
                model->group_loss[g] += model->ordered_loss[row];
                model->group_targets[g] += model->target[row] != WINDOW_NO_TARGET;
            }
    }
}

void softmax_window(struct model *model, const struct window *window, float *const *node_grads)
{
    order_rows(model, window);
    const struct param *weight = &model->table.param[model->table.decoder_weight];
    const struct param *bias = &model->table.param[model->table.decoder_bias];
    struct lane_node nodes[LANE_NODES_MAX];
    int count = lane_share_nodes(&model->shape.share, nodes);
    for (int i = 0; i < count; i++)
        node_loss(model, window->T, nodes[i], false, node_grads ? node_grads[i] + weight->grad_offset : NULL,
                  node_grads ? node_grads[i] + bias->grad_offset : NULL, model->decoder_sum);
    sum_losses(model, window);
    if (node_grads && dropout_active(&model->dropout))
        dropout_rows(
            &model->dropout, model->config.layers,
            (struct dropout_copy){window->T, model->H, model->dx, model->dx, model->h_stride, model->h_stride});
}

void softmax_last(struct model *model, const struct window *window)
{
    int64_t time = (int64_t)model->lanes * model->h_stride;
    const uint32_t *target = window->target + (int64_t)(window->T - 1) * model->lanes;
    softmax_logits(model, model->layer[model->config.layers - 1].h + window->T * time, model->lanes);
    for (int lane = 0; lane < model->lanes; lane++) {
        float *logits = model->logits + (int64_t)lane * model->v_stride;
        if (target[lane] == WINDOW_NO_TARGET)
            memset(logits, 0, sizeof *logits * model->v_stride);
        else
            (void)row_loss(logits, model->decoder_bias, model->V, model->v_stride, target[lane], true);
    }
    memset(model->dx, 0, sizeof *model->dx * window->T * time);
    struct gemm_operand operand = {
        .segments = 1, .segment = {{model->logits, &model->decoder_back}}, .lda = model->v_stride};
    gemm_rows(&model->gemm, &operand, model->lanes, model->dx + (window->T - 1) * time, model->h_stride);
}
