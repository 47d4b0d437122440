#include "unroll/train/optimizer.h"

#include <math.h>
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

static const struct {
    const char *name;
    int slots;
    const char *slot[OPTIMIZER_SLOTS_MAX];
} kinds[] = {
    [OPT_SGD] = {"sgd", 0, {NULL, NULL}},
    [OPT_MOMENTUM] = {"momentum", 1, {"momentum_buffer", NULL}},
    [OPT_ADAGRAD] = {"adagrad", 1, {"sum", NULL}},
    [OPT_RMSPROP] = {"rmsprop", 1, {"square_avg", NULL}},
    [OPT_ADAM] = {"adam", 2, {"exp_avg", "exp_avg_sq"}},
    [OPT_ADAMW] = {"adamw", 2, {"exp_avg", "exp_avg_sq"}},
};

#define KINDS ((int)(sizeof kinds / sizeof *kinds))

const char *optimizer_name(enum optimizer_kind kind)
{
    return kinds[kind].name;
}

enum status optimizer_parse(const char *name, enum optimizer_kind *kind, struct error *e)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *kind = (enum optimizer_kind)i;
            return STATUS_OK;
        }
    }
    return error_set(e, STATUS_CONFIG, "unknown optimizer '%s'; use sgd, momentum, adagrad, rmsprop, adam or adamw",
                     name);
}

int optimizer_slots(enum optimizer_kind kind)
{
    return kinds[kind].slots;
}

const char *optimizer_slot_name(enum optimizer_kind kind, int slot)
{
    return kinds[kind].slot[slot];
}

enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             struct optimizer **out, struct error *e)
{
    *out = NULL;
    CHECK(table->total % BLOCK == 0);
    struct optimizer *optimizer = mem_alloc(1, sizeof *optimizer, "an optimizer", e);
    if (!optimizer)
        return STATUS_OS;
    optimizer->config = *config;
    optimizer->table = table;
    optimizer->slots = optimizer_slots(config->kind);
    for (int slot = 0; slot < optimizer->slots; slot++) {
        optimizer->slot[slot] = mem_alloc(table->total, sizeof(float), "the optimizer's state", e);
        if (!optimizer->slot[slot]) {
            optimizer_free(optimizer);
            return STATUS_OS;
        }
    }
    *out = optimizer;
    return STATUS_OK;
}

void optimizer_free(struct optimizer *optimizer)
{
    if (!optimizer)
        return;
    for (int slot = 0; slot < optimizer->slots; slot++)
        mem_free(optimizer->slot[slot]);
    mem_free(optimizer);
}

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

struct updating {
    void (*rule)(const struct update *, size_t begin, size_t end);
    const struct update *update;
    const unsigned char *active; /* [blocks]; NULL: all are */
    size_t total;
};

static void update_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct updating *work = context;
    for (int64_t block = begin; block < end; block++) {
        size_t first = (size_t)block * PARAM_BLOCK;
        if (!work->active || work->active[block])
            work->rule(work->update, first, work->total - first < PARAM_BLOCK ? work->total : first + PARAM_BLOCK);
    }
}

void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads)
{
    static void (*const rules[])(const struct update *, size_t, size_t) = {
        [OPT_SGD] = sgd,         [OPT_MOMENTUM] = momentum, [OPT_ADAGRAD] = adagrad,
        [OPT_RMSPROP] = rmsprop, [OPT_ADAM] = adam,         [OPT_ADAMW] = adam,
    };
    const struct optimizer_config *config = &optimizer->config;
    void (*rule)(const struct update *, size_t, size_t) = rules[config->kind];
    bool decoupled = config->kind == OPT_ADAMW, adaptive = decoupled || config->kind == OPT_ADAM;
    double t = (double)++optimizer->updates;
    double keep1 = adaptive ? config->beta1 : config->alpha, keep2 = config->beta2;
    struct update update = {
        .p = values,
        .a = optimizer->slot[0],
        .b = optimizer->slot[1],
        .grad = grad.values,
        .scale = scale,
        .lr = (float)(adaptive ? lr / (1 - arithmetic_pow(config->beta1, t)) : lr),
        .decay = decoupled ? 0 : (float)config->weight_decay,
        .momentum = (float)config->momentum,
        .keep1 = (float)keep1,
        .take1 = (float)(1 - keep1),
        .keep2 = (float)keep2,
        .take2 = (float)(1 - keep2),
        .epsilon = (float)config->epsilon,
        .root2 = adaptive ? (float)(1 / sqrt(1 - arithmetic_pow(config->beta2, t))) : 1,
        .shrink = decoupled ? (float)(1 - lr * config->weight_decay) : 1,
    };
    bool rests = (config->kind == OPT_SGD || config->kind == OPT_ADAGRAD) && config->weight_decay == 0;
    struct updating work = {rule, &update, rests ? grad.active : NULL, optimizer->table->total};
    team_share(threads, (int64_t)param_blocks(optimizer->table), 16 * (int64_t)work.total, update_blocks, &work);
}
