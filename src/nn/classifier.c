/* The output layer of a classifier: each lane's text becomes one row (its last output, or mean or maximum over its
 * steps), which goes through dropout and the decoder to probabilities of the labels. Padding after a text's last token
 * takes no part: it is not pooled, and its gradient is zero.
 *
 * Rows are lanes, so lane groups are ranges of rows, and gradients add up the lane tree as everywhere. */
#include <string.h>

#include "decoder.h"
#include "output_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"

struct classifier {
    struct decoder decoder;
    enum pool pool;
    int *text_end;      /* [B] step of the text's last token, -1 without a text */
    int32_t *text_peak; /* [B][stride of H] with POOL_MAX: the step of each unit's maximum */
    float *y;           /* [B][stride of H] pooled outputs, settled */
    float *logits;      /* [B][decoder.stride] then probabilities, then their gradient, settled */
    float *dy;          /* [B][stride of H] */
};

static int outputs(const struct model_config *config)
{
    return config->labels;
}

static enum status check(const struct model_config *config, struct error *e)
{
    if (config->tied)
        return error_set(e, STATUS_CONFIG, "cannot use '--tied' with --task classify: labels are no words; drop it");
    if (config->reset_token)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--reset-at eos' with --task classify: each text stands alone anyway; drop it");
    if (config->ar > 0 || config->tar > 0)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--%s' with --task classify: it is for outputs that all predict something; drop it",
            config->ar > 0 ? "ar" : "tar");
    return STATUS_OK;
}

static int params(const struct model_config *config, struct output_param list[PARAM_OUTPUT_MAX])
{
    return decoder_params(config, config->labels, list);
}

static void create(struct common *common, struct output *output)
{
    struct store *store = &common->store;
    struct classifier *classifier = output->own = store_keep(store, 1, sizeof *classifier, "the output layer");
    if (!classifier)
        return;
    decoder_create(common, &classifier->decoder, common->config.labels);
    size_t B = common->lanes, stride = classifier->decoder.in_stride;
    classifier->pool = common->config.pool;
    classifier->y = store_floats(store, B * stride, "pooled outputs");
    classifier->logits = store_floats(store, B * classifier->decoder.stride, "logits");
    classifier->text_end = store_take(store, B, sizeof *classifier->text_end, "ends of texts");
    if (classifier->pool == POOL_MAX)
        classifier->text_peak = store_take(store, B * stride, sizeof *classifier->text_peak, "places of maxima");
    output->group_correct = store_take(store, common->groups, sizeof *output->group_correct, "losses");
    if (common->shape.train)
        classifier->dy = store_floats(store, B * stride, "output gradients");
}

static void pack(const struct common *common, struct output *output)
{
    struct classifier *classifier = output->own;
    decoder_pack(common, &classifier->decoder);
}

/* What the functions of a window work on. */
struct work {
    const struct common *common;
    const struct classifier *classifier;
    const struct output_step *step;
};

/* From lane b at time t to the same lane at t + 1. */
static int64_t time_stride(struct work work)
{
    return (int64_t)work.common->lanes * work.classifier->decoder.in_stride;
}

/* The lane's row of an array [B][stride of H]. */
static int64_t lane_place(struct work work, int lane)
{
    return (int64_t)lane * work.classifier->decoder.in_stride;
}

static const float *output_at(struct work work, int t, int lane)
{
    return work.step->h + t * time_stride(work) + lane_place(work, lane);
}

static uint32_t label_of(struct work work, int lane)
{
    int end = work.classifier->text_end[lane];
    return end < 0 ? WINDOW_NO_TARGET : work.common->window->target[(int64_t)end * work.common->lanes + lane];
}

static void find_ends(struct work work)
{
    const struct window *window = work.common->window;
    for (int lane = 0; lane < work.common->lanes; lane++)
        work.classifier->text_end[lane] = -1;
    for (int t = 0; t < window->T; t++)
        for (int lane = 0; lane < work.common->lanes; lane++)
            if (window->target[(int64_t)t * work.common->lanes + lane] != WINDOW_NO_TARGET)
                work.classifier->text_end[lane] = t;
}

/* ---- pooling, and its mirror image ---- */

static void pool_mean(struct work work, int lane, int end, float *y)
{
    vfloat scale = vset(1.0f / (float)(end + 1));
    for (int u = 0; u < work.classifier->decoder.in; u += VLEN) {
        vfloat sum = vset(0);
        for (int t = 0; t <= end; t++)
            sum += vload(output_at(work, t, lane) + u);
        vstore(y + u, sum * scale);
    }
}

/* Of equal values the first counts; a NaN is larger than any number, so that none is hidden. */
static void pool_max(struct work work, int lane, int end, float *y)
{
    int H = work.classifier->decoder.in;
    int32_t *peak = work.classifier->text_peak + lane_place(work, lane);
    memcpy(y, output_at(work, 0, lane), sizeof *y * H);
    memset(peak, 0, sizeof *peak * H);
    for (int t = 1; t <= end; t++) {
        const float *h = output_at(work, t, lane);
        for (int u = 0; u < H; u++)
            if (h[u] > y[u] || h[u] != h[u]) {
                y[u] = h[u];
                peak[u] = t;
            }
    }
}

static void pool(struct work work, int lane)
{
    const struct classifier *classifier = work.classifier;
    float *y = classifier->y + lane_place(work, lane);
    int end = classifier->text_end[lane], stride = classifier->decoder.in_stride;
    if (end < 0)
        memset(y, 0, sizeof *y * stride);
    else if (classifier->pool == POOL_LAST)
        memcpy(y, output_at(work, end, lane), sizeof *y * stride);
    else if (classifier->pool == POOL_MEAN)
        pool_mean(work, lane, end, y);
    else
        pool_max(work, lane, end, y);
}

/* The gradient of a lane's row, into those of the steps that it was pooled from; dh is zero before. */
static void pool_backward(struct work work, int lane)
{
    const struct classifier *classifier = work.classifier;
    const float *dy = classifier->dy + lane_place(work, lane);
    float *dh = work.step->dh + lane_place(work, lane);
    int64_t time = time_stride(work);
    int end = classifier->text_end[lane], H = classifier->decoder.in;
    if (end < 0)
        return;
    if (classifier->pool == POOL_LAST) {
        memcpy(dh + end * time, dy, sizeof *dh * H);
    } else if (classifier->pool == POOL_MEAN) {
        float scale = 1.0f / (float)(end + 1);
        for (int t = 0; t <= end; t++)
            for (int u = 0; u < H; u++)
                dh[t * time + u] = dy[u] * scale;
    } else {
        const int32_t *peak = classifier->text_peak + lane_place(work, lane);
        for (int u = 0; u < H; u++)
            dh[peak[u] * time + u] = dy[u];
    }
}

/* A row through the dropout after the last layer: one mask for each text, that of time step 0. */
static void drop(struct work work, int lane, float *row, int thread)
{
    if (dropout_active(&work.common->dropout, work.common->config.layers))
        dropout_row(&work.common->dropout, work.common->config.layers, lane, 0, thread, work.classifier->decoder.in,
                    row);
}

static void pool_lanes(void *context, int64_t begin, int64_t end, int thread)
{
    struct work work = *(const struct work *)context;
    for (int lane = (int)begin; lane < end; lane++) {
        pool(work, lane);
        drop(work, lane, work.classifier->y + lane_place(work, lane), thread);
        gemm_settle(&work.common->gemm, work.classifier->y + lane_place(work, lane),
                    gemm_round(work.classifier->decoder.in));
    }
}

static void pool_lanes_backward(void *context, int64_t begin, int64_t end, int thread)
{
    struct work work = *(const struct work *)context;
    for (int lane = (int)begin; lane < end; lane++) {
        drop(work, lane, work.classifier->dy + lane_place(work, lane), thread);
        pool_backward(work, lane);
    }
}

/* Either of them, for all lanes. */
static void pool_all(struct work work, team_range *function)
{
    int lanes = work.common->lanes;
    team_share(work.common->shape.threads, lanes,
               4 * (int64_t)work.common->window->T * lanes * work.classifier->decoder.in, function, &work);
}

/* ---- probabilities and loss ---- */

/* Logits become probabilities. Returns -log p(label), and whether the label is the likeliest; of equal ones the
 * first is. */
static float lane_loss(const struct decoder *decoder, float *p, uint32_t label, bool *correct)
{
    int likeliest = 0;
    for (int j = 0; j < decoder->outputs; j++) {
        p[j] += decoder->padded_bias[j];
        if (p[j] > p[likeliest])
            likeliest = j;
    }
    float most = p[likeliest], sum = 0, of_label = p[label];
    for (int j = 0; j < decoder->outputs; j++) {
        p[j] = (float)arithmetic_exp(p[j] - most);
        sum += p[j];
    }
    for (int j = 0; j < decoder->outputs; j++)
        p[j] /= sum;
    *correct = likeliest == (int)label;
    return arithmetic_logf(sum) + (most - of_label);
}

static void group_losses(struct work work, struct output *output, int g)
{
    const struct classifier *classifier = work.classifier;
    struct lanes lanes = common_group_lanes(work.common, g);
    int64_t stride = classifier->decoder.stride;
    output->group_loss[g] = 0;
    output->group_targets[g] = output->group_correct[g] = 0;
    for (int lane = lanes.begin; lane < lanes.end; lane++) {
        float *p = classifier->logits + lane * stride;
        uint32_t label = label_of(work, lane);
        bool correct;
        if (label == WINDOW_NO_TARGET) {
            memset(p, 0, sizeof *p * stride);
            continue;
        }
        float loss = lane_loss(&classifier->decoder, p, label, &correct);
        output->row_loss[(int64_t)classifier->text_end[lane] * work.common->lanes + lane] = loss;
        output->group_loss[g] += loss;
        output->group_targets[g]++;
        output->group_correct[g] += correct;
    }
}

/* From probabilities to the gradients of the decoder and of the outputs of all steps. */
static void backward(struct work work)
{
    const struct common *common = work.common;
    const struct classifier *classifier = work.classifier;
    const struct decoder *decoder = &classifier->decoder;
    for (int lane = 0; lane < common->lanes; lane++) {
        float *logits = classifier->logits + (int64_t)lane * decoder->stride;
        if (classifier->text_end[lane] >= 0)
            logits[label_of(work, lane)] -= 1.0f;
        gemm_settle(&common->gemm, logits, gemm_round(decoder->outputs));
    }

    for (int i = 0; i < common->nodes; i++) {
        float *grad = work.step->node_grads[i];
        struct decoder_sum sum = {
            .sum = common_sum(common, common->node[i]),
            .y = gemm_lanes(gemm_settled(&common->gemm, classifier->y, decoder->in_stride), 0),
            .d = gemm_lanes(gemm_settled(&common->gemm, classifier->logits, decoder->stride), 0),
            .weight = common_gradient(common, grad, decoder->weight),
            .bias = common_gradient(common, grad, decoder->bias),
        };
        sum.sum.T = 1;
        decoder_gradients(common, decoder, &sum);
    }

    decoder_row_gradients(common, decoder, classifier->logits, common->lanes, classifier->dy);
    memset(work.step->dh, 0, sizeof *work.step->dh * (size_t)(common->window->T * time_stride(work)));
    pool_all(work, pool_lanes_backward);
}

static void window_losses(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct classifier *classifier = output->own;
    struct work work = {common, classifier, step};
    find_ends(work);
    pool_all(work, pool_lanes);
    decoder_logits(common, &classifier->decoder,
                   gemm_settled(&common->gemm, classifier->y, classifier->decoder.in_stride), common->lanes,
                   classifier->logits);
    memset(output->row_loss, 0, sizeof *output->row_loss * (size_t)common->window->T * common->lanes);
    for (int g = 0; g < common->groups; g++)
        group_losses(work, output, g);
    if (step->node_grads)
        backward(work);
}

static const float *probabilities(const struct output *output, int *stride)
{
    const struct classifier *classifier = output->own;
    *stride = classifier->decoder.stride;
    return classifier->logits;
}

/* ---- in double precision ---- */

/* A text's row: its label stands at its last step. */
struct reference_text {
    const struct reference_output *lane;
    int end; /* -1: there is none */
    int H;
    double *pooled, *d_pooled; /* [H] */
    double *mask;              /* [H] what dropout multiplies it with */
    double *logits;            /* [labels] */
};

static size_t reference_work(const struct model_config *config)
{
    return 3 * (size_t)config->hidden + (size_t)config->labels;
}

static struct reference_text text_of(const struct reference_output *lane)
{
    const struct window *window = lane->window;
    const int H = lane->config->hidden;
    struct reference_text text = {.lane = lane, .end = -1, .H = H};
    for (int time = 0; time < window->T && text.end < 0; time++)
        if (window->target[time * window->lanes + lane->lane] != WINDOW_NO_TARGET)
            text.end = time;
    text.pooled = lane->work;
    text.d_pooled = text.pooled + H;
    text.mask = text.d_pooled + H;
    text.logits = text.mask + H;
    const uint32_t threshold = dropout_threshold(model_dropout(lane->config, lane->config->layers));
    const bool drops = lane->step >= 0 && threshold > 0;
    if (drops)
        dropout_mask(lane->seed, lane->config->layers, (uint32_t)lane->step, (uint32_t)(window->lane0 + lane->lane), 0,
                     H, threshold, lane->mask);
    for (int u = 0; u < H; u++)
        text.mask[u] = drops ? lane->mask[u] : 1;
    return text;
}

static double reference_at(const struct reference_text *text, int time, int u)
{
    return text->lane->y[(size_t)time * text->lane->stride + (size_t)u];
}

/* The first step of those up to the end at which unit u of the top layer is largest. */
static int peak_of(const struct reference_text *text, int u)
{
    int peak = 0;
    for (int time = 1; time <= text->end; time++)
        if (reference_at(text, time, u) > reference_at(text, peak, u))
            peak = time;
    return peak;
}

static void pool_text(const struct reference_text *text)
{
    const enum pool how = text->lane->config->pool;
    for (int u = 0; u < text->H; u++) {
        double sum = 0;
        for (int time = 0; time <= text->end; time++)
            sum += reference_at(text, time, u);
        text->pooled[u] = how == POOL_LAST   ? reference_at(text, text->end, u)
                          : how == POOL_MEAN ? sum / (text->end + 1)
                                             : reference_at(text, peak_of(text, u), u);
        text->pooled[u] *= text->mask[u];
    }
}

static void pool_text_backward(const struct reference_text *text)
{
    const enum pool how = text->lane->config->pool;
    for (int u = 0; u < text->H; u++) {
        double d = text->d_pooled[u] * text->mask[u];
        for (int time = 0; time <= text->end; time++) {
            bool chosen = time == (how == POOL_LAST ? text->end : peak_of(text, u));
            text->lane->dy[(size_t)time * text->lane->stride + (size_t)u] = how == POOL_MEAN ? d / (text->end + 1)
                                                                            : chosen         ? d
                                                                                             : 0;
        }
    }
}

static double reference(const struct reference_output *lane)
{
    const struct window *window = lane->window;
    const struct reference_text text = text_of(lane);
    for (int time = 0; lane->row && time < window->T; time++)
        lane->row[time * window->lanes + lane->lane] = 0;
    if (text.end < 0)
        return 0;
    pool_text(&text);
    const int position = text.end * window->lanes + lane->lane;
    const struct reference_decoder decoder = reference_decoder_of(lane);
    double loss = reference_decoder_loss(&decoder, text.pooled, window->target[position], text.logits);
    if (lane->row)
        lane->row[position] = loss;
    if (lane->grad) {
        memset(text.d_pooled, 0, sizeof *text.d_pooled * (size_t)text.H);
        reference_decoder_backward(&decoder, text.pooled, text.logits, text.d_pooled);
        pool_text_backward(&text);
    }
    return loss;
}

const struct output_kind output_kind_classifier = {
    .name = "classifier",
    .task = TASK_CLASSIFY,
    .outputs = outputs,
    .check = check,
    .params = params,
    .drops_own_rows = true,
    .create = create,
    .pack = pack,
    .window = window_losses,
    .probabilities = probabilities,
    .reference = reference,
    .reference_work = reference_work,
};
