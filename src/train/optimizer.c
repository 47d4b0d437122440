/* The table of optimizers and their update rules. */
#include "unroll/train/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "optimizer_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"

/* The formulas, as torch.optim has them. g is the mean gradient after clipping, p a parameter, t the number of this
 * update from 1. Weight decay w: g = g + w p, except for adamw, where p = p - lr w p first.
 *
 *   sgd       p = p - lr g                          ntasgd: the same, and train/average.h
 *   momentum  b = mu b + g                          p = p - lr b
 *   adagrad   s = s + g^2                           p = p - lr g / (sqrt(s) + eps)
 *   rmsprop   s = alpha s + (1 - alpha) g^2         p = p - lr g / (sqrt(s) + eps)
 *   adam(w)   m = beta1 m + (1 - beta1) g
 *             v = beta2 v + (1 - beta2) g^2         p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * All arrays are walked in blocks of whole vectors: no remainder loops. Nothing is fused (base/arithmetic.h). */

/* ---- the rules ---- */

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
    optimizer_rule *rule;
    const char *slot[OPTIMIZER_SLOTS_MAX]; /* the arrays of state that it has, by PyTorch's names */
    double lr, epsilon;                    /* defaults; runs record epsilon also for kinds that do not use it */
    unsigned uses;                         /* of the numbers */
    bool corrects;                         /* its means begin at zero and are corrected for that bias: beta1, beta2 */
    bool averages;                         /* see optimizer_averages */
    bool decouples;                        /* weight decay acts on the parameters, and not by the gradient */
    enum drift drift;                      /* of parameters whose gradient is zero */
} kinds[] = {
    {"sgd", sgd, .lr = 1, .epsilon = 1e-8}, /* OPTIMIZER_SGD */
    {"ntasgd", sgd, .lr = 1, .epsilon = 1e-8, .averages = true},
    {"momentum",
     momentum,
     {"momentum_buffer"},
     .lr = 0.1,
     .epsilon = 1e-8,
     .uses = USES(MOMENTUM),
     .drift = DRIFT_BY_MEAN},
    {"adagrad", adagrad, {"sum"}, .lr = 0.02, .epsilon = 1e-10, .uses = USES(EPSILON)},
    {"rmsprop", rmsprop, {"square_avg"}, .lr = 0.002, .epsilon = 1e-8, .uses = USES(ALPHA) | USES(EPSILON)},
    {"adam",
     adam,
     {"exp_avg", "exp_avg_sq"},
     .lr = 0.002,
     .epsilon = 1e-8,
     .uses = USES(BETA1) | USES(BETA2) | USES(EPSILON),
     .corrects = true,
     .drift = DRIFT_BY_RATIO},
    {"adamw",
     adam,
     {"exp_avg", "exp_avg_sq"},
     .lr = 0.002,
     .epsilon = 1e-8,
     .uses = USES(BETA1) | USES(BETA2) | USES(EPSILON),
     .corrects = true,
     .decouples = true,
     .drift = DRIFT_BY_RATIO},
};

#define KINDS ((int)(sizeof kinds / sizeof *kinds))

const struct choices optimizer_choices = {"optimizer", KINDS, optimizer_name};

static const char *sparse_update_name(int value)
{
    return value == SPARSE_LAZY ? "lazy" : "exact";
}

const struct choices sparse_update_choices = {"sparse update", 2, sparse_update_name};

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

bool optimizer_averages(int kind)
{
    return kinds[kind].averages;
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

/* The numbers that all updates have, as floats. */
static struct update numbers_of(const struct optimizer_config *config)
{
    const struct kind *kind = &kinds[config->kind];
    double keep1 = kind->corrects ? config->beta1 : config->alpha, keep2 = config->beta2;
    return (struct update){
        .decay = kind->decouples ? 0 : (float)config->weight_decay,
        .momentum = (float)config->momentum,
        .keep1 = (float)keep1,
        .take1 = (float)(1 - keep1),
        .keep2 = (float)keep2,
        .take2 = (float)(1 - keep2),
        .epsilon = (float)config->epsilon,
    };
}

static struct resting resting_of(const struct optimizer_config *config)
{
    const struct kind *kind = &kinds[config->kind];
    const struct update numbers = numbers_of(config);
    struct resting resting = {
        .rule = kind->rule,
        .drift = kind->drift,
        .divides = kind->uses & USES(EPSILON),
        .shrinks = kind->decouples && config->weight_decay != 0,
        .keep = {1, 1},
        .decay = numbers.decay,
        .epsilon = numbers.epsilon,
    };
    if (kind->uses & USES(MOMENTUM))
        resting.keep[0] = numbers.momentum;
    if (kind->uses & (USES(ALPHA) | USES(BETA1)))
        resting.keep[0] = numbers.keep1;
    if (kind->uses & USES(BETA2))
        resting.keep[1] = numbers.keep2;
    return resting;
}

/* Floats that a parameter takes, padding included: up to the next one. */
static size_t room_of(const struct param_table *table, int param)
{
    size_t end = table->trained;
    for (int i = 0; i < table->count; i++)
        if (table->param[i].alias < 0 && table->param[i].offset > table->param[param].offset &&
            table->param[i].offset < end)
            end = table->param[i].offset;
    return end - table->param[param].offset;
}

/* Neighbours among values that are also neighbours among gradients are one range. */
static void find_ranges(struct optimizer *optimizer, const struct gradient_layout *layout)
{
    const struct param_table *table = optimizer->table;
    for (int i = 0; i < table->count; i++) {
        const struct param *param = &table->param[i];
        if (!param_is_own(param) || (layout && layout->width[i] > 0))
            continue;
        struct optimizer_range next = {param->offset, layout ? layout->offset[i] : param->grad_offset,
                                       room_of(table, i)};
        struct optimizer_range *last = optimizer->ranges > 0 ? &optimizer->range[optimizer->ranges - 1] : NULL;
        CHECK(next.count % BLOCK == 0);
        if (last && last->value + last->count == next.value && last->grad + last->count == next.grad)
            last->count += next.count;
        else
            optimizer->range[optimizer->ranges++] = next;
    }
}

enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             const struct gradient_layout *layout, struct optimizer **out, struct error *e)
{
    *out = NULL;
    struct optimizer *optimizer = mem_alloc(1, sizeof *optimizer, "an optimizer", e);
    if (!optimizer)
        return STATUS_OS;
    const struct resting resting = resting_of(config);
    optimizer->config = *config;
    optimizer->table = table;
    optimizer->slots = optimizer_slots(config->kind);
    find_ranges(optimizer, layout);
    enum status status = optimizer_rows_create(optimizer, layout, &resting, &optimizer->rows, e);
    for (int slot = 0; slot < optimizer->slots && !status; slot++) {
        optimizer->slot[slot] = mem_alloc(table->trained, sizeof(float), "the optimizer's state", e);
        status = optimizer->slot[slot] ? STATUS_OK : STATUS_OS;
    }
    if (status) {
        optimizer_free(optimizer);
        return status;
    }
    *out = optimizer;
    return STATUS_OK;
}

size_t optimizer_bytes(int kind, const struct param_table *table, const struct gradient_layout *layout)
{
    size_t slots = (size_t)optimizer_slots(kind) * table->trained * sizeof(float);
    return slots + (layout ? optimizer_rows_bytes(table, layout) : 0);
}

void optimizer_free(struct optimizer *optimizer)
{
    if (!optimizer)
        return;
    optimizer_rows_free(optimizer->rows);
    for (int slot = 0; slot < optimizer->slots; slot++)
        mem_free(optimizer->slot[slot]);
    mem_free(optimizer);
}

struct updating {
    optimizer_rule *rule;
    const struct update *update;
    size_t count;
};

static void update_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct updating *work = context;
    size_t first = (size_t)begin * PARAM_BLOCK, last = (size_t)end * PARAM_BLOCK;
    work->rule(work->update, first, last < work->count ? last : work->count);
}

static void update_range(const struct optimizer *optimizer, const struct optimizer_range *range, float *values,
                         const float *grad, struct update update, int threads)
{
    struct updating work = {kinds[optimizer->config.kind].rule, &update, range->count};
    update.p = values + range->value;
    update.a = optimizer->slots > 0 ? optimizer->slot[0] + range->value : NULL;
    update.b = optimizer->slots > 1 ? optimizer->slot[1] + range->value : NULL;
    update.grad = grad + range->grad;
    team_share(threads, (int64_t)((range->count + PARAM_BLOCK - 1) / PARAM_BLOCK), 16 * (int64_t)range->count,
               update_blocks, &work);
}

void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads)
{
    const struct optimizer_config *config = &optimizer->config;
    const struct kind *kind = &kinds[config->kind];
    double t = (double)++optimizer->updates;
    struct update update = numbers_of(config);
    update.scale = scale;
    update.lr = (float)(kind->corrects ? lr / (1 - arithmetic_pow(config->beta1, t)) : lr);
    update.root2 = kind->corrects ? (float)(1 / sqrt(1 - arithmetic_pow(config->beta2, t))) : 1;
    update.shrink = kind->decouples ? (float)(1 - lr * config->weight_decay) : 1;
    for (int i = 0; i < optimizer->ranges; i++)
        update_range(optimizer, &optimizer->range[i], values, grad.dense, update, threads);
    if (optimizer->rows)
        optimizer_rows_update(optimizer, values, grad, &update, threads);
}
