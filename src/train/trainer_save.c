#include "trainer_private.h"

#include <math.h>
#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/train/signals.h"

/* ---- are the replicas the same? ---- */

static enum status digest_replica(const struct trainer *trainer, char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    size_t bytes = trainer->table.total * sizeof(float);
    digest_add(digest, trainer->values, bytes);
    for (int slot = 0; slot < trainer->optimizer->slots; slot++)
        digest_add(digest, trainer->optimizer->slot[slot], bytes);
    digest_add(digest, &trainer->optimizer->updates, sizeof trainer->optimizer->updates);
    digest_add(digest, &trainer->progress.step, sizeof trainer->progress.step);
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

static int count_equal(const char (*digests)[DIGEST_TEXT], int ranks, int rank)
{
    int equal = 0;
    for (int other = 0; other < ranks; other++)
        equal += memcmp(digests[rank], digests[other], DIGEST_TEXT) == 0;
    return equal;
}

/* The rank with the fewest companions; of two halves the one without rank 0. -1 if all are equal. */
static int odd_rank(const char (*digests)[DIGEST_TEXT], int ranks)
{
    int fewest = count_equal(digests, ranks, 0), odd = -1;
    if (fewest == ranks)
        return -1;
    for (int rank = 0; rank < ranks; rank++) {
        int equal = count_equal(digests, ranks, rank);
        if (equal < fewest || odd < 0 || (equal == fewest && memcmp(digests[odd], digests[0], DIGEST_TEXT) == 0)) {
            fewest = equal;
            odd = rank;
        }
    }
    return odd;
}

enum status trainer_check_replicas(struct trainer *trainer, struct error *e)
{
    int ranks = trainer->comm->size;
    if (ranks == 1)
        return STATUS_OK;
    trainer_beat(trainer, "comparison of replicas");
    char mine[DIGEST_TEXT] = "";
    char(*all)[DIGEST_TEXT] = mem_alloc((size_t)ranks, sizeof *all, "digests of all ranks", e);
    enum status status = all ? digest_replica(trainer, mine, e) : STATUS_OS;
    status = comm_agree(trainer->comm, status, e);
    if (!status) {
        comm_allgather(trainer->comm, mine, sizeof mine, all);
        int odd = odd_rank((const char(*)[DIGEST_TEXT])all, ranks);
        if (odd >= 0)
            status =
                error_set(e, STATUS_INTERNAL,
                          "replicas differ: at step %lld rank %d has other parameters than the others, nothing was "
                          "saved; look for faulty memory on its host, and run the same command again to go on from "
                          "the last checkpoint",
                          (long long)trainer->progress.step, odd);
    }
    mem_free(all);
    return status;
}

/* ---- saving ---- */

/* All ranks hold the same parameters by now, so they agree without a word. */
static bool all_finite(const struct trainer *trainer)
{
    bool finite = true;
    for (size_t i = 0; i < trainer->table.total; i++)
        finite = finite && isfinite(trainer->values[i]);
    return finite;
}

static void gather_states(struct trainer *trainer)
{
    size_t state = (size_t)trainer->config->batch * (size_t)trainer->shape.hidden;
    for (int i = 0; i < model_state_count(&trainer->shape); i++) {
        model_state_get(trainer->model, i, trainer->lane_states);
        comm_gatherv(trainer->comm, trainer->lane_states, trainer->states ? trainer->states + (size_t)i * state : NULL,
                     trainer->state_bytes, trainer->state_offset, 0);
    }
}

static void fill_snapshot(struct trainer *trainer, bool resumable)
{
    struct checkpoint *snapshot = trainer->snapshot;
    trainer->progress.seconds = trainer->seconds_before + trainer_clock() - trainer->begun;
    if (trainer->metrics)
        trainer->progress.metrics_bytes = metrics_bytes(trainer->metrics);
    snapshot->progress = trainer->progress;
    snapshot->optimizer = resumable ? trainer->optimizer : NULL;
    snapshot->states = resumable ? trainer->states : NULL;
}

int64_t trainer_bytes_to_write(const struct trainer *trainer, bool best)
{
    int64_t states = (int64_t)model_state_count(&trainer->shape) * trainer->config->batch * trainer->shape.hidden;
    int64_t copies = (trainer->shape.tied ? 2 : 1) + (best ? 0 : trainer->optimizer->slots);
    return (int64_t)sizeof(float) * ((int64_t)trainer->table.total * copies + (best ? 0 : states));
}

/* Rank 0 or all ranks write a file, and read it back. */
static void beat_to_write(struct trainer *trainer, const char *what, bool best)
{
    int64_t bytes = trainer_bytes_to_write(trainer, best);
    signals_stop_when("after this checkpoint");
    trainer_pulse_write(trainer, best);
    trainer_beat_bytes(trainer, what, 2 * bytes);
}

/* A failing disk may recover, and the run in memory is worth more than the wish to report it at once. */
static bool may_recover(enum status status)
{
    return status == STATUS_IO || status == STATUS_OS || status == STATUS_NOINPUT;
}

/* Tells an error from which there is no way on together. */
static void leave_broken_file(struct trainer *trainer, const struct error *e)
{
    trainer_tell(trainer, "unroll: %s", e->text);
    comm_barrier(trainer->comm); /* so that it is told before the first rank ends the others */
    comm_abort(trainer->comm, e->status);
}

/* What follows a checkpoint that is safely on the disk. Rank 0. */
static enum status settle(struct trainer *trainer, struct error *e)
{
    struct error reason;
    enum status status = rundir_set_latest(trainer->rundir, trainer->progress.step, &reason);
    if (!status)
        status = rundir_prune(trainer->rundir, trainer->progress.step, trainer->config->keep, &reason);
    if (status && may_recover(status)) {
        trainer_warn(trainer, "%s", reason.text);
        return STATUS_OK;
    }
    if (status)
        *e = reason;
    return status;
}

bool trainer_is_saved(const struct trainer *trainer)
{
    return trainer->saved_step == trainer->progress.step && trainer->saved_valid_step == trainer->progress.valid_step;
}

enum status trainer_save(struct trainer *trainer, struct error *e)
{
    double begun = trainer_clock();
    enum status status = trainer_check_replicas(trainer, e);
    if (status)
        return status;
    if (!all_finite(trainer))
        return error_set(e, STATUS_DIVERGED,
                         "diverged: parameters are not finite at step %lld, they were not saved; use a lower --lr or "
                         "--clip",
                         (long long)trainer->progress.step);
    beat_to_write(trainer, "checkpoint", false);
    trainer->save_owed = false;
    gather_states(trainer);
    char path[FILE_PATH_MAX] = "";
    struct error reason = {STATUS_OK, ""};
    if (trainer->rundir) {
        rundir_checkpoint(trainer->rundir, trainer->progress.step, path);
        status = metrics_sync(trainer->metrics, &reason);
    }
    status = comm_agree(trainer->comm, status, &reason);
    struct checkpoint_target target = {.writer = trainer->config->writer, .path = path};
    if (!status) {
        comm_broadcast(trainer->comm, path, sizeof path, 0);
        target.guard = trainer->rundir ? &trainer->rundir->guard : NULL;
        fill_snapshot(trainer, true);
        status = checkpoint_write(trainer->comm, trainer->snapshot, &target, &reason);
    }
    if (target.broken)
        leave_broken_file(trainer, &reason);
    trainer->save_status = status;
    trainer->save_error = reason;
    if (status && may_recover(status)) {
        trainer_warn(trainer, "%s; training goes on and tries again at the next checkpoint", reason.text);
        return STATUS_OK;
    }
    if (status) {
        *e = reason;
        return status;
    }
    trainer->saved_step = trainer->progress.step;
    trainer->saved_valid_step = trainer->progress.valid_step;
    status = comm_agree(trainer->comm, trainer->rundir ? settle(trainer, e) : STATUS_OK, e);
    trainer_report_saved(trainer, trainer_clock() - begun);
    signals_stop_when(SIGNALS_STEP);
    trainer_cost_save(trainer, trainer_clock() - begun, false);
    return status;
}

enum status trainer_save_best(struct trainer *trainer, struct error *e)
{
    double begun = trainer_clock();
    enum status status = trainer_check_replicas(trainer, e);
    if (status || !all_finite(trainer))
        return status;
    beat_to_write(trainer, "saving best.h5", true);
    char path[FILE_PATH_MAX] = "";
    struct error reason = {STATUS_OK, ""};
    if (trainer->rundir)
        rundir_file(trainer->rundir, "best.h5", path);
    comm_broadcast(trainer->comm, path, sizeof path, 0);
    fill_snapshot(trainer, false);
    struct checkpoint_target target = {.writer = trainer->config->writer, .path = path};
    target.guard = trainer->rundir ? &trainer->rundir->guard : NULL;
    status = checkpoint_write(trainer->comm, trainer->snapshot, &target, &reason);
    if (target.broken)
        leave_broken_file(trainer, &reason);
    trainer->best_status = status;
    trainer->best_error = reason;
    if (status && may_recover(status)) {
        trainer_warn(trainer, "%s; 'best.h5' stays as it was", reason.text);
        return STATUS_OK;
    }
    if (status)
        *e = reason;
    signals_stop_when(SIGNALS_STEP);
    trainer_cost_save(trainer, trainer_clock() - begun, true);
    return status;
}
