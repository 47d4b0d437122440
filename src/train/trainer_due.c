/* What is due at a step's boundary, and how far the run goes: all of it follows from options and progress. */
#include "trainer_private.h"

int64_t trainer_total_steps(const struct trainer *trainer)
{
    return trainer_is_limited(trainer) ? trainer->config->max_steps : trainer->steps;
}

bool trainer_is_limited(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    return config->max_steps > 0 && config->max_steps < trainer->steps;
}

int64_t trainer_epoch_steps(const struct trainer *trainer)
{
    int64_t epochs = trainer->config->epochs, steps = (trainer->steps + epochs / 2) / epochs;
    return steps > 1 ? steps : 1;
}

double trainer_next_lr(const struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    struct schedule_point point = {progress->step, progress->epoch, trainer_total_steps(trainer), progress->lr_factor};
    return schedule_lr(&trainer->config->schedule, &point);
}

bool trainer_validation_due(const struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    if (!trainer->valid || progress->step == 0 || progress->valid_step == progress->step)
        return false;
    int64_t every = trainer->config->eval_every;
    return every > 0 ? progress->step % every == 0 : progress->window == 0;
}

/* Why the run has ended by its own rules, NULL if it has not. */
const char *trainer_end_reached(const struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    if (progress->epoch >= config->epochs)
        return "all epochs";
    if (config->max_steps > 0 && progress->step >= config->max_steps)
        return "max steps";
    if (config->patience > 0 && progress->stalls >= config->patience)
        return "no improvement";
    return NULL;
}
