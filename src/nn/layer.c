/* One layer unrolled over a window: input projections of all time steps as one product, the recurrence step by step with
 * weights packed once per update, and its mirror image backwards. Threads own blocks of hidden units with all their gates
 * (or ranges of lanes, when there are more threads than blocks), so one barrier a time step is enough. */
#include <string.h>

#include "model_private.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* W_ih as the products see it: gate by gate, or at once where gates need no padding between them. */
static int projection_parts(const struct model *model)
{
    return model->slot_stride == model->H ? 1 : model->cell->gates;
}

static int projection_columns(const struct model *model)
{
    return model->cell->gates / projection_parts(model) * model->H;
}

size_t layer_recurrent_bytes(const struct model *model)
{
    return model->cell->recurrent_gates * gemm_panels_bytes(&model->gemm, model->H, model->H);
}

size_t layer_projection_bytes(const struct model *model, int l)
{
    return projection_parts(model) * gemm_panels_bytes(&model->gemm, model->layer[l].in, projection_columns(model));
}

/* Part `part` of several matrices whose panels lie one after another; NULL if none are packed. */
static void *panels_of(const struct model *model, char *panels, int part, int k, int n)
{
    return panels ? panels + part * gemm_panels_bytes(&model->gemm, k, n) : NULL;
}

void layer_place_weights(struct model *model, int l, char *forward, char *backward, char *projection)
{
    struct layer *layer = &model->layer[l];
    int H = model->H, in = layer->in, n = projection_columns(model);
    const float *w_ih = model->values + layer->offset.w_ih, *w_hh = model->values + layer->offset.w_hh;
    for (int part = 0; part < projection_parts(model); part++)
        layer->projection[part] = (struct gemm_weights){
            w_ih + (int64_t)part * n * in, in, true, in, n, panels_of(model, projection, part, in, n)};
    for (int g = 0; g < model->cell->gates; g++)
        layer->projection_back[g] = (struct gemm_weights){w_ih + (int64_t)g * H * in, in, false, H, in, NULL};
    for (int g = 0; g < model->cell->recurrent_gates; g++) {
        const float *of_gate = w_hh + (int64_t)g * H * H;
        layer->recurrent[g] = (struct gemm_weights){of_gate, H, true, H, H, panels_of(model, forward, g, H, H)};
        layer->recurrent_back[g] = (struct gemm_weights){of_gate, H, false, H, H, panels_of(model, backward, g, H, H)};
    }
}

/* W_hh for a block of hidden units, all gates of it, in one direction. */
static void pack_block(const struct model *model, const struct gemm_weights *recurrent, int block)
{
    for (int g = 0; g < model->cell->recurrent_gates; g++)
        gemm_pack_panel(&model->gemm, &recurrent[g], block);
}

/* A layer's part of a window. */
struct layer_work {
    struct model *model;
    int l, T;
    const struct step_hook *hook; /* backward; NULL: none */
};

static void pack_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct layer_work *work = context;
    const struct layer *layer = &work->model->layer[work->l];
    for (int64_t block = begin; block < end; block++) {
        pack_block(work->model, layer->recurrent, (int)block);
        if (layer->recurrent_back[0].panels)
            pack_block(work->model, layer->recurrent_back, (int)block);
    }
}

void layer_pack(struct model *model, int l)
{
    struct layer *layer = &model->layer[l];
    struct layer_work work = {model, l, 0, NULL};
    int recurrent = model->cell->recurrent_gates;
    if (recurrent > 0)
        team_share(model->shape.threads, model->blocks, 2 * (int64_t)recurrent * model->H * model->H * 4, pack_blocks,
                   &work);
    model->cell->bias(model->H, model->values + layer->offset.b_ih, model->values + layer->offset.b_hh,
                      model->slot_stride, layer->bias);
    for (int part = 0; part < projection_parts(model); part++)
        if (layer->projection[part].panels)
            gemm_pack(&model->gemm, &layer->projection[part]);
}

/* X W_ih^T for `rows` rows of x into rows of `out`: gate g at g * slot_stride. */
static void project(struct model *model, int l, const float *x, int rows, float *out, int64_t out_stride)
{
    const struct layer *layer = &model->layer[l];
    for (int part = 0; part < projection_parts(model); part++) {
        struct gemm_operand operand = {
            .segments = 1, .segment = {{x, &layer->projection[part]}}, .lda = layer->in_stride};
        gemm_rows(&model->gemm, &operand, rows, out + part * model->slot_stride, out_stride);
    }
}

void layer_project(struct model *model, int l, const struct window *window)
{
    struct layer *layer = &model->layer[l];
    if (l == 0 && model->use_distinct)
        project(model, 0, model->distinct.x, model->distinct.count, model->distinct.projection,
                model->cell->gates * model->slot_stride);
    else
        project(model, l, layer->x, window->T * model->lanes, layer->slots, model->slots_stride);
}

/* A thread's part of the recurrence: blocks of hidden units, and lanes. */
struct part {
    int block_begin, block_end, lane_begin, lane_end;
};

static struct part part_of(const struct model *model, int thread, int threads)
{
    int rows = threads > model->blocks ? threads / model->blocks : 1; /* threads that share a block */
    if (rows > model->lanes)
        rows = model->lanes;
    int columns = threads / rows, row = thread / columns, column = thread % columns;
    if (row >= rows)
        return (struct part){0, 0, 0, 0};
    return (struct part){(int)((int64_t)model->blocks * column / columns),
                         (int)((int64_t)model->blocks * (column + 1) / columns),
                         (int)((int64_t)model->lanes * row / rows), (int)((int64_t)model->lanes * (row + 1) / rows)};
}

/* Which of the part's lanes have an empty state before step t: [lanes], or NULL if resets are off. */
static const uint8_t *fresh_lanes(const struct model *model, int t, struct part part)
{
    return model->fresh ? model->fresh + (int64_t)t * model->lanes + part.lane_begin : NULL;
}

/* Nothing flows over such a boundary: zeroes a block of hidden units of those lanes. */
static void clear_fresh(const uint8_t *fresh, int lanes, float *block, int64_t stride)
{
    for (int b = 0; b < lanes; b++)
        if (fresh[b])
            memset(block + b * stride, 0, sizeof *block * GEMM_WIDE);
}

/* Each state of `step` before and after time t, from the first lane on, at the block's first unit where it is one of units. */
static void place_states(const struct model *model, const struct layer *layer, int t, int lane, int unit,
                         struct cell_step *step)
{
    for (int s = 0; s < model->states; s++) {
        const struct layer_state *state = &layer->state[s];
        int64_t row = (int64_t)t * model->lanes + lane, column = state->width == model->H ? unit : 0;
        step->before[s] = state->steps + row * state->stride + column;
        step->state[s] = state->steps + (row + model->lanes) * state->stride + column;
        step->state_stride[s] = state->stride;
    }
}

static void forward_part(struct model *model, int l, int t, struct part part, float *recurrent)
{
    struct layer *layer = &model->layer[l];
    int gates = model->cell->recurrent_gates, lanes = part.lane_end - part.lane_begin;
    int64_t time = (int64_t)model->lanes * model->h_stride, first = (int64_t)part.lane_begin * model->h_stride;
    bool gathered = l == 0 && model->use_distinct;
    int64_t row = (int64_t)t * model->lanes + part.lane_begin;
    const float *h_previous = layer->h + t * time + first;
    const uint8_t *fresh = fresh_lanes(model, t, part);
    for (int block = part.block_begin; block < part.block_end; block++) {
        int unit = block * GEMM_WIDE;
        if (!TUNE_PACK_ONCE && gates > 0)
            pack_block(model, layer->recurrent, block);
        for (int g = 0; g < gates; g++)
            gemm_panel(&model->gemm, &layer->recurrent[g], block, lanes, h_previous, model->h_stride, false,
                       recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE);
        for (int g = 0; fresh && g < gates; g++)
            clear_fresh(fresh, lanes, recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE);
        float *slots = layer->slots + row * model->slots_stride + unit;
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .projection = gathered ? model->distinct.projection + unit : slots,
            .index = gathered ? model->distinct.index + row : NULL,
            .projection_stride = gathered ? (int64_t)model->cell->gates * model->slot_stride : model->slots_stride,
            .slot_stride = model->slot_stride,
            .slots = slots,
            .slots_stride = model->slots_stride,
            .bias = layer->bias + unit,
            .fresh = fresh,
        };
        place_states(model, layer, t, part.lane_begin, unit, &step);
        model->cell->forward(&step);
    }
}

#define POINTWISE_FLOPS 40 /* of a unit's step without a recurrent product */

/* Between two barriers: of one time step, or without a recurrent product of the window, since a unit then needs no other's. */
static int64_t step_flops(const struct layer_work *work)
{
    const struct model *model = work->model;
    int64_t units = (int64_t)model->H * model->lanes;
    int recurrent = model->cell->recurrent_gates;
    return recurrent > 0 ? 2 * units * recurrent * model->H : units * work->T * POINTWISE_FLOPS;
}

static void end_step(const struct layer_work *work, const struct team_member *me)
{
    if (work->model->cell->recurrent_gates > 0)
        team_barrier(me);
}

/* NULL without a recurrent product */
static float *recurrent_of(const struct model *model, int thread)
{
    size_t size = (size_t)model->cell->recurrent_gates * model->lanes * GEMM_WIDE;
    return size > 0 ? model->recurrent + (size_t)thread * size : NULL;
}

static void forward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct part part = part_of(work->model, me->thread, me->threads);
    for (int t = 0; t < work->T; t++) {
        forward_part(work->model, work->l, t, part, recurrent_of(work->model, me->thread));
        end_step(work, me);
    }
}

void layer_forward(struct model *model, int l, const struct window *window)
{
    struct layer *layer = &model->layer[l];
    struct layer_work work = {model, l, window->T, NULL};
    for (int s = 0; s < model->states; s++) {
        const struct layer_state *state = &layer->state[s];
        memcpy(state->steps, state->carried, sizeof(float) * model->lanes * state->stride);
    }
    team_run(model->shape.threads, step_flops(&work), forward_steps, &work);
    for (int s = 0; s < model->states; s++) {
        const struct layer_state *state = &layer->state[s];
        size_t rows = (size_t)model->lanes * state->stride;
        memcpy(state->carried, state->steps + window->T * rows, sizeof(float) * rows);
    }
}

static void backward_part(const struct layer_work *work, int t, struct part part, float *recurrent)
{
    struct model *model = work->model;
    int l = work->l;
    bool last = t == work->T - 1;
    struct layer *layer = &model->layer[l];
    int gates = model->cell->recurrent_gates, lanes = part.lane_end - part.lane_begin;
    int64_t time = (int64_t)model->lanes * model->h_stride, first = (int64_t)part.lane_begin * model->h_stride;
    int64_t row = (int64_t)t * model->lanes + part.lane_begin;
    const float *next = layer->slots + (row + model->lanes) * model->slots_stride; /* gradients at t + 1 */
    for (int block = part.block_begin; block < part.block_end; block++) {
        int unit = block * GEMM_WIDE;
        if (!TUNE_PACK_ONCE && gates > 0)
            pack_block(model, layer->recurrent_back, block);
        if (!last)
            for (int g = 0; g < gates; g++)
                gemm_panel(&model->gemm, &layer->recurrent_back[g], block, lanes,
                           next + model->cell->recurrent_slot[g] * model->slot_stride, model->slots_stride, g > 0,
                           recurrent, GEMM_WIDE);
        if (!last && model->fresh) {
            const uint8_t *fresh = fresh_lanes(model, t + 1, part);
            if (recurrent)
                clear_fresh(fresh, lanes, recurrent, GEMM_WIDE);
            clear_fresh(fresh, lanes, model->carry + first + unit, model->h_stride);
        }
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .slot_stride = model->slot_stride,
            .slots = layer->slots + row * model->slots_stride + unit,
            .slots_stride = model->slots_stride,
            .dout = model->dx + t * time + first + unit,
            .carry = model->carry + first + unit,
            .last = last,
            .fresh = fresh_lanes(model, t, part),
        };
        place_states(model, layer, t, part.lane_begin, unit, &step);
        if (work->hook)
            work->hook->look(work->hook->context, &step, t, part.lane_begin, block);
        model->cell->backward(&step);
    }
}

static void backward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct part part = part_of(work->model, me->thread, me->threads);
    for (int t = work->T - 1; t >= 0; t--) {
        backward_part(work, t, part, recurrent_of(work->model, me->thread));
        end_step(work, me);
    }
}

void layer_backward(struct model *model, int l, const struct window *window, const struct step_hook *hook)
{
    struct layer_work work = {model, l, window->T, hook};
    team_run(model->shape.threads, step_flops(&work), backward_steps, &work);
}

/* dL/dx of all rows, from slot input_slot[g] of each gate: rows of `slots`, into rows of `dx`. */
static void input_gradient(struct model *model, int l, const float *slots, int rows, float *dx, int64_t dx_stride)
{
    const struct layer *layer = &model->layer[l];
    const struct cell_kind *cell = model->cell;
    struct gemm_operand operand = {.segments = cell->gates, .lda = model->slots_stride};
    for (int g = 0; g < cell->gates; g++) {
        operand.segment[g].a = slots + cell->input_slot[g] * model->slot_stride;
        operand.segment[g].w = &layer->projection_back[g];
    }
    gemm_rows(&model->gemm, &operand, rows, dx, dx_stride);
}

void layer_input_gradient(struct model *model, int l, const struct window *window)
{
    if (l == 0 && model->merge) {
        int rows = model->merged.group_row[model->groups];
        input_gradient(model, l, model->merged.sums, rows, model->dx, model->layer[0].in_stride);
        return;
    }
    input_gradient(model, l, model->layer[l].slots, window->T * model->lanes, model->dx, model->layer[l].in_stride);
    if (dropout_active(&model->dropout))
        dropout_rows(&model->dropout, l,
                     (struct dropout_copy){window->T, model->layer[l].in, model->dx, model->dx,
                                           model->layer[l].in_stride, model->layer[l].in_stride});
}

/* The gradient of gate g's b_ih: that of b_hh, which is there already, unless the gate has a slot of its own for the input, or no
 * b_hh. */
static void input_bias(const struct model *model, int l, const struct gemm_sum *sum, int g, float *grad)
{
    const struct layer *layer = &model->layer[l];
    const struct cell_kind *cell = model->cell;
    int H = model->H;
    float *bias = grad + layer->offset.b_ih + g * H;
    if (g < cell->recurrent_gates && cell->input_slot[g] == cell->recurrent_slot[g]) {
        memcpy(bias, grad + layer->offset.b_hh + g * H, sizeof *bias * H);
        return;
    }
    struct gemm_lanes d = {layer->slots + cell->input_slot[g] * model->slot_stride,
                           (int64_t)model->lanes * model->slots_stride, model->slots_stride};
    gemm_gradient_bias(&model->gemm, sum, d, H, bias);
}

/* Gradients of W_hh and b_hh. */
static void recurrent_gradients(struct model *model, int l, const struct gemm_sum *sum, float *grad)
{
    const struct layer *layer = &model->layer[l];
    const struct cell_kind *cell = model->cell;
    int H = model->H;
    int64_t slots_time = (int64_t)model->lanes * model->slots_stride;
    struct gemm_lanes h = {layer->h, (int64_t)model->lanes * model->h_stride, model->h_stride};
    struct gemm_factor factor = {*sum, h, H, H, model->factor};
    gemm_factor_pack(&model->gemm, &factor);
    if (model->fresh)
        gemm_factor_clear(&model->gemm, &factor, model->fresh, model->lanes);
    for (int g = 0; g < cell->recurrent_gates; g++) {
        struct gemm_gradient gradient = {
            .factor = &factor,
            .a = {layer->slots + cell->recurrent_slot[g] * model->slot_stride, slots_time, model->slots_stride},
            .c = grad + layer->offset.w_hh + (int64_t)g * H * H,
            .ldc = H,
            .bias = grad + layer->offset.b_hh + g * H};
        gemm_gradient(&model->gemm, &gradient);
    }
}

void layer_gradients(struct model *model, int l, const struct window *window, struct lane_node node, float *grad)
{
    const struct layer *layer = &model->layer[l];
    const struct cell_kind *cell = model->cell;
    int H = model->H;
    int64_t slots_time = (int64_t)model->lanes * model->slots_stride;
    struct gemm_sum sum = {node, model->shape.share.group_begin, model->group_lane, window->T, model->shape.exact};
    if (cell->recurrent_gates > 0)
        recurrent_gradients(model, l, &sum, grad);

    /* the input's side: the same sum over positions, or over the distinct tokens of each group */
    struct gemm_lanes x = {layer->x, (int64_t)model->lanes * layer->in_stride, layer->in_stride};
    struct gemm_factor input = {sum, x, H, layer->in, model->factor};
    const float *slots = layer->slots;
    if (l == 0 && model->merge) {
        input.sum.group_lane = model->merged.group_row;
        input.sum.T = 1;
        input.b.base = model->merged.x;
        slots = model->merged.sums;
    }
    gemm_factor_pack(&model->gemm, &input);
    for (int g = 0; g < cell->gates; g++) {
        struct gemm_gradient gradient = {
            .factor = &input,
            .a = {slots + cell->input_slot[g] * model->slot_stride, slots_time, model->slots_stride},
            .c = grad + layer->offset.w_ih + (int64_t)g * H * layer->in,
            .ldc = layer->in};
        gemm_gradient(&model->gemm, &gradient);
        input_bias(model, l, &sum, g, grad);
    }
}
