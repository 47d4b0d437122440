#include "unroll/nn/model.h"

#include <string.h>
#include <time.h>

#include "model_private.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/nn/dropout.h"

#define OWNED_MAX (48 + 8 * MODEL_LAYERS_MAX)

static double wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void model_clock(struct model *model, double *phase)
{
    double now = wall_seconds();
    *phase += now - model->clock;
    model->clock = now;
}

void model_take_phases(struct model *model, struct model_phases *phases)
{
    *phases = model->phases;
    model->phases = (struct model_phases){0};
}

/* Allocates through the model, so that model_free finds it and model_bytes can count without allocating. A failure is
 * remembered in *e and makes later calls do nothing. */
static void *own(struct model *model, size_t count, size_t size, const char *what, struct error *e)
{
    size_t bytes;
    if (e->status)
        return NULL;
    if (mem_mul_overflows(count, size, &bytes) || bytes > SIZE_MAX / 2 - model->bytes) {
        error_set(e, STATUS_OS, "out of memory for %s: %zu items of %zu bytes cannot be addressed", what, count, size);
        return NULL;
    }
    model->bytes += bytes;
    if (model->dry)
        return NULL;
    void *block = mem_alloc(count, size, what, e);
    if (block) {
        CHECK(model->owned_count < OWNED_MAX);
        model->owned[model->owned_count++] = block;
    }
    return block;
}

static float *own_floats(struct model *model, size_t count, const char *what, struct error *e)
{
    return own(model, count, sizeof(float), what, e);
}

/* Evaluation keeps nothing for a way back, so layers share what only one of them uses at a time: a layer's output is read by the
 * next one, other states by no other. The layer that layer l shares state s with, or NULL. */
static const struct layer *sharer(const struct model *model, int l, int s)
{
    int from = s == CELL_H ? l - 2 : 0;
    if (model->shape.train || from < 0 || from == l ||
        model->layer[from].state[s].stride != model->layer[l].state[s].stride)
        return NULL;
    return &model->layer[from];
}

static void create_states(struct model *model, int l, struct error *e)
{
    static const char *const what[] = {"hidden states", "cell states"};
    struct layer *layer = &model->layer[l];
    size_t T = model->shape.bptt, B = model->lanes;
    for (int s = 0; s < model->states; s++) {
        struct layer_state *state = &layer->state[s];
        state->width = cell_state_width(model->cell, s, model->H, layer->in);
        state->stride = gemm_stride(state->width);
        const struct layer *shared = sharer(model, l, s);
        size_t rows = B * state->stride;
        state->steps = shared ? shared->state[s].steps : own_floats(model, (T + 1) * rows, what[s > CELL_H], e);
        state->carried = own_floats(model, rows, "carried states", e);
    }
    layer->h = layer->state[CELL_H].steps;
}

static void create_layer(struct model *model, int l, struct error *e)
{
    struct layer *layer = &model->layer[l];
    size_t T = model->shape.bptt, B = model->lanes, rows = T * B;
    bool train = model->shape.train;
    layer->in = l == 0 ? model->E : model->H;
    layer->in_stride = l == 0 ? gemm_stride(model->E) : model->h_stride;
    const struct param *param = model->table.param;
    layer->offset.w_ih = param[model->table.layer[l].w_ih].offset;
    layer->offset.b_ih = param[model->table.layer[l].b_ih].offset;
    if (model->cell->recurrent_gates > 0) {
        layer->offset.w_hh = param[model->table.layer[l].w_hh].offset;
        layer->offset.b_hh = param[model->table.layer[l].b_hh].offset;
    }

    layer->slots = train || l == 0 ? own_floats(model, rows * model->slots_stride, "gates", e) : model->layer[0].slots;
    create_states(model, l, e);
    if (l == 0)
        layer->x = own_floats(model, rows * layer->in_stride, "embeddings", e);
    else if (model->dropout.threshold && train)
        layer->dropped = own_floats(model, rows * layer->in_stride, "dropped states", e);

    size_t packed = layer_recurrent_bytes(model);
    char *forward = NULL, *backward = NULL, *projection = NULL;
    if (packed > 0)
        forward = own(model, 1, packed, "packed weights", e);
    if (packed > 0 && train)
        backward = own(model, 1, packed, "packed weights", e);
    if (model->shape.resident)
        projection = own(model, 1, layer_projection_bytes(model, l), "packed weights", e);
    if (!model->dry)
        layer_place_weights(model, l, forward, backward, projection);
    layer->bias = own_floats(model, (size_t)model->cell->biases * model->slot_stride, "biases", e);
}

static void create_embedding(struct model *model, struct error *e)
{
    size_t rows = (size_t)model->shape.bptt * model->lanes, V = model->V;
    struct distinct *distinct = &model->distinct;
    /* a table of half the positions at most: with fewer repetitions looking up gains little */
    distinct->capacity = (int)(rows / 2 < V ? rows / 2 : V);
    size_t capacity = distinct->capacity;
    distinct->token = own(model, capacity, sizeof *distinct->token, "distinct tokens", e);
    distinct->index = own(model, rows, sizeof *distinct->index, "distinct tokens", e);
    distinct->slot = own(model, V, sizeof *distinct->slot, "distinct tokens", e);
    distinct->x = own_floats(model, capacity * model->layer[0].in_stride, "distinct embeddings", e);
    distinct->projection =
        own_floats(model, capacity * model->cell->gates * model->slot_stride, "distinct projections", e);
    if (distinct->slot)
        memset(distinct->slot, -1, sizeof *distinct->slot * V);
    if (!model->shape.train)
        return;

    struct token_rows *sorted = &model->token_rows;
    sorted->row = own(model, rows, sizeof *sorted->row, "token order", e);
    sorted->group = own(model, rows, sizeof *sorted->group, "token order", e);
    sorted->start = own(model, V + 1, sizeof *sorted->start, "token order", e);
    sorted->token = own(model, rows, sizeof *sorted->token, "token order", e);
    model->tree_depth = 2;
    for (int groups = 1; groups < model->shape.share.groups; groups *= 2)
        model->tree_depth++;
    model->tree_scratch = own_floats(model, (size_t)model->shape.threads * model->tree_depth * VROUND(model->E),
                                     "sums of embedding gradients", e);

    model->merge = embedding_merges_tokens(&model->config, &model->shape);
    if (!model->merge)
        return;
    struct merged *merged = &model->merged;
    size_t most = 0; /* rows: each group has at most V distinct tokens */
    for (int g = 0; g < model->groups; g++) {
        size_t positions = (size_t)(model->group_lane[g + 1] - model->group_lane[g]) * model->shape.bptt;
        most += positions < V ? positions : V;
    }
    merged->group_row = own(model, model->groups + 1, sizeof *merged->group_row, "merged tokens", e);
    merged->token = own(model, most, sizeof *merged->token, "merged tokens", e);
    merged->slot = own(model, V, sizeof *merged->slot, "merged tokens", e);
    merged->row = own(model, rows, sizeof *merged->row, "merged tokens", e);
    merged->sums = own_floats(model, most * model->slots_stride, "merged gradients", e);
    merged->x = own_floats(model, most * model->layer[0].in_stride, "merged embeddings", e);
    if (merged->slot)
        memset(merged->slot, -1, sizeof *merged->slot * V);
}

static void create_classifier(struct model *model, struct error *e)
{
    size_t B = model->lanes, rows = model->shape.bptt * B;
    model->y = own_floats(model, B * model->h_stride, "pooled outputs", e);
    model->logits = own_floats(model, B * model->v_stride, "logits", e);
    model->row_loss = own_floats(model, rows, "losses", e);
    model->text_end = own(model, B, sizeof *model->text_end, "ends of texts", e);
    if (model->config.pool == POOL_MAX)
        model->text_peak = own(model, B * model->h_stride, sizeof *model->text_peak, "places of maxima", e);
    model->group_correct = own(model, model->groups, sizeof *model->group_correct, "losses", e);
    if (model->shape.train)
        model->dy = own_floats(model, B * model->h_stride, "output gradients", e);
}

static void create_softmax(struct model *model, struct error *e)
{
    size_t rows = (size_t)model->shape.bptt * model->lanes;
    int partial_sums;
    model->chunk_rows = softmax_chunk_rows(&model->config, &model->shape, model->group_lane, &partial_sums);
    size_t logit_rows = model->chunk_rows > model->lanes ? model->chunk_rows : model->lanes; /* for model_logits */
    model->y = own_floats(model, rows * model->h_stride, "ordered outputs", e);
    model->logits = own_floats(model, logit_rows * model->v_stride, "logits", e);
    model->target = own(model, rows, sizeof *model->target, "targets", e);
    model->row_loss = own_floats(model, rows, "losses", e);
    model->ordered_loss = own_floats(model, rows, "losses", e);
    model->ordered_row = own(model, model->groups + 1, sizeof *model->ordered_row, "lane groups", e);
    if (!model->shape.train)
        return;
    model->dy = own_floats(model, (size_t)model->chunk_rows * model->h_stride, "output gradients", e);
    model->decoder_sum_size = VROUND((size_t)model->V * model->H + model->V);
    model->decoder_sum = own_floats(model, partial_sums * model->decoder_sum_size, "partial decoder gradients", e);
}

static void place_decoder(struct model *model)
{
    const float *w = model->values + model->table.param[model->table.decoder_weight].offset;
    model->decoder = (struct gemm_weights){.w = w, .ldw = model->H, .transposed = true, model->H, model->outputs};
    model->decoder_back = (struct gemm_weights){.w = w, .ldw = model->H, .k = model->outputs, .n = model->H};
}

static void create_output(struct model *model, struct error *e)
{
    if (model->config.task == TASK_CLASSIFY)
        create_classifier(model, e);
    else
        create_softmax(model, e);
    model->decoder_bias = own_floats(model, model->v_stride, "decoder bias", e);
    if (!model->dry)
        place_decoder(model);
    if (model->shape.resident)
        model->decoder.panels =
            own(model, 1, gemm_panels_bytes(&model->gemm, model->H, model->outputs), "packed weights", e);
    model->group_loss = own(model, model->groups, sizeof *model->group_loss, "losses", e);
    model->group_targets = own(model, model->groups, sizeof *model->group_targets, "losses", e);
}

static void create_training(struct model *model, struct error *e)
{
    int rows = model->shape.bptt * model->lanes;
    int widest = model->H > model->E ? model->H : model->E;
    model->dx = own_floats(model, (size_t)rows * model->in_stride_max, "output gradients", e);
    model->carry = own_floats(model, (size_t)model->lanes * model->h_stride, "carried gradients", e);
    model->factor = own(model, 1, gemm_factor_bytes(&model->gemm, widest, rows), "packed activations", e);
    model->gemm.gradient_scratch =
        own(model, model->shape.threads, gemm_gradient_scratch_bytes(&model->gemm, model->groups, rows),
            "weight-gradient panels", e);
    model->flow_notes = model->factor;
    if (model->dropout.threshold)
        model->dropout.mask =
            own_floats(model, (size_t)model->shape.threads * model->in_stride_max, "dropout masks", e);
}

static enum status check_shape(const struct model_shape *shape, struct error *e)
{
    const struct lane_share *share = &shape->share;
    if (shape->bptt < 1 || share->batch < 1 || share->groups < 1 || share->groups > share->batch ||
        share->group_begin < 0 || share->group_end > share->groups || share->group_begin >= share->group_end ||
        shape->threads < 1)
        return error_set(e, STATUS_CONFIG,
                         "cannot lay out %d lanes in %d groups, %d to %d here, windows of %d, threads %d: all must be "
                         "positive and groups at most lanes",
                         share->batch, share->groups, share->group_begin, share->group_end, shape->bptt,
                         shape->threads);
    int lanes = lane_share_lanes(share);
    if ((int64_t)lanes * shape->bptt > INT32_MAX / 2)
        return error_set(
            e, STATUS_CONFIG,
            "a window of '%d' steps of '%d' lanes is too large: a rank takes at most %d tokens at once; use more "
            "ranks, or a smaller --batch or --bptt",
            shape->bptt, lanes, INT32_MAX / 2);
    return STATUS_OK;
}

static enum status build(struct model *model, struct error *e)
{
    const struct model_config *config = &model->config;
    const struct model_shape *shape = &model->shape;
    e->status = STATUS_OK;
    enum status status = gemm_init(&model->gemm, &gemm_float32, shape->threads, e);
    if (status)
        return status;
    model->cell = cell_kind(config->cell);
    model->states = cell_states(model->cell);
    model->groups = lane_share_groups(&shape->share);
    model->lane0 = shape->share.lane_begin;
    model->lanes = lane_share_lanes(&shape->share);
    model->H = config->hidden;
    model->E = config->embedding;
    model->V = config->vocab;
    model->h_stride = gemm_stride(model->H);
    model->slot_stride = gemm_round(model->H);
    model->slots_stride = gemm_stride(model->cell->slots * model->slot_stride);
    model->outputs = model_outputs(config);
    model->v_stride = gemm_stride(model->outputs);
    model->blocks = gemm_round(model->H) / GEMM_WIDE;
    int embedding_stride = gemm_stride(model->E);
    model->in_stride_max = embedding_stride > model->h_stride ? embedding_stride : model->h_stride;
    model->dropout = (struct dropout){.seed = shape->seed,
                                      .threshold = dropout_threshold(config->dropout),
                                      .step = -1,
                                      .lanes = model->lanes,
                                      .threads = shape->threads,
                                      .mask_stride = model->in_stride_max};

    /* needed before anything is sized, so also when only counting */
    model->group_lane = mem_alloc(model->groups + 1, sizeof *model->group_lane, "lane groups", e);
    if (!model->group_lane)
        return STATUS_OS;
    for (int g = 0; g <= model->groups; g++)
        model->group_lane[g] = lane_share_group_lane(&shape->share, shape->share.group_begin + g) - model->lane0;

    for (int l = 0; l < config->layers; l++)
        create_layer(model, l, e);
    create_embedding(model, e);
    create_output(model, e);
    if (shape->train)
        create_training(model, e);
    if (config->reset_token)
        model->fresh =
            own(model, (size_t)shape->bptt * model->lanes, sizeof *model->fresh, "marks of sentence ends", e);
    size_t threads = shape->threads, recurrent = threads * model->cell->recurrent_gates * model->lanes * GEMM_WIDE;
    if (recurrent > 0)
        model->recurrent = own_floats(model, recurrent, "recurrent products", e);
    model->gemm.scratch = own(model, threads, gemm_scratch_bytes(&model->gemm), "weight panels", e);
    return e->status;
}

enum status model_create(const struct model_config *config, const float *values, const struct model_shape *shape,
                         struct model **out, struct error *e)
{
    struct error local;
    e = e ? e : &local;
    *out = NULL;
    enum status status = model_config_check(config, e);
    if (!status)
        status = check_shape(shape, e);
    if (status)
        return status;
    struct model *model = mem_alloc(1, sizeof *model, "the model", e);
    if (!model)
        return STATUS_OS;
    model->owned = mem_alloc(OWNED_MAX, sizeof *model->owned, "the model", e);
    model->config = *config;
    model->shape = *shape;
    model->values = values;
    param_table_build(config, &model->table);
    status = model->owned ? build(model, e) : STATUS_OS;
    if (status) {
        model_free(model);
        return status;
    }
    *out = model;
    return STATUS_OK;
}

size_t model_bytes(const struct model_config *config, const struct model_shape *shape)
{
    struct error e;
    struct model model = {.config = *config, .shape = *shape, .dry = true};
    param_table_build(config, &model.table);
    size_t bytes = build(&model, &e) ? SIZE_MAX : model.bytes;
    mem_free(model.group_lane);
    return bytes;
}

void model_free(struct model *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->owned_count; i++)
        mem_free(model->owned[i]);
    mem_free(model->owned);
    mem_free(model->group_lane);
    mem_free(model);
}

void model_pack(struct model *model)
{
    for (int l = 0; l < model->config.layers; l++)
        layer_pack(model, l);
    const struct param *bias = &model->table.param[model->table.decoder_bias];
    if (model->decoder.panels)
        gemm_pack(&model->gemm, &model->decoder);
    memcpy(model->decoder_bias, model->values + bias->offset, sizeof(float) * model->outputs);
}

void model_forward_layers(struct model *model, const struct window *window, int64_t step)
{
    CHECK(window->T >= 1 && window->T <= model->shape.bptt && window->lanes == model->lanes);
    model->clock = wall_seconds();
    model->dropout.step = step;
    model->dropout.lane0 = window->lane0;
    if (window->reset)
        for (int lane = 0; lane < model->lanes; lane++)
            model_state_zero_lane(model, lane);
    for (int row = 0; model->fresh && row < window->T * model->lanes; row++)
        model->fresh[row] = window->input[row] == model->config.reset_token;
    embedding_forward(model, window);
    for (int l = 0; l < model->config.layers; l++) {
        struct layer *layer = &model->layer[l];
        if (l > 0) {
            float *below = model->layer[l - 1].h + (int64_t)model->lanes * model->h_stride;
            bool drop = dropout_active(&model->dropout);
            if (drop)
                dropout_rows(&model->dropout, l,
                             (struct dropout_copy){window->T, layer->in, below, layer->dropped, model->h_stride,
                                                   layer->in_stride});
            layer->x = drop ? layer->dropped : below;
        }
        model_clock(model, &model->phases.other);
        layer_project(model, l, window);
        model_clock(model, &model->phases.input_projection);
        layer_forward(model, l, window);
        model_clock(model, &model->phases.recurrent_forward);
    }
}

static void output(struct model *model, const struct window *window, float *const *node_grads)
{
    if (model->config.task == TASK_CLASSIFY)
        classifier_window(model, window, node_grads);
    else
        softmax_window(model, window, node_grads);
    model_clock(model, &model->phases.output_layer);
}

static void report_loss(const struct model *model, struct model_loss *loss)
{
    loss->group = model->group_loss;
    loss->targets = model->group_targets;
    loss->row = model->row_loss;
    loss->correct = model->group_correct;
}

void model_forward(struct model *model, const struct window *window, int64_t step, struct model_loss *loss)
{
    model_forward_layers(model, window, model->shape.train ? step : -1);
    output(model, window, NULL);
    report_loss(model, loss);
}

void model_train(struct model *model, const struct window *window, int64_t step, float *const *node_grads,
                 struct model_loss *loss)
{
    CHECK(model->shape.train && step >= 0);
    struct lane_node nodes[LANE_NODES_MAX];
    int count = lane_share_nodes(&model->shape.share, nodes);
    model_forward_layers(model, window, step);
    output(model, window, node_grads);
    for (int l = model->config.layers - 1; l >= 0; l--) {
        layer_backward(model, l, window, NULL);
        model_clock(model, &model->phases.recurrent_backward);
        if (l == 0 && model->merge)
            embedding_merge(model, window);
        for (int i = 0; i < count; i++)
            layer_gradients(model, l, window, nodes[i], node_grads[i]);
        model_clock(model, &model->phases.weight_gradients);
        layer_input_gradient(model, l, window);
        model_clock(model, &model->phases.input_projection);
    }
    for (int i = 0; i < count; i++)
        embedding_backward(model, window, nodes[i], node_grads[i]);
    model_clock(model, &model->phases.weight_gradients);
    report_loss(model, loss);
}

const float *model_probabilities(const struct model *model, int *stride)
{
    CHECK(model->config.task == TASK_CLASSIFY);
    *stride = model->v_stride;
    return model->logits;
}

static void add_biases(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    struct model *model = context;
    for (int64_t b = begin; b < end; b++)
        for (int v = 0; v < model->V; v++)
            model->logits[b * model->v_stride + v] += model->decoder_bias[v];
}

const float *model_logits(struct model *model, int *stride)
{
    CHECK(model->config.task == TASK_LM);
    softmax_logits(model, model->layer[model->config.layers - 1].state[CELL_H].carried, model->lanes);
    team_share(model->shape.threads, model->lanes, (int64_t)model->lanes * model->V, add_biases, model);
    *stride = model->v_stride;
    return model->logits;
}

/* ---- carried state ---- */

static const struct layer_state *state_of(const struct model *model, int index)
{
    return &model->layer[index % model->config.layers].state[index / model->config.layers];
}

void model_state_get(const struct model *model, int index, float *values)
{
    const struct layer_state *state = state_of(model, index);
    for (int64_t b = 0; b < model->lanes; b++)
        memcpy(values + b * state->width, state->carried + b * state->stride, sizeof *values * state->width);
}

void model_state_set(struct model *model, int index, const float *values)
{
    const struct layer_state *state = state_of(model, index);
    for (int64_t b = 0; b < model->lanes; b++)
        memcpy(state->carried + b * state->stride, values + b * state->width, sizeof *values * state->width);
}

void model_state_zero_lane(struct model *model, int lane)
{
    for (int i = 0; i < model_state_arrays(&model->config); i++) {
        const struct layer_state *state = state_of(model, i);
        memset(state->carried + (int64_t)lane * state->stride, 0, sizeof(float) * state->stride);
    }
}
