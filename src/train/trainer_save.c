/* Checkpoints of the run, and best.h5: what is in them, when they are due, and what comes of a disk that fails. */
#include "trainer_private.h"

#include <math.h>
#include <string.h>

#include "unroll/base/clock.h"
#include "unroll/base/mem.h"
#include "unroll/train/shared_folder.h"
#include "unroll/train/signals.h"

/* ---- what a file holds ---- */

/* What stays the same in all checkpoints of this start. */
static void prepare_snapshot(const struct trainer *trainer, struct checkpoint *snapshot)
{
    const struct trainer_config *config = trainer->config;
    snapshot->model = trainer->shape;
    snapshot->batch = config->batch;
    snapshot->bptt = config->step.bptt;
    snapshot->groups = trainer->share.groups;
    snapshot->table = trainer->table;
    snapshot->vocab = trainer->corpus->vocab;
    snapshot->markers = trainer->corpus->markers;
    snapshot->labels = trainer->shape.task == TASK_CLASSIFY ? trainer->corpus->labels : NULL;
    snapshot->options = config->options;
    for (int i = 0; i < config->options; i++)
        snapshot->option[i] = config->option[i].text;
    memcpy(snapshot->corpus_digest, trainer->corpus->digest, sizeof snapshot->corpus_digest);
    snapshot->build = trainer->build;
}

/* Bytes of a checkpoint's arrays, or of best.h5's, which has neither optimizer nor states. */
static int64_t bytes_of_file(const struct trainer *trainer, bool best)
{
    int64_t states =
        (int64_t)model_state_offset(&trainer->shape, model_state_count(&trainer->shape)) * trainer->config->batch;
    int64_t copies = (trainer->shape.tied ? 2 : 1) +
                     (best ? 0 : trainer->step->optimizer->slots + (trainer->average.values != NULL));
    return (int64_t)sizeof(float) * ((int64_t)trainer->table.total * copies + (best ? 0 : states));
}

enum status saver_create(struct saver *saver, const struct trainer *trainer, struct error *e)
{
    *saver = (struct saver){.step = -1};
    saver->snapshot = mem_alloc(1, sizeof *saver->snapshot, "a checkpoint", e);
    if (!saver->snapshot)
        return STATUS_OS;
    prepare_snapshot(trainer, saver->snapshot);
    saver->bytes = bytes_of_file(trainer, false);
    saver->best_bytes = bytes_of_file(trainer, true);
    return STATUS_OK;
}

void saver_release(struct saver *saver)
{
    mem_free(saver->snapshot);
    saver->snapshot = NULL;
}

enum status trainer_check_writer(struct trainer *trainer, struct error *e)
{
    struct checkpoint_target target = {.writer = trainer->config->writer};
    char path[FILE_PATH_MAX] = "";
    heartbeat_longer(&trainer->heartbeat, "looking for the run directory on all hosts", SHARED_FOLDER_PATIENCE);
    if (trainer->rundir) {
        rundir_checkpoint(trainer->rundir, 0, path);
        target.guard = &trainer->rundir->guard;
    }
    target.path = path;
    return checkpoint_prepare(trainer->comm, &target, e);
}

/* All ranks hold the same parameters here, so they get the same answer without communication. */
static bool all_finite(const struct trainer *trainer)
{
    const float *weights = trainer_weights(trainer);
    bool finite = true;
    for (size_t i = 0; i < trainer->table.total; i++)
        finite = finite && isfinite(trainer->values[i]) && isfinite(weights[i]);
    return finite;
}

static void fill_snapshot(struct trainer *trainer, bool resumable)
{
    struct checkpoint *snapshot = trainer->saver.snapshot;
    trainer->progress.seconds = costs_of_run(&trainer->costs);
    if (trainer->reporter.metrics)
        trainer->progress.metrics_bytes = metrics_bytes(trainer->reporter.metrics);
    snapshot->progress = trainer->progress;
    snapshot->values = trainer_weights(trainer);
    snapshot->trained = resumable && snapshot->values != trainer->values ? trainer->values : NULL;
    snapshot->average = trainer->average.state;
    snapshot->optimizer = resumable ? trainer->step->optimizer : NULL;
    snapshot->states = resumable ? trainer->states.all : NULL;
}

/* ---- writing ---- */

/* Rank 0 or all ranks write a file, and read it back. */
static void beat_to_write(struct trainer *trainer, const char *what, bool best)
{
    int64_t bytes = saver_bytes(&trainer->saver, best);
    signals_stop_when("after this checkpoint");
    trainer_pulse_write(trainer, best);
    heartbeat_bytes(&trainer->heartbeat, what, 2 * bytes);
}

/* A failing disk may recover, so the run goes on instead of ending with this error. */
static bool may_recover(enum status status)
{
    return status == STATUS_IO || status == STATUS_OS || status == STATUS_NOINPUT;
}

/* Prints an error after which the ranks cannot go on together, and ends them. */
static void leave_broken_file(struct trainer *trainer, const struct error *e)
{
    reporter_tell(&trainer->reporter, "unroll: %s", e->text);
    comm_barrier(trainer->comm); /* so that it is told before the first rank ends the others */
    comm_abort(trainer->comm, e->status);
}

/* What follows a checkpoint that is safely on the disk. Rank 0. */
static enum status after_checkpoint(struct trainer *trainer, struct error *e)
{
    struct error reason;
    enum status status = rundir_set_latest(trainer->rundir, trainer->progress.step, &reason);
    if (!status)
        status = rundir_prune(trainer->rundir, trainer->progress.step, trainer->config->keep, &reason);
    if (status && may_recover(status)) {
        reporter_warn(&trainer->reporter, "%s", reason.text);
        return STATUS_OK;
    }
    if (status)
        *e = reason;
    return status;
}

/* All ranks write the snapshot to rank 0's path, or hear why they could not. */
static enum status write_file(struct trainer *trainer, char path[FILE_PATH_MAX], bool best, struct error *e)
{
    struct checkpoint_target target = {.writer = trainer->config->writer, .path = path};
    comm_broadcast(trainer->comm, path, FILE_PATH_MAX, 0);
    target.guard = trainer->rundir ? &trainer->rundir->guard : NULL;
    fill_snapshot(trainer, !best);
    enum status status = checkpoint_write(trainer->comm, trainer->saver.snapshot, &target, e);
    if (target.broken)
        leave_broken_file(trainer, e);
    return status;
}

/* metrics.jsonl is synced before the checkpoint that records its length. */
static enum status write_checkpoint(struct trainer *trainer, struct error *e)
{
    char path[FILE_PATH_MAX] = "";
    enum status status = STATUS_OK;
    if (trainer->rundir) {
        rundir_checkpoint(trainer->rundir, trainer->progress.step, path);
        status = metrics_sync(trainer->reporter.metrics, e);
    }
    status = comm_agree(trainer->comm, status, e);
    return status ? status : write_file(trainer, path, false, e);
}

enum status trainer_save(struct trainer *trainer, struct error *e)
{
    struct saver *saver = &trainer->saver;
    double begun = clock_seconds();
    enum status status = trainer_check_replicas(trainer, e);
    if (status)
        return status;
    if (!all_finite(trainer))
        return error_set(e, STATUS_DIVERGED,
                         "diverged: parameters are not finite at step %lld, they were not saved; use a lower --lr or "
                         "--clip",
                         (long long)trainer->progress.step);
    beat_to_write(trainer, "checkpoint", false);
    saver->postponed = false;
    states_gather(&trainer->states, trainer->step->model);
    saver->failure = (struct error){STATUS_OK, ""};
    status = write_checkpoint(trainer, &saver->failure);
    if (status && may_recover(status)) {
        reporter_warn(&trainer->reporter, "%s; training goes on and tries again at the next checkpoint",
                      saver->failure.text);
        return STATUS_OK;
    }
    if (status) {
        *e = saver->failure;
        return status;
    }
    saver->step = trainer->progress.step;
    saver->valid_step = trainer->progress.valid_step;
    status = comm_agree(trainer->comm, trainer->rundir ? after_checkpoint(trainer, e) : STATUS_OK, e);
    trainer_report_saved(trainer, clock_seconds() - begun);
    signals_stop_when(SIGNALS_STEP);
    costs_add_save(&trainer->costs, clock_seconds() - begun, false);
    return status;
}

enum status trainer_save_best(struct trainer *trainer, struct error *e)
{
    struct saver *saver = &trainer->saver;
    char path[FILE_PATH_MAX] = "";
    double begun = clock_seconds();
    enum status status = trainer_check_replicas(trainer, e);
    if (status || !all_finite(trainer))
        return status;
    beat_to_write(trainer, "saving best.h5", true);
    if (trainer->rundir)
        rundir_file(trainer->rundir, "best.h5", path);
    saver->best_failure = (struct error){STATUS_OK, ""};
    status = write_file(trainer, path, true, &saver->best_failure);
    if (status && may_recover(status)) {
        reporter_warn(&trainer->reporter, "%s; 'best.h5' stays as it was", saver->best_failure.text);
        return STATUS_OK;
    }
    if (status)
        *e = saver->best_failure;
    signals_stop_when(SIGNALS_STEP);
    costs_add_save(&trainer->costs, clock_seconds() - begun, true);
    return status;
}

/* ---- when ---- */

bool trainer_is_saved(const struct trainer *trainer)
{
    return trainer->saver.step == trainer->progress.step && trainer->saver.valid_step == trainer->progress.valid_step;
}

bool trainer_checkpoint_due(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    if (progress->step == 0 || trainer_is_saved(trainer))
        return false;
    int64_t every = trainer->config->checkpoint_every;
    if (every > 0 ? progress->step % every == 0 : progress->window == 0)
        trainer->saver.postponed = true;
    return trainer->saver.postponed && progress->skipped_in_row == 0;
}
