/* Tells its user how the run goes (train/advice.h): a line when something is seen, and what helps in the end. */
#include "trainer_private.h"

#include <math.h>

#include "unroll/nn/output.h"

static struct advice_run describe_run(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    bool of_noise = output_kind(&trainer->shape)->uses & OUTPUT_NORMALISER; /* no surprise at words */
    return (struct advice_run){
        .uniform = of_noise ? INFINITY : log(classifies ? trainer->shape.labels : trainer->shape.vocab),
        .lr = config->schedule.lr,
        .clip = config->step.clip,
        .dropout = trainer->shape.dropout,
        .warmup = config->schedule.warmup,
        .epoch = trainer_epoch_steps(trainer),
        .total = trainer_total_steps(trainer),
        .steps_down = config->schedule.kind == SCHEDULE_STEP || config->schedule.kind == SCHEDULE_PLATEAU,
        .classifies = classifies,
        .limited = trainer_is_limited(trainer),
    };
}

void trainer_advise_begin(struct trainer *trainer)
{
    char path[FILE_PATH_MAX];
    struct advice_run run = describe_run(trainer);
    if (!trainer->rundir)
        return;
    rundir_file(trainer->rundir, "metrics.jsonl", path);
    adviser_begin(&trainer->adviser, &run, path);
}

/* ---- in the end ---- */

static bool stopped_early(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    return progress->epoch < config->epochs && (config->max_steps == 0 || progress->step < config->max_steps);
}

const char *trainer_how_to_go_on(const struct trainer *trainer)
{
    return stopped_early(trainer) ? "add --patience none to go on" : "raise --epochs or --max-steps to go on";
}

void trainer_conclude(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    int64_t patience = trainer->config->patience;
    if (!trainer->rundir)
        return;
    struct advice_outcome end = {.step = progress->step,
                                 .epoch = progress->epoch + (progress->window > 0),
                                 .skipped = progress->skipped,
                                 .train_loss = trainer_train_loss(trainer),
                                 .valid_loss = trainer->last_on_the_way};
    adviser_conclude(&trainer->adviser, patience > 0 && progress->stalls >= patience, &end);
}

/* The best that is known of the weights, also of a run that had ended before this start. */
static double lowest_loss(const struct trainer *trainer)
{
    if (!trainer_has(trainer, SPLIT_VALID))
        return trainer_train_loss(trainer);
    return fmin(fmin(trainer->best.valid_loss, trainer->last.valid_loss), trainer->progress.best_valid_loss);
}

bool trainer_is_of_no_use(const struct trainer *trainer)
{
    const struct adviser *adviser = &trainer->adviser;
    return adviser->conclusion == ADVICE_TOO_HIGH && !(lowest_loss(trainer) < adviser->run.uniform);
}

void trainer_advise_end(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    if (!trainer->rundir)
        return;
    if (stopped_early(trainer)) {
        reporter_tell(&trainer->reporter,
                      "stopped by --patience: %lld validations in a row were not better than step %lld's",
                      (long long)progress->stalls, (long long)progress->best_step);
        reporter_tell(&trainer->reporter, "to go on all the same, run the same command with --patience none");
    }
    adviser_tell(&trainer->adviser, &trainer->reporter);
}
