/* Averages of weights: when weights enter, and how. */
#include "unroll/train/average.h"

#include <math.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"

const char *average_name(int kind)
{
    static const char *const names[] = {"none", "epochs", "ema", "updates"};
    return names[kind];
}

const struct choices average_choices = {"average", AVERAGE_UPDATES, average_name};

struct average_state average_start(const struct average_config *config)
{
    struct average_state state = {.kind = config->kind, .began = -1};
    if (config->kind != AVERAGE_UPDATES)
        return state;
    state.nonmono = config->nonmono;
    state.least = INFINITY;
    for (int i = 0; i < AVERAGE_NONMONO_MAX; i++)
        state.recent[i] = NAN;
    return state;
}

enum status average_create(const struct average_config *config, const struct param_table *table,
                           struct average *average, struct error *e)
{
    *average = (struct average){.config = *config, .table = table, .state = average_start(config)};
    if (config->kind == AVERAGE_NONE)
        return STATUS_OK;
    average->values = mem_alloc(table->total, sizeof *average->values, "the average of weights", e);
    return average->values ? STATUS_OK : STATUS_OS;
}

void average_release(struct average *average)
{
    mem_free(average->values);
    *average = (struct average){.values = NULL};
}

size_t average_bytes(enum average_kind kind, const struct param_table *table)
{
    return kind == AVERAGE_NONE ? 0 : table->total * sizeof(float);
}

/* ---- when ---- */

bool average_is_due(const struct average *average, int64_t epoch, bool updated, bool ended)
{
    switch (average->config.kind) {
    case AVERAGE_NONE:
        return false;
    case AVERAGE_EPOCHS:
        return ended && epoch + 1 >= average->config.from;
    case AVERAGE_EMA:
        return updated && epoch + 1 >= average->config.from;
    case AVERAGE_UPDATES:
        return updated && average->state.began >= 0;
    }
    return false;
}

bool average_validated(struct average *average, double loss, int64_t step)
{
    struct average_state *state = &average->state;
    if (state->kind != AVERAGE_UPDATES || state->began >= 0)
        return false;
    double *oldest = &state->recent[state->validations % state->nonmono];
    bool worse = state->validations > state->nonmono && !(loss <= state->least);
    if (*oldest < state->least) /* it is no longer one of the last */
        state->least = *oldest;
    *oldest = loss;
    state->validations++;
    if (worse)
        state->began = step;
    return worse;
}

/* ---- how ---- */

static float weight_of_next(const struct average *average)
{
    double n = (double)average->state.count, warm = (1 + n) / (10 + n);
    if (average->config.kind == AVERAGE_EMA)
        return (float)(1 - (warm < average->config.decay ? warm : average->config.decay));
    return (float)(1 / (n + 1));
}

struct adding {
    float *average;
    const float *values;
    float weight;
    size_t count;
};

static void add_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    const struct adding *work = context;
    size_t last = (size_t)end * PARAM_BLOCK < work->count ? (size_t)end * PARAM_BLOCK : work->count;
    float *restrict a = work->average;
    const float *restrict p = work->values;
    (void)thread;
#pragma omp simd aligned(a, p : 64)
    for (size_t i = (size_t)begin * PARAM_BLOCK; i < last; i++)
        a[i] += (p[i] - a[i]) * work->weight;
}

void average_add(struct average *average, const float *values, int64_t step, int threads)
{
    struct average_state *state = &average->state;
    const struct param_table *table = average->table;
    struct adding work = {average->values, values, weight_of_next(average), table->trained};
    if (state->count == 0)
        memcpy(average->values, values, table->total * sizeof *values);
    else
        team_share(threads, (int64_t)param_blocks(table), 4 * (int64_t)table->trained, add_blocks, &work);
    state->count++;
    if (state->began < 0)
        state->began = state->kind == AVERAGE_EMA ? step - 1 : step;
}

/* ---- checkpoints ---- */

enum status average_check(const struct average_state *state, struct error *e)
{
    bool none = state->kind == AVERAGE_NONE, updates = state->kind == AVERAGE_UPDATES;
    if (state->kind < AVERAGE_NONE || state->kind > AVERAGE_UPDATES || state->count < 0 || state->began < -1)
        return error_set(e, STATUS_CHECKPOINT, "its average of weights is of no known kind, or has no count");
    if (state->count > 0 && (none || state->began < 0))
        return error_set(e, STATUS_CHECKPOINT, "its average has %lld weights before it begins",
                         (long long)state->count);
    if (updates && (state->nonmono < 1 || state->nonmono > AVERAGE_NONMONO_MAX || state->validations < 0))
        return error_set(e, STATUS_CHECKPOINT, "its average waits for %lld validations after %lld, which no run does",
                         (long long)state->nonmono, (long long)state->validations);
    return STATUS_OK;
}
