/* How long a run takes: what its parts have cost so far, times how many of them are left.
 *
 * Before a part has been seen: a forward pass takes a third of a step's time, and files go as fast as
 * trainer_costs.c says. */
#include "trainer_private.h"

#include <math.h>
#include <stdio.h>

#include "unroll/base/clock.h"
#include "unroll/base/number.h"

#define ENOUGH 3.0        /* seconds of steps that a forecast needs */
#define FORWARD (1 / 3.0) /* of a step's time */

/* ---- what a part costs ---- */

double trainer_cost_of_writing(const struct trainer *trainer, bool best)
{
    return costs_of_writing(&trainer->costs, best, saver_bytes(&trainer->saver, best));
}

/* Includes the work between steps that is not counted elsewhere. */
static double cost_of_step(const struct trainer *trainer)
{
    const struct costs *costs = &trainer->costs;
    double known = costs->steps + costs->evaluations + costs->saves + costs->bests;
    double other = clock_seconds() - trainer->pulse.begun - known;
    double step = costs->recent / (double)costs->recent_steps;
    return other > 0 ? step * (1 + other / costs->steps) : step;
}

static double cost_of_evaluation(const struct trainer *trainer, enum split split)
{
    const struct costs *costs = &trainer->costs;
    const struct corpus *corpus = trainer->corpus;
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    double targets = (double)(classifies ? corpus->texts[split] : corpus->tokens[split]);
    if (!trainer_has(trainer, split))
        return 0;
    if (costs->evaluated > 0)
        return targets * costs->evaluation / (double)costs->evaluated;
    return targets * FORWARD * costs->recent / (double)costs->recent_tokens;
}

/* ---- what is left ---- */

/* Epochs that end within the first `step` steps; about, where they differ. */
static int64_t epochs_within(const struct trainer *trainer, int64_t step)
{
    const struct progress *progress = &trainer->progress;
    if (step == progress->step - 1)
        return progress->epoch - (progress->window == 0);
    return (int64_t)((__int128)step * trainer->config->epochs / trainer->steps);
}

/* How often something is due each `every` steps (0: at each end of an epoch) between two steps, the last one
 * included. */
static double times_due(const struct trainer *trainer, int64_t every, int64_t from, int64_t to)
{
    if (every == 0)
        return (double)(epochs_within(trainer, to) - epochs_within(trainer, from));
    return (double)(to / every - from / every);
}

/* A last checkpoint and validation where none is due, and the test of the last and of the best weights. */
static double cost_of_end(const struct trainer *trainer, int64_t total)
{
    const struct trainer_config *config = trainer->config;
    int kinds = trainer->valid ? 2 : 1;
    double seconds = kinds * cost_of_evaluation(trainer, SPLIT_TEST);
    if (times_due(trainer, config->eval_every, total - 1, total) == 0 || trainer->shape.task == TASK_CLASSIFY)
        seconds += cost_of_evaluation(trainer, SPLIT_VALID);
    return seconds + trainer_cost_of_writing(trainer, false);
}

double trainer_left(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    int64_t total = trainer_total_steps(trainer), step = progress->step;
    if (trainer->costs.recent_steps == 0 || !trainer->step)
        return NAN;
    /* at a step's end what is due there is still to come */
    double validations = times_due(trainer, config->eval_every, step - 1, total);
    double saves = times_due(trainer, config->checkpoint_every, step - 1, total);
    double validation = cost_of_evaluation(trainer, SPLIT_VALID) + trainer_cost_of_writing(trainer, true);
    return (double)(total - step) * cost_of_step(trainer) + (trainer->valid ? validations * validation : 0) +
           saves * trainer_cost_of_writing(trainer, false) + cost_of_end(trainer, total);
}

/* ---- the forecast ---- */

static void put_forecast(struct trainer *trainer, double elapsed, double left)
{
    struct json json;
    metrics_begin_line(&json, "forecast");
    json_put_int(&json, "step", trainer->progress.step);
    json_put_int(&json, "steps", trainer_total_steps(trainer));
    json_put_double(&json, "elapsed", elapsed);
    json_put_double(&json, "left", left);
    json_put_double(&json, "seconds", elapsed + left);
    metrics_end_line(trainer->reporter.timing, &json);
}

/* "10 epochs of 491 steps" of a new run that makes whole epochs, else steps. */
static void describe_work(const struct trainer *trainer, char text[96])
{
    const struct trainer_config *config = trainer->config;
    int64_t total = trainer_total_steps(trainer), first = trainer->pulse.first_step;
    if (first > 0)
        snprintf(text, 96, "the %lld steps from %lld on", (long long)(total - first), (long long)first);
    else if (!trainer_is_limited(trainer))
        snprintf(text, 96, "%lld epoch%s of %s%lld steps", (long long)config->epochs, config->epochs == 1 ? "" : "s",
                 config->bptt_vary && config->epochs > 1 ? "about " : "", (long long)trainer_epoch_steps(trainer));
    else
        snprintf(text, 96, "%lld steps", (long long)total);
}

void trainer_tell_forecast(struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    char time[NUMBER_TEXT], work[96];
    if (!trainer->reporter.log || trainer->pulse.forecast_told || trainer->costs.recent < ENOUGH)
        return; /* as of most steps: nothing is computed for it */
    double elapsed = costs_elapsed(&trainer->costs), left = trainer_left(trainer);
    if (isnan(left))
        return;
    trainer->pulse.forecast_told = true;
    put_forecast(trainer, elapsed, left);
    describe_work(trainer, work);
    reporter_tell(&trainer->reporter, "about %s for %s%s", number_duration(elapsed + left, time), work,
                  config->patience > 0 ? ", or less: --patience may end it" : "");
    if (config->max_time > 0 && elapsed + left > config->max_time)
        reporter_tell(&trainer->reporter, "--max-time stops it after %s: the same command then goes on",
                      number_duration(config->max_time, time));
}
