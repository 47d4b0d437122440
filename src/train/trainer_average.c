/* Averages of the weights in a run: when they enter, and what follows. */
#include "trainer_private.h"

/* --average, or what the optimizer does by itself. */
static struct average_config config_of(const struct trainer *trainer)
{
    struct average_config config = trainer->config->average;
    if (optimizer_averages(trainer->config->step.optimizer.kind))
        config.kind = AVERAGE_UPDATES;
    return config;
}

enum status trainer_check_average(const struct trainer *trainer, struct error *e)
{
    struct average_config config = config_of(trainer);
    if (config.kind != AVERAGE_UPDATES || trainer_has(trainer, SPLIT_VALID))
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "cannot use '--optimizer %s': averaging begins by the losses of validation, and corpus '%.200s' has "
        "no validation text; prepare it with --valid or --split, or use --optimizer sgd --average ema",
        optimizer_name(trainer->config->step.optimizer.kind), trainer->config->corpus);
}

enum status trainer_create_average(struct trainer *trainer, struct error *e)
{
    struct average_config config = config_of(trainer);
    return average_create(&config, &trainer->table, &trainer->average, e);
}

void trainer_average(struct trainer *trainer, int64_t epoch, bool updated)
{
    struct average *average = &trainer->average;
    bool first = average->state.count == 0, before = average->state.began < 0;
    if (!average_is_due(average, epoch, updated, trainer->progress.window == 0))
        return;
    trainer_settle(trainer);
    average_add(average, trainer->values, trainer->progress.step, trainer->placement.threads);
    if (first && before)
        trainer_report_average(trainer);
}

void trainer_average_validated(struct trainer *trainer)
{
    struct progress *progress = &trainer->progress;
    if (!average_validated(&trainer->average, progress->valid_loss, progress->step))
        return;
    progress->stalls = 0;
    trainer_report_average(trainer);
}
