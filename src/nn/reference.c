/* One lane after another, layer by layer, step by step. Backward mirrors forward, line for line, in reverse. */
#include "unroll/nn/reference.h"

#include <math.h>
#include <string.h>

#include "affine.h"
#include "mogrify.h"
#include "penalty.h"
#include "reference_drop.h"
#include "reference_tape.h"
#include "unroll/base/mem.h"
#include "unroll/nn/dropout.h"

/* The mask of one site, lane and time; ones without dropout. Site l is the input of layer l, site L the decoder's. */
static void fill_mask(const struct reference *r, struct tape *t, int64_t step, int site, int64_t lane, int time,
                      int units)
{
    double *mask = tape_mask(t, site, time);
    const uint32_t threshold = dropout_threshold(model_dropout(&r->config, site));
    const uint32_t of_time = r->config.dropout_kind == DROPOUT_LOCKED ? 0 : (uint32_t)time;
    if (step >= 0 && threshold > 0)
        dropout_mask(r->seed, site, (uint32_t)step, (uint32_t)lane, of_time, units, threshold, t->mask_float);
    for (int u = 0; u < units; u++)
        mask[u] = step >= 0 && threshold > 0 ? t->mask_float[u] : 1;
}

/* The vector of a token is dropped as a whole, besides. */
static void drop_word(const struct reference *r, int64_t step, uint32_t token, int units, double *mask)
{
    const double word = dropout_word(r->seed, (uint32_t)step, token, dropout_threshold(r->config.dropout_embedding));
    for (int u = 0; u < units; u++)
        mask[u] *= word;
}

static void apply_nudge(const struct reference *r, int layer, int time, const struct reference_step *s)
{
    const struct reference_nudge *nudge = &r->nudge;
    const struct cell_kind *kind = cell_kind(r->config.cell);
    const int u = nudge->unit;
    if (nudge->amount == 0 || layer != nudge->layer || time != nudge->time)
        return;
    s->state[nudge->state][u] += nudge->amount;
    const int H = model_width(&r->config, layer);
    if (nudge->state != CELL_H && kind->reference_output && u < H)
        s->state[CELL_H][u] = kind->reference_output(H, s, u);
}

static double *rounds_at(const struct tape *t, int layer, int time)
{
    return t->rounds + ((size_t)layer * (size_t)t->T + (size_t)time) * t->rounds_size;
}

/* The gates' blocks of W_ih have a bias, those behind them have none. */
static void input_forward(const struct reference *r, const struct tape *t, const struct tensors *w, int l,
                          const double *x, const struct reference_step *s)
{
    const int H = model_width(&r->config, l), GH = t->cell->gates * H;
    const int inputs = model_inputs(&r->config, l), rest = s->input_blocks * H - GH;
    const double *weight = w->layer[l].weight_ih;
    affine(GH, inputs, weight, x, w->layer[l].bias_ih, s->from_input);
    affine(rest, inputs, weight + (size_t)GH * (size_t)inputs, x, NULL, s->from_input + GH);
}

static void input_backward(const struct reference *r, const struct tape *t, const struct tensors *w,
                           const struct tensors *d, int l, const double *x, const struct reference_step *s,
                           double *d_input)
{
    const int H = model_width(&r->config, l), GH = t->cell->gates * H;
    const int inputs = model_inputs(&r->config, l), rest = s->input_blocks * H - GH;
    const size_t behind = (size_t)GH * (size_t)inputs;
    const double *weight = w->layer[l].weight_ih;
    double *d_weight = d->layer[l].weight_ih;
    affine_backward(GH, inputs, weight, x, t->d_from_input, d_weight, d->layer[l].bias_ih, d_input);
    affine_backward(rest, inputs, weight + behind, x, t->d_from_input + GH, d_weight + behind, NULL, d_input);
}

/* What W_hh reads of the state goes through a dropout of its own. */
static void recurrent_forward(const struct reference *r, const struct tape *t, const struct tensors *w, int l,
                              const double *h, const struct reference_step *s)
{
    const int H = model_width(&r->config, l);
    const double *mask = t->state_mask + l * t->H;
    for (int u = 0; u < H; u++)
        t->read[u] = h[u] * mask[u];
    affine(t->cell->recurrent_gates * H, H, w->layer[l].weight_hh, t->read, w->layer[l].bias_hh, s->from_state);
}

static void recurrent_backward(const struct reference *r, const struct tape *t, const struct tensors *w,
                               const struct tensors *d, int l, const double *h)
{
    const int H = model_width(&r->config, l);
    const double *mask = t->state_mask + l * t->H;
    for (int u = 0; u < H; u++) {
        t->read[u] = h[u] * mask[u];
        t->d_read[u] = 0;
    }
    affine_backward(t->cell->recurrent_gates * H, H, w->layer[l].weight_hh, t->read, t->d_from_state,
                    d->layer[l].weight_hh, d->layer[l].bias_hh, t->d_read);
    for (int u = 0; u < H; u++)
        t->d_state[CELL_H][u] += t->d_read[u] * mask[u];
}

static struct reference_drop drop_of(const struct reference *r, const struct tape *t, int64_t step)
{
    return (struct reference_drop){&r->config, r->seed, step, t->mask_float};
}

/* W_hh of all layers becomes that of the step. */
static void drop_weights(const struct reference *r, const struct tape *t, int64_t step, struct tensors *w)
{
    const struct reference_drop drop = drop_of(r, t, step);
    for (int l = 0; l < t->L && reference_drops_weights(&drop); l++) {
        double *dropped = t->dropped_weights + (size_t)l * (size_t)t->RH * (size_t)t->H;
        reference_drop_weights(&drop, l, w->layer[l].weight_hh, dropped);
        w->layer[l].weight_hh = dropped;
    }
}

static void drop_weights_backward(const struct reference *r, const struct tape *t, int64_t step,
                                  const struct tensors *d)
{
    const struct reference_drop drop = drop_of(r, t, step);
    for (int l = 0; l < t->L && reference_drops_weights(&drop); l++)
        reference_drop_weights(&drop, l, d->layer[l].weight_hh, d->layer[l].weight_hh);
}

static void lane_forward(struct reference *r, const struct tensors *w, struct tape *t, const struct window *window,
                         int b, int64_t step)
{
    const int E = t->E;
    const int64_t lane = (int64_t)window->lane0 + b;
    for (int time = 0; time < t->T; time++) {
        const uint32_t token = window->input[time * window->lanes + b];
        const double *row = w->encoder + (size_t)token * (size_t)E;
        t->fresh[time] = r->config.reset_token && token == r->config.reset_token;
        fill_mask(r, t, step, 0, lane, time, E);
        if (step >= 0)
            drop_word(r, step, token, E, tape_mask(t, 0, time));
        for (int u = 0; u < E; u++)
            tape_input(t, 0, time)[u] = row[u] * tape_mask(t, 0, time)[u];
    }
    const struct reference_drop drop = drop_of(r, t, step);
    for (int l = 0; l < t->L; l++) {
        reference_drop_states(&drop, l, lane, t->state_mask + l * t->H);
        for (int time = 0; time < t->T; time++) {
            const int H = model_width(&r->config, l);
            struct reference_step s = tape_cell_step(t, l, time);
            const double *x = tape_input(t, l, time), *h = s.before[CELL_H];
            mogrify_reference_forward(&r->config, model_inputs(&r->config, l), H, w->layer[l].further, &x, &h,
                                      rounds_at(t, l, time));
            input_forward(r, t, w, l, x, &s);
            recurrent_forward(r, t, w, l, h, &s);
            s.vectors = w->layer[l].further[0];
            t->cell->reference_forward(H, &s);
            apply_nudge(r, l, time, &s);
            fill_mask(r, t, l + 1 == t->L && t->output->drops_own_rows ? -1 : step, l + 1, lane, time, H);
            for (int u = 0; u < H; u++)
                tape_input(t, l + 1, time)[u] = s.state[CELL_H][u] * tape_mask(t, l + 1, time)[u];
        }
    }
}

/* Loss of the lane; with `grad` also gradients of the output layer and, in d_input, that of its input. */
static double lane_output(const struct reference *r, struct tape *t, const struct window *window, int b, int64_t step,
                          double *row, double *grad)
{
    memset(t->d_input, 0, sizeof *t->d_input * (size_t)t->T * tape_width(t));
    const struct reference_output lane = {
        .config = &r->config,
        .table = &r->table,
        .values = r->values,
        .grad = grad,
        .window = window,
        .lane = b,
        .seed = r->seed,
        .step = step,
        .y = tape_input(t, t->L, 0),
        .dy = t->d_input,
        .stride = tape_width(t),
        .row = row,
        .work = t->output_work,
        .mask = t->mask_float,
    };
    return t->output->reference(&lane);
}

/* The penalties of the lane; with `grad` their gradients in d_input and d_output. */
static double lane_penalty(const struct reference *r, struct tape *t, const struct window *window, int b, bool grad)
{
    memset(t->d_output, 0, sizeof *t->d_output * (size_t)t->T * (size_t)t->width[CELL_H]);
    const struct penalty_reference lane = {
        .config = &r->config,
        .window = window,
        .lane = b,
        .fresh = t->fresh,
        .y = tape_input(t, t->L, 0),
        .h = tape_step(t, t->L - 1, 0).state[CELL_H],
        .dy = grad ? t->d_input : NULL,
        .dh = grad ? t->d_output : NULL,
        .y_stride = tape_width(t),
        .h_stride = (size_t)t->width[CELL_H],
    };
    return penalty_reference(&lane);
}

static void clear_gradients(struct tape *t)
{
    for (int k = 0; k < t->states; k++)
        memset(t->d_state[k], 0, sizeof *t->d_state[k] * (size_t)t->width[k]);
}

/* Back through time: from the last step, after which nothing is known, to the first, before which the state counts as a
 * constant (truncation). d_input comes as the gradient of what layer l feeds and leaves as that of its own input. */
static void layer_backward(const struct reference *r, const struct tensors *w, const struct tensors *d, struct tape *t,
                           int l)
{
    const int H = model_width(&r->config, l);
    clear_gradients(t);
    for (int time = t->T - 1; time >= 0; time--) {
        struct reference_step s = tape_cell_step(t, l, time);
        double *d_input = t->d_input + (size_t)time * tape_width(t);
        for (int u = 0; u < H; u++)
            t->d_state[CELL_H][u] += d_input[u] * tape_mask(t, l + 1, time)[u];
        for (int u = 0; l + 1 == t->L && u < H; u++)
            t->d_state[CELL_H][u] += t->d_output[time * t->width[CELL_H] + u];
        s.vectors = w->layer[l].further[0];
        s.d_vectors = d->layer[l].further[0];
        t->cell->reference_backward(H, &s, t->d_state, t->d_from_input, t->d_from_state);
        const double *x0 = tape_input(t, l, time), *h0 = s.before[CELL_H], *x = x0, *h = h0;
        mogrify_reference_made(&r->config, model_inputs(&r->config, l), H, rounds_at(t, l, time), &x, &h);
        recurrent_backward(r, t, w, d, l, h);
        memset(d_input, 0, sizeof *d_input * tape_width(t));
        input_backward(r, t, w, d, l, x, &s, d_input);
        mogrify_reference_backward(&r->config, model_inputs(&r->config, l), H, w->layer[l].further, x0, h0,
                                   rounds_at(t, l, time), d->layer[l].further, d_input, t->d_state[CELL_H]);
        if (t->fresh[time]) /* the step before belongs to another sentence */
            clear_gradients(t);
    }
}

static void lane_backward(const struct reference *r, const struct tensors *w, const struct tensors *d, struct tape *t,
                          const struct window *window, int b)
{
    for (int l = t->L - 1; l >= 0; l--)
        layer_backward(r, w, d, t, l);
    for (int time = 0; time < t->T; time++) {
        double *row = d->encoder + (size_t)window->input[time * window->lanes + b] * (size_t)t->E;
        for (int u = 0; u < t->E; u++)
            row[u] += t->d_input[(size_t)time * tape_width(t) + (size_t)u] * tape_mask(t, 0, time)[u];
    }
}

/* Carried state into (or out of) the first (last) place of the tape. */
static void exchange_state(struct reference *r, struct tape *t, int b, bool into, bool zero)
{
    for (int index = 0; index < model_state_arrays(&r->config); index++) {
        const struct reference_step first = tape_step(t, index % t->L, 0), last = tape_step(t, index % t->L, t->T - 1);
        const int k = index / t->L;
        const size_t wide = (size_t)model_state_width(&r->config, index), bytes = sizeof(double) * wide;
        double *carried = r->state + (size_t)r->lanes * model_state_offset(&r->config, index) + (size_t)b * wide;
        if (into && zero)
            memset(first.before[k], 0, bytes);
        else if (into)
            memcpy(first.before[k], carried, bytes);
        else
            memcpy(carried, last.state[k], bytes);
    }
}

/* The input of a ReLU that is nearest to its kink. */
static double nearest_kink(const struct reference *r, const struct tape *t)
{
    double nearest = INFINITY;
    for (int l = 0; l < t->L; l++)
        for (int time = 0; time < t->T; time++) {
            const struct reference_step s = tape_step(t, l, time);
            for (int u = 0; u < t->cell->gates * model_width(&r->config, l); u++)
                nearest = fmin(nearest, fabs(s.from_input[u] + s.from_state[u]));
        }
    return nearest;
}

enum status reference_window(struct reference *r, const struct window *window, int64_t step, double *loss, double *row,
                             double *grad, struct error *e)
{
    struct tape tape;
    struct tensors values, gradients;
    CHECK(window->lanes == r->lanes);
    enum status status = tape_create(r, window->T, &tape, e);
    if (!status) {
        tensors_bind(r, r->values, false, &values);
        if (grad) {
            memset(grad, 0, sizeof *grad * r->table.grad_total);
            tensors_bind(r, grad, true, &gradients);
        }
        drop_weights(r, &tape, step, &values);
        *loss = r->penalty = 0;
        r->nearest_kink = INFINITY;
        for (int b = 0; b < r->lanes; b++) {
            exchange_state(r, &tape, b, true, window->reset);
            lane_forward(r, &values, &tape, window, b, step);
            *loss += lane_output(r, &tape, window, b, step, row, grad);
            r->penalty += step >= 0 ? lane_penalty(r, &tape, window, b, grad != NULL) : 0;
            if (grad)
                lane_backward(r, &values, &gradients, &tape, window, b);
            exchange_state(r, &tape, b, false, false);
            if (tape.cell->kinks)
                r->nearest_kink = fmin(r->nearest_kink, nearest_kink(r, &tape));
        }
        if (grad)
            drop_weights_backward(r, &tape, step, &gradients);
    }
    tape_release(&tape);
    return status;
}

enum status reference_create(const struct model_config *config, uint64_t seed, int lanes, struct reference **out,
                             struct error *e)
{
    enum status status = model_config_check(config, e);
    if (status)
        return status;
    struct reference *r = mem_alloc(1, sizeof *r, "the reference model", e);
    if (!r)
        return STATUS_OS;
    r->config = *config;
    r->seed = seed;
    r->lanes = lanes;
    r->nearest_kink = INFINITY;
    param_table_build(config, &r->table);
    const size_t states = model_state_offset(config, model_state_arrays(config));
    r->values = mem_alloc(r->table.total, sizeof *r->values, "the reference's parameters", e);
    r->state = mem_alloc(states * (size_t)lanes, sizeof *r->state, "the reference's state", e);
    if (!r->values || !r->state) {
        reference_free(r);
        return STATUS_OS;
    }
    *out = r;
    return STATUS_OK;
}

void reference_free(struct reference *r)
{
    if (!r)
        return;
    mem_free(r->values);
    mem_free(r->state);
    mem_free(r);
}
