/* The table of optimizers and their update rules. */
#include "unroll/train/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"

/* The formulas, as torch.optim has them. g is the mean gradient after clipping, p a parameter, t the number of this
 * update from 1. Weight decay w: g = g + w p, except for adamw, where p = p - lr w p first.
 *
 *   sgd       p = p - lr g
 *   momentum  b = mu b + g                          p = p - lr b
 *   adagrad   s = s + g^2                           p = p - lr g / (sqrt(s) + eps)
 *   rmsprop   s = alpha s + (1 - alpha) g^2         p = p - lr g / (sqrt(s) + eps)
 *   adam(w)   m = beta1 m + (1 - beta1) g
 *             v = beta2 v + (1 - beta2) g^2         p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * All arrays are walked in blocks of whole vectors: no remainder loops. Nothing is fused (base/arithmetic.h). */

#define BLOCK 16 /* floats; parameters start on 64-byte boundaries, so tables are whole blocks */

/* ---- the rules ---- */

/* What one update needs, rounded to float once. */
struct update {
    float *p, *a, *b; /* parameters and up to two slots */
    const float *grad;
    float scale, lr, decay, momentum, keep1, take1, keep2, take2, epsilon, root2, shrink;
};

static void sgd(const struct update *u, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at += BLOCK) {
        float *restrict p = u->p + at;
        const float *restrict grad = u->grad + at;
#pragma omp simd aligned(p, grad : 64)
        for (int i = 0; i < BLOCK; i++)
            p[i] -= u->lr * (grad[i] * u->scale + u->decay * p[i]);
    }
}

static void momentum(const struct update *u, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at += BLOCK) {
        float *restrict p = u->p + at, *restrict b = u->a + at;
        const float *restrict grad = u->grad + at;
#pragma omp simd aligned(p, b, grad : 64)
        for (int i = 0; i < BLOCK; i++) {
            b[i] = u->momentum * b[i] + (grad[i] * u->scale + u->decay * p[i]);
            p[i] -= u->lr * b[i];
        }
    }
}

static void adagrad(const struct update *u, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at += BLOCK) {
        float *restrict p = u->p + at, *restrict s = u->a + at;
        const float *restrict grad = u->grad + at;
#pragma omp simd aligned(p, s, grad : 64)
        for (int i = 0; i < BLOCK; i++) {
            float g = grad[i] * u->scale + u->decay * p[i];
            s[i] += g * g;
            p[i] -= u->lr * g / (sqrtf(s[i]) + u->epsilon);
        }
    }
}

static void rmsprop(const struct update *u, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at += BLOCK) {
        float *restrict p = u->p + at, *restrict s = u->a + at;
        const float *restrict grad = u->grad + at;
#pragma omp simd aligned(p, s, grad : 64)
        for (int i = 0; i < BLOCK; i++) {
            float g = grad[i] * u->scale + u->decay * p[i];
            s[i] = u->keep1 * s[i] + u->take1 * (g * g);
            p[i] -= u->lr * g / (sqrtf(s[i]) + u->epsilon);
        }
    }
}

static void adam(const struct update *u, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at += BLOCK) {
        float *restrict p = u->p + at, *restrict m = u->a + at, *restrict v = u->b + at;
        const float *restrict grad = u->grad + at;
#pragma omp simd aligned(p, m, v, grad : 64)
        for (int i = 0; i < BLOCK; i++) {
            float g = grad[i] * u->scale + u->decay * p[i];
            m[i] = u->keep1 * m[i] + u->take1 * g;
            v[i] = u->keep2 * v[i] + u->take2 * (g * g);
            p[i] = u->shrink * p[i] - u->lr * m[i] / (sqrtf(v[i]) * u->root2 + u->epsilon);
        }
    }
}

/* ---- the table ---- */

enum { MOMENTUM, BETA1, BETA2, ALPHA, EPSILON, WEIGHT_DECAY };

#define NUMBER(field) #field, offsetof(struct optimizer_config, field)
const struct optimizer_number optimizer_numbers[] = {
    [MOMENTUM] = {NUMBER(momentum)}, [BETA1] = {NUMBER(beta1)},     [BETA2] = {NUMBER(beta2)},
    [ALPHA] = {NUMBER(alpha)},       [EPSILON] = {NUMBER(epsilon)}, [WEIGHT_DECAY] = {NUMBER(weight_decay)},
};
const int optimizer_number_count = sizeof optimizer_numbers / sizeof *optimizer_numbers;

#define USES(number) (1u << (number))

static const struct kind {
    const char *name;
    void (*rule)(const struct update *u, size_t begin, size_t end);
    const char *slot[OPTIMIZER_SLOTS_MAX]; /* the arrays of state that it has, by PyTorch's names */
    double lr, epsilon;                    /* defaults; runs record epsilon also for kinds that do not use it */
    unsigned uses;                         /* of the numbers */
    bool corrects;                         /* its means begin at zero and are corrected for that bias: beta1, beta2 */
    bool decouples;                        /* weight decay acts on the parameters, and not by the gradient */
    bool rests;                            /* a zero gradient changes nothing where there is no weight decay */
} kinds[] = {
    {"sgd", sgd, .lr = 1, .epsilon = 1e-8, .rests = true}, /* OPTIMIZER_SGD */
    {"momentum", momentum, {"momentum_buffer"}, .lr = 0.1, .epsilon = 1e-8, .uses = USES(MOMENTUM)},
    {"adagrad", adagrad, {"sum"}, .lr = 0.02, .epsilon = 1e-10, .uses = USES(EPSILON), .rests = true},
    {"rmsprop", rmsprop, {"square_avg"}, .lr = 0.002, .epsilon = 1e-8, .uses = USES(ALPHA) | USES(EPSILON)},
    {"adam",
     adam,
     {"exp_avg", "exp_avg_sq"},
     .lr = 0.002,
     .epsilon = 1e-8,
     .uses = USES(BETA1) | USES(BETA2) | USES(EPSILON),
     .corrects = true},
    {"adamw",
     adam,
     {"exp_avg", "exp_avg_sq"},
     .lr = 0.002,
     .epsilon = 1e-8,
     .uses = USES(BETA1) | USES(BETA2) | USES(EPSILON),
     .corrects = true,
     .decouples = true},
};

#define KINDS ((int)(sizeof kinds / sizeof *kinds))

const struct choices optimizer_choices = {"optimizer", KINDS, optimizer_name};

const char *optimizer_name(int kind)
{
    return kinds[kind].name;
}

int optimizer_kind(const char *name)
{
    int kind = choices_find(&optimizer_choices, name);
    CHECK(kind >= 0);
    return kind;
}

double optimizer_default_lr(int kind)
{
    return kinds[kind].lr;
}

double optimizer_default_epsilon(int kind)
{
    return kinds[kind].epsilon;
}

int optimizer_slots(int kind)
{
    int slots = 0;
    while (slots < OPTIMIZER_SLOTS_MAX && kinds[kind].slot[slots])
        slots++;
    return slots;
}

const char *optimizer_slot_name(int kind, int slot)
{
    return kinds[kind].slot[slot];
}

/* ---- for help ---- */

static bool is_user(const struct kind *kind, const char *option)
{
    if (strcmp(option, "weight-decay") == 0)
        return kind->decouples;
    for (int i = 0; i < optimizer_number_count; i++)
        if (strcmp(option, optimizer_numbers[i].name) == 0)
            return kind->uses & USES(i);
    return true;
}

const char *optimizer_words(const char *option, char room[OPTIMIZER_WORDS])
{
    bool rates = strcmp(option, "lr") == 0, epsilons = strcmp(option, "epsilon") == 0;
    double before = -1;
    size_t length = 0;
    room[0] = '\0';
    for (const struct kind *kind = kinds; kind < kinds + KINDS && length < OPTIMIZER_WORDS; kind++) {
        double value = rates ? kind->lr : epsilons ? kind->epsilon : before;
        if (!is_user(kind, option))
            continue;
        length += (size_t)snprintf(room + length, OPTIMIZER_WORDS - length, "%s", length ? ", " : "");
        if (value != before && length < OPTIMIZER_WORDS)
            length +=
                (size_t)snprintf(room + length, OPTIMIZER_WORDS - length, "%g%s", value, before < 0 ? " for " : " ");
        if (length < OPTIMIZER_WORDS)
            length += (size_t)snprintf(room + length, OPTIMIZER_WORDS - length, "%s", kind->name);
        before = value;
    }
    return room;
}

/* ---- one optimizer ---- */

enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             const struct gradient_layout *layout, struct optimizer **out, struct error *e)
{
    *out = NULL;
    CHECK(table->trained % BLOCK == 0);
    struct optimizer *optimizer = mem_alloc(1, sizeof *optimizer, "an optimizer", e);
    if (!optimizer)
        return STATUS_OS;
    optimizer->config = *config;
    optimizer->table = table;
    optimizer->layout = layout;
    optimizer->slots = optimizer_slots(config->kind);
    for (int slot = 0; slot < optimizer->slots; slot++) {
        optimizer->slot[slot] = mem_alloc(table->trained, sizeof(float), "the optimizer's state", e);
        if (!optimizer->slot[slot]) {
            optimizer_free(optimizer);
            return STATUS_OS;
        }
    }
    *out = optimizer;
    return STATUS_OK;
}

size_t optimizer_bytes(int kind, const struct param_table *table, const struct gradient_layout *layout)
{
    (void)layout;
    return (size_t)optimizer_slots(kind) * table->trained * sizeof(float);
}

void optimizer_free(struct optimizer *optimizer)
{
    if (!optimizer)
        return;
    for (int slot = 0; slot < optimizer->slots; slot++)
        mem_free(optimizer->slot[slot]);
    mem_free(optimizer);
}

/* Floats [begin, end) of the value array, whose gradient begins at grad[begin - shift]. */
struct updating {
    void (*rule)(const struct update *, size_t begin, size_t end);
    struct update update;
    size_t begin, end;
};

static void update_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct updating *work = context;
    size_t first = work->begin + (size_t)begin * PARAM_BLOCK, last = work->begin + (size_t)end * PARAM_BLOCK;
    work->rule(&work->update, first, last < work->end ? last : work->end);
}

static void update_dense(const struct updating *all, const struct param *p, const float *grad, int threads)
{
    struct updating work = *all;
    work.begin = p->offset;
    work.end = p->offset + (p->count + BLOCK - 1) / BLOCK * BLOCK;
    work.update.grad = (const float *)((uintptr_t)grad - work.begin * sizeof *grad);
    int64_t blocks = (int64_t)((work.end - work.begin + PARAM_BLOCK - 1) / PARAM_BLOCK);
    team_share(threads, blocks, 16 * (int64_t)p->count, update_blocks, &work);
}

/* A plain version: every row, with a zero gradient where the step has none. */
static void update_rows(const struct updating *all, const struct param *p, const struct gradient_rows *rows,
                        size_t width)
{
    size_t padded = (width + BLOCK - 1) / BLOCK * BLOCK, next = 0;
    float *room = mem_alloc(4 * padded, sizeof *room, "a row", NULL);
    CHECK(room);
    for (size_t row = 0; row < p->count / width; row++) {
        struct update update = all->update;
        float *array[] = {update.p, update.a, update.b};
        for (int i = 0; i < 3 && array[i]; i++)
            memcpy(room + (size_t)i * padded, array[i] + p->offset + row * width, width * sizeof *room);
        memset(room + 3 * padded, 0, width * sizeof *room);
        if (next < (size_t)rows->count && rows->row[next] == row)
            memcpy(room + 3 * padded, rows->grad[next++], width * sizeof *room);
        update.p = room, update.a = room + padded, update.b = room + 2 * padded, update.grad = room + 3 * padded;
        all->rule(&update, 0, padded);
        for (int i = 0; i < 3 && array[i]; i++)
            memcpy(array[i] + p->offset + row * width, room + (size_t)i * padded, width * sizeof *room);
    }
    mem_free(room);
}

void optimizer_catch_up(struct optimizer *optimizer, float *values, int param, const struct touched_list *rows,
                        int threads)
{
    (void)optimizer, (void)values, (void)param, (void)rows, (void)threads;
}

void optimizer_settle(struct optimizer *optimizer, float *values, int threads)
{
    (void)optimizer, (void)values, (void)threads;
}

void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads)
{
    const struct optimizer_config *config = &optimizer->config;
    const struct kind *kind = &kinds[config->kind];
    double t = (double)++optimizer->updates;
    double keep1 = kind->corrects ? config->beta1 : config->alpha, keep2 = config->beta2;
    struct update update = {
        .p = values,
        .a = optimizer->slot[0],
        .b = optimizer->slot[1],
        .scale = scale,
        .lr = (float)(kind->corrects ? lr / (1 - arithmetic_pow(config->beta1, t)) : lr),
        .decay = kind->decouples ? 0 : (float)config->weight_decay,
        .momentum = (float)config->momentum,
        .keep1 = (float)keep1,
        .take1 = (float)(1 - keep1),
        .keep2 = (float)keep2,
        .take2 = (float)(1 - keep2),
        .epsilon = (float)config->epsilon,
        .root2 = kind->corrects ? (float)(1 / sqrt(1 - arithmetic_pow(config->beta2, t))) : 1,
        .shrink = kind->decouples ? (float)(1 - lr * config->weight_decay) : 1,
    };
    const struct param_table *table = optimizer->table;
    struct updating work = {.rule = kind->rule, .update = update};
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        if (p->alias >= 0 || p->role == PARAM_CONSTANT)
            continue;
        if (grad.layout && grad.layout->width[i])
            update_rows(&work, p, &grad.rows[i], grad.layout->width[i]);
        else
            update_dense(&work, p, grad.dense + (grad.layout ? grad.layout->offset[i] : p->grad_offset), threads);
    }
}
