/* The names of tasks and pools. */
#include "unroll/nn/model_config.h"

static const char *const tasks[] = {[TASK_LM] = "lm", [TASK_CLASSIFY] = "classify"};
static const char *const pools[] = {[POOL_LAST] = "last", [POOL_MEAN] = "mean", [POOL_MAX] = "max"};

const char *task_name(enum task task)
{
    return tasks[task];
}

const char *pool_name(enum pool pool)
{
    return pools[pool];
}

static const char *name_of_task(int value)
{
    return tasks[value];
}

static const char *name_of_pool(int value)
{
    return pools[value];
}

const struct choices task_choices = {"task", sizeof tasks / sizeof *tasks, name_of_task};
const struct choices pool_choices = {"pool", sizeof pools / sizeof *pools, name_of_pool};
