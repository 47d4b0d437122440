/* The end of a run: what its weights are worth. There are two kinds, the last ones, and those with the lowest
 * validation loss in best.h5; each is evaluated on both splits.
 *
 * The losses belong to the end, not to the run: one that is extended later knows nothing of them, and is the run
 * that was longer from the start. Its best.h5 may be of an earlier step than its
 * own best step, if the last weights of the shorter run were better; best.h5 says which step it is of. */
#include "trainer_private.h"

#include <string.h>

#include "unroll/base/mem.h"

static enum status evaluate_last(struct trainer *trainer, struct error *e)
{
    const struct progress *progress = &trainer->progress;
    struct outcome *last = &trainer->last;
    enum status status = STATUS_OK;
    /* a resumed run knows the loss of its last validation, but no accuracy */
    bool known = trainer->shape.task != TASK_CLASSIFY || !isnan(trainer->valid_accuracy);
    last->step = progress->step;
    last->averaged_since = trainer_averaged_since(trainer);
    if (trainer->valid && progress->valid_step == progress->step && known) {
        trainer->last_on_the_way = progress->valid_loss;
        last->valid_accuracy = trainer->valid_accuracy;
    } else if (trainer->valid) {
        status = trainer_evaluate_valid(trainer, &trainer->last_on_the_way, &last->valid_accuracy, e);
    }
    last->valid_loss = trainer->last_on_the_way;
    if (!status && trainer->valid_is_part)
        status = trainer_evaluate_split(trainer, SPLIT_VALID, trainer_weights(trainer), &last->valid_loss,
                                        &last->valid_accuracy, e);
    if (!status)
        status = trainer_evaluate_split(trainer, SPLIT_TEST, trainer_weights(trainer), &last->test_loss,
                                        &last->test_accuracy, e);
    return status;
}

/* best.h5 also considers the final parameters, in a checkpoint that says so. */
static enum status save_final_best(struct trainer *trainer, struct error *e)
{
    struct progress before = trainer->progress;
    struct progress *progress = &trainer->progress;
    double loss = trainer->last_on_the_way;
    if (progress->valid_step == progress->step || !trainer_improves(trainer, loss))
        return STATUS_OK;
    progress->valid_loss = progress->best_valid_loss = loss;
    progress->valid_step = progress->best_step = progress->step;
    enum status status = trainer_save_best(trainer, e);
    trainer->progress = before;
    return status;
}

/* ---- the weights of best.h5 ---- */

enum best { BEST_NONE, BEST_LAST, BEST_OTHER }; /* nothing to evaluate; the same as the last weights; others */

static enum status compare_model(const struct trainer *trainer, const struct checkpoint *best, struct error *e)
{
    const struct model_config *a = &trainer->shape, *b = &best->model;
    char is[33], was[33];
    vocab_digest(trainer->corpus->vocab, is);
    vocab_digest(best->vocab, was);
    if (!model_config_differs(a, b, MODEL_SHAPE) && strcmp(is, was) == 0)
        return STATUS_OK;
    return error_set(e, STATUS_CHECKPOINT,
                     "it holds a model of another shape or vocabulary; it was not made by this run");
}

/* Rank 0. Whatever is wrong with the file is a warning: the run itself is whole. */
static enum best read_best(struct trainer *trainer, struct checkpoint *best)
{
    char path[FILE_PATH_MAX];
    struct error reason;
    rundir_file(trainer->rundir, "best.h5", path);
    enum status status = checkpoint_read(path, CHECKPOINT_FACTS, best, &reason);
    if (!status)
        status = compare_model(trainer, best, &reason);
    if (status) {
        reporter_warn(&trainer->reporter, "the weights of '%.300s' are not tested: %.600s", path, reason.text);
        return BEST_NONE;
    }
    trainer->best.step = best->progress.step;
    trainer->best.valid_loss = best->progress.valid_loss;
    trainer->best.averaged_since = best->average.count > 0 ? best->average.began : -1;
    if (strcmp(trainer->digest, best->parameters_digest) != 0)
        return BEST_OTHER;
    trainer->best = trainer->last;
    return BEST_LAST;
}

/* Releases what only steps need. From here on nothing is saved any more. */
static void release_training(struct trainer *trainer)
{
    step_free(trainer->step);
    trainer->step = NULL;
}

/* They take the place of the last ones, whose losses and digest are known: never two of them at once. On rank 0 they
 * come from `read`. */
static enum status evaluate_others(struct trainer *trainer, struct checkpoint *read, struct error *e)
{
    struct outcome *best = &trainer->best;
    float *values = trainer->values;
    enum status status = trainer->comm->rank == 0 ? checkpoint_load(read, values, NULL, NULL, e) : STATUS_OK;
    status = comm_agree(trainer->comm, status, e);
    if (!status) {
        comm_broadcast(trainer->comm, values, trainer->table.total * sizeof *values, 0);
        status = trainer_evaluate_split(trainer, SPLIT_TEST, values, &best->test_loss, &best->test_accuracy, e);
    }
    double loss; /* as best.h5 says, unless that is of a part of the text */
    bool part = trainer->valid_is_part;
    if (!status && (part || trainer->shape.task == TASK_CLASSIFY))
        status = trainer_evaluate_split(trainer, SPLIT_VALID, values, part ? &best->valid_loss : &loss,
                                        &best->valid_accuracy, e);
    return status;
}

/* The others wait for rank 0 to read it. */
static void beat_for_best(struct trainer *trainer)
{
    char path[FILE_PATH_MAX];
    int64_t bytes = 0;
    if (trainer->rundir) {
        rundir_file(trainer->rundir, "best.h5", path);
        bytes = file_bytes(path);
    }
    heartbeat_bytes(&trainer->heartbeat, "reading best.h5", comm_max(trainer->comm, bytes));
}

static enum status evaluate_best(struct trainer *trainer, struct error *e)
{
    enum best kind = BEST_NONE;
    trainer_settle(trainer);
    param_digest(&trainer->table, trainer_weights(trainer), trainer->digest);
    if (!trainer_has(trainer, SPLIT_VALID))
        return STATUS_OK;
    beat_for_best(trainer);
    release_training(trainer);
    struct checkpoint *read = mem_alloc(1, sizeof *read, "a checkpoint", e);
    enum status status = comm_agree(trainer->comm, read ? STATUS_OK : STATUS_OS, e);
    if (!status && trainer->rundir)
        kind = read_best(trainer, read);
    comm_broadcast(trainer->comm, &kind, sizeof kind, 0);
    comm_broadcast(trainer->comm, &trainer->best, sizeof trainer->best, 0);
    if (!status && kind == BEST_OTHER)
        status = evaluate_others(trainer, read, e);
    if (read)
        checkpoint_release(read);
    mem_free(read);
    return status;
}

/* ---- the end ---- */

enum status trainer_finish(struct trainer *trainer, const char *why, struct error *e)
{
    struct progress *progress = &trainer->progress;
    enum status status = STATUS_OK;
    if (!progress->finished || !trainer_is_saved(trainer)) {
        progress->finished = 1;
        status = trainer_save(trainer, e);
    }
    if (!status)
        status = evaluate_last(trainer, e);
    if (!status)
        status = save_final_best(trainer, e);
    if (!status)
        status = evaluate_best(trainer, e);
    if (status == STATUS_STOPPED) { /* all is saved: the next start does the rest of the end */
        trainer_gather_requests(trainer);
        return trainer_stop(trainer, e);
    }
    if (status)
        return status;
    progress->seconds = costs_of_run(&trainer->costs);
    trainer_report_end(trainer, why);
    if (trainer->reporter.metrics)
        status = metrics_sync(trainer->reporter.metrics, e);
    status = comm_agree(trainer->comm, status, e);
    const struct saver *saver = &trainer->saver;
    const struct error *failed = saver->failure.status ? &saver->failure : &saver->best_failure;
    if (!status && failed->status) {
        *e = *failed;
        status = failed->status;
    }
    return status;
}

/* The run had ended before. Its record is complete, or the job was killed at the very end; then the end is done again.
 */
enum status trainer_finished_before(struct trainer *trainer, const char *why, bool *nothing, struct error *e)
{
    int64_t known = trainer->progress.metrics_bytes, there = known;
    if (trainer->rundir) {
        char path[FILE_PATH_MAX];
        rundir_file(trainer->rundir, "metrics.jsonl", path);
        there = file_bytes(path);
    }
    *nothing = comm_max(trainer->comm, there > known);
    if (!*nothing)
        return STATUS_OK;
    reporter_tell(&trainer->reporter, "'%s' is finished (%s) at step %lld: nothing to do; %s",
                  trainer->config->branch ? trainer->config->branch : trainer->config->run, why,
                  (long long)trainer->progress.step, trainer_how_to_go_on(trainer));
    enum status status = STATUS_OK;
    if (trainer->config->json_summary)
        status = evaluate_last(trainer, e);
    if (!status && trainer->config->json_summary)
        status = evaluate_best(trainer, e);
    if (!status) {
        trainer_advise_begin(trainer);
        trainer_conclude(trainer);
        trainer_advise_end(trainer);
    }
    return status;
}
