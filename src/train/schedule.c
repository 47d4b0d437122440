/* Computes the learning rate of a step. */
#include "unroll/train/schedule.h"

#include <float.h>

#include "unroll/base/arithmetic.h"

static const char *const names[] = {
    [SCHEDULE_CONSTANT] = "constant", [SCHEDULE_STEP] = "step",         [SCHEDULE_PLATEAU] = "plateau",
    [SCHEDULE_COSINE] = "cosine",     [SCHEDULE_ONECYCLE] = "onecycle",
};

const char *schedule_name(int kind)
{
    return names[kind];
}

const struct choices schedule_choices = {"schedule", sizeof names / sizeof *names, schedule_name};

/* A rate that begins below the minimum stays there. */
static double least_lr(const struct schedule_config *config)
{
    return config->minimum < config->lr ? config->minimum : config->lr;
}

/* From `begin` at x = 0 to `end` at 1, by half a cosine. */
static double half_cosine(double begin, double end, double x)
{
    double sine, cosine;
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    arithmetic_sincos(x / 2, &sine, &cosine);
    return end + (begin - end) * (1 + cosine) / 2;
}

static double cosine_lr(const struct schedule_config *config, const struct schedule_point *point)
{
    double span = (double)(point->total - 1 - config->warmup);
    double x = span > 0 ? (double)(point->step - config->warmup) / span : 0;
    return half_cosine(config->lr, config->minimum, x);
}

/* The phases meet at a step that may be no whole number, as in PyTorch. */
static double onecycle_lr(const struct schedule_config *config, const struct schedule_point *point)
{
    double first = config->lr / config->cycle_start, last = first / config->cycle_end;
    double step = (double)point->step, end = (double)point->total - 1;
    double top = config->cycle_rise * (double)point->total - 1;
    if (step <= top)
        return half_cosine(first, config->lr, top > 0 ? step / top : 1);
    return half_cosine(config->lr, last, end > top ? (step - top) / (end - top) : 1);
}

bool schedule_is_of_a_length(const struct schedule_config *config)
{
    return config->kind == SCHEDULE_COSINE || config->kind == SCHEDULE_ONECYCLE;
}

double schedule_lr(const struct schedule_config *config, const struct schedule_point *point)
{
    double lr = config->lr;
    switch (config->kind) {
    case SCHEDULE_CONSTANT:
        break;
    case SCHEDULE_STEP:
        lr = config->lr / arithmetic_pow(config->decay, (double)(point->epoch / config->every));
        break;
    case SCHEDULE_PLATEAU:
        lr = config->lr * point->factor;
        break;
    case SCHEDULE_COSINE:
        lr = cosine_lr(config, point);
        break;
    case SCHEDULE_ONECYCLE:
        lr = onecycle_lr(config, point);
        break;
    }
    if (config->kind != SCHEDULE_CONSTANT && config->kind != SCHEDULE_ONECYCLE && lr < least_lr(config))
        lr = least_lr(config);
    if (point->step < config->warmup)
        lr *= (double)(point->step + 1) / (double)config->warmup;
    return lr;
}

bool schedule_validated(const struct schedule_config *config, bool improved, double *factor, int64_t *stalls)
{
    if (config->kind != SCHEDULE_PLATEAU)
        return false;
    if (improved) {
        *stalls = 0;
        return false;
    }
    ++*stalls;
    if (*stalls < config->patience)
        return false;
    *stalls = 0;
    if (config->lr * *factor <= least_lr(config) || *factor / config->decay < DBL_MIN)
        return false;
    *factor /= config->decay;
    return true;
}
