#include "unroll/nn/param.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "unroll/base/mem.h"

static const struct {
    const char *name;
    int gates;
} cells[] = {
    [CELL_RNN_TANH] = {"rnn-tanh", 1},
    [CELL_RNN_RELU] = {"rnn-relu", 1},
    [CELL_LSTM] = {"lstm", 4},
    [CELL_GRU] = {"gru", 3},
};
#define CELLS ((int)(sizeof cells / sizeof cells[0]))

const char *cell_name(enum cell cell)
{
    return cells[cell].name;
}

int cell_gates(enum cell cell)
{
    return cells[cell].gates;
}

enum status cell_parse(const char *name, enum cell *cell, struct error *e)
{
    for (int i = 0; i < CELLS; i++)
        if (strcmp(name, cells[i].name) == 0) {
            *cell = (enum cell)i;
            return STATUS_OK;
        }
    return error_set(e, STATUS_CONFIG, "unknown cell '%s'; use rnn-tanh, rnn-relu, lstm or gru", name);
}

static const char *const tasks[] = {[TASK_LM] = "lm", [TASK_CLASSIFY] = "classify"};
static const char *const pools[] = {[POOL_LAST] = "last", [POOL_MEAN] = "mean", [POOL_MAX] = "max"};
#define POOLS ((int)(sizeof pools / sizeof pools[0]))

const char *task_name(enum task task)
{
    return tasks[task];
}

const char *pool_name(enum pool pool)
{
    return pools[pool];
}

enum status pool_parse(const char *name, enum pool *pool, struct error *e)
{
    for (int i = 0; i < POOLS; i++)
        if (strcmp(name, pools[i]) == 0) {
            *pool = (enum pool)i;
            return STATUS_OK;
        }
    return error_set(e, STATUS_CONFIG, "unknown pool '%s'; use last, mean or max", name);
}

int model_outputs(const struct model_config *config)
{
    return config->task == TASK_CLASSIFY ? config->labels : config->vocab;
}

static enum status check_range(const char *what, int value, int least, int most, struct error *e)
{
    if (value >= least && value <= most)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG, "value out of range for '%s': %d; use %d to %d", what, value, least, most);
}

enum status model_config_check(const struct model_config *config, struct error *e)
{
    enum status status = STATUS_OK;
    if ((int)config->cell < 0 || (int)config->cell >= CELLS)
        status = error_set(e, STATUS_CONFIG, "unknown cell number '%d'; use 0 to %d", (int)config->cell, CELLS - 1);
    if (status == STATUS_OK)
        status = check_range("--layers", config->layers, 1, MODEL_LAYERS_MAX, e);
    if (status == STATUS_OK)
        status = check_range("--embedding", config->embedding, 1, MODEL_WIDTH_MAX, e);
    if (status == STATUS_OK)
        status = check_range("--hidden", config->hidden, 1, MODEL_WIDTH_MAX, e);
    if (status == STATUS_OK)
        status = check_range("vocabulary size", config->vocab, 1, MODEL_VOCAB_MAX, e);
    if (status == STATUS_OK && !(config->dropout >= 0 && config->dropout < 1)) /* a NaN fails too */
        status = error_set(e, STATUS_CONFIG, "value out of range for '--dropout': %g; use 0 or more, below 1",
                           config->dropout);
    if (status == STATUS_OK && config->reset_token >= (uint32_t)config->vocab)
        status = error_set(e, STATUS_CONFIG, "value out of range for 'token of --reset-at': %u; use 0 to %d",
                           config->reset_token, config->vocab - 1);
    if (status == STATUS_OK && config->task == TASK_CLASSIFY)
        status = check_range("number of labels", config->labels, 2, MODEL_LABELS_MAX, e);
    if (status == STATUS_OK && config->task == TASK_CLASSIFY && config->tied)
        status = error_set(e, STATUS_CONFIG, "cannot use '--tied' with --task classify: labels are no words; drop it");
    if (status == STATUS_OK && config->task == TASK_CLASSIFY && config->reset_token)
        status = error_set(e, STATUS_CONFIG,
                           "cannot use '--reset-at eos' with --task classify: each text stands alone anyway; drop it");
    if (status == STATUS_OK && config->tied && config->embedding != config->hidden)
        status = error_set(e, STATUS_CONFIG,
                           "widths differ under '--tied': --embedding %d, --hidden %d; make them equal or drop --tied",
                           config->embedding, config->hidden);
    return status;
}

/* Every tensor starts on a 64-byte boundary. */
static size_t padded(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static struct param *append(struct param_table *table, const char *name, int rank, int64_t rows, int64_t columns)
{
    struct param *p = &table->param[table->count++];
    *p = (struct param){.rank = rank, .shape = {rows, columns}, .count = (size_t)rows * (size_t)columns, .alias = -1};
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

static void own(struct param_table *table, const char *name, int rank, int64_t rows, int64_t columns)
{
    struct param *p = append(table, name, rank, rows, columns);
    p->offset = p->grad_offset = table->total;
    table->total += padded(p->count);
    table->elements += p->count;
}

/* A second name of parameter `of`; its gradient is placed once `total` is known. */
static void alias(struct param_table *table, const char *name, int of)
{
    const struct param *origin = &table->param[of];
    struct param *p = append(table, name, origin->rank, origin->shape[0], origin->shape[1]);
    p->offset = origin->offset;
    p->alias = of;
}

static void own_of_layer(struct param_table *table, const char *kind, int layer, int rank, int64_t rows,
                         int64_t columns)
{
    char name[sizeof table->param[0].name];
    snprintf(name, sizeof name, "rnn.%s_l%d", kind, layer);
    own(table, name, rank, rows, columns);
}

void param_table_build(const struct model_config *config, struct param_table *table)
{
    const int64_t V = config->vocab, E = config->embedding, H = config->hidden, GH = cell_gates(config->cell) * H;
    memset(table, 0, sizeof *table);
    own(table, "encoder.weight", 2, V, E);
    for (int l = 0; l < config->layers; l++) {
        own_of_layer(table, "weight_ih", l, 2, GH, l ? H : E);
        own_of_layer(table, "weight_hh", l, 2, GH, H);
        own_of_layer(table, "bias_ih", l, 1, GH, 1);
        own_of_layer(table, "bias_hh", l, 1, GH, 1);
    }
    if (config->tied)
        alias(table, "decoder.weight", param_find(table, "encoder.weight"));
    else
        own(table, "decoder.weight", 2, model_outputs(config), H);
    own(table, "decoder.bias", 1, model_outputs(config), 1);

    table->grad_total = table->total;
    for (int i = 0; i < table->count; i++)
        if (table->param[i].alias >= 0) {
            table->param[i].grad_offset = table->grad_total;
            table->grad_total += padded(table->param[i].count);
        }
}

int param_find(const struct param_table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->param[i].name, name) == 0)
            return i;
    return -1;
}

void param_fold_aliases(const struct param_table *table, float *grad)
{
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        if (p->alias < 0)
            continue;
        float *into = grad + table->param[p->alias].grad_offset;
        const float *from = grad + p->grad_offset;
        for (size_t k = 0; k < p->count; k++)
            into[k] += from[k];
    }
}

void param_digest(const struct param_table *table, const float *values, char hex[33])
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (int i = 0; i < table->count; i++)
        XXH3_128bits_update(&state, values + table->param[i].offset, table->param[i].count * sizeof *values);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}
