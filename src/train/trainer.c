/* The run as a whole: its beginning, the loop over steps, and its end. */
#include "unroll/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "trainer_private.h"

#include "unroll/base/mem.h"
#include "unroll/train/signals.h"

/* ---- the run ---- */

static enum status run_steps(struct trainer *trainer, struct error *e)
{
    enum status status = STATUS_OK;
    while (!status) {
        if (trainer->exchange.request)
            return trainer_stop(trainer, e);
        if (trainer_validation_due(trainer)) {
            status = trainer_validate(trainer, e);
            if (!status)
                trainer_gather_requests(trainer);
            continue;
        }
        const char *why = trainer_end_reached(trainer);
        if (why)
            return trainer_finish(trainer, why, e);
        if (trainer_checkpoint_due(trainer)) {
            status = trainer_save(trainer, e);
            if (!status)
                trainer_gather_requests(trainer);
            if (status || trainer->exchange.request || trainer_is_saved(trainer))
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

static void warn_of_stretched_schedule(struct trainer *trainer, const struct checkpoint *checkpoint)
{
    const struct schedule_config *schedule = &trainer->config->schedule;
    if (!schedule_is_of_a_length(schedule) || !checkpoint->progress.finished)
        return;
    reporter_warn(&trainer->reporter,
                  "the %s schedule spans %" PRId64 " steps from now on: this is not the run that would have had "
                  "them from the start",
                  schedule_name((int)schedule->kind), trainer_total_steps(trainer));
}

/* --max-steps and --epochs count from the first step of a run. A run that has made more steps gets a message. A branch
 * would train nothing then, and is refused. */
static enum status check_limits(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    bool branches = trainer->branched_from >= 0, too_few = progress->step > trainer_total_steps(trainer);
    bool by_steps = config->max_steps > 0 && progress->step >= config->max_steps;
    char text[200];
    if (branches ? trainer_end_reached(trainer) == NULL : !too_few)
        return STATUS_OK;
    snprintf(text, sizeof text,
             "the run has %" PRId64 " steps already; --%s counts from its start; give at least %" PRId64,
             progress->step, by_steps ? "max-steps" : "epochs", by_steps ? progress->step + 1 : progress->epoch + 1);
    if (branches)
        return error_set(e, STATUS_CONFIG, "cannot branch from '%.200s': %s", config->run, text);
    reporter_warn(&trainer->reporter, "%s", text);
    return STATUS_OK;
}

/* From the run directory to the first step. */
static enum status begin_run(struct trainer *trainer, struct error *e)
{
    bool found = false, nothing = false;
    struct checkpoint *checkpoint = mem_alloc(1, sizeof *checkpoint, "a checkpoint", e);
    enum status status = comm_agree(trainer->comm, checkpoint ? STATUS_OK : STATUS_OS, e);
    heartbeat_beat(&trainer->heartbeat, "opening the run directory");
    if (!status)
        status = trainer_open_directory(trainer, e);
    if (!status)
        status = trainer_find(trainer, checkpoint, &found, e);
    heartbeat_beat(&trainer->heartbeat, "building the model");
    if (!status)
        status = trainer_build(trainer, !found, e);
    if (!status)
        status = trainer_check_writer(trainer, e);
    if (!status) {
        begin_fresh(trainer);
        heartbeat_beat(&trainer->heartbeat, "handing out the checkpoint");
        if (found)
            status = trainer_restore(trainer, checkpoint, e);
        else
            status = trainer_init_from(trainer, e);
    }
    const char *why = status ? NULL : trainer_end_reached(trainer);
    if (!status && found && why && trainer->progress.finished)
        status = trainer_finished_before(trainer, why, &nothing, e);
    trainer->already_finished = nothing;
    if (!status && found && !nothing)
        status = check_limits(trainer, e);
    heartbeat_beat(&trainer->heartbeat, "opening the run's files");
    if (!status && !nothing)
        status = trainer_open_files(trainer, !found || trainer->branched_from >= 0, e);
    if (!status && !nothing) {
        model_pack(trainer->step->model);
        trainer_report_run(trainer);
        trainer_report_start(trainer, found);
        trainer_advise_begin(trainer);
        if (found && !why)
            warn_of_stretched_schedule(trainer, checkpoint);
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
    enum status status = STATUS_OS;
    if (trainer)
        status = heartbeat_start(&trainer->heartbeat, config->stall_timeout, comm->rank, &trainer->progress.step, e);
    status = comm_agree(comm, status, e);
    if (status) {
        if (trainer)
            heartbeat_stop(&trainer->heartbeat);
        mem_free(trainer);
        return status;
    }
    trainer->comm = comm;
    trainer->config = config;
    trainer->reporter.log = comm->rank == 0 ? log : NULL;
    trainer->saver.step = -1;
    costs_begin(&trainer->costs);
    trainer->valid_accuracy = trainer->last_on_the_way = NAN;
    trainer->last = trainer->best = TRAINER_OUTCOME_NONE;
    /* to the end of the process: a late signal must not spoil the exit status */
    signals_catch(trainer->reporter.log != NULL, trainer->reporter.log && trainer->reporter.log->interactive);
    status = trainer_check(trainer, e);
    if (!status)
        status = begin_run(trainer, e);
    bool begun = !status;
    if (!status && !trainer->already_finished)
        status = run_steps(trainer, e);
    if (begun) {
        struct error reason;
        trainer_settle(trainer);
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
    if (trainer->reporter.log && status == STATUS_STOPPED)
        terminal_clear(trainer->reporter.log); /* the error says how far it has come */
    else if (trainer->reporter.log)
        terminal_finish(trainer->reporter.log);
    trainer_release(trainer);
    mem_free(trainer);
    return status;
}
