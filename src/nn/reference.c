/* One lane after another, layer by layer, step by step. Backward mirrors forward, line for line, in reverse. */
#include "unroll/nn/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/nn/dropout.h"
#include "unroll/nn/reference_cells.h"

/* The tensors of one array in the layout of the table: values, or gradients. */
struct tensors {
    double *encoder; /* [V][E] */
    struct {
        double *weight_ih;         /* [G*H][E or H] */
        double *weight_hh;         /* [G*H][H] */
        double *bias_ih, *bias_hh; /* [G*H] */
    } layer[MODEL_LAYERS_MAX];
    double *decoder;      /* [V][H] */
    double *decoder_bias; /* [V] */
};

/* Everything a window of one lane leaves for the backward pass. */
struct tape {
    int T, L, E, H, GH, V; /* V: rows of the decoder */
    double *input;         /* [L+1][T][max(E,H)] input of each layer and of the decoder, after dropout */
    double *mask;          /* like input: what dropout multiplied it with */
    double *from_input, *from_state, *gate; /* [L][T][GH] */
    double *h, *c;                          /* [L][T+1][H], the first of each layer being the carried state */
    double *zero;                           /* [H] */
    bool *fresh;                            /* [T] this lane's state is zero before the step */
    double *logits;                         /* [V] of one step */
    double *pooled, *pool_mask;             /* [H] to classify: the text's row, and what dropout multiplied it with */
    double *d_input;           /* [T][max(E,H)] gradient of the input of the layer above, then of the layer at hand */
    double *dh, *dh_prev, *dc; /* [H] of one step */
    double *d_from_input, *d_from_state; /* [GH] of one step */
    float *mask_float;                   /* [max(E,H)] */
    void *block, *float_block, *fresh_block;
};

static double *tensor(const struct param_table *table, double *array, bool gradient, int place)
{
    const struct param *p = &table->param[place];
    return array + (gradient ? p->grad_offset : p->offset);
}

static void tensors_bind(const struct reference *r, double *array, bool gradient, struct tensors *w)
{
    const struct param_table *table = &r->table;
    w->encoder = tensor(table, array, gradient, table->encoder);
    for (int l = 0; l < r->config.layers; l++) {
        w->layer[l].weight_ih = tensor(table, array, gradient, table->layer[l].w_ih);
        w->layer[l].weight_hh = tensor(table, array, gradient, table->layer[l].w_hh);
        w->layer[l].bias_ih = tensor(table, array, gradient, table->layer[l].b_ih);
        w->layer[l].bias_hh = tensor(table, array, gradient, table->layer[l].b_hh);
    }
    w->decoder = tensor(table, array, gradient, table->decoder_weight);
    w->decoder_bias = tensor(table, array, gradient, table->decoder_bias);
}

static size_t width(const struct tape *t)
{
    return (size_t)(t->E > t->H ? t->E : t->H);
}

static double *take(double **next, size_t count)
{
    double *taken = *next;
    *next += count;
    return taken;
}

static enum status tape_create(const struct reference *r, int T, struct tape *t, struct error *e)
{
    const struct model_config *config = &r->config;
    *t = (struct tape){
        .T = T, .L = config->layers, .E = config->embedding, .H = config->hidden, .V = model_outputs(config)};
    t->GH = cell_gates(config->cell) * t->H;
    const size_t L = (size_t)t->L, H = (size_t)t->H, GH = (size_t)t->GH, V = (size_t)t->V, W = width(t);
    const size_t steps = (size_t)T;
    const size_t per_step = 2 * (L + 1) * W + 3 * L * GH + 2 * L * H + W, once = 2 * L * H + V + 6 * H + 2 * GH;
    t->block = mem_alloc(steps * per_step + once, sizeof(double), "the reference's window", e);
    t->float_block = mem_alloc(W, sizeof(float), "the reference's window", e);
    t->fresh_block = mem_alloc(steps, sizeof *t->fresh, "the reference's window", e);
    if (!t->block || !t->float_block || !t->fresh_block)
        return STATUS_OS;
    double *next = t->block;
    t->input = take(&next, (L + 1) * steps * W);
    t->mask = take(&next, (L + 1) * steps * W);
    t->from_input = take(&next, L * steps * GH);
    t->from_state = take(&next, L * steps * GH);
    t->gate = take(&next, L * steps * GH);
    t->h = take(&next, L * (steps + 1) * H);
    t->c = take(&next, L * (steps + 1) * H);
    t->d_input = take(&next, steps * W);
    t->logits = take(&next, V);
    t->dh = take(&next, H);
    t->dh_prev = take(&next, H);
    t->dc = take(&next, H);
    t->d_from_input = take(&next, GH);
    t->d_from_state = take(&next, GH);
    t->zero = take(&next, H);
    t->pooled = take(&next, H);
    t->pool_mask = take(&next, H);
    t->fresh = t->fresh_block;
    t->mask_float = t->float_block;
    return STATUS_OK;
}

static void tape_release(struct tape *t)
{
    mem_free(t->block);
    mem_free(t->float_block);
    mem_free(t->fresh_block);
}

static double *input_at(const struct tape *t, int layer, int time)
{
    return t->input + ((size_t)layer * (size_t)t->T + (size_t)time) * width(t);
}

static double *mask_at(const struct tape *t, int layer, int time)
{
    return t->mask + ((size_t)layer * (size_t)t->T + (size_t)time) * width(t);
}

static struct reference_step step_at(const struct tape *t, int layer, int time)
{
    const size_t gates = ((size_t)layer * (size_t)t->T + (size_t)time) * (size_t)t->GH;
    const size_t before = ((size_t)layer * (size_t)(t->T + 1) + (size_t)time) * (size_t)t->H;
    const size_t after = before + (size_t)t->H;
    return (struct reference_step){.from_input = t->from_input + gates,
                                   .from_state = t->from_state + gates,
                                   .gate = t->gate + gates,
                                   .h_prev = t->h + before,
                                   .h = t->h + after,
                                   .c_prev = t->c + before,
                                   .c = t->c + after};
}

/* The same as the cell sees it: with an empty state where a sentence begins. */
static struct reference_step cell_step_at(const struct tape *t, int layer, int time)
{
    struct reference_step step = step_at(t, layer, time);
    if (t->fresh[time])
        step.h_prev = step.c_prev = t->zero;
    return step;
}

/* y = W x + b, W [rows][columns] */
static void affine(int rows, int columns, const double *W, const double *x, const double *b, double *y)
{
    for (int i = 0; i < rows; i++) {
        y[i] = b[i];
        for (int j = 0; j < columns; j++)
            y[i] += W[(size_t)i * (size_t)columns + (size_t)j] * x[j];
    }
}

/* Its derivative: dW += dy x^T, db += dy, dx += W^T dy. */
static void affine_backward(int rows, int columns, const double *W, const double *x, const double *dy, double *dW,
                            double *db, double *dx)
{
    for (int i = 0; i < rows; i++) {
        db[i] += dy[i];
        for (int j = 0; j < columns; j++) {
            dW[(size_t)i * (size_t)columns + (size_t)j] += dy[i] * x[j];
            dx[j] += W[(size_t)i * (size_t)columns + (size_t)j] * dy[i];
        }
    }
}

/* The mask of one site, lane and time; ones without dropout. Site l is the input of layer l, site L the decoder's. */
static void fill_mask(const struct reference *r, struct tape *t, int64_t step, int site, int64_t lane, int time,
                      int units)
{
    double *mask = mask_at(t, site, time);
    const uint32_t threshold = dropout_threshold(r->config.dropout);
    if (step >= 0 && threshold > 0)
        dropout_mask(r->seed, site, (uint32_t)step, (uint32_t)lane, (uint32_t)time, units, threshold, t->mask_float);
    for (int u = 0; u < units; u++)
        mask[u] = step >= 0 && threshold > 0 ? t->mask_float[u] : 1;
}

static void apply_nudge(const struct reference *r, int layer, int time, const struct reference_step *s)
{
    const struct reference_nudge *nudge = &r->nudge;
    const int H = r->config.hidden, u = nudge->unit;
    if (nudge->amount == 0 || layer != nudge->layer || time != nudge->time)
        return;
    if (nudge->cell) {
        s->c[u] += nudge->amount;
        s->h[u] = s->gate[3 * H + u] * tanh(s->c[u]); /* o tanh(c) */
    } else {
        s->h[u] += nudge->amount;
    }
}

static void lane_forward(struct reference *r, const struct tensors *w, struct tape *t, const struct window *window,
                         int b, int64_t step)
{
    const int E = t->E, H = t->H;
    const int64_t lane = (int64_t)window->lane0 + b;
    for (int time = 0; time < t->T; time++) {
        const uint32_t token = window->input[time * window->lanes + b];
        const double *row = w->encoder + (size_t)token * (size_t)E;
        t->fresh[time] = r->config.reset_token && token == r->config.reset_token;
        fill_mask(r, t, step, 0, lane, time, E);
        for (int u = 0; u < E; u++)
            input_at(t, 0, time)[u] = row[u] * mask_at(t, 0, time)[u];
    }
    for (int l = 0; l < t->L; l++)
        for (int time = 0; time < t->T; time++) {
            struct reference_step s = cell_step_at(t, l, time);
            affine(t->GH, l ? H : E, w->layer[l].weight_ih, input_at(t, l, time), w->layer[l].bias_ih, s.from_input);
            affine(t->GH, H, w->layer[l].weight_hh, s.h_prev, w->layer[l].bias_hh, s.from_state);
            reference_cell_forward(r->config.cell, H, &s);
            apply_nudge(r, l, time, &s);
            /* a classifier's last mask belongs to the text, not to its steps */
            fill_mask(r, t, l + 1 == t->L && r->config.task == TASK_CLASSIFY ? -1 : step, l + 1, lane, time, H);
            for (int u = 0; u < H; u++)
                input_at(t, l + 1, time)[u] = s.h[u] * mask_at(t, l + 1, time)[u];
        }
}

/* -log softmax(W_dec y + b)[target]; logits become its gradient, softmax - onehot(target). */
static double output_loss(const struct tensors *w, struct tape *t, const double *y, uint32_t target)
{
    affine(t->V, t->H, w->decoder, y, w->decoder_bias, t->logits);
    double largest = t->logits[0], sum = 0;
    for (int v = 1; v < t->V; v++)
        if (t->logits[v] > largest)
            largest = t->logits[v];
    for (int v = 0; v < t->V; v++)
        sum += exp(t->logits[v] - largest);
    double log_sum = largest + log(sum);
    double loss = log_sum - t->logits[target];
    for (int v = 0; v < t->V; v++)
        t->logits[v] = exp(t->logits[v] - log_sum) - ((uint32_t)v == target);
    return loss;
}

/* Loss of the lane; with `d` also the decoder's gradients and, in d_input, that of its input. */
static double lane_output(const struct tensors *w, const struct tensors *d, struct tape *t, const struct window *window,
                          int b, double *row)
{
    double sum = 0;
    memset(t->d_input, 0, sizeof *t->d_input * (size_t)t->T * width(t));
    for (int time = 0; time < t->T; time++) {
        const uint32_t target = window->target[time * window->lanes + b];
        double loss = target == WINDOW_NO_TARGET ? 0 : output_loss(w, t, input_at(t, t->L, time), target);
        if (row)
            row[time * window->lanes + b] = loss;
        sum += loss;
        if (d && target != WINDOW_NO_TARGET)
            affine_backward(t->V, t->H, w->decoder, input_at(t, t->L, time), t->logits, d->decoder, d->decoder_bias,
                            t->d_input + (size_t)time * width(t));
    }
    return sum;
}

/* The same for a text: its label stands at its last step, -1 if there is none. */
static int text_end(const struct window *window, int b)
{
    for (int time = 0; time < window->T; time++)
        if (window->target[time * window->lanes + b] != WINDOW_NO_TARGET)
            return time;
    return -1;
}

/* The first step of those up to `end` at which unit u of the top layer is largest. */
static int peak_of(const struct tape *t, int end, int u)
{
    int peak = 0;
    for (int time = 1; time <= end; time++)
        if (step_at(t, t->L - 1, time).h[u] > step_at(t, t->L - 1, peak).h[u])
            peak = time;
    return peak;
}

static void pool_text(enum pool pool, struct tape *t, int end)
{
    for (int u = 0; u < t->H; u++) {
        double sum = 0;
        for (int time = 0; time <= end; time++)
            sum += step_at(t, t->L - 1, time).h[u];
        t->pooled[u] = pool == POOL_LAST   ? step_at(t, t->L - 1, end).h[u]
                       : pool == POOL_MEAN ? sum / (end + 1)
                                           : step_at(t, t->L - 1, peak_of(t, end, u)).h[u];
        t->pooled[u] *= t->pool_mask[u];
    }
}

/* dL/dpooled [H], into that of the top layer's outputs. */
static void pool_text_backward(enum pool pool, struct tape *t, int end, const double *d_pooled)
{
    for (int u = 0; u < t->H; u++) {
        double d = d_pooled[u] * t->pool_mask[u];
        for (int time = 0; time <= end; time++) {
            bool chosen = time == (pool == POOL_LAST ? end : peak_of(t, end, u));
            t->d_input[(size_t)time * width(t) + (size_t)u] = pool == POOL_MEAN ? d / (end + 1) : chosen ? d : 0;
        }
    }
}

static double lane_class(const struct reference *r, const struct tensors *w, const struct tensors *d, struct tape *t,
                         const struct window *window, int b, int64_t step, double *row)
{
    const int end = text_end(window, b);
    memset(t->d_input, 0, sizeof *t->d_input * (size_t)t->T * width(t));
    for (int time = 0; row && time < t->T; time++)
        row[time * window->lanes + b] = 0;
    if (end < 0)
        return 0;
    const uint32_t threshold = dropout_threshold(r->config.dropout);
    if (step >= 0 && threshold > 0)
        dropout_mask(r->seed, t->L, (uint32_t)step, (uint32_t)(window->lane0 + b), 0, t->H, threshold, t->mask_float);
    for (int u = 0; u < t->H; u++)
        t->pool_mask[u] = step >= 0 && threshold > 0 ? t->mask_float[u] : 1;
    pool_text(r->config.pool, t, end);
    double loss = output_loss(w, t, t->pooled, window->target[end * window->lanes + b]);
    if (row)
        row[end * window->lanes + b] = loss;
    if (d) {
        memset(t->dh, 0, sizeof *t->dh * (size_t)t->H);
        affine_backward(t->V, t->H, w->decoder, t->pooled, t->logits, d->decoder, d->decoder_bias, t->dh);
        pool_text_backward(r->config.pool, t, end, t->dh);
    }
    return loss;
}

/* Back through time: from the last step, behind which nothing is known, to the first, before which the state counts as
 * a constant (truncation). d_input comes as the gradient of what layer l feeds and leaves as that of its own input. */
static void layer_backward(const struct reference *r, const struct tensors *w, const struct tensors *d, struct tape *t,
                           int l)
{
    const int H = t->H, inputs = l ? H : t->E;
    memset(t->dh_prev, 0, sizeof *t->dh_prev * (size_t)H);
    memset(t->dc, 0, sizeof *t->dc * (size_t)H);
    for (int time = t->T - 1; time >= 0; time--) {
        struct reference_step s = cell_step_at(t, l, time);
        double *d_input = t->d_input + (size_t)time * width(t);
        for (int u = 0; u < H; u++)
            t->dh[u] = d_input[u] * mask_at(t, l + 1, time)[u] + t->dh_prev[u];
        reference_cell_backward(r->config.cell, H, &s, t->dh, t->dc, t->d_from_input, t->d_from_state, t->dh_prev);
        affine_backward(t->GH, H, w->layer[l].weight_hh, s.h_prev, t->d_from_state, d->layer[l].weight_hh,
                        d->layer[l].bias_hh, t->dh_prev);
        if (t->fresh[time]) { /* the step before belongs to another sentence */
            memset(t->dh_prev, 0, sizeof *t->dh_prev * (size_t)H);
            memset(t->dc, 0, sizeof *t->dc * (size_t)H);
        }
        memset(d_input, 0, sizeof *d_input * width(t));
        affine_backward(t->GH, inputs, w->layer[l].weight_ih, input_at(t, l, time), t->d_from_input,
                        d->layer[l].weight_ih, d->layer[l].bias_ih, d_input);
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
            row[u] += t->d_input[(size_t)time * width(t) + (size_t)u] * mask_at(t, 0, time)[u];
    }
}

/* Where state `index` of lane b lies: h of layer `index`, then c of layer `index - L`. */
static double *state_at(const struct reference *r, int index, int b)
{
    return r->state + ((size_t)index * (size_t)r->lanes + (size_t)b) * (size_t)r->config.hidden;
}

/* Carried state into (or out of) the first (last) place of the tape. */
static void exchange_state(struct reference *r, struct tape *t, int b, bool into, bool zero)
{
    const size_t bytes = sizeof(double) * (size_t)t->H;
    for (int l = 0; l < t->L; l++) {
        struct reference_step first = step_at(t, l, 0), last = step_at(t, l, t->T - 1);
        double *h = state_at(r, l, b), *c = r->config.cell == CELL_LSTM ? state_at(r, t->L + l, b) : NULL;
        if (into && zero) {
            memset(first.h_prev, 0, bytes);
            memset(first.c_prev, 0, bytes);
        } else if (into) {
            memcpy(first.h_prev, h, bytes);
            if (c)
                memcpy(first.c_prev, c, bytes);
        } else {
            memcpy(h, last.h, bytes);
            if (c)
                memcpy(c, last.c, bytes);
        }
    }
}

/* The ReLU input nearest to its kink. */
static double nearest_kink(const struct tape *t)
{
    double nearest = INFINITY;
    for (size_t k = 0; k < (size_t)t->L * (size_t)t->T * (size_t)t->GH; k++)
        nearest = fmin(nearest, fabs(t->from_input[k] + t->from_state[k]));
    return nearest;
}

enum status reference_window(struct reference *r, const struct window *window, int64_t step, double *loss, double *row,
                             double *grad, struct error *e)
{
    struct tape tape;
    struct tensors values, gradients;
    CHECK(window->lanes == r->lanes);
    enum status status = tape_create(r, window->T, &tape, e);
    if (status == STATUS_OK) {
        tensors_bind(r, r->values, false, &values);
        if (grad) {
            memset(grad, 0, sizeof *grad * r->table.grad_total);
            tensors_bind(r, grad, true, &gradients);
        }
        *loss = 0;
        r->nearest_kink = INFINITY;
        for (int b = 0; b < r->lanes; b++) {
            exchange_state(r, &tape, b, true, window->reset);
            lane_forward(r, &values, &tape, window, b, step);
            if (r->config.task == TASK_CLASSIFY)
                *loss += lane_class(r, &values, grad ? &gradients : NULL, &tape, window, b, step, row);
            else
                *loss += lane_output(&values, grad ? &gradients : NULL, &tape, window, b, row);
            if (grad)
                lane_backward(r, &values, &gradients, &tape, window, b);
            exchange_state(r, &tape, b, false, false);
            if (r->config.cell == CELL_RNN_RELU)
                r->nearest_kink = fmin(r->nearest_kink, nearest_kink(&tape));
        }
    }
    tape_release(&tape);
    return status;
}

enum status reference_create(const struct model_config *config, uint64_t seed, int lanes, struct reference **out,
                             struct error *e)
{
    enum status status = model_config_check(config, e);
    if (status != STATUS_OK)
        return status;
    struct reference *r = mem_alloc(1, sizeof *r, "the reference model", e);
    if (!r)
        return STATUS_OS;
    r->config = *config;
    r->seed = seed;
    r->lanes = lanes;
    r->nearest_kink = INFINITY;
    param_table_build(config, &r->table);
    const size_t states = (size_t)config->layers * (config->cell == CELL_LSTM ? 2 : 1);
    r->values = mem_alloc(r->table.total, sizeof *r->values, "the reference's parameters", e);
    r->state = mem_alloc(states * (size_t)lanes * (size_t)config->hidden, sizeof *r->state, "the reference's state", e);
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
