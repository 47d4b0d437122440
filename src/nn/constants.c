/* Tensors that are not trained: which a model has, how they are filled, checked and read. */
#include "unroll/nn/constants.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/nn/proposal.h"

bool constants_reordered(int V, const uint64_t *counts)
{
    for (int id = CONSTANTS_SPECIALS + 1; id < V; id++)
        if (counts[id] > counts[id - 1])
            return true;
    return false;
}

static bool has_counts(const struct model_config *config)
{
    return config->samples > 0 && config->proposal == PROPOSAL_UNIGRAM;
}

int constants_params(const struct model_config *config, struct output_param *list, int count)
{
    if (config->reordered)
        list[count++] =
            (struct output_param){.role = PARAM_CONSTANT, .name = CONSTANTS_ORDER, .shape = {config->vocab}};
    if (has_counts(config))
        list[count++] =
            (struct output_param){.role = PARAM_CONSTANT, .name = CONSTANTS_COUNTS, .shape = {config->vocab}};
    return count;
}

int constants_find(const struct param_table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (table->param[i].role == PARAM_CONSTANT && strcmp(table->param[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- filling ---- */

#define MADE_UP_MOST 16777216.0f /* of the first rank, which float32 still counts one by one */

/* Ids in falling order behind the specials. */
static int made_up_id(int V, int rank)
{
    return rank < CONSTANTS_SPECIALS ? rank : V - 1 - (rank - CONSTANTS_SPECIALS);
}

void constants_make_up(const struct model_config *config, const struct param *param, float *x)
{
    const int V = config->vocab;
    bool is_order = strcmp(param->name, CONSTANTS_ORDER) == 0;
    for (int rank = 0; rank < V; rank++) {
        int id = config->reordered ? made_up_id(V, rank) : rank;
        if (is_order)
            x[rank] = (float)id;
        else
            x[id] = ceilf(MADE_UP_MOST / (float)(rank + 1));
    }
}

struct counted {
    uint64_t count;
    uint32_t id;
};

static int compare(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_counts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

void constants_sort(int V, const uint64_t *counts, uint64_t *sorted)
{
    memcpy(sorted, counts, sizeof *sorted * (size_t)V);
    if (V > CONSTANTS_SPECIALS)
        qsort(sorted + CONSTANTS_SPECIALS, (size_t)(V - CONSTANTS_SPECIALS), sizeof *sorted, compare_counts);
}

static enum status fill_order(int V, const uint64_t *counts, float *order, struct error *e)
{
    struct counted *sorted = mem_alloc((size_t)V, sizeof *sorted, "the order of counts", e);
    if (!sorted)
        return STATUS_OS;
    for (int id = 0; id < V; id++)
        sorted[id] = (struct counted){counts[id], (uint32_t)id};
    if (V > CONSTANTS_SPECIALS)
        qsort(sorted + CONSTANTS_SPECIALS, (size_t)(V - CONSTANTS_SPECIALS), sizeof *sorted, compare);
    for (int rank = 0; rank < V; rank++)
        order[rank] = (float)sorted[rank].id;
    mem_free(sorted);
    return STATUS_OK;
}

enum status constants_fill(const struct model_config *config, const struct param_table *table, const uint64_t *counts,
                           float *values, struct error *e)
{
    int order = constants_find(table, CONSTANTS_ORDER), count = constants_find(table, CONSTANTS_COUNTS);
    if (count >= 0)
        for (int id = 0; id < config->vocab; id++)
            values[table->param[count].offset + (size_t)id] = (float)counts[id];
    return order < 0 ? STATUS_OK : fill_order(config->vocab, counts, values + table->param[order].offset, e);
}

/* ---- checking ---- */

static enum status check_order(int V, const float *order, struct error *e)
{
    unsigned char *seen = mem_alloc((size_t)V, 1, "the order of counts", e);
    enum status status = seen ? STATUS_OK : STATUS_OS;
    for (int rank = 0; rank < V && !status; rank++) {
        bool is_id = order[rank] >= 0 && order[rank] < (float)V && order[rank] == floorf(order[rank]);
        int id = is_id ? (int)order[rank] : -1;
        if (!is_id || seen[id] || (rank < CONSTANTS_SPECIALS && id != rank))
            status = error_set(e, STATUS_CHECKPOINT,
                               "'" CONSTANTS_ORDER
                               "' has %g at rank %d: it must hold each id from 0 to %d once, 0 and 1 first",
                               (double)order[rank], rank, V - 1);
        else
            seen[id] = 1;
    }
    mem_free(seen);
    return status;
}

static enum status check_counts(int V, const float *counts, struct error *e)
{
    for (int id = 0; id < V; id++)
        if (!(counts[id] >= 0 && counts[id] < HUGE_VALF))
            return error_set(e, STATUS_CHECKPOINT,
                             "'" CONSTANTS_COUNTS "' has %g for id %d: it must be a number of 0 or more",
                             (double)counts[id], id);
    return STATUS_OK;
}

enum status constants_check(const struct model_config *config, const struct param_table *table, const float *values,
                            struct error *e)
{
    int order = constants_find(table, CONSTANTS_ORDER), counts = constants_find(table, CONSTANTS_COUNTS);
    enum status status = order < 0 ? STATUS_OK : check_order(config->vocab, values + table->param[order].offset, e);
    return status || counts < 0 ? status : check_counts(config->vocab, values + table->param[counts].offset, e);
}

/* ---- reading ---- */

void constants_order(const struct model_config *config, const struct param_table *table, const float *values,
                     uint32_t *order)
{
    int place = constants_find(table, CONSTANTS_ORDER);
    const float *given = place < 0 ? NULL : values + table->param[place].offset;
    for (int rank = 0; rank < config->vocab; rank++)
        order[rank] = given ? (uint32_t)given[rank] : (uint32_t)rank;
}

void constants_ranks(const struct model_config *config, const struct param_table *table, const float *values,
                     uint32_t *rank)
{
    int place = constants_find(table, CONSTANTS_ORDER);
    const float *given = place < 0 ? NULL : values + table->param[place].offset;
    for (int i = 0; i < config->vocab; i++)
        rank[given ? (int)given[i] : i] = (uint32_t)i;
}
