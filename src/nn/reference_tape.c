/* Lays the tape out. */
#include "reference_tape.h"

#include <string.h>

#include "mogrify.h"
#include "unroll/base/mem.h"

static double *tensor(const struct param_table *table, double *array, bool gradient, int place)
{
    const struct param *p = &table->param[place < 0 ? 0 : place];
    return place < 0 ? NULL : array + (gradient ? p->grad_offset : p->offset);
}

void tensors_bind(const struct reference *r, double *array, bool gradient, struct tensors *w)
{
    const struct param_table *table = &r->table;
    w->encoder = tensor(table, array, gradient, table->encoder);
    for (int l = 0; l < r->config.layers; l++) {
        w->layer[l].weight_ih = tensor(table, array, gradient, table->layer[l].w_ih);
        w->layer[l].weight_hh = tensor(table, array, gradient, table->layer[l].w_hh);
        w->layer[l].bias_ih = tensor(table, array, gradient, table->layer[l].b_ih);
        w->layer[l].bias_hh = tensor(table, array, gradient, table->layer[l].b_hh);
        w->layer[l].further[0] = NULL;
        for (int i = 0; i < table->layer[l].furthers; i++)
            w->layer[l].further[i] = tensor(table, array, gradient, table->layer[l].further + i);
    }
}

size_t tape_width(const struct tape *t)
{
    return (size_t)(t->E > t->H ? t->E : t->H);
}

static double *next_array(double *block, size_t *used, size_t count)
{
    double *taken = block ? block + *used : NULL;
    *used += count;
    return taken;
}

static void tape_widths(const struct reference *r, struct tape *t)
{
    t->states = cell_states(t->cell, 0);
    for (int index = 0; index < model_state_arrays(&r->config); index++) {
        int wide = model_state_width(&r->config, index), *widest = &t->width[index / t->L];
        *widest = wide > *widest ? wide : *widest;
    }
}

/* Lays the arrays out from `next` on; returns how many numbers that takes. From NULL it only counts. */
static size_t tape_place(const struct model_config *config, struct tape *t, double *next)
{
    const size_t L = (size_t)t->L, GH = (size_t)t->GH, IH = (size_t)t->IH, RH = (size_t)t->RH, W = tape_width(t);
    const size_t steps = (size_t)t->T;
    size_t used = 0;
    t->input = next_array(next, &used, (L + 1) * steps * W);
    t->mask = next_array(next, &used, (L + 1) * steps * W);
    t->from_input = next_array(next, &used, L * steps * IH);
    t->from_state = next_array(next, &used, L * steps * RH);
    t->gate = next_array(next, &used, L * steps * GH);
    t->rounds = next_array(next, &used, L * steps * t->rounds_size);
    for (int k = 0; k < t->states; k++) {
        t->state[k] = next_array(next, &used, L * (steps + 1) * (size_t)t->width[k]);
        t->d_state[k] = next_array(next, &used, (size_t)t->width[k]);
        t->zero[k] = next_array(next, &used, (size_t)t->width[k]);
    }
    t->d_input = next_array(next, &used, steps * W);
    t->d_output = next_array(next, &used, steps * (size_t)t->width[CELL_H]);
    t->output_work = next_array(next, &used, t->output->reference_work(config));
    t->d_from_input = next_array(next, &used, IH);
    t->d_from_state = next_array(next, &used, RH);
    t->state_mask = next_array(next, &used, L * (size_t)t->H);
    t->read = next_array(next, &used, (size_t)t->H);
    t->d_read = next_array(next, &used, (size_t)t->H);
    t->dropped_weights = next_array(next, &used, config->weight_drop > 0 ? L * RH * (size_t)t->H : 0);
    return used;
}

enum status tape_create(const struct reference *r, int T, struct tape *t, struct error *e)
{
    const struct model_config *config = &r->config;
    *t = (struct tape){.cell = cell_kind(config->cell),
                       .output = output_kind(config),
                       .T = T,
                       .L = config->layers,
                       .E = config->embedding,
                       .H = model_widest(config)};
    t->GH = t->cell->gates * t->H;
    t->IH = cell_input_blocks(t->cell, 0) * t->H;
    t->RH = t->cell->recurrent_gates * t->H;
    t->rounds_size = mogrify_reference_tape(config, t->E, t->H);
    tape_widths(r, t);
    t->block = mem_alloc(tape_place(config, t, NULL), sizeof(double), "the reference's window", e);
    t->float_block = mem_alloc(tape_width(t), sizeof(float), "the reference's window", e);
    t->fresh_block = mem_alloc((size_t)T, sizeof *t->fresh, "the reference's window", e);
    if (!t->block || !t->float_block || !t->fresh_block)
        return STATUS_OS;
    tape_place(config, t, t->block);
    t->fresh = t->fresh_block;
    t->mask_float = t->float_block;
    return STATUS_OK;
}

void tape_release(struct tape *t)
{
    mem_free(t->block);
    mem_free(t->float_block);
    mem_free(t->fresh_block);
}

double *tape_input(const struct tape *t, int layer, int time)
{
    return t->input + ((size_t)layer * (size_t)t->T + (size_t)time) * tape_width(t);
}

double *tape_mask(const struct tape *t, int layer, int time)
{
    return t->mask + ((size_t)layer * (size_t)t->T + (size_t)time) * tape_width(t);
}

struct reference_step tape_step(const struct tape *t, int layer, int time)
{
    const size_t step = (size_t)layer * (size_t)t->T + (size_t)time, row = step + (size_t)layer;
    struct reference_step s = {.input_blocks = cell_input_blocks(t->cell, layer),
                               .from_input = t->from_input + step * (size_t)t->IH,
                               .from_state = t->from_state + step * (size_t)t->RH,
                               .gate = t->gate + step * (size_t)t->GH};
    for (int k = 0; k < t->states; k++) {
        s.before[k] = t->state[k] + row * (size_t)t->width[k];
        s.state[k] = s.before[k] + t->width[k];
    }
    return s;
}

struct reference_step tape_cell_step(const struct tape *t, int layer, int time)
{
    struct reference_step step = tape_step(t, layer, time);
    if (t->fresh[time])
        memcpy(step.before, t->zero, sizeof step.before);
    return step;
}
