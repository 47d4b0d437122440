/* One layer: its memory, its weights as products take them, the projection of its input as one product over all time
 * steps, and the gradients of its weights and input. The recurrence is in layer_steps.c. */
#include "layer.h"
#include "layer_drop.h"

#include <string.h>

#include "unroll/base/team.h"

/* ---- creation ---- */

static void shape_layer(const struct common *common, struct layer *layer, int l)
{
    const struct param_table *table = &common->table;
    layer->cell = cell_kind(common->config.cell);
    layer->number = l;
    layer->states = cell_states(layer->cell, l);
    layer->input_blocks = cell_input_blocks(layer->cell, l);
    layer->slot_count = cell_slots(layer->cell, l);
    layer->H = model_width(&common->config, l);
    layer->in = model_inputs(&common->config, l);
    layer->in_stride = gemm_stride(layer->in);
    layer->h_stride = gemm_stride(layer->H);
    layer->slot_stride = gemm_round(layer->H);
    layer->slots_stride = gemm_stride(layer->slot_count * layer->slot_stride);
    layer->blocks = gemm_round(layer->H) / GEMM_WIDE;
    int w_ih = table->layer[l].w_ih, b_ih = table->layer[l].b_ih, w_hh = table->layer[l].w_hh,
        b_hh = table->layer[l].b_hh;
    layer->offset.w_ih = table->param[w_ih].offset;
    layer->offset.b_ih = table->param[b_ih].offset;
    layer->gradient.w_ih = common->layout.offset[w_ih];
    layer->gradient.b_ih = common->layout.offset[b_ih];
    if (layer->cell->recurrent_gates > 0) {
        layer->offset.w_hh = table->param[w_hh].offset;
        layer->offset.b_hh = table->param[b_hh].offset;
        layer->gradient.w_hh = common->layout.offset[w_hh];
        layer->gradient.b_hh = common->layout.offset[b_hh];
    }
    for (int i = 0; i < table->layer[l].furthers; i++) {
        layer->offset.further[i] = table->param[table->layer[l].further + i].offset;
        layer->gradient.further[i] = common->layout.offset[table->layer[l].further + i];
    }
}

/* W_ih as the products see it: block by block, or at once where blocks need no padding between them. */
static int projection_parts(const struct layer *layer)
{
    return layer->slot_stride == layer->H ? 1 : layer->input_blocks;
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
    int H = layer->H, in = layer->in, blocks = layer->input_blocks, n = blocks / projection_parts(layer) * H;
    for (int part = 0; part < projection_parts(layer); part++) {
        const float *w = common_weights(common, layer->offset.w_ih + (size_t)part * n * in);
        layer->projection[part] = (struct gemm_weights){w, in, true, in, n, NULL};
    }
    for (int g = 0; g < blocks; g++) {
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
    layer->bias = store_floats(&common->store,
                               (size_t)(layer->cell->biases + layer->cell->vectors) * layer->slot_stride, "biases");
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
        state->edges = layer->cell->state[s].edges;
        size_t T = state->edges ? 1 : common->shape.bptt, rows = (size_t)common->lanes * state->stride;
        state->steps = shared ? shared->state[s].steps : store_floats(store, (T + 1) * rows, what[s > CELL_H]);
        state->carried = store_floats(store, rows, "carried states");
    }
    layer->h = layer->state[CELL_H].steps;
    create_output_rows(common, layers, l);
}

/* Without training all layers share the first one's slots. */
static void create_rows(struct common *common, struct layer *layers, int l)
{
    size_t widest = layers[l].slots_stride;
    for (int other = l; !common->shape.train && other < common->config.layers; other++)
        widest = (size_t)layers[other].slots_stride > widest ? (size_t)layers[other].slots_stride : widest;
    struct store *store = &common->store;
    struct layer *layer = &layers[l];
    size_t rows = (size_t)common->shape.bptt * common->lanes;
    bool train = common->shape.train;
    layer->slots = train || l == 0 ? store_floats(store, rows * widest, "gates") : layers[0].slots;
    if (l > 0 && train && common->dropout.site[l])
        layer->dropped = store_take(store, rows * layer->in_stride, gemm_number_bytes(&common->gemm), "dropped states");
}

void layers_create(struct common *common, struct layer *layers, size_t indexed_rows)
{
    struct store *store = &common->store;
    int carried = 0; /* numbers of a lane, of the widest layer */
    for (int l = 0; l < common->config.layers; l++) {
        shape_layer(common, &layers[l], l);
        carried = layers[l].h_stride > carried ? layers[l].h_stride : carried;
    }
    for (int l = 0; l < common->config.layers; l++) {
        create_rows(common, layers, l);
        create_states(common, layers, l);
        create_weights(common, &layers[l]);
    }
    layer_drop_create(common, layers);
    size_t blocks = layers[0].input_blocks, threads = common->shape.threads, B = common->lanes;
    size_t recurrent = threads * layers[0].cell->recurrent_gates * B * GEMM_WIDE;
    layers[0].projected = store_floats(store, indexed_rows * blocks * layers[0].slot_stride, "distinct projections");
    if (recurrent > 0)
        common->scratch.recurrent = store_floats(store, recurrent, "recurrent products");
    if (common->shape.train)
        common->scratch.carry = store_floats(store, B * carried, "carried gradients");
}

/* What the team works on. */
struct packing {
    const struct common *common;
    const struct layer *layer;
};

/* ---- packed weights ---- */

void layer_pack_block(const struct common *common, const struct layer *layer, const struct gemm_weights *recurrent,
                      int block)
{
    for (int g = 0; g < layer->cell->recurrent_gates; g++)
        gemm_pack_panel(&common->gemm, &recurrent[g], block);
}

static void pack_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct packing *work = context;
    for (int64_t block = begin; block < end; block++) {
        layer_pack_block(work->common, work->layer, work->layer->recurrent, (int)block);
        if (work->layer->recurrent_back[0].panels)
            layer_pack_block(work->common, work->layer, work->layer->recurrent_back, (int)block);
    }
}

static void pack_recurrent(const struct common *common, const struct layer *layer)
{
    struct packing work = {common, layer};
    int recurrent = layer->cell->recurrent_gates;
    if (recurrent > 0)
        team_share(common->shape.threads, layer->blocks, 2 * (int64_t)recurrent * layer->H * layer->H * 4, pack_blocks,
                   &work);
}

void layer_begin(const struct common *common, struct layer *layer)
{
    layer_drop_states(common, layer);
    if (layer_drop_weights(common, layer))
        pack_recurrent(common, layer);
}

static void pack_bias(const struct common *common, const struct layer *layer)
{
    const float *b_ih = common->values + layer->offset.b_ih;
    if (layer->cell->bias)
        layer->cell->bias(layer->H, b_ih, common->values + layer->offset.b_hh, layer->slot_stride, layer->bias);
    for (int g = 0; g < layer->cell->gates && !layer->cell->bias; g++)
        memcpy(layer->bias + g * layer->slot_stride, b_ih + g * layer->H, sizeof *b_ih * layer->H);
}

void layer_pack(const struct common *common, struct layer *layer)
{
    layer->packed = LAYER_NOTHING;
    if (!layer->dropped_weights)
        pack_recurrent(common, layer);
    pack_bias(common, layer);
    for (int i = 0; i < layer->cell->vectors; i++)
        memcpy(layer->bias + (layer->cell->biases + i) * layer->slot_stride,
               common->values + layer->offset.further[0] + (size_t)i * layer->H, sizeof *layer->bias * layer->H);
    for (int part = 0; part < projection_parts(layer); part++)
        if (layer->projection[part].panels)
            gemm_pack(&common->gemm, &layer->projection[part]);
}

/* ---- forward ---- */

/* Rows times W_ih; block g at g * slot_stride of each row of `out`. */
void layer_project(const struct common *common, struct layer *layer)
{
    const struct layer_input *input = &layer->input;
    float *out = input->index ? layer->projected : layer->slots;
    int64_t out_stride = input->index ? layer->input_blocks * layer->slot_stride : layer->slots_stride;
    for (int part = 0; part < projection_parts(layer); part++) {
        struct gemm_operand operand = {.segments = 1, .segment = {{input->x, &layer->projection[part]}}};
        gemm_rows(&common->gemm, &operand, input->rows, out + part * layer->slot_stride, out_stride);
    }
}

const float *layer_outputs(const struct common *common, const struct layer *layer)
{
    return layer->h + (int64_t)common->lanes * layer->h_stride;
}

static struct gemm_view view_from(const struct common *common, const struct layer *layer, const void *rows, int64_t row)
{
    struct gemm_view view = gemm_dense(&common->gemm, rows, layer->h_stride);
    view.base = (const char *)view.base + row * view.stride;
    return view;
}

struct gemm_view layer_rows_from(const struct common *common, const struct layer *layer, int64_t row)
{
    return view_from(common, layer, layer->rows, row);
}

struct gemm_view layer_states_from(const struct common *common, const struct layer *layer, int64_t row)
{
    return view_from(common, layer, dropout_active_states(&common->dropout) ? layer->dropped_rows : layer->rows, row);
}

struct gemm_view layer_output_rows(const struct common *common, const struct layer *layer)
{
    return layer_rows_from(common, layer, common->lanes);
}

/* ---- gradients ---- */

struct layer_rows layer_positions(const struct common *common, const struct layer *layer)
{
    return (struct layer_rows){.x = layer->input.x,
                               .slots = layer->slots,
                               .slots_stride = layer->slots_stride,
                               .rows = common->window->T * common->lanes,
                               .h = layer_states_from(common, layer, 0)};
}

/* Block g contributes its slot input_slot[g]. */
void layer_input_gradient(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                          float *dx)
{
    const struct cell_kind *cell = layer->cell;
    struct gemm_operand operand = {.segments = layer->input_blocks};
    for (int g = 0; g < layer->input_blocks; g++) {
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

static void recurrent_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                                struct lane_node node, float *grad)
{
    const struct cell_kind *cell = layer->cell;
    int H = layer->H;
    struct gemm_factor factor = {.sum = common_sum(common, node),
                                 .b = gemm_lanes(rows->h, common->lanes),
                                 .m = H,
                                 .n = H,
                                 .packed = common->scratch.factor};
    gemm_factor_pack(&common->gemm, &factor);
    if (common->fresh)
        gemm_factor_clear(&common->gemm, &factor, common->fresh, common->lanes);
    for (int g = 0; g < cell->recurrent_gates; g++) {
        struct gemm_gradient gradient = {.factor = &factor,
                                         .a = slot_lanes(common, layer, cell->recurrent_slot[g]),
                                         .c = grad + layer->gradient.w_hh + (int64_t)g * H * H,
                                         .ldc = H,
                                         .bias = grad + layer->gradient.b_hh + g * H};
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
    float *bias = grad + layer->gradient.b_ih + g * H;
    if (g < cell->recurrent_gates && cell->input_slot[g] == cell->recurrent_slot[g]) {
        memcpy(bias, grad + layer->gradient.b_hh + g * H, sizeof *bias * H);
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
    for (int g = 0; g < layer->input_blocks; g++) {
        struct gemm_gradient gradient = {
            .factor = &factor,
            .a = gemm_lanes(
                gemm_settled(&common->gemm, rows->slots + cell->input_slot[g] * layer->slot_stride, rows->slots_stride),
                common->lanes),
            .c = grad + layer->gradient.w_ih + (int64_t)g * H * in,
            .ldc = in};
        gemm_gradient(&common->gemm, &gradient);
        if (g < cell->gates)
            input_bias(common, layer, node, g, grad);
    }
}

/* Of the further vectors: each H of their numbers have a slot behind those of the gates. */
static void vector_gradients(const struct common *common, const struct layer *layer, struct lane_node node, float *grad)
{
    struct gemm_sum sum = common_sum(common, node);
    int first = layer->slot_count - layer->cell->vectors;
    for (int i = 0; i < layer->cell->vectors; i++)
        gemm_gradient_bias(&common->gemm, &sum, slot_lanes(common, layer, first + i), layer->H,
                           grad + layer->gradient.further[0] + (size_t)i * layer->H);
}

void layer_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                     struct lane_node node, float *grad)
{
    if (layer->cell->recurrent_gates > 0)
        recurrent_gradients(common, layer, rows, node, grad);
    input_gradients(common, layer, rows, node, grad);
    vector_gradients(common, layer, node, grad);
}
