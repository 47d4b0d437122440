/* The steps of a layer with rounds through time, and their mirror image backwards. A thread does the rounds of lanes of
 * its own, for each round reads all of what the one before has made of a lane; the step itself, where nearly all
 * products are, is shared out as in layer_steps.c: by ranges of lanes, or of units too, and then threads wait for each
 * other between the two. */
#include <string.h>

#include "layer_drop.h"
#include "layer_grid.h"
#include "layer_mogrify.h"
#include "unroll/base/team.h"

struct mogrify_work {
    const struct common *common;
    const struct layer *layer;
    const float *dh;              /* backward: gradient of the outputs */
    const struct step_hook *hook; /* backward; NULL: none */
};

/* A thread's share of a step: blocks of units and of features of the input, by lanes; and of the rounds. */
struct share {
    struct grid grid;
    struct part units, features;
    int lane, lanes; /* of the rounds: the first, and how many */
};

/* Numbers that a unit's products of a step read. */
static int64_t products(const struct mogrify_work *work)
{
    const struct layer *layer = work->layer;
    return (int64_t)layer->cell->gates * layer->in + (int64_t)layer->cell->recurrent_gates * layer->H;
}

static struct share share_of(const struct mogrify_work *work, const struct team_member *me)
{
    const struct layer *layer = work->layer;
    int lanes = work->common->lanes;
    struct share share = {.grid = grid_choose(&work->common->gemm, products(work), layer->blocks, lanes, me->threads)};
    share.units = grid_part(share.grid, layer->blocks, lanes, me->thread);
    share.features = grid_part(share.grid, gemm_round(layer->in) / GEMM_WIDE, lanes, me->thread);
    int column = me->thread % share.grid.units, row = share.units.lane_end - share.units.lane_begin;
    int begin = (int)team_begin(row, column, share.grid.units),
        end = (int)team_begin(row, column + 1, share.grid.units);
    share.lane = share.units.lane_begin + begin;
    share.lanes = end - begin;
    return share;
}

/* What others have made is read now. */
static void wait(const struct share *share, const struct team_member *me)
{
    if (share->grid.units > 1)
        team_barrier(me);
}

static int64_t step_flops(const struct mogrify_work *work)
{
    return 2 * products(work) * work->layer->H * work->common->lanes;
}

/* All columns of rows times weights. */
static void multiply(const struct gemm *gemm, const struct gemm_weights *weights, int rows, struct gemm_view a,
                     float *c, int64_t ldc)
{
    for (int panel = 0; panel * GEMM_WIDE < weights->n; panel++)
        gemm_panel(gemm, weights, panel, rows, a, false, c + panel * GEMM_WIDE, ldc);
}

/* ---- forward ---- */

/* The sigmoid's argument, [lanes][stride] in round->gate. */
static void round_products(const struct mogrify_work *work, int i, int t, const struct share *share)
{
    const struct common *common = work->common;
    const struct gemm *gemm = &common->gemm;
    const struct mogrify *mogrify = work->layer->mogrify;
    const struct mogrify_round *round = &mogrify->round[i];
    const uint8_t *fresh = i == 1 ? layer_fresh(common, t, share->lane) : NULL; /* later rounds read products with 0 */
    int64_t row = mogrify_row(common, t, share->lane);
    struct gemm_view by = i == 1 ? layer_rows_from(common, work->layer, (int64_t)t * common->lanes + share->lane)
                                 : mogrify_made(common, work->layer, i - 1, row);
    float *gate = round->gate + row * round->stride;
    if (mogrify->rank == 0) {
        multiply(gemm, &round->left, share->lanes, by, gate, round->stride);
        layer_clear_fresh(fresh, share->lanes, gate, round->stride, gemm_round(round->shape.rows));
        return;
    }
    size_t number = gemm_number_bytes(gemm);
    int64_t stride = mogrify->rank_stride;
    char *narrow = (char *)round->narrow + row * stride * (int64_t)number;
    float *product = number == sizeof *product ? (float *)narrow : round->d_narrow + row * stride;
    multiply(gemm, &round->right, share->lanes, by, product, stride);
    layer_clear_fresh(fresh, share->lanes, product, stride, gemm_round(mogrify->rank));
    for (int b = 0; b < share->lanes; b++)
        gemm_store(gemm, product + b * stride, mogrify->rank, narrow + b * stride * (int64_t)number);
    multiply(gemm, &round->left, share->lanes, gemm_dense(gemm, narrow, stride), gate, round->stride);
}

/* What the round gates of lane b, before it: what an earlier round made, the state, or the input; in bf16 the latter is
 * made floats again at `value`. */
static const float *gated_row(const struct mogrify_work *work, int i, int t, int b, float *value)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    const struct mogrify_round *round = &layer->mogrify->round[i];
    int64_t position = (int64_t)t * common->lanes + b;
    if (i == 1) {
        const char *row = (const char *)layer->input.x.base + position * layer->input.x.stride;
        return gemm_load(&common->gemm, row, gemm_round(layer->in), value);
    }
    if (i == 2)
        return common->fresh && common->fresh[position] ? layer->mogrify->nothing
                                                        : layer->h + position * layer->h_stride;
    return round[-2].value + mogrify_row(common, t, b) * round->stride;
}

/* The gates, and what they make. */
static void round_values(const struct mogrify_work *work, int i, int t, const struct share *share)
{
    const struct gemm *gemm = &work->common->gemm;
    const struct mogrify_round *round = &work->layer->mogrify->round[i];
    for (int b = share->lane; b < share->lane + share->lanes; b++) {
        int64_t place = mogrify_row(work->common, t, b) * round->stride;
        float *gate = round->gate + place, *value = round->value + place;
        const float *gated = gated_row(work, i, t, b, value);
        for (int u = 0; u < round->shape.rows; u += VLEN) {
            vfloat s = vsigmoid(vload(gate + u));
            vstore(gate + u, s);
            vstore(value + u, (s + s) * vload(gated + u));
        }
        gemm_store(gemm, value, round->shape.rows, (char *)round->dense + place * (int64_t)gemm_number_bytes(gemm));
    }
}

/* What W_hh reads of lane b, through the dropout of states. */
static void drop_state(const struct mogrify_work *work, int t, int b)
{
    const struct layer *layer = work->layer;
    int64_t position = (int64_t)t * work->common->lanes + b;
    int i = mogrify_last_h(layer->mogrify);
    const struct mogrify_round *round = &layer->mogrify->round[i];
    layer_drop_row(work->common, layer, position, b,
                   i > 0 ? round->value + mogrify_row(work->common, t, b) * round->stride
                         : layer->h + position * layer->h_stride);
}

static void rounds_forward(const struct mogrify_work *work, int t, const struct share *share)
{
    for (int i = 1; i <= work->layer->mogrify->rounds && share->lanes > 0; i++) {
        round_products(work, i, t, share);
        round_values(work, i, t, share);
    }
    for (int b = share->lane; dropout_active_states(&work->common->dropout) && b < share->lane + share->lanes; b++)
        drop_state(work, t, b);
}

/* The state that W_hh reads, from the first lane of the part on. */
static struct gemm_view state_rows(const struct mogrify_work *work, int t, int lane)
{
    const struct common *common = work->common;
    int i = dropout_active_states(&common->dropout) ? 0 : mogrify_last_h(work->layer->mogrify);
    return i > 0 ? mogrify_made(common, work->layer, i, mogrify_row(common, t, lane))
                 : layer_states_from(common, work->layer, (int64_t)t * common->lanes + lane);
}

/* Both products of a block of units, all gates of it. */
static void block_products(const struct mogrify_work *work, int t, const struct part *part, int block, float *sums)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    const struct mogrify *mogrify = layer->mogrify;
    int lanes = part->lane_end - part->lane_begin;
    const uint8_t *fresh = mogrify_last_h(mogrify) == 0 ? layer_fresh(common, t, part->lane_begin) : NULL;
    struct gemm_view x = mogrify_made(common, layer, mogrify_last_x(mogrify), mogrify_row(common, t, part->lane_begin));
    struct gemm_view h = state_rows(work, t, part->lane_begin);
    for (int g = 0; g < layer->cell->gates; g++) {
        float *of_gate = sums + (size_t)g * lanes * GEMM_WIDE;
        gemm_panel(&common->gemm, &layer->recurrent[g], block, lanes, h, false, of_gate, GEMM_WIDE);
        layer_clear_fresh(fresh, lanes, of_gate, GEMM_WIDE, GEMM_WIDE);
        gemm_panel(&common->gemm, &mogrify->input[g], block, lanes, x, true, of_gate, GEMM_WIDE);
    }
}

static void step_forward(const struct mogrify_work *work, int t, const struct part *part, float *sums)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    int lanes = part->lane_end - part->lane_begin;
    int64_t row = (int64_t)t * common->lanes + part->lane_begin;
    for (int block = part->block_begin; lanes > 0 && block < part->block_end; block++) {
        int unit = block * GEMM_WIDE;
        block_products(work, t, part, block, sums);
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = sums,
            .projection = layer->mogrify->nothing,
            .slot_stride = layer->slot_stride,
            .slots = layer->slots + row * layer->slots_stride + unit,
            .slots_stride = layer->slots_stride,
            .bias = layer->bias + unit,
            .fresh = layer_fresh(common, t, part->lane_begin),
        };
        layer_place_states(common, layer, t, part->lane_begin, unit, &step);
        layer->cell->forward(&step);
        layer_store_outputs(common, layer, t, part->lane_begin, part->lane_end, unit);
    }
}

static void forward_steps(void *context, const struct team_member *me)
{
    const struct mogrify_work *work = context;
    struct share share = share_of(work, me);
    for (int t = 0; t < work->common->window->T; t++) {
        rounds_forward(work, t, &share);
        wait(&share, me);
        step_forward(work, t, &share.units, layer_recurrent_room(work->common, work->layer, me->thread));
        wait(&share, me);
    }
}

void mogrify_forward(const struct common *common, struct layer *layer)
{
    struct mogrify_work work = {.common = common, .layer = layer};
    CHECK(!layer->input.index);
    layer_states_enter(common, layer);
    team_run(common->shape.threads, step_flops(&work), forward_steps, &work);
    layer_states_leave(common, layer);
}

/* ---- backward ---- */

/* The gradient of a block's states, from the steps after t, as the cell's part reads it. */
static void gather_block(const struct mogrify_work *work, const struct part *part, int unit, float *block)
{
    const struct layer *layer = work->layer;
    const float *dh = layer->mogrify->scratch.dh + unit;
    for (int b = part->lane_begin; b < part->lane_end; b++, block += GEMM_WIDE)
        memcpy(block, dh + (int64_t)b * layer->h_stride, sizeof *block * GEMM_WIDE);
}

static void step_backward(const struct mogrify_work *work, int t, const struct part *part, float *recurrent)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    bool last = t == common->window->T - 1;
    int lanes = part->lane_end - part->lane_begin;
    int64_t row = (int64_t)t * common->lanes + part->lane_begin;
    for (int block = part->block_begin; lanes > 0 && block < part->block_end; block++) {
        int unit = block * GEMM_WIDE;
        float *carry = common->scratch.carry + (int64_t)part->lane_begin * layer->h_stride + unit;
        if (!last) {
            gather_block(work, part, unit, recurrent);
            layer_clear_fresh(layer_fresh(common, t + 1, part->lane_begin), lanes, carry, layer->h_stride, GEMM_WIDE);
        }
        struct cell_step step = {
            .lanes = lanes,
            .recurrent = recurrent,
            .slot_stride = layer->slot_stride,
            .slots = layer->slots + row * layer->slots_stride + unit,
            .slots_stride = layer->slots_stride,
            .dout = work->dh + row * layer->h_stride + unit,
            .carry = carry,
            .last = last,
            .fresh = layer_fresh(common, t, part->lane_begin),
        };
        layer_place_states(common, layer, t, part->lane_begin, unit, &step);
        if (work->hook)
            work->hook->look(work->hook->context, &step, t, part->lane_begin, block);
        layer->cell->backward(&step);
        layer_settle_slots(common, layer, &step);
    }
}

/* Gradients of all gates at step t times a matrix of each: blocks [begin, end) of `to`, rows from the part's first lane
 * on. */
static void gates_back(const struct mogrify_work *work, int t, const struct part *part, const int *slot,
                       const struct gemm_weights *weights, float *to, int64_t stride)
{
    const struct common *common = work->common;
    const struct layer *layer = work->layer;
    int lanes = part->lane_end - part->lane_begin;
    const float *slots = layer->slots + ((int64_t)t * common->lanes + part->lane_begin) * layer->slots_stride;
    for (int block = part->block_begin; lanes > 0 && block < part->block_end; block++)
        for (int g = 0; g < layer->cell->gates; g++)
            gemm_panel(&common->gemm, &weights[g], block, lanes,
                       gemm_settled(&common->gemm, slots + slot[g] * layer->slot_stride, layer->slots_stride), g > 0,
                       to + block * GEMM_WIDE, stride);
}

/* Where the gradient of the input stands at step t. */
static float *dx_at(const struct mogrify_work *work, int t, int lane)
{
    const struct layer *layer = work->layer;
    return layer->mogrify->scratch.dx + ((int64_t)t * work->common->lanes + lane) * layer->in_stride;
}

/* What gates are: d comes as the gradient of what a round made and leaves as that of what it gated, and the gate
 * becomes the gradient of the sigmoid's argument: d 2 before s (1 - s) = d value (1 - s). */
static void gates_backward(int width, const float *added, const float *value, float *gate, float *d)
{
    for (int u = 0; u < width; u += VLEN) {
        vfloat s = vload(gate + u), gradient = vload(d + u);
        if (added)
            gradient += vload(added + u);
        vstore(gate + u, gradient * vload(value + u) * (1.0f - s));
        vstore(d + u, gradient * (s + s));
    }
}

static void round_backward(const struct mogrify_work *work, int i, int t, const struct share *share)
{
    const struct common *common = work->common;
    const struct gemm *gemm = &common->gemm;
    const struct layer *layer = work->layer;
    const struct mogrify *mogrify = layer->mogrify;
    const struct mogrify_round *round = &mogrify->round[i];
    const struct mogrify_scratch *scratch = &mogrify->scratch;
    int64_t row = mogrify_row(common, t, share->lane), stride = round->stride;
    int64_t by_stride = round->shape.of_x ? layer->h_stride : layer->in_stride;
    float *d = round->shape.of_x ? dx_at(work, t, share->lane) : scratch->dh + (int64_t)share->lane * layer->h_stride;
    float *gate = round->gate + row * stride, *product = scratch->product + scratch->product_stride * share->lane;
    for (int b = 0; b < share->lanes; b++) {
        gates_backward(round->shape.rows, i < mogrify->rounds ? product + b * stride : NULL,
                       round->value + (row + b) * stride, gate + b * stride, d + b * stride);
        gemm_settle(gemm, gate + b * stride, gemm_round(round->shape.rows));
    }
    struct gemm_view d_gate = gemm_settled(gemm, gate, stride);
    if (mogrify->rank == 0) {
        multiply(gemm, &round->left_back, share->lanes, d_gate, product, by_stride);
        return;
    }
    float *d_narrow = round->d_narrow + row * mogrify->rank_stride;
    multiply(gemm, &round->left_back, share->lanes, d_gate, d_narrow, mogrify->rank_stride);
    for (int b = 0; b < share->lanes; b++)
        gemm_settle(gemm, d_narrow + b * mogrify->rank_stride, gemm_round(mogrify->rank));
    multiply(gemm, &round->right_back, share->lanes, gemm_settled(gemm, d_narrow, mogrify->rank_stride), product,
             by_stride);
}

/* What round 1 adds to the gradient of the state; nothing goes past a reset. */
static void end_rounds(const struct mogrify_work *work, int t, const struct share *share)
{
    const struct layer *layer = work->layer;
    const struct mogrify_scratch *scratch = &layer->mogrify->scratch;
    float *dh = scratch->dh + (int64_t)share->lane * layer->h_stride;
    const float *product = scratch->product + scratch->product_stride * share->lane;
    for (int b = 0; b < share->lanes; b++)
        for (int u = 0; u < layer->H; u += VLEN) {
            float *place = dh + (int64_t)b * layer->h_stride + u;
            vstore(place, vload(place) + vload(product + (int64_t)b * layer->h_stride + u));
        }
    layer_clear_fresh(layer_fresh(work->common, t, share->lane), share->lanes, dh, layer->h_stride, layer->h_stride);
}

static void rounds_backward(const struct mogrify_work *work, int t, const struct share *share)
{
    if (share->lanes == 0)
        return;
    for (int i = work->layer->mogrify->rounds; i >= 1; i--)
        round_backward(work, i, t, share);
    end_rounds(work, t, share);
}

static void backward_steps(void *context, const struct team_member *me)
{
    const struct mogrify_work *work = context;
    const struct layer *layer = work->layer;
    const struct cell_kind *cell = layer->cell;
    struct mogrify *mogrify = layer->mogrify;
    struct share share = share_of(work, me);
    const struct part *units = &share.units, *features = &share.features;
    float *dh = mogrify->scratch.dh + (int64_t)units->lane_begin * layer->h_stride;
    for (int t = work->common->window->T - 1; t >= 0; t--) {
        step_backward(work, t, units, layer_recurrent_room(work->common, work->layer, me->thread));
        wait(&share, me);
        gates_back(work, t, features, cell->input_slot, mogrify->input_back, dx_at(work, t, features->lane_begin),
                   layer->in_stride);
        gates_back(work, t, units, cell->recurrent_slot, layer->recurrent_back, dh, layer->h_stride);
        for (int block = units->block_begin; dropout_active_states(&work->common->dropout) && block < units->block_end;
             block++)
            layer_drop_recurrent(layer, units->lane_begin, units->lane_end - units->lane_begin, block * GEMM_WIDE,
                                 dh + block * GEMM_WIDE, layer->h_stride);
        wait(&share, me);
        rounds_backward(work, t, &share);
        wait(&share, me);
    }
}

void mogrify_backward(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook)
{
    struct mogrify_work work = {common, layer, dh, hook};
    team_run(common->shape.threads, step_flops(&work), backward_steps, &work);
}
