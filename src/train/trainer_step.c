/* The trainer's step: gradient, exchange of losses, update, and skipping. */
#include "trainer_private.h"

#include <math.h>

#include "unroll/base/clock.h"

/* Sums the gradients, clips, updates. False if their norm is not finite: then nothing has changed. Where lengths vary
 * the rate is in proportion to them, so that each time step weighs the same: after clipping, and also for decay that
 * goes by the rate. */
static bool sum_and_update(struct trainer *trainer, int T, int64_t tokens)
{
    heartbeat_beat(&trainer->heartbeat, "reduction");
    double norm = step_sum(trainer->step, tokens);
    if (!isfinite(norm))
        return false;
    trainer->grad_norm = norm;
    trainer->lr = trainer_next_lr(trainer);
    heartbeat_beat(&trainer->heartbeat, "update");
    bool vary = trainer->config->bptt_vary;
    step_update(trainer->step, vary ? trainer->lr * T / trainer->config->step.bptt : trainer->lr);
    return true;
}

static void count_step(struct trainer *trainer, bool updated, double loss, int64_t tokens)
{
    struct progress *progress = &trainer->progress;
    if (updated) {
        progress->epoch_loss += loss;
        progress->epoch_tokens += tokens;
        progress->log_loss += loss;
        progress->log_tokens += tokens;
        progress->skipped_in_row = 0;
    } else {
        progress->skipped++;
        progress->skipped_in_row++;
    }
    progress->tokens += tokens;
    progress->step++;
    progress->window++;
}

enum status trainer_step(struct trainer *trainer, struct error *e)
{
    struct progress *progress = &trainer->progress;
    double begun = clock_seconds();
    struct window window;
    struct model_loss loss = {.group = NULL};
    if (progress->window == 0) {
        feed_seek(&trainer->feed, progress->epoch, 0);
        trainer->windows = feed_windows(&trainer->feed);
        progress->epoch_loss = 0;
        progress->epoch_tokens = 0;
    }
    trainer_pulse_begin(trainer);
    heartbeat_beat(&trainer->heartbeat, "reading");
    enum status status = feed_next(&trainer->feed, &window, e);
    if (!status) {
        CHECK(window.T > 0);
        heartbeat_beat(&trainer->heartbeat, "forward and backward");
        step_gradient(trainer->step, &window, progress->step, &loss);
    }
    heartbeat_beat(&trainer->heartbeat, "exchange of losses");
    double sum = exchange_losses(&trainer->exchange, trainer->comm,
                                 status ? REQUEST_ERROR : trainer_stop_request(trainer), loss.group);
    if (trainer->exchange.request == REQUEST_ERROR)
        return comm_agree(trainer->comm, status, e);

    int64_t tokens = feed_targets(&trainer->feed, progress->window, 0, trainer->config->batch);
    int64_t epoch = progress->epoch;
    bool finite = isfinite(sum), updated = finite && sum_and_update(trainer, window.T, tokens);
    if (!finite)
        states_clear_bad(&trainer->states, trainer->step->model);
    count_step(trainer, updated, sum, tokens);
    if (progress->window == trainer->windows) {
        progress->window = 0;
        progress->epoch++;
    }
    trainer_average(trainer, epoch, updated);
    double seconds = clock_seconds() - begun;
    costs_add_step(&trainer->costs, seconds, tokens);
    if (!updated)
        trainer_report_skip(trainer, finite ? "gradient" : "loss");
    if (progress->skipped_in_row >= TRAINER_SKIPS_MAX)
        return error_set(e, STATUS_DIVERGED,
                         "diverged: %s was not finite in %d steps in a row, the last was %lld; use a lower --lr or "
                         "--clip, or go on from an earlier checkpoint with --branch",
                         finite ? "the gradient" : "the loss", TRAINER_SKIPS_MAX, (long long)progress->step);
    if (progress->step % trainer->config->log_every == 0) {
        trainer_report_step(trainer, epoch);
        progress->log_loss = 0;
        progress->log_tokens = 0;
    }
    trainer_pulse_step(trainer, epoch, updated ? sum : 0, updated ? tokens : 0);
    if (trainer->config->check_replicas > 0 && progress->step % trainer->config->check_replicas == 0)
        return trainer_check_replicas(trainer, e);
    return STATUS_OK;
}
