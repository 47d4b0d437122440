/* One layer unrolled over a window: input projections of all time steps as one product, the recurrence step by step
 * with weights packed once per update, and its mirror image backwards. Threads own blocks of hidden units with all
 * their gates (or ranges of lanes, when there are more threads than blocks), so one barrier a time step is enough. */
#include "layer.h"

#include <string.h>

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* ---- creation ---- */

static void shape_layer(const struct common *common, struct layer *layer, int l)
{
    const struct param_table *table = &common->table;
    layer->cell = cell_kind(common->config.cell);
    layer->states = cell_states(layer->cell);
    layer->H = common->config.hidden;
    layer->in = l == 0 ? common->config.embedding : common->config.hidden;
    layer->in_stride = gemm_stride(layer->in);
    layer->h_stride = gemm_stride(layer->H);
    layer->slot_stride = gemm_round(layer->H);
    layer->slots_stride = gemm_stride(layer->cell->slots * layer->slot_stride);
    layer->blocks = gemm_round(layer->H) / GEMM_WIDE;
    layer->offset.w_ih = table->param[table->layer[l].w_ih].offset;
    layer->offset.b_ih = table->param[table->layer[l].b_ih].offset;
    if (layer->cell->recurrent_gates > 0) {
        layer->offset.w_hh = table->param[table->layer[l].w_hh].offset;
        layer->offset.b_hh = table->param[table->layer[l].b_hh].offset;
    }
}

/* W_ih as the products see it: gate by gate, or at once where gates need no padding between them. */
static int projection_parts(const struct layer *layer)
{
    return layer->slot_stride == layer->H ? 1 : layer->cell->gates;
}

/* Memory for the panels of `parts` matrices [k][n], one after another, for the weights at `of`. */
static void create_panels(struct common *common, struct gemm_weights *of, int parts)
{
    if (parts == 0)
        return;
    size_t bytes = gemm_panels_bytes(&common->gemm, of->k, of->n);
    char *panels = store_take(&common->store, parts, bytes, "packed weights");
    for (int part = 0; panels && part < parts; part++)
        of[part].panels = panels + part * bytes;
}

static void place_weights(const struct common *common, struct layer *layer)
{
    int H = layer->H, in = layer->in, gates = layer->cell->gates, n = gates / projection_parts(layer) * H;
    for (int part = 0; part < projection_parts(layer); part++) {
        const float *w = common_weights(common, layer->offset.w_ih + (size_t)part * n * in);
        layer->projection[part] = (struct gemm_weights){w, in, true, in, n, NULL};
    }
    for (int g = 0; g < gates; g++) {
        const float *w = common_weights(common, layer->offset.w_ih + (size_t)g * H * in);
        layer->projection_back[g] = (struct gemm_weights){w, in, false, H, in, NULL};
    }
    for (int g = 0; g < layer->cell->recurrent_gates; g++) {
        const float *w = common_weights(common, layer->offset.w_hh + (size_t)g * H * H);
        layer->recurrent[g] = (struct gemm_weights){w, H, true, H, H, NULL};
        layer->recurrent_back[g] = (struct gemm_weights){w, H, false, H, H, NULL};
    }
}

static void create_weights(struct common *common, struct layer *layer)
{
    int recurrent = layer->cell->recurrent_gates;
    place_weights(common, layer);
    create_panels(common, layer->recurrent, recurrent);
    if (common->shape.train)
        create_panels(common, layer->recurrent_back, recurrent);
    if (common->shape.resident)
        create_panels(common, layer->projection, projection_parts(layer));
    layer->bias = store_floats(&common->store, (size_t)layer->cell->biases * layer->slot_stride, "biases");
}

/* Evaluation keeps nothing for a backward pass, so layers share what only one of them uses at a time: a layer's output
 * is read by the next one, other states by no other. The layer that layer l shares state s with, or NULL. */
static const struct layer *sharer(const struct common *common, const struct layer *layers, int l, int s)
{
    int from = s == CELL_H ? l - 2 : 0;
    if (common->shape.train || from < 0 || from == l || layers[from].state[s].stride != layers[l].state[s].stride)
        return NULL;
    return &layers[from];
}

/* Of float32's products the outputs themselves are the rows. */
static void create_output_rows(struct common *common, struct layer *layers, int l)
{
    struct layer *layer = &layers[l];
    const struct layer *shared = sharer(common, layers, l, CELL_H);
    size_t bytes = gemm_number_bytes(&common->gemm), rows = (common->shape.bptt + (size_t)1) * common->lanes;
    layer->rows = bytes == sizeof *layer->h ? layer->h
                  : shared                  ? shared->rows
                           : store_take(&common->store, rows * layer->h_stride, bytes, "rounded states");
}

static void create_states(struct common *common, struct layer *layers, int l)
{
    static const char *const what[] = {"hidden states", "cell states"};
    struct store *store = &common->store;
    struct layer *layer = &layers[l];
    for (int s = 0; s < layer->states; s++) {
        struct layer_state *state = &layer->state[s];
        state->width = cell_state_width(layer->cell, s, layer->H, layer->in);
        state->stride = gemm_stride(state->width);
        const struct layer *shared = sharer(common, layers, l, s);
        size_t T = common->shape.bptt, rows = (size_t)common->lanes * state->stride;
        state->steps = shared ? shared->state[s].steps : store_floats(store, (T + 1) * rows, what[s > CELL_H]);
        state->carried = store_floats(store, rows, "carried states");
    }
    layer->h = layer->state[CELL_H].steps;
    create_output_rows(common, layers, l);
}

static void create_rows(struct common *common, struct layer *layers, int l)
{
    struct store *store = &common->store;
    struct layer *layer = &layers[l];
    size_t rows = (size_t)common->shape.bptt * common->lanes;
    bool train = common->shape.train;
    layer->slots = train || l == 0 ? store_floats(store, rows * layer->slots_stride, "gates") : layers[0].slots;
    if (l > 0 && train && common->dropout.threshold)
        layer->dropped = store_take(store, rows * layer->in_stride, gemm_number_bytes(&common->gemm), "dropped states");
}

void layers_create(struct common *common, struct layer *layers, size_t indexed_rows)
{
    struct store *store = &common->store;
    for (int l = 0; l < common->config.layers; l++) {
        shape_layer(common, &layers[l], l);
        create_rows(common, layers, l);
        create_states(common, layers, l);
        create_weights(common, &layers[l]);
    }
    size_t gates = layers[0].cell->gates, threads = common->shape.threads, B = common->lanes;
    size_t recurrent = threads * layers[0].cell->recurrent_gates * B * GEMM_WIDE;
    layers[0].projected = store_floats(store, indexed_rows * gates * layers[0].slot_stride, "distinct projections");
    if (recurrent > 0)
        common->scratch.recurrent = store_floats(store, recurrent, "recurrent products");
    if (common->shape.train)
        common->scratch.carry = store_floats(store, B * layers[0].h_stride, "carried gradients");
}

/* What the team works on. */
struct layer_work {
    const struct common *common;
    const struct layer *layer;
    const float *dh;              /* backward: gradient of the outputs */
    const struct step_hook *hook; /* backward; NULL: none */
};

/* ---- packed weights ---- */

/* W_hh for a block of hidden units, all gates of it, in one direction. */
static void pack_block(const struct layer_work *work, const struct gemm_weights *recurrent, int block)
{
    for (int g = 0; g < work->layer->cell->recurrent_gates; g++)
        gemm_pack_panel(&work->common->gemm, &recurrent[g], block);
}

static void pack_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct layer_work *work = context;
    for (int64_t block = begin; block < end; block++) {
        pack_block(work, work->layer->recurrent, (int)block);
        if (work->layer->recurrent_back[0].panels)
            pack_block(work, work->layer->recurrent_back, (int)block);
    }
}

void layer_pack(const struct common *common, struct layer *layer)
{
    struct layer_work work = {.common = common, .layer = layer};
    int recurrent = layer->cell->recurrent_gates;
    if (recurrent > 0)
        team_share(common->shape.threads, layer->blocks, 2 * (int64_t)recurrent * layer->H * layer->H * 4, pack_blocks,
                   &work);
    layer->cell->bias(layer->H, common->values + layer->offset.b_ih, common->values + layer->offset.b_hh,
                      layer->slot_stride, layer->bias);
    for (int part = 0; part < projection_parts(layer); part++)
        if (layer->projection[part].panels)
            gemm_pack(&common->gemm, &layer->projection[part]);
}

/* ---- forward ---- */

/* Rows times W_ih; gate g at g * slot_stride of each row of `out`. */
void layer_project(const struct common *common, struct layer *layer)
{
    const struct layer_input *input = &layer->input;
    float *out = input->index ? layer->projected : layer->slots;
    int64_t out_stride = input->index ? layer->cell->gates * layer->slot_stride : layer->slots_stride;
    for (int part = 0; part < projection_parts(layer); part++) {
        struct gemm_operand operand = {.segments = 1, .segment = {{input->x, &layer->projection[part]}}};
        gemm_rows(&common->gemm, &operand, input->rows, out + part * layer->slot_stride, out_stride);
    }
}

/* A thread's part of the recurrence: blocks of hidden units, and lanes. */
struct part {
    int block_begin, block_end, lane_begin, lane_end;
};

static struct part part_of(const struct layer_work *work, const struct team_member *me)
{
    int blocks = work->layer->blocks, lanes = work->common->lanes;
    int rows = me->threads > blocks ? me->threads / blocks : 1; /* threads that share a block */
    if (rows > lanes)
        rows = lanes;
    int columns = me->threads / rows, row = me->thread / columns, column = me->thread % columns;
    if (row >= rows)
        return (struct part){0, 0, 0, 0};
    return (struct part){(int)((int64_t)blocks * column / columns), (int)((int64_t)blocks * (column + 1) / columns),
                         (int)((int64_t)lanes * row / rows), (int)((int64_t)lanes * (row + 1) / rows)};
}

/* Which of the part's lanes have an empty state before step t: [lanes], or NULL if resets are off. */
static const uint8_t *fresh_lanes(const struct common *common, int t, struct part part)
{
    return common->fresh ? common->fresh + (int64_t)t * common->lanes + part.lane_begin : NULL;
}

/* Neither a state nor a gradient crosses a reset: zeroes a block of hidden units of those lanes. */
static void clear_fresh(const uint8_t *fresh, int lanes, float *block, int64_t stride)
{
    for (int b = 0; b < lanes; b++)
        if (fresh[b])
            memset(block + b * stride, 0, sizeof *block * GEMM_WIDE);
}

/* NULL without a recurrent product. */
static float *recurrent_of(const struct layer_work *work, int thread)
{
    size_t size = (size_t)work->layer->cell->recurrent_gates * work->common->lanes * GEMM_WIDE;
    return size > 0 ? work->common->scratch.recurrent + thread * size : NULL;
}

/* Each state of `step` before and after time t, from the first lane on, at the block's first unit where it is one of
 * units. */
static void place_states(const struct layer_work *work, int t, int lane, int unit, struct cell_step *step)
{
    const struct layer *layer = work->layer;
    int lanes = work->common->lanes;
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        int64_t row = (int64_t)t * lanes + lane, column = state->width == layer->H ? unit : 0;
        step->before[s] = state->steps + row * state->stride + column;
        step->state[s] = state->steps + (row + lanes) * state->stride + column;
        step->state_stride[s] = state->stride;
    }
}

/* The outputs as products read them, from row `row` of [T + 1][B] on. */
static struct gemm_view rows_from(const struct common *common, const struct layer *layer, int64_t row)
{
    struct gemm_view view = gemm_dense(&common->gemm, layer->rows, layer->h_stride);
    view.base = (const char *)view.base + row * view.stride;
    return view;
}

/* A block's outputs of time step t, for products. */
static void store_outputs(const struct layer_work *work, int t, struct part part, int unit)
{
    const struct layer *layer = work->layer;
    const struct gemm *gemm = &work->common->gemm;
    size_t bytes = gemm_number_bytes(gemm);
    for (int lane = part.lane_begin; layer->rows != layer->h && lane < part.lane_end; lane++) {
        int64_t place = ((int64_t)(t + 1) * work->common->lanes + lane) * layer->h_stride + unit;
        gemm_store(gemm, layer->h + place, GEMM_WIDE, (char *)layer->rows + place * (int64_t)bytes);
    }
}

static void forward_part(const struct layer_work *work, int t, struct part part, float *recurrent)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    int gates = layer->cell->recurrent_gates, lanes = part.lane_end - part.lane_begin;
    int64_t row = (int64_t)t * common->lanes + part.lane_begin;
    const int32_t *index = layer->input.index;
    const struct gemm_view h_previous = rows_from(common, layer, (int64_t)t * common->lanes + part.lane_begin);
    const uint8_t *fresh = fresh_lanes(common, t, part);
    for (int block = part.block_begin; block < part.block_end; block++) {
        int unit = block * GEMM_WIDE;
        if (!TUNE_PACK_ONCE)
            pack_block(work, layer->recurrent, block);
        for (int g = 0; g < gates; g++)
            gemm_panel(&common->gemm, &layer->recurrent[g], block, lanes, h_previous, false,
                       recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE);
        for (int g = 0; fresh && g < gates; g++)
            clear_fresh(fresh, lanes, recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE);
        float *slots = layer->slots + row * layer->slots_stride + unit;
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .projection = index ? layer->projected + unit : slots,
            .index = index ? index + row : NULL,
            .projection_stride = index ? (int64_t)layer->cell->gates * layer->slot_stride : layer->slots_stride,
            .slot_stride = layer->slot_stride,
            .slots = slots,
            .slots_stride = layer->slots_stride,
            .bias = layer->bias + unit,
            .fresh = fresh,
        };
        place_states(work, t, part.lane_begin, unit, &step);
        layer->cell->forward(&step);
        store_outputs(work, t, part, unit);
    }
}

#define POINTWISE_FLOPS 40 /* of a unit's step without a recurrent product */

/* The work between two barriers: of one time step, or, without a recurrent product, of the whole window, since then no
 * unit needs another one's output. */
static int64_t step_flops(const struct layer_work *work)
{
    int64_t units = (int64_t)work->layer->H * work->common->lanes;
    int recurrent = work->layer->cell->recurrent_gates;
    return recurrent > 0 ? 2 * units * recurrent * work->layer->H : units * work->common->window->T * POINTWISE_FLOPS;
}

static void end_step(const struct layer_work *work, const struct team_member *me)
{
    if (work->layer->cell->recurrent_gates > 0)
        team_barrier(me);
}

static void forward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct part part = part_of(work, me);
    for (int t = 0; t < work->common->window->T; t++) {
        forward_part(work, t, part, recurrent_of(work, me->thread));
        end_step(work, me);
    }
}

void layer_forward(const struct common *common, struct layer *layer)
{
    struct layer_work work = {.common = common, .layer = layer};
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        memcpy(state->steps, state->carried, sizeof(float) * common->lanes * state->stride);
    }
    gemm_store(&common->gemm, layer->h, common->lanes * layer->h_stride, layer->rows);
    team_run(common->shape.threads, step_flops(&work), forward_steps, &work);
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        size_t rows = (size_t)common->lanes * state->stride;
        memcpy(state->carried, state->steps + common->window->T * rows, sizeof(float) * rows);
    }
}

const float *layer_outputs(const struct common *common, const struct layer *layer)
{
    return layer->h + (int64_t)common->lanes * layer->h_stride;
}

struct gemm_view layer_output_rows(const struct common *common, const struct layer *layer)
{
    return rows_from(common, layer, common->lanes);
}

/* ---- backward ---- */

/* The gradients that a block's step has left, for products. */
static void settle_slots(const struct common *common, const struct cell_step *step, int slots)
{
    for (int b = 0; gemm_number_bytes(&common->gemm) < sizeof *step->slots && b < step->lanes; b++)
        for (int slot = 0; slot < slots; slot++)
            gemm_settle(&common->gemm, step->slots + b * step->slots_stride + slot * step->slot_stride, GEMM_WIDE);
}

static void backward_part(const struct layer_work *work, int t, struct part part, float *recurrent)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    const struct cell_kind *cell = layer->cell;
    bool last = t == common->window->T - 1;
    int gates = cell->recurrent_gates, lanes = part.lane_end - part.lane_begin;
    int64_t time = (int64_t)common->lanes * layer->h_stride, first = (int64_t)part.lane_begin * layer->h_stride;
    int64_t row = (int64_t)t * common->lanes + part.lane_begin;
    const float *next = layer->slots + (row + common->lanes) * layer->slots_stride; /* gradients at t + 1 */
    float *carry = common->scratch.carry + first;
    for (int block = part.block_begin; block < part.block_end; block++) {
        int unit = block * GEMM_WIDE;
        if (!TUNE_PACK_ONCE)
            pack_block(work, layer->recurrent_back, block);
        if (!last)
            for (int g = 0; g < gates; g++)
                gemm_panel(&common->gemm, &layer->recurrent_back[g], block, lanes,
                           gemm_settled(&common->gemm, next + cell->recurrent_slot[g] * layer->slot_stride,
                                        layer->slots_stride),
                           g > 0, recurrent, GEMM_WIDE);
        if (!last && common->fresh) {
            const uint8_t *fresh = fresh_lanes(common, t + 1, part);
            if (recurrent)
                clear_fresh(fresh, lanes, recurrent, GEMM_WIDE);
            clear_fresh(fresh, lanes, carry + unit, layer->h_stride);
        }
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .slot_stride = layer->slot_stride,
            .slots = layer->slots + row * layer->slots_stride + unit,
            .slots_stride = layer->slots_stride,
            .dout = work->dh + t * time + first + unit,
            .carry = carry + unit,
            .last = last,
            .fresh = fresh_lanes(common, t, part),
        };
        place_states(work, t, part.lane_begin, unit, &step);
        if (work->hook)
            work->hook->look(work->hook->context, &step, t, part.lane_begin, block);
        cell->backward(&step);
        settle_slots(common, &step, cell->slots);
    }
}

static void backward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct part part = part_of(work, me);
    for (int t = work->common->window->T - 1; t >= 0; t--) {
        backward_part(work, t, part, recurrent_of(work, me->thread));
        end_step(work, me);
    }
}

void layer_backward(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook)
{
    struct layer_work work = {common, layer, dh, hook};
    team_run(common->shape.threads, step_flops(&work), backward_steps, &work);
}

struct layer_rows layer_positions(const struct common *common, const struct layer *layer)
{
    return (struct layer_rows){.x = layer->input.x,
                               .slots = layer->slots,
                               .slots_stride = layer->slots_stride,
                               .rows = common->window->T * common->lanes};
}

/* Gate g contributes its slot input_slot[g]. */
void layer_input_gradient(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                          float *dx)
{
    const struct cell_kind *cell = layer->cell;
    struct gemm_operand operand = {.segments = cell->gates};
    for (int g = 0; g < cell->gates; g++) {
        operand.segment[g].a =
            gemm_settled(&common->gemm, rows->slots + cell->input_slot[g] * layer->slot_stride, rows->slots_stride);
        operand.segment[g].w = &layer->projection_back[g];
    }
    gemm_rows(&common->gemm, &operand, rows->rows, dx, layer->in_stride);
}

/* A slot of all positions. */
static struct gemm_lanes slot_lanes(const struct common *common, const struct layer *layer, int slot)
{
    return gemm_lanes(gemm_settled(&common->gemm, layer->slots + slot * layer->slot_stride, layer->slots_stride),
                      common->lanes);
}

static void recurrent_gradients(const struct common *common, const struct layer *layer, struct lane_node node,
                                float *grad)
{
    const struct cell_kind *cell = layer->cell;
    int H = layer->H;
    struct gemm_factor factor = {.sum = common_sum(common, node),
                                 .b = gemm_lanes(rows_from(common, layer, 0), common->lanes),
                                 .m = H,
                                 .n = H,
                                 .packed = common->scratch.factor};
    gemm_factor_pack(&common->gemm, &factor);
    if (common->fresh)
        gemm_factor_clear(&common->gemm, &factor, common->fresh, common->lanes);
    for (int g = 0; g < cell->recurrent_gates; g++) {
        struct gemm_gradient gradient = {.factor = &factor,
                                         .a = slot_lanes(common, layer, cell->recurrent_slot[g]),
                                         .c = grad + layer->offset.w_hh + (int64_t)g * H * H,
                                         .ldc = H,
                                         .bias = grad + layer->offset.b_hh + g * H};
        gemm_gradient(&common->gemm, &gradient);
    }
}

/* The gradient of gate g's b_ih: that of b_hh, which is there already, unless the gate has a slot of its own for the
 * input, or no b_hh. */
static void input_bias(const struct common *common, const struct layer *layer, struct lane_node node, int g,
                       float *grad)
{
    const struct cell_kind *cell = layer->cell;
    int H = layer->H;
    float *bias = grad + layer->offset.b_ih + g * H;
    if (g < cell->recurrent_gates && cell->input_slot[g] == cell->recurrent_slot[g]) {
        memcpy(bias, grad + layer->offset.b_hh + g * H, sizeof *bias * H);
        return;
    }
    struct gemm_sum sum = common_sum(common, node);
    gemm_gradient_bias(&common->gemm, &sum, slot_lanes(common, layer, cell->input_slot[g]), H, bias);
}

static void input_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                            struct lane_node node, float *grad)
{
    const struct cell_kind *cell = layer->cell;
    int H = layer->H, in = layer->in;
    struct gemm_factor factor = {.sum = common_sum(common, node),
                                 .b = gemm_lanes(rows->x, common->lanes),
                                 .m = H,
                                 .n = in,
                                 .packed = common->scratch.factor};
    if (rows->group_row) { /* "lanes" of one time step */
        factor.sum.group_lane = rows->group_row;
        factor.sum.T = 1;
    }
    gemm_factor_pack(&common->gemm, &factor);
    for (int g = 0; g < cell->gates; g++) {
        struct gemm_gradient gradient = {
            .factor = &factor,
            .a = gemm_lanes(
                gemm_settled(&common->gemm, rows->slots + cell->input_slot[g] * layer->slot_stride, rows->slots_stride),
                common->lanes),
            .c = grad + layer->offset.w_ih + (int64_t)g * H * in,
            .ldc = in};
        gemm_gradient(&common->gemm, &gradient);
        input_bias(common, layer, node, g, grad);
    }
}

void layer_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                     struct lane_node node, float *grad)
{
    if (layer->cell->recurrent_gates > 0)
        recurrent_gradients(common, layer, node, grad);
    input_gradients(common, layer, rows, node, grad);
}
