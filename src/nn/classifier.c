/* The output layer of TASK_CLASSIFY: each lane's text becomes one row (its last output, or mean or maximum over its steps),
 * which goes through dropout and the decoder to probabilities of the labels. Padding behind a text's last token takes no part:
 * it is not pooled, and its gradient is zero.
 *
 * Rows are lanes, so lane groups are ranges of rows, and gradients add up the lane tree as everywhere. */
#include <math.h>
#include <string.h>

#include "model_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"

static float *output_at(const struct model *model, int t, int lane)
{
    const struct layer *top = &model->layer[model->config.layers - 1];
    return top->h + ((int64_t)(t + 1) * model->lanes + lane) * model->h_stride;
}

static uint32_t label_of(const struct model *model, const struct window *window, int lane)
{
    int end = model->text_end[lane];
    return end < 0 ? WINDOW_NO_TARGET : window->target[(int64_t)end * model->lanes + lane];
}

static void find_ends(struct model *model, const struct window *window)
{
    for (int lane = 0; lane < model->lanes; lane++)
        model->text_end[lane] = -1;
    for (int t = 0; t < window->T; t++)
        for (int lane = 0; lane < model->lanes; lane++)
            if (window->target[(int64_t)t * model->lanes + lane] != WINDOW_NO_TARGET)
                model->text_end[lane] = t;
}

/* ---- pooling, and its mirror image ---- */

static void pool_mean(const struct model *model, int lane, int end, float *y)
{
    vfloat scale = vset(1.0f / (float)(end + 1));
    for (int u = 0; u < model->H; u += VLEN) {
        vfloat sum = vset(0);
        for (int t = 0; t <= end; t++)
            sum += vload(output_at(model, t, lane) + u);
        vstore(y + u, sum * scale);
    }
}

/* Of equal values the first counts; a NaN is larger than any number, so that none is hidden. */
static void pool_max(const struct model *model, int lane, int end, float *y)
{
    int32_t *peak = model->text_peak + (int64_t)lane * model->h_stride;
    memcpy(y, output_at(model, 0, lane), sizeof *y * model->H);
    memset(peak, 0, sizeof *peak * model->H);
    for (int t = 1; t <= end; t++) {
        const float *h = output_at(model, t, lane);
        for (int u = 0; u < model->H; u++)
            if (h[u] > y[u] || h[u] != h[u]) {
                y[u] = h[u];
                peak[u] = t;
            }
    }
}

static void pool(struct model *model, int lane)
{
    float *y = model->y + (int64_t)lane * model->h_stride;
    int end = model->text_end[lane];
    if (end < 0)
        memset(y, 0, sizeof *y * model->h_stride);
    else if (model->config.pool == POOL_LAST)
        memcpy(y, output_at(model, end, lane), sizeof *y * model->h_stride);
    else if (model->config.pool == POOL_MEAN)
        pool_mean(model, lane, end, y);
    else
        pool_max(model, lane, end, y);
}

/* The gradient of a lane's row, into those of the steps that it was pooled from; dx is zero before. */
static void pool_backward(struct model *model, int lane)
{
    const float *dy = model->dy + (int64_t)lane * model->h_stride;
    int64_t time = (int64_t)model->lanes * model->h_stride;
    float *dx = model->dx + (int64_t)lane * model->h_stride;
    int end = model->text_end[lane];
    if (end < 0)
        return;
    if (model->config.pool == POOL_LAST) {
        memcpy(dx + end * time, dy, sizeof *dx * model->H);
    } else if (model->config.pool == POOL_MEAN) {
        float scale = 1.0f / (float)(end + 1);
        for (int t = 0; t <= end; t++)
            for (int u = 0; u < model->H; u++)
                dx[t * time + u] = dy[u] * scale;
    } else {
        const int32_t *peak = model->text_peak + (int64_t)lane * model->h_stride;
        for (int u = 0; u < model->H; u++)
            dx[peak[u] * time + u] = dy[u];
    }
}

/* Rows through the dropout behind the last layer: one mask for each text, that of time step 0. */
static void drop(struct model *model, int lane, float *row, int thread)
{
    if (dropout_active(&model->dropout))
        dropout_row(&model->dropout, model->config.layers, lane, 0, thread, model->H, row);
}

/* ---- probabilities and loss ---- */

/* Logits become probabilities. Returns -log p(label), and whether the label is the likeliest; of equal ones the first is. */
static float lane_loss(const struct model *model, float *p, uint32_t label, bool *correct)
{
    int likeliest = 0;
    for (int j = 0; j < model->outputs; j++) {
        p[j] += model->decoder_bias[j];
        if (p[j] > p[likeliest])
            likeliest = j;
    }
    float most = p[likeliest], sum = 0, of_label = p[label];
    for (int j = 0; j < model->outputs; j++) {
        p[j] = (float)arithmetic_exp(p[j] - most);
        sum += p[j];
    }
    for (int j = 0; j < model->outputs; j++)
        p[j] /= sum;
    *correct = likeliest == (int)label;
    return arithmetic_logf(sum) + (most - of_label);
}

static void lose(struct model *model, const struct window *window)
{
    memset(model->row_loss, 0, sizeof *model->row_loss * (size_t)window->T * model->lanes);
    for (int g = 0; g < model->groups; g++) {
        model->group_loss[g] = 0;
        model->group_targets[g] = model->group_correct[g] = 0;
        for (int lane = model->group_lane[g]; lane < model->group_lane[g + 1]; lane++) {
            float *p = model->logits + (int64_t)lane * model->v_stride;
            uint32_t label = label_of(model, window, lane);
            bool correct;
            if (label == WINDOW_NO_TARGET) {
                memset(p, 0, sizeof *p * model->v_stride);
                continue;
            }
            float loss = lane_loss(model, p, label, &correct);
            model->row_loss[(int64_t)model->text_end[lane] * model->lanes + lane] = loss;
            model->group_loss[g] += loss;
            model->group_targets[g]++;
            model->group_correct[g] += correct;
        }
    }
}

static void decode(struct model *model)
{
    struct gemm_operand operand = {.segments = 1, .segment = {{model->y, &model->decoder}}, .lda = model->h_stride};
    gemm_rows(&model->gemm, &operand, model->lanes, model->logits, model->v_stride);
}

static void pool_lanes(void *context, int64_t begin, int64_t end, int thread)
{
    struct model *model = context;
    for (int lane = (int)begin; lane < end; lane++) {
        pool(model, lane);
        drop(model, lane, model->y + (int64_t)lane * model->h_stride, thread);
    }
}

static void pool_lanes_backward(void *context, int64_t begin, int64_t end, int thread)
{
    struct model *model = context;
    for (int lane = (int)begin; lane < end; lane++) {
        drop(model, lane, model->dy + (int64_t)lane * model->h_stride, thread);
        pool_backward(model, lane);
    }
}

/* Either of them, for all lanes. */
static void pool_all(struct model *model, int T, team_range *function)
{
    team_share(model->shape.threads, model->lanes, 4 * (int64_t)T * model->lanes * model->H, function, model);
}

/* From probabilities to the gradients of the decoder and of the outputs of all steps. */
static void backward(struct model *model, const struct window *window, float *const *node_grads)
{
    const struct param *weight = &model->table.param[model->table.decoder_weight];
    const struct param *bias = &model->table.param[model->table.decoder_bias];
    for (int lane = 0; lane < model->lanes; lane++)
        if (model->text_end[lane] >= 0)
            model->logits[(int64_t)lane * model->v_stride + label_of(model, window, lane)] -= 1.0f;

    struct lane_node nodes[LANE_NODES_MAX];
    int count = lane_share_nodes(&model->shape.share, nodes);
    for (int i = 0; i < count; i++) {
        struct gemm_factor factor = {
            .sum = {nodes[i], model->shape.share.group_begin, model->group_lane, 1, model->shape.exact},
            .b = {model->y, 0, model->h_stride},
            .m = model->outputs,
            .n = model->H,
            .packed = model->factor};
        gemm_factor_pack(&model->gemm, &factor);
        struct gemm_gradient gradient = {.factor = &factor,
                                         .a = {model->logits, 0, model->v_stride},
                                         .c = node_grads[i] + weight->grad_offset,
                                         .ldc = model->H,
                                         .bias = node_grads[i] + bias->grad_offset};
        gemm_gradient(&model->gemm, &gradient);
    }

    struct gemm_operand operand = {
        .segments = 1, .segment = {{model->logits, &model->decoder_back}}, .lda = model->v_stride};
    gemm_rows(&model->gemm, &operand, model->lanes, model->dy, model->h_stride);
    memset(model->dx, 0, sizeof *model->dx * (size_t)window->T * model->lanes * model->h_stride);
    pool_all(model, window->T, pool_lanes_backward);
}

void classifier_window(struct model *model, const struct window *window, float *const *node_grads)
{
    find_ends(model, window);
    pool_all(model, window->T, pool_lanes);
    decode(model);
    lose(model, window);
    if (node_grads)
        backward(model, window, node_grads);
}
