/* The names of tasks and pools, and what a configuration may be. */
#include "unroll/nn/model_config.h"

#include <string.h>

#include "unroll/nn/output.h"

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
    return output_kind(config)->outputs(config);
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
        status = check_range("vocabulary size", config->vocab, 1, VOCAB_MAX, e);
    if (status == STATUS_OK && !(config->dropout >= 0 && config->dropout < 1)) /* a NaN fails too */
        status = error_set(e, STATUS_CONFIG, "value out of range for '--dropout': %g; use 0 or more, below 1",
                           config->dropout);
    if (status == STATUS_OK && config->reset_token >= (uint32_t)config->vocab)
        status = error_set(e, STATUS_CONFIG, "value out of range for 'token of --reset-at': %u; use 0 to %d",
                           config->reset_token, config->vocab - 1);
    if (!status)
        status = output_kind(config)->check(config, e);
    return status;
}
