#include "unroll/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "trainer_private.h"

#include "unroll/base/mem.h"
#include "unroll/train/signals.h"

#define RENEW_SECONDS 30 /* of the lock */
#define SLOWEST_DISK 1e6 /* bytes a second: what is slower has stalled */

double trainer_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void trainer_beat(struct trainer *trainer, const char *phase)
{
    trainer_beat_longer(trainer, phase, 0);
}

void trainer_beat_bytes(struct trainer *trainer, const char *phase, int64_t bytes)
{
    trainer_beat_longer(trainer, phase, (double)bytes / SLOWEST_DISK);
}

void trainer_beat_longer(struct trainer *trainer, const char *phase, double seconds)
{
    watchdog_beat(trainer->watchdog, trainer->progress.step, phase, seconds);
    if (!trainer->rundir)
        return;
    double now = trainer_clock();
    if (now - trainer->renewed >= RENEW_SECONDS) {
        trainer->renewed = now;
        run_lock_renew(&trainer->rundir->lock);
        trainer->lost = run_lock_check(&trainer->rundir->lock, NULL) == STATUS_CANTCREATE;
    }
}

/* ---- what is due at a step's boundary ---- */

static bool validation_due(const struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    if (!trainer->valid || progress->step == 0 || progress->valid_step == progress->step)
        return false;
    int64_t every = trainer->config->eval_every;
    return every > 0 ? progress->step % every == 0 : progress->window == 0;
}

/* While steps are being skipped nothing is saved: if the run diverges, the newest checkpoint is from before. */
static bool checkpoint_due(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    if (progress->step == 0 || trainer_is_saved(trainer))
        return false;
    int64_t every = trainer->config->checkpoint_every;
    if (every > 0 ? progress->step % every == 0 : progress->window == 0)
        trainer->save_owed = true;
    return trainer->save_owed && progress->skipped_in_row == 0;
}

/* Why the run has ended by its own rules, NULL if it has not. */
static const char *end_reached(const struct trainer *trainer)
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

static enum status validate(struct trainer *trainer, struct error *e)
{
    struct progress *progress = &trainer->progress;
    double loss;
    trainer_beat(trainer, "validation");
    enum status status = trainer_evaluate(trainer, trainer->valid, "validation", &loss, &trainer->valid_accuracy, e);
    if (status == STATUS_STOPPED) { /* the loop ends the run; the next start validates first */
        trainer_ask_all(trainer);
        return STATUS_OK;
    }
    if (status)
        return status;
    bool improved = trainer_improves(trainer, loss);
    progress->valid_loss = loss;
    progress->valid_step = progress->step;
    if (improved) {
        progress->best_valid_loss = loss;
        progress->best_step = progress->step;
        progress->stalls = 0;
    } else {
        progress->stalls++;
    }
    bool lr_changed =
        schedule_validated(&trainer->config->schedule, improved, &progress->lr_factor, &progress->plateau_stalls);
    trainer_report_valid(trainer, improved, lr_changed);
    return improved ? trainer_save_best(trainer, e) : STATUS_OK;
}

/* ---- ends ---- */

enum status trainer_stop(struct trainer *trainer, struct error *e)
{
    const struct progress *progress = &trainer->progress;
    char why[48], saved[96] = "with a checkpoint";
    enum status status = STATUS_OK;
    if (trainer->request == REQUEST_LOST)
        status = comm_agree(trainer->comm, trainer->rundir ? run_lock_check(&trainer->rundir->lock, e) : STATUS_OK, e);
    if (status)
        return status;
    if (progress->skipped_in_row > 0)
        snprintf(saved, sizeof saved, "while steps were skipped, its last checkpoint is of step %" PRId64,
                 trainer->saved_step > 0 ? trainer->saved_step : 0);
    else if (!trainer_is_saved(trainer) && trainer->optimizer) /* else the run's end could not be saved */
        status = trainer_save(trainer, e);
    if (!status && trainer->save_status) {
        *e = trainer->save_error;
        status = trainer->save_status;
    }
    if (status)
        return status;
    if (trainer->request == REQUEST_TIME)
        snprintf(why, sizeof why, "--max-time is over");
    else if (trainer->request == REQUEST_LOST)
        snprintf(why, sizeof why, "the run directory was another's for a while");
    else
        snprintf(why, sizeof why, "%s was received", signals_name(trainer->request - REQUEST_SIGNAL));
    return error_set(e, STATUS_STOPPED,
                     "stopped at step %" PRId64 " of %" PRId64 " %s: %s; run the same command again to go on",
                     progress->step, trainer_total_steps(trainer), saved, why);
}

/* ---- the run ---- */

static enum status loop(struct trainer *trainer, struct error *e)
{
    enum status status = STATUS_OK;
    while (!status) {
        if (trainer->request)
            return trainer_stop(trainer, e);
        if (validation_due(trainer)) {
            status = validate(trainer, e);
            if (!status)
                trainer_ask_all(trainer);
            continue;
        }
        const char *why = end_reached(trainer);
        if (why)
            return trainer_finish(trainer, why, e);
        if (checkpoint_due(trainer)) {
            status = trainer_save(trainer, e);
            if (!status)
                trainer_ask_all(trainer);
            if (status || trainer->request || trainer_is_saved(trainer))
                continue;
            /* it failed and will be tried again later: the run goes on */
        }
        status = trainer_step(trainer, e);
        if (!status && trainer_flow_due(trainer))
            status = trainer_follow_gradients(trainer, e);
        if (!status && trainer_sample_due(trainer))
            status = trainer_show_sample(trainer, e);
    }
    return status;
}

static void begin_fresh(struct trainer *trainer)
{
    trainer->progress = (struct progress){
        .valid_loss = NAN,
        .best_valid_loss = NAN,
        .valid_step = -1,
        .lr_factor = 1,
    };
}

static void warn_of_stretched_cosine(struct trainer *trainer, const struct checkpoint *checkpoint)
{
    if (trainer->config->schedule.kind != SCHEDULE_COSINE || !checkpoint->progress.finished)
        return;
    trainer_warn(trainer,
                 "the cosine schedule spans %" PRId64 " steps from now on: this is not the run that would have had "
                 "them from the start",
                 trainer_total_steps(trainer));
}

/* --max-steps and --epochs count from the first step of a run. One that has more steps behind it is told; a branch, which would
 * train nothing, is refused. */
static enum status check_limits(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    bool branches = trainer->branched_from >= 0, too_few = progress->step > trainer_total_steps(trainer);
    bool by_steps = config->max_steps > 0 && progress->step >= config->max_steps;
    char text[200];
    if (branches ? end_reached(trainer) == NULL : !too_few)
        return STATUS_OK;
    snprintf(text, sizeof text,
             "the run has %" PRId64 " steps already; --%s counts from its start; give at least %" PRId64,
             progress->step, by_steps ? "max-steps" : "epochs", by_steps ? progress->step + 1 : progress->epoch + 1);
    if (branches)
        return error_set(e, STATUS_CONFIG, "cannot branch from '%.200s': %s", config->run, text);
    trainer_warn(trainer, "%s", text);
    return STATUS_OK;
}

/* From the run directory to the first step. */
static enum status begin(struct trainer *trainer, struct error *e)
{
    bool found = false, nothing = false;
    struct checkpoint *checkpoint = mem_alloc(1, sizeof *checkpoint, "a checkpoint", e);
    enum status status = comm_agree(trainer->comm, checkpoint ? STATUS_OK : STATUS_OS, e);
    trainer_beat(trainer, "opening the run directory");
    if (!status)
        status = trainer_open_directory(trainer, e);
    if (!status)
        status = trainer_find(trainer, checkpoint, &found, e);
    trainer_beat(trainer, "building the model");
    if (!status)
        status = trainer_build(trainer, e);
    if (!status)
        status = trainer_check_writer(trainer, e);
    if (!status) {
        begin_fresh(trainer);
        trainer_beat(trainer, "handing out the checkpoint");
        if (found)
            status = trainer_restore(trainer, checkpoint, e);
        else
            status = trainer_init_from(trainer, e);
    }
    const char *why = status ? NULL : end_reached(trainer);
    if (!status && found && why && trainer->progress.finished)
        status = trainer_finished_before(trainer, why, &nothing, e);
    trainer->already_finished = nothing;
    if (!status && found && !nothing)
        status = check_limits(trainer, e);
    trainer_beat(trainer, "opening the run's files");
    if (!status && !nothing)
        status = trainer_open_files(trainer, !found || trainer->branched_from >= 0, e);
    if (!status && !nothing) {
        model_pack(trainer->model);
        trainer_report_run(trainer);
        trainer_report_start(trainer, found);
        trainer_advise_begin(trainer);
        if (found && !why)
            warn_of_stretched_cosine(trainer, checkpoint);
        if (!why)
            trainer->progress.finished = 0;
        if (!found && trainer_flow_due(trainer))
            status = trainer_follow_gradients(trainer, e);
    }
    if (checkpoint)
        checkpoint_release(checkpoint);
    mem_free(checkpoint);
    return status;
}

enum status trainer_run(const struct comm *comm, const struct trainer_config *config, struct terminal *log,
                        struct error *e)
{
    struct trainer *trainer = mem_alloc(1, sizeof *trainer, "a trainer", e);
    enum status status = trainer ? watchdog_start(config->stall_timeout, comm->rank, &trainer->watchdog, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (status) {
        if (trainer)
            watchdog_stop(trainer->watchdog);
        mem_free(trainer);
        return status;
    }
    trainer->comm = comm;
    trainer->config = config;
    trainer->log = comm->rank == 0 ? log : NULL;
    trainer->saved_step = -1;
    trainer->begun = trainer_clock();
    trainer->valid_accuracy = NAN;
    trainer->last = trainer->best = TRAINER_OUTCOME_NONE;
    /* to the end of the process: a late signal must not spoil the exit status */
    signals_catch(trainer->log != NULL, trainer->log && trainer->log->interactive);
    status = trainer_check(trainer, e);
    if (!status)
        status = begin(trainer, e);
    bool begun = !status;
    if (!status && !trainer->already_finished)
        status = loop(trainer, e);
    if (begun) {
        struct error reason;
        trainer_report_stop(trainer, status);
        trainer_report_cores(trainer);
        enum status written = comm_agree(comm, trainer_write_summary(trainer, status, &reason), &reason);
        if (written && !status) {
            *e = reason;
            status = written;
        }
        if (!status)
            trainer_report_next(trainer); /* last, where it is seen */
    }
    if (trainer->log && status == STATUS_STOPPED)
        terminal_clear(trainer->log); /* the error says how far it has come */
    else if (trainer->log)
        terminal_finish(trainer->log);
    trainer_release(trainer);
    mem_free(trainer);
    return status;
}
