/* The names of tasks, pools and kinds of dropout. */
#include "unroll/nn/model_config.h"

static const char *const tasks[] = {[TASK_LM] = "lm", [TASK_CLASSIFY] = "classify"};
static const char *const pools[] = {[POOL_LAST] = "last", [POOL_MEAN] = "mean", [POOL_MAX] = "max"};

static const char *const dropout_kinds[] = {[DROPOUT_ELEMENT] = "element", [DROPOUT_LOCKED] = "locked"};

const char *task_name(enum task task)
{
    return tasks[task];
}

const char *pool_name(enum pool pool)
{
    return pools[pool];
}

const char *dropout_kind_name(int kind)
{
    return dropout_kinds[kind];
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
const struct choices dropout_kind_choices = {"kind of dropout", sizeof dropout_kinds / sizeof *dropout_kinds,
                                             dropout_kind_name};
const struct choices pool_choices = {"pool", sizeof pools / sizeof *pools, name_of_pool};
