/* Tells its user how the run goes (train/advice.h): a line when something is seen, and what helps in the end. */
#include "trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct advice_run describe(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    return (struct advice_run){
        .uniform = log(classifies ? trainer->shape.labels : trainer->shape.vocab),
        .lr = config->schedule.lr,
        .clip = config->clip,
        .dropout = trainer->shape.dropout,
        .warmup = config->schedule.warmup,
        .epoch = trainer->windows,
        .total = trainer_total_steps(trainer),
        .steps_down = config->schedule.kind == SCHEDULE_STEP || config->schedule.kind == SCHEDULE_PLATEAU,
        .classifies = classifies,
        .limited = trainer_is_limited(trainer),
        .stopped = config->patience > 0 && trainer->progress.stalls >= config->patience,
    };
}

/* ---- the lines of a run that goes on ---- */

static void take_line(const struct advice_run *run, struct advice_history *history, const struct json_read *line)
{
    int64_t step = metrics_whole(line, "step");
    if (step < 0)
        return;
    if (metrics_is_type(line, "train")) {
        int64_t tokens = metrics_whole(line, "tokens"), skipped = metrics_whole(line, "skipped");
        advice_train(run, history,
                     &(struct advice_train){.step = step,
                                            .tokens = tokens > 0 ? tokens : 0,
                                            .skipped = skipped > 0 ? skipped : 0,
                                            .loss = metrics_number(line, "loss"),
                                            .grad_norm = metrics_number(line, "grad_norm"),
                                            .lr = metrics_number(line, "lr")});
    } else if (metrics_is_type(line, "valid")) {
        advice_valid(run, history, step, metrics_number(line, "loss"));
    } else {
        return;
    }
    (void)advice_seen(run, history); /* an earlier start has said it */
}

/* What cannot be read is left out: advice is then of what is to come. */
static void read_lines(const char *path, const struct advice_run *run, struct advice_history *history)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    if (!file)
        return;
    while ((length = getline(&text, &room, file)) > 0) {
        struct json_read line;
        if (json_read_text(path, text, (size_t)length, &line, NULL) == STATUS_OK)
            take_line(run, history, &line);
        json_read_close(&line);
    }
    free(text); /* getline's */
    (void)fclose(file);
}

void trainer_advise_begin(struct trainer *trainer)
{
    char path[FILE_PATH_MAX];
    struct advice_run run = describe(trainer);
    advice_begin(&trainer->history);
    if (!trainer->rundir)
        return;
    rundir_file(trainer->rundir, "metrics.jsonl", path);
    read_lines(path, &run, &trainer->history);
}

/* ---- on the way ---- */

static void tell_seen(struct trainer *trainer, const struct advice_run *run)
{
    struct advice advice;
    enum advice_kind kind = advice_seen(run, &trainer->history);
    if (!kind)
        return;
    advice_tell(run, &trainer->history, kind, &advice);
    if (kind <= ADVICE_TOO_LOW)
        reporter_warn(&trainer->reporter, "%s", advice.found);
    else
        reporter_tell(&trainer->reporter, "%s", advice.found);
}

void trainer_advise_step(struct trainer *trainer, double loss)
{
    const struct progress *progress = &trainer->progress;
    struct advice_run run = describe(trainer);
    advice_train(&run, &trainer->history,
                 &(struct advice_train){.step = progress->step,
                                        .tokens = progress->tokens,
                                        .skipped = progress->skipped,
                                        .loss = loss,
                                        .grad_norm = trainer->grad_norm,
                                        .lr = trainer->lr});
    tell_seen(trainer, &run);
}

void trainer_advise_valid(struct trainer *trainer)
{
    struct advice_run run = describe(trainer);
    advice_valid(&run, &trainer->history, trainer->progress.step, trainer->progress.valid_loss);
    tell_seen(trainer, &run);
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
    struct advice_run run = describe(trainer);
    if (!trainer->rundir)
        return;
    struct advice_outcome end = {.step = progress->step,
                                 .skipped = progress->skipped,
                                 .train_loss = trainer_train_loss(trainer),
                                 .valid_loss = trainer->last.valid_loss};
    trainer->conclusion = advice_end(&run, &trainer->history, &end);
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
    struct advice_run run = describe(trainer);
    return trainer->conclusion == ADVICE_TOO_HIGH && !(lowest_loss(trainer) < run.uniform);
}

void trainer_advise_end(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    struct advice advice;
    struct advice_run run = describe(trainer);
    if (!trainer->rundir)
        return;
    if (stopped_early(trainer)) {
        reporter_tell(&trainer->reporter,
                      "stopped by --patience: %lld validations in a row were not better than step %lld's",
                      (long long)progress->stalls, (long long)progress->best_step);
        reporter_tell(&trainer->reporter, "to go on all the same, run the same command with --patience none");
    }
    if (!trainer->conclusion)
        return;
    advice_tell(&run, &trainer->history, trainer->conclusion, &advice);
    reporter_tell(&trainer->reporter, "advice:");
    reporter_tell(&trainer->reporter, "  %s", advice.found);
    reporter_tell(&trainer->reporter, "  what helps: %s", advice.fix);
}

void trainer_put_advice(const struct trainer *trainer, struct json *json)
{
    struct advice advice;
    struct advice_run run = describe(trainer);
    if (!trainer->conclusion) {
        json_put_null(json, "advice");
        return;
    }
    advice_tell(&run, &trainer->history, trainer->conclusion, &advice);
    json_object_begin(json, "advice");
    json_put_string(json, "kind", advice_name(trainer->conclusion));
    json_put_string(json, "found", advice.found);
    json_put_string(json, "fix", advice.fix);
    json_object_end(json);
}
