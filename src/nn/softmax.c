/* The full softmax, in chunks of rows: logits, log-sum-exp, loss, gradient of the logits (in place), gradients of
 * the rows and of the decoder, so that no array of window tokens x vocabulary exists. Rows are taken in lane-group
 * order, and a chunk is a node of the lane tree, so that decoder gradients add up the tree like all others. */
#include <math.h>
#include <string.h>

#include "decoder.h"
#include "logits_row.h"
#include "ordered.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"

struct softmax {
    struct decoder decoder;
    struct ordered ordered;
    int chunk_rows; /* most rows whose logits exist at once */
    float *logits;  /* [chunk_rows][decoder.stride]; their gradients are settled */
    float *dy;      /* [chunk_rows][stride of H] */
    float *sums;    /* [partial sums][sum_size] decoder gradients of chunks: weight, then bias */
    size_t sum_size;
};

static int outputs(const struct model_config *config)
{
    return config->vocab;
}

static int params(const struct model_config *config, struct output_param list[PARAM_OUTPUT_MAX])
{
    return decoder_params(config, config->vocab, list);
}

static enum status check(const struct model_config *config, struct error *e)
{
    if (config->tied && config->embedding != config->hidden)
        return error_set(e, STATUS_CONFIG,
                         "widths differ under '--tied': --embedding %d, --hidden %d; make them equal or drop --tied",
                         config->embedding, config->hidden);
    return STATUS_OK;
}

/* The most bytes of logits: every chunk reads the decoder twice and writes its gradient, so chunks are as large as
 * it, or 64 MiB if that is more; 1024 instead of 512 rows gained 6 % at H = 1024 and V = 10000. */
static int64_t chunk_bytes(const struct model_config *config)
{
    int64_t decoder = (int64_t)config->vocab * config->hidden * (int64_t)sizeof(float), least = (int64_t)64 << 20;
    return decoder > least ? decoder : least;
}

/* Of chunks: the most rows of one, and how deep sums of them nest beyond the first two. */
struct chunking {
    const struct common *common;
    int64_t rows_max;
    int most, deepest;
};

/* Splits nodes until their rows fit or a single group is left. */
static void split_node(struct chunking *chunks, struct lane_node node, int depth)
{
    struct lanes lanes = common_node_lanes(chunks->common, node);
    int rows = (lanes.end - lanes.begin) * chunks->common->shape.bptt;
    if (rows <= chunks->rows_max || node.end - node.begin == 1) {
        chunks->deepest = depth > chunks->deepest ? depth : chunks->deepest;
        chunks->most = rows > chunks->most ? rows : chunks->most;
        return;
    }
    int middle = lane_node_middle(node.begin, node.end);
    split_node(chunks, (struct lane_node){node.begin, middle}, depth + 1);
    split_node(chunks, (struct lane_node){middle, node.end}, depth + 1);
}

static struct chunking chunk_window(const struct common *common)
{
    int64_t row_bytes = gemm_stride(common->config.vocab) * (int64_t)sizeof(float);
    struct chunking chunks = {.common = common, .rows_max = chunk_bytes(&common->config) / row_bytes};
    for (int i = 0; i < common->nodes; i++)
        split_node(&chunks, common->node[i], 0);
    return chunks;
}

static void create(struct common *common, struct output *output)
{
    struct store *store = &common->store;
    struct softmax *softmax = output->own = store_keep(store, 1, sizeof *softmax, "the output layer");
    if (!softmax)
        return;
    decoder_create(common, &softmax->decoder, common->config.vocab);
    ordered_create(common, &softmax->ordered);
    struct chunking chunks = chunk_window(common);
    softmax->chunk_rows = chunks.most;
    size_t logit_rows = chunks.most > common->lanes ? chunks.most : common->lanes; /* for `logits` */
    softmax->logits = store_floats(store, logit_rows * softmax->decoder.stride, "logits");
    if (!common->shape.train)
        return;
    softmax->dy = store_floats(store, (size_t)softmax->chunk_rows * softmax->ordered.stride, "output gradients");
    size_t V = common->config.vocab, partial_sums = chunks.deepest > 0 ? chunks.deepest - 1 : 0;
    softmax->sum_size = VROUND(V * common->config.hidden + V);
    softmax->sums = store_floats(store, partial_sums * softmax->sum_size, "partial decoder gradients");
}

static void pack(const struct common *common, struct output *output)
{
    struct softmax *softmax = output->own;
    decoder_pack(common, &softmax->decoder);
}

/* What the functions of a window work on. */
struct work {
    const struct common *common;
    const struct softmax *softmax;
};

/* One row: adds the bias, returns -log p(target), and with `gradient` replaces logits by p - onehot(target). */
static float row_loss(float *logits, const struct decoder *decoder, uint32_t target, bool gradient)
{
    const float *bias = decoder->padded_bias;
    int V = decoder->outputs, padded = VROUND(V);
    for (int v = V; v < padded; v++)
        logits[v] = -INFINITY; /* the last vector's tail: probability zero */
    float maximum = logits_largest(logits, bias, padded);
    float target_logit = logits[target] + bias[target];
    float sum = logits_exponentials(logits, bias, padded, maximum, gradient);
    if (gradient) {
        float scale = 1.0f / sum;
        for (int v = 0; v < padded; v += VLEN)
            vstore(logits + v, vload(logits + v) * scale);
        logits[target] -= 1.0f;
        memset(logits + padded, 0, sizeof *logits * (decoder->stride - padded));
    }
    return arithmetic_logf(sum) + (maximum - target_logit);
}

/* Rows [first, first + rows) of the ordered outputs: loss, and with `gradient` that of the logits in their place. */
struct chunk {
    int first, rows;
    bool gradient;
};

static bool has_targets(const struct softmax *softmax, struct chunk chunk)
{
    for (int row = 0; row < chunk.rows; row++)
        if (softmax->ordered.target[chunk.first + row] != WINDOW_NO_TARGET)
            return true;
    return false;
}

struct chunk_work {
    const struct softmax *softmax;
    const struct gemm *gemm;
    struct chunk chunk;
};

static void row_losses(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct chunk_work *work = context;
    const struct softmax *softmax = work->softmax;
    int stride = softmax->decoder.stride;
    for (int64_t row = begin; row < end; row++) {
        float *logits = softmax->logits + row * stride;
        uint32_t target = softmax->ordered.target[work->chunk.first + row];
        float *loss = &softmax->ordered.loss[work->chunk.first + row];
        if (target == WINDOW_NO_TARGET) {
            *loss = 0;
            memset(logits, 0, sizeof *logits * stride);
        } else {
            *loss = row_loss(logits, &softmax->decoder, target, work->chunk.gradient);
        }
        if (work->chunk.gradient)
            gemm_settle(work->gemm, logits, gemm_round(softmax->decoder.outputs));
    }
}

#define LOSS_FLOPS 30 /* of a logit: the exponential */

static void forward_chunk(struct work work, struct chunk chunk)
{
    const struct softmax *softmax = work.softmax;
    if (!chunk.gradient &&
        !has_targets(softmax, chunk)) { /* as when sampling: what follows wants logits of the last step only */
        memset(softmax->ordered.loss + chunk.first, 0, sizeof(float) * (size_t)chunk.rows);
        return;
    }
    decoder_logits(work.common, &softmax->decoder, ordered_rows(work.common, &softmax->ordered, chunk.first),
                   chunk.rows, softmax->logits);
    struct chunk_work rows = {softmax, &work.common->gemm, chunk};
    team_share(work.common->shape.threads, chunk.rows, (int64_t)chunk.rows * softmax->decoder.outputs * LOSS_FLOPS,
               row_losses, &rows);
}

/* ---- the loss over a node of the lane tree ---- */

/* Where a node's gradients go; weight is NULL where only losses are wanted. */
struct node_gradients {
    float *weight, *bias;
    bool add; /* or overwrite; only of a node that is a single chunk */
    float *dh;
    float *sums; /* the unused partial sums */
};

static void backward_chunk(struct work work, struct chunk chunk, struct lane_node node, struct node_gradients grads)
{
    const struct common *common = work.common;
    const struct softmax *softmax = work.softmax;
    const struct decoder *decoder = &softmax->decoder;
    decoder_row_gradients(common, decoder, softmax->logits, chunk.rows, softmax->dy);
    ordered_scatter(common, &softmax->ordered, node, softmax->dy, grads.dh);

    /* both operands stand in lane-group order: group g's lanes are `row` numbers, with one time step */
    struct decoder_sum sum = {
        .sum = common_sum(common, node),
        .y = gemm_lanes(ordered_rows(common, &softmax->ordered, 0), 0),
        .d = gemm_lanes(
            gemm_settled(&common->gemm, softmax->logits - (int64_t)chunk.first * decoder->stride, decoder->stride), 0),
        .add = grads.add,
        .weight = grads.weight,
        .bias = grads.bias,
    };
    sum.sum.T = 1;
    sum.sum.group_lane = softmax->ordered.group_row;
    decoder_gradients(common, decoder, &sum);
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

/* Of the window at hand. */
static int node_rows(const struct common *common, struct lane_node node)
{
    struct lanes lanes = common_node_lanes(common, node);
    return (lanes.end - lanes.begin) * common->window->T;
}

static void node_loss(struct work work, struct lane_node node, struct node_gradients grads)
{
    const struct common *common = work.common;
    const struct softmax *softmax = work.softmax;
    int rows = node_rows(common, node);
    if (rows <= softmax->chunk_rows) {
        int first = common_node_lanes(common, node).begin * common->window->T;
        struct chunk chunk = {first, rows, grads.weight != NULL};
        forward_chunk(work, chunk);
        if (grads.weight)
            backward_chunk(work, chunk, node, grads);
        return;
    }
    struct lane_node left = {node.begin, lane_node_middle(node.begin, node.end)}, right = {left.end, node.end};
    CHECK(!grads.add);
    node_loss(work, left, grads);
    if (node_rows(common, right) <= softmax->chunk_rows || !grads.weight) {
        grads.add = grads.weight != NULL;
        node_loss(work, right, grads);
        return;
    }
    size_t V = softmax->decoder.outputs, weights = V * softmax->decoder.in;
    float *sum = grads.sums;
    node_loss(work, right, (struct node_gradients){sum, sum + weights, false, grads.dh, sum + softmax->sum_size});
    add_arrays(grads.weight, sum, weights, common->shape.threads);
    add_arrays(grads.bias, sum + weights, V, common->shape.threads);
}

static void window_losses(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct softmax *softmax = output->own;
    const struct decoder *decoder = &softmax->decoder;
    struct work work = {common, softmax};
    ordered_fill(common, &softmax->ordered, step);
    for (int i = 0; i < common->nodes; i++) {
        struct node_gradients grads = {.dh = step->dh, .sums = softmax->sums};
        if (step->node_grads) {
            grads.weight = common_gradient(common, step->node_grads[i], decoder->weight);
            grads.bias = common_gradient(common, step->node_grads[i], decoder->bias);
        }
        node_loss(work, common->node[i], grads);
    }
    ordered_sum_losses(common, &softmax->ordered, output);
    if (step->node_grads)
        ordered_drop_gradients(common, &softmax->ordered, step->dh);
}

static void last(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct softmax *softmax = output->own;
    const struct decoder *decoder = &softmax->decoder;
    int T = common->window->T;
    int64_t time = (int64_t)common->lanes * decoder->in_stride;
    const uint32_t *target = common->window->target + (int64_t)(T - 1) * common->lanes;
    struct gemm_view rows = step->rows;
    rows.base = (const char *)rows.base + (int64_t)(T - 1) * common->lanes * rows.stride;
    decoder_logits(common, decoder, rows, common->lanes, softmax->logits);
    for (int lane = 0; lane < common->lanes; lane++) {
        float *logits = softmax->logits + (int64_t)lane * decoder->stride;
        if (target[lane] == WINDOW_NO_TARGET)
            memset(logits, 0, sizeof *logits * decoder->stride);
        else
            (void)row_loss(logits, decoder, target[lane], true);
        gemm_settle(&common->gemm, logits, gemm_round(decoder->outputs));
    }
    memset(step->dh, 0, sizeof *step->dh * T * time);
    decoder_row_gradients(common, decoder, softmax->logits, common->lanes, step->dh + (T - 1) * time);
}

static const float *logits_of(const struct common *common, struct output *output, const float *h, int *stride)
{
    const struct softmax *softmax = output->own;
    gemm_store(&common->gemm, h, common->lanes * softmax->decoder.in_stride, softmax->ordered.y);
    decoder_logits(common, &softmax->decoder, ordered_rows(common, &softmax->ordered, 0), common->lanes,
                   softmax->logits);
    decoder_add_bias(common, &softmax->decoder, common->lanes, softmax->logits);
    *stride = softmax->decoder.stride;
    return softmax->logits;
}

/* ---- in double precision ---- */

static size_t reference_work(const struct model_config *config)
{
    return (size_t)config->vocab; /* logits */
}

static double reference(const struct reference_output *lane)
{
    const struct reference_decoder decoder = reference_decoder_of(lane);
    double sum = 0;
    for (int time = 0; time < lane->window->T; time++) {
        const int position = time * lane->window->lanes + lane->lane;
        const uint32_t target = lane->window->target[position];
        const double *y = lane->y + (size_t)time * lane->stride;
        double loss = target == WINDOW_NO_TARGET ? 0 : reference_decoder_loss(&decoder, y, target, lane->work);
        if (lane->row)
            lane->row[position] = loss;
        sum += loss;
        if (lane->grad && target != WINDOW_NO_TARGET)
            reference_decoder_backward(&decoder, y, lane->work, lane->dy + (size_t)time * lane->stride);
    }
    return sum;
}

const struct output_kind output_kind_softmax = {
    .name = "full",
    .task = TASK_LM,
    .outputs = outputs,
    .check = check,
    .params = params,
    .create = create,
    .pack = pack,
    .window = window_losses,
    .last = last,
    .logits = logits_of,
    .reference = reference,
    .reference_work = reference_work,
};
