/* The recurrence of one layer over a window, step by step with weights packed once per update, and its mirror image
 * backwards. Threads own ranges of lanes, or blocks of hidden units with all their gates: then one barrier a time step
 * is enough. */
#include <string.h>

#include "layer.h"
#include "layer_drop.h"
#include "layer_grid.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* What the team works on. */
struct layer_work {
    const struct common *common;
    const struct layer *layer;
    const float *dh;              /* backward: gradient of the outputs */
    const struct step_hook *hook; /* backward; NULL: none */
};

/* Of the recurrent product alone. */
static struct grid grid_of(const struct layer_work *work, int threads)
{
    const struct layer *layer = work->layer;
    return grid_choose(&work->common->gemm, (int64_t)layer->cell->recurrent_gates * layer->H, layer->blocks,
                       work->common->lanes, threads);
}

void layer_place_states(const struct common *common, const struct layer *layer, int t, int lane, int unit,
                        struct cell_step *step)
{
    int lanes = common->lanes;
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        int64_t row = (state->edges ? 0 : (int64_t)t * lanes) + lane, column = state->width == layer->H ? unit : 0;
        step->before[s] = state->steps + row * state->stride + column;
        step->state[s] = state->steps + (row + lanes) * state->stride + column;
        step->state_stride[s] = state->stride;
    }
}

void layer_store_outputs(const struct common *common, const struct layer *layer, int t, int begin, int end, int unit)
{
    const struct gemm *gemm = &common->gemm;
    size_t bytes = gemm_number_bytes(gemm);
    for (int lane = begin; layer->rows != layer->h && lane < end; lane++) {
        int64_t place = ((int64_t)(t + 1) * common->lanes + lane) * layer->h_stride + unit;
        gemm_store(gemm, layer->h + place, GEMM_WIDE, (char *)layer->rows + place * (int64_t)bytes);
    }
    if (dropout_active_states(&common->dropout))
        layer_drop_rows(common, layer, t + 1, begin, end, unit);
}

static void forward_part(const struct layer_work *work, int t, struct part part, float *recurrent)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    int gates = layer->cell->recurrent_gates, lanes = part.lane_end - part.lane_begin;
    int64_t row = (int64_t)t * common->lanes + part.lane_begin;
    const int32_t *index = layer->input.index;
    const struct gemm_view h_previous = layer_states_from(common, layer, (int64_t)t * common->lanes + part.lane_begin);
    const uint8_t *fresh = layer_fresh(common, t, part.lane_begin);
    for (int block = part.block_begin; block < part.block_end; block++) {
        int unit = block * GEMM_WIDE;
        if (!TUNE_PACK_ONCE)
            layer_pack_block(common, layer, layer->recurrent, block);
        for (int g = 0; g < gates; g++)
            gemm_panel(&common->gemm, &layer->recurrent[g], block, lanes, h_previous, false,
                       recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE);
        for (int g = 0; fresh && g < gates; g++)
            layer_clear_fresh(fresh, lanes, recurrent + (size_t)g * lanes * GEMM_WIDE, GEMM_WIDE, GEMM_WIDE);
        float *slots = layer->slots + row * layer->slots_stride + unit;
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .projection = index ? layer->projected + unit : slots,
            .index = index ? index + row : NULL,
            .projection_stride = index ? (int64_t)layer->input_blocks * layer->slot_stride : layer->slots_stride,
            .time_rows = common->lanes,
            .input_blocks = layer->input_blocks,
            .unit = unit,
            .H = layer->H,
            .slot_stride = layer->slot_stride,
            .slots = slots,
            .slots_stride = layer->slots_stride,
            .bias = layer->bias + unit,
            .first = t == 0,
            .last = t == common->window->T - 1,
            .fresh = fresh,
        };
        layer_place_states(common, layer, t, part.lane_begin, unit, &step);
        layer->cell->forward(&step);
        layer_store_outputs(common, layer, t, part.lane_begin, part.lane_end, unit);
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

/* Others' units are read in the next step. */
static void end_step(const struct layer_work *work, struct grid grid, const struct team_member *me)
{
    if (work->layer->cell->recurrent_gates > 0 && grid.units > 1)
        team_barrier(me);
}

static void forward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct grid grid = grid_of(work, me->threads);
    struct part part = grid_part(grid, work->layer->blocks, work->common->lanes, me->thread);
    for (int t = 0; t < work->common->window->T; t++) {
        forward_part(work, t, part, layer_recurrent_room(work->common, work->layer, me->thread));
        end_step(work, grid, me);
    }
}

void layer_states_enter(const struct common *common, struct layer *layer)
{
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        memcpy(state->steps, state->carried, sizeof(float) * common->lanes * state->stride);
    }
    gemm_store(&common->gemm, layer->h, common->lanes * layer->h_stride, layer->rows);
    for (int unit = 0; unit < layer->H && dropout_active_states(&common->dropout); unit += GEMM_WIDE)
        layer_drop_rows(common, layer, 0, 0, common->lanes, unit);
}

void layer_states_leave(const struct common *common, struct layer *layer)
{
    for (int s = 0; s < layer->states; s++) {
        const struct layer_state *state = &layer->state[s];
        size_t rows = (size_t)common->lanes * state->stride;
        memcpy(state->carried, state->steps + (state->edges ? 1 : common->window->T) * rows, sizeof(float) * rows);
    }
}

void layer_forward(const struct common *common, struct layer *layer)
{
    struct layer_work work = {.common = common, .layer = layer};
    layer_states_enter(common, layer);
    team_run(common->shape.threads, step_flops(&work), forward_steps, &work);
    layer_states_leave(common, layer);
}

/* ---- backward ---- */

void layer_settle_slots(const struct common *common, const struct layer *layer, const struct cell_step *step)
{
    for (int b = 0; gemm_number_bytes(&common->gemm) < sizeof *step->slots && b < step->lanes; b++)
        for (int slot = 0; slot < layer->slot_count; slot++)
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
            layer_pack_block(common, layer, layer->recurrent_back, block);
        if (!last)
            for (int g = 0; g < gates; g++)
                gemm_panel(&common->gemm, &layer->recurrent_back[g], block, lanes,
                           gemm_settled(&common->gemm, next + cell->recurrent_slot[g] * layer->slot_stride,
                                        layer->slots_stride),
                           g > 0, recurrent, GEMM_WIDE);
        if (!last && recurrent && dropout_active_states(&common->dropout))
            layer_drop_recurrent(layer, part.lane_begin, lanes, unit, recurrent, GEMM_WIDE);
        if (!last && common->fresh) {
            const uint8_t *fresh = layer_fresh(common, t + 1, part.lane_begin);
            if (recurrent)
                layer_clear_fresh(fresh, lanes, recurrent, GEMM_WIDE, GEMM_WIDE);
            layer_clear_fresh(fresh, lanes, carry + unit, layer->h_stride, GEMM_WIDE);
        }
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .slot_stride = layer->slot_stride,
            .slots = layer->slots + row * layer->slots_stride + unit,
            .slots_stride = layer->slots_stride,
            .dout = work->dh + t * time + first + unit,
            .bias = layer->bias + unit,
            .carry = carry + unit,
            .time_rows = common->lanes,
            .input_blocks = layer->input_blocks,
            .unit = unit,
            .H = layer->H,
            .first = t == 0,
            .last = last,
            .fresh = layer_fresh(common, t, part.lane_begin),
        };
        layer_place_states(common, layer, t, part.lane_begin, unit, &step);
        if (work->hook)
            work->hook->look(work->hook->context, &step, t, part.lane_begin, block);
        cell->backward(&step);
        layer_settle_slots(common, layer, &step);
    }
}

static void backward_steps(void *context, const struct team_member *me)
{
    const struct layer_work *work = context;
    struct grid grid = grid_of(work, me->threads);
    struct part part = grid_part(grid, work->layer->blocks, work->common->lanes, me->thread);
    for (int t = work->common->window->T - 1; t >= 0; t--) {
        backward_part(work, t, part, layer_recurrent_room(work->common, work->layer, me->thread));
        end_step(work, grid, me);
    }
}

void layer_backward(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook)
{
    struct layer_work work = {common, layer, dh, hook};
    team_run(common->shape.threads, step_flops(&work), backward_steps, &work);
}
