/* Measures gradients by time lag for a given model, and writes them as CSV and HDF5. */
#include "unroll/use/gradflow.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/file.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/data/output.h"
#include "unroll/nn/model.h"
#include "unroll/train/lag_norms.h"

/* ---- measuring ---- */

/* Lanes of which the shortest fills one window. */
static int lanes_of(int64_t tokens, const struct gradflow_config *config)
{
    int64_t fit = (tokens - 1) / (config->lags + 1);
    return fit < 1 ? 0 : fit < config->batch ? (int)fit : config->batch;
}

static enum status check_split(const struct corpus *corpus, const struct gradflow_config *config, struct error *e)
{
    int64_t tokens = corpus->tokens[config->split];
    const char *name = split_name(config->split);
    if (tokens == 0)
        return error_set(e, STATUS_DATA,
                         "cannot follow gradients through the %s split: there is none; choose another with --split",
                         name);
    if (lanes_of(tokens, config) > 0)
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "cannot follow gradients over '%d' steps: the %s split has only %lld tokens; use fewer --lags, at most "
        "%lld, or another --split",
        config->lags, name, (long long)tokens, (long long)(tokens > 2 ? tokens - 2 : 0));
}

/* Not collective. NULL in *model on a rank that has no groups. */
static enum status make_model(const struct lag_norms_config *config, const float *values, int threads,
                              struct model **model, struct error *e)
{
    struct model_shape shape = {
        .bptt = config->bptt,
        .share = config->share,
        .threads = threads,
        .train = true,
        .exact = true,
    };
    if (lane_share_groups(&shape.share) == 0)
        return STATUS_OK;
    enum status status = model_create(&config->model, values, &shape, model, e);
    if (!status)
        model_pack(*model);
    return status;
}

enum status gradflow_run(const struct comm *comm, struct corpus *corpus, const struct gradflow_config *config,
                         const struct model_config *model_config, const float *values, struct gradflow_result *result,
                         struct error *e)
{
    struct model *model = NULL;
    *result = (struct gradflow_result){.model = *model_config, .lags = config->lags};
    enum status status = check_split(corpus, config, e); /* the same on all ranks */
    if (status)
        return status;
    result->lanes = lanes_of(corpus->tokens[config->split], config);
    int bptt = config->lags + 1, groups = lane_groups_choose(0, result->lanes, bptt);
    struct lag_norms_config norms = {
        .split = config->split,
        .model = *model_config,
        .share = lane_share_of(result->lanes, groups, comm->size, comm->rank),
        .bptt = bptt,
        .windows = config->windows,
    };
    size_t states = (size_t)model_state_count(model_config);
    result->norm = mem_alloc(states * ((size_t)config->lags + 1), sizeof *result->norm, "gradients by time lag", e);
    status = result->norm ? make_model(&norms, values, config->threads, &model, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (!status)
        status = lag_norms_measure(comm, corpus, &norms, model, result->norm, &result->samples, e);
    model_free(model);
    return status;
}

void gradflow_release(struct gradflow_result *result)
{
    mem_free(result->norm);
    result->norm = NULL;
}

int gradflow_layer(const struct gradflow_result *result, int index)
{
    return index % result->model.layers;
}

char gradflow_quantity(const struct gradflow_result *result, int index)
{
    return cell_kind(result->model.cell)->state[index / result->model.layers].letter;
}

/* ---- writing ---- */

enum status gradflow_write_csv(const char *path, const struct gradflow_result *results, int count, struct error *e)
{
    enum { LINE = 64 };
    static const char head[] = "cell,layer,quantity,lag,norm\n";
    size_t lines = 1, length = sizeof head - 1;
    for (int i = 0; i < count; i++)
        lines += (size_t)model_state_count(&results[i].model) * ((size_t)results[i].lags + 1);
    char *text = mem_alloc(lines, LINE, "a table", e);
    if (!text)
        return STATUS_OS;
    memcpy(text, head, length);
    for (const struct gradflow_result *result = results; result < results + count; result++)
        for (int state = 0; state < model_state_count(&result->model); state++)
            for (int lag = 0; lag <= result->lags; lag++) {
                char number[NUMBER_TEXT];
                number_format(result->norm[state * (result->lags + 1) + lag], number);
                length +=
                    (size_t)snprintf(text + length, LINE, "%s,%d,%c,%d,%s\n", cell_name(result->model.cell),
                                     gradflow_layer(result, state), gradflow_quantity(result, state), lag, number);
            }
    enum status status = file_write_report(path, text, length, e);
    mem_free(text);
    return status;
}

static enum status write_result(struct h5 *file, const struct gradflow_result *result, struct error *e)
{
    const struct model_config *model = &result->model;
    char cell[32], path[64], name[16];
    snprintf(cell, sizeof cell, "/%s", cell_name(model->cell));
    enum status status = h5_make_group(file, cell, e);
    if (!status)
        status = h5_set_u64(file, cell, "layers", (uint64_t)model->layers, e);
    if (!status)
        status = h5_set_u64(file, cell, "hidden", (uint64_t)model->hidden, e);
    if (!status)
        status = h5_set_u64(file, cell, "embedding", (uint64_t)model->embedding, e);
    if (!status)
        status = h5_set_u64(file, cell, "samples", (uint64_t)result->samples, e);
    struct h5_shape shape = {H5_F64, 1, {result->lags + 1, 1}};
    for (int state = 0; state < model_state_count(model) && !status; state++) {
        snprintf(path, sizeof path, "%s/%s", cell, model_state_name(model, state, name));
        status = h5_make_dataset(file, path, &shape, e);
        if (!status)
            status = h5_write(file, path, H5_F64, 0, shape.dims[0], result->norm + (int64_t)state * shape.dims[0], e);
    }
    return status;
}

enum status gradflow_write_h5(const char *path, const struct gradflow_result *results, int count, struct error *e)
{
    struct output output;
    struct h5 *file = NULL;
    enum status status = output_begin(path, &output, e);
    if (status)
        return status;
    status = h5_create_serial(output.temporary, &file, e);
    if (!status) {
        status = h5_set_string(file, "/", "format", "unroll-gradflow", e);
        if (!status)
            status = h5_set_u64(file, "/", "version", 1, e);
        for (int i = 0; i < count && !status; i++)
            status = write_result(file, &results[i], e);
        if (status)
            (void)h5_close_write(file, NULL);
        else
            status = h5_close_write(file, e);
    }
    if (!status)
        return output_commit(&output, e);
    output_abandon(&output);
    return status;
}
