/* What stops a run before its end: a signal, --max-time, or a run directory that another job has taken over. */
#include "trainer_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "unroll/train/signals.h"

int trainer_stop_request(const struct trainer *trainer)
{
    int number = signals_seen();
    if (number)
        return REQUEST_SIGNAL + number;
    /* Clocks differ between hosts: rank 0's counts. */
    if (trainer->comm->rank == 0 && trainer->config->max_time > 0 &&
        costs_elapsed(&trainer->costs) >= trainer->config->max_time)
        return REQUEST_TIME;
    return trainer->heartbeat.lost ? REQUEST_LOST : REQUEST_NONE;
}

void trainer_gather_requests(struct trainer *trainer)
{
    exchange_request(&trainer->exchange, trainer->comm, trainer_stop_request(trainer));
}

enum status trainer_stop(struct trainer *trainer, struct error *e)
{
    const struct progress *progress = &trainer->progress;
    char why[48], saved[96] = "with a checkpoint";
    enum status status = STATUS_OK;
    if (trainer->exchange.request == REQUEST_LOST)
        status = comm_agree(trainer->comm, trainer->rundir ? run_lock_check(&trainer->rundir->lock, e) : STATUS_OK, e);
    if (status)
        return status;
    if (progress->skipped_in_row > 0)
        snprintf(saved, sizeof saved, "while steps were skipped, its last checkpoint is of step %" PRId64,
                 trainer->saver.step > 0 ? trainer->saver.step : 0);
    else if (!trainer_is_saved(trainer) && trainer->step) /* else the run's end could not be saved */
        status = trainer_save(trainer, e);
    if (!status && trainer->saver.failure.status) {
        *e = trainer->saver.failure;
        status = e->status;
    }
    if (status)
        return status;
    if (trainer->exchange.request == REQUEST_TIME)
        snprintf(why, sizeof why, "--max-time is over");
    else if (trainer->exchange.request == REQUEST_LOST)
        snprintf(why, sizeof why, "the run directory was another's for a while");
    else
        snprintf(why, sizeof why, "%s was received", signals_name(trainer->exchange.request - REQUEST_SIGNAL));
    return error_set(e, STATUS_STOPPED,
                     "stopped at step %" PRId64 " of %" PRId64 " %s: %s; run the same command again to go on",
                     progress->step, trainer_total_steps(trainer), saved, why);
}
