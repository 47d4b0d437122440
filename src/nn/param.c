/* The parameter table: names, shapes, places; its walks. */
#include "unroll/nn/param.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "unroll/base/mem.h"
#include "unroll/nn/output.h"

static int append(struct param_table *table, enum param_role role, const char *name, int rank, int64_t rows,
                  int64_t columns)
{
    struct param *p = &table->param[table->count];
    *p = (struct param){.role = role,
                        .layer = -1,
                        .rank = rank,
                        .shape = {rows, columns},
                        .count = (size_t)rows * (size_t)columns,
                        .alias = -1};
    snprintf(p->name, sizeof p->name, "%s", name);
    return table->count++;
}

static int append_own(struct param_table *table, enum param_role role, const char *name, int rank, int64_t rows,
                      int64_t columns)
{
    int place = append(table, role, name, rank, rows, columns);
    struct param *p = &table->param[place];
    p->offset = p->grad_offset = table->total;
    table->total += param_padded(p->count);
    if (role == PARAM_CONSTANT)
        return place;
    CHECK(table->trained == p->offset);
    table->trained = table->total;
    table->elements += p->count;
    return place;
}

/* A second name of parameter `of`; its gradient is placed once `total` is known. */
static int append_alias(struct param_table *table, enum param_role role, const char *name, int of)
{
    const struct param *origin = &table->param[of];
    int place = append(table, role, name, origin->rank, origin->shape[0], origin->shape[1]);
    table->param[place].offset = origin->offset;
    table->param[place].alias = of;
    return place;
}

static int append_of_layer(struct param_table *table, enum param_role role, const char *kind, int layer, int rank,
                           int64_t rows, int64_t columns)
{
    char name[sizeof table->param[0].name];
    snprintf(name, sizeof name, "rnn.%.30s_l%d", kind, layer);
    int place = append_own(table, role, name, rank, rows, columns);
    table->param[place].layer = layer;
    return place;
}

static void add_output(const struct model_config *config, struct param_table *table)
{
    struct output_param list[PARAM_OUTPUT_MAX];
    int count = output_kind(config)->params(config, list);
    table->output = table->count;
    for (int i = 0; i < count; i++) {
        const struct output_param *p = &list[i];
        if (p->tied)
            append_alias(table, p->role, p->name, table->encoder);
        else
            append_own(table, p->role, p->name, p->shape[1] ? 2 : 1, p->shape[0], p->shape[1] ? p->shape[1] : 1);
    }
}

/* What the layer's cell has besides the weights of its gates. */
static void add_further(const struct model_config *config, struct param_table *table, int l)
{
    struct cell_tensor list[CELL_TENSORS_MAX];
    const struct cell_kind *cell = cell_kind(config->cell);
    table->layer[l].further = table->count;
    table->layer[l].furthers = cell->tensors ? cell->tensors(config, l, list) : 0;
    for (int i = 0; i < table->layer[l].furthers; i++)
        (void)append_of_layer(table, PARAM_CELL, list[i].name, l, list[i].columns ? 2 : 1, list[i].rows,
                              list[i].columns ? list[i].columns : 1);
}

void param_table_build(const struct model_config *config, struct param_table *table)
{
    const struct cell_kind *kind = cell_kind(config->cell);
    memset(table, 0, sizeof *table);
    table->encoder = append_own(table, PARAM_EMBEDDING, "encoder.weight", 2, config->vocab, config->embedding);
    for (int l = 0; l < config->layers; l++) {
        const int64_t H = model_width(config, l), GH = kind->gates * H, RH = kind->recurrent_gates * H;
        table->layer[l].w_ih = append_of_layer(table, PARAM_INPUT, "weight_ih", l, 2, cell_input_blocks(kind, l) * H,
                                               model_inputs(config, l));
        table->layer[l].w_hh = table->layer[l].b_hh = -1;
        if (RH > 0)
            table->layer[l].w_hh = append_of_layer(table, PARAM_RECURRENT, "weight_hh", l, 2, RH, H);
        table->layer[l].b_ih = append_of_layer(table, PARAM_INPUT_BIAS, "bias_ih", l, 1, GH, 1);
        if (RH > 0)
            table->layer[l].b_hh = append_of_layer(table, PARAM_RECURRENT_BIAS, "bias_hh", l, 1, RH, 1);
        add_further(config, table, l);
    }
    add_output(config, table);

    table->grad_total = table->trained;
    for (int i = 0; i < table->count; i++)
        if (table->param[i].alias >= 0) {
            table->param[i].grad_offset = table->grad_total;
            table->grad_total += param_padded(table->param[i].count);
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
