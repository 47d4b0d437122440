/* Finds the checkpoint that a run goes on from, checks that it fits, and restores it. */
#include "trainer_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/nn/unit.h"

/* ---- rank 0: looking for the newest checkpoint that is whole ---- */

/* Tries the checkpoints of a directory from the newest on. None at all: *found is false. */
static enum status read_newest(struct trainer *trainer, const struct rundir *rundir, struct checkpoint *checkpoint,
                               bool *found, struct error *e)
{
    int64_t *steps;
    int count;
    *found = false;
    enum status status = rundir_list(rundir, &steps, &count, e);
    for (int i = 0; i < count && !status && !*found; i++) {
        char path[FILE_PATH_MAX];
        struct error reason;
        rundir_checkpoint(rundir, steps[i], path);
        enum status result = checkpoint_read(path, CHECKPOINT_RUN, checkpoint, &reason);
        if (!result && !checkpoint->resumable) {
            result =
                error_set(&reason, STATUS_CHECKPOINT, "cannot resume from '%.300s': it was made for use only", path);
            checkpoint_release(checkpoint);
        }
        *found = !result;
        if (result == STATUS_CHECKPOINT && i + 1 < count)
            reporter_warn(&trainer->reporter, "%s; trying the one before", reason.text);
        else if (result)
            status = error_set(e, result, "%s", reason.text);
    }
    mem_free(steps);
    return status;
}

static const char *stored_value(const struct checkpoint *checkpoint, const char *name)
{
    for (int i = 0; i < checkpoint->options; i++)
        if (strcmp(checkpoint->option[i].name, name) == 0)
            return checkpoint->option[i].value;
    return NULL;
}

/* The same mathematics, option by option; a change is refused with both values. */
static enum status compare_options(const struct trainer *trainer, const struct checkpoint *checkpoint, struct error *e)
{
    char changes[300] = "";
    size_t length = 0;
    int changed = 0;
    for (int i = 0; i < trainer->config->options; i++) {
        const struct trainer_option *option = &trainer->config->option[i];
        const char *was = stored_value(checkpoint, option->text.name);
        if (!option->mathematics || (was ? strcmp(was, option->text.value) == 0 : option->initial))
            continue;
        changed++;
        if (length < sizeof changes)
            length +=
                (size_t)snprintf(changes + length, sizeof changes - length, "%s--%s was %.60s and is now %.60s",
                                 length ? ", " : "", option->text.name, was ? was : "not there", option->text.value);
    }
    if (changed == 0)
        return STATUS_OK;
    return error_set(e, STATUS_CHECKPOINT,
                     "cannot resume '%.150s' with other options: %s; use the same, or start a new run from it with "
                     "--branch NEWDIR",
                     trainer->config->run, changes);
}

static enum status compare_data(const struct trainer *trainer, const struct checkpoint *checkpoint, const char *run,
                                struct error *e)
{
    char was[33], is[33];
    vocab_digest(checkpoint->vocab, was);
    vocab_digest(trainer->corpus->vocab, is);
    if (strcmp(was, is) != 0)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot resume '%.150s' with corpus '%.150s': its vocabulary (%d entries, digest %.8s) is not "
                         "that of the run (%d entries, digest %.8s); use the corpus that the run began with%s",
                         run, trainer->config->corpus, trainer->corpus->vocab->size, is, checkpoint->vocab->size, was,
                         trainer->config->branch ? ", or make the text fit by 'unroll prepare --vocab-from'" : "");
    if (checkpoint->labels && trainer->corpus->labels) {
        labels_digest(checkpoint->labels, was);
        labels_digest(trainer->corpus->labels, is);
        if (strcmp(was, is) != 0)
            return error_set(
                e, STATUS_CHECKPOINT,
                "cannot resume '%.150s' with corpus '%.150s': its labels are others, or in another order; use "
                "the corpus that the run began with",
                run, trainer->config->corpus);
    }
    if (!trainer->config->branch && strcmp(checkpoint->corpus_digest, trainer->corpus->digest) != 0)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot resume '%.150s' with corpus '%.150s': its digest is %.8s, that of the run's corpus "
                         "%.8s; use the corpus that the run began with, or --branch NEWDIR",
                         run, trainer->config->corpus, trainer->corpus->digest, checkpoint->corpus_digest);
    return STATUS_OK;
}

/* Clusters that this start has chosen by itself are those of the run that it goes on with. */
static void keep_clusters(struct trainer *trainer, const struct model_config *was)
{
    if (trainer->config->step.model.cutoffs[0] == 0 && was->cutoffs[0] != 0)
        memcpy(trainer->shape.cutoffs, was->cutoffs, sizeof was->cutoffs);
}

/* How the models' weights differ, by the fields that both have. Returns `text`. */
static const char *tell_differences(const struct model_config *was, const struct model_config *is,
                                    char text[MODEL_OPTIONS_TEXT])
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < model_field_count && length < MODEL_OPTIONS_TEXT; i++) {
        const struct model_field *field = &model_fields[i];
        char was_text[MODEL_FIELD_TEXT], is_text[MODEL_FIELD_TEXT];
        if (!(field->lists & MODEL_WEIGHTS) || field->covered || !model_field_applies(field, was) ||
            !model_field_applies(field, is))
            continue;
        const char *before = model_field_option_text(field, was, was_text);
        const char *now = model_field_option_text(field, is, is_text);
        if (strcmp(before, now) != 0)
            length += (size_t)snprintf(text + length, MODEL_OPTIONS_TEXT - length, "%s--%s was %s and is now %s",
                                       length ? ", " : "", model_field_option(field), before, now);
    }
    return text;
}

/* A branch may change anything but the parameters' shapes. */
static enum status compare_shape(const struct trainer *trainer, const struct checkpoint *checkpoint, struct error *e)
{
    const struct model_config *was = &checkpoint->model, *is = &trainer->shape;
    if (was->task != is->task || was->labels != is->labels)
        return error_set(
            e, STATUS_CHECKPOINT,
            "cannot branch from '%.150s': it is of --task %s with %d labels, and the new run of --task %s with "
            "%d; start a new run with --init-from instead",
            trainer->config->run, task_name(was->task), was->labels, task_name(is->task), is->labels);
    char options[MODEL_OPTIONS_TEXT];
    if (!model_config_differs(was, is, MODEL_WEIGHTS))
        return STATUS_OK;
    return error_set(e, STATUS_CHECKPOINT,
                     "cannot branch from '%.150s' with another model: %s; use the same, or start anew without "
                     "--branch",
                     trainer->config->run, tell_differences(was, is, options));
}

/* Parameters, optimizer and states are float32 in both, so that there is nothing to convert. */
static void tell_other_precision(struct trainer *trainer, const struct model_config *was)
{
    const struct model_config *is = &trainer->shape;
    char before[UNIT_TEXT], now[UNIT_TEXT];
    if (was->precision != is->precision || was->bf16_order != is->bf16_order)
        reporter_tell(&trainer->reporter, "converting: the run so far was computed in %s, the branch is in %s",
                      unit_numbers(was, before), unit_numbers(is, now));
}

/* Whether both runs cut the same text in the same way. An option that a run has not is off. */
static bool cuts_alike(const struct trainer *trainer, const struct checkpoint *checkpoint)
{
    const struct trainer_config *config = trainer->config;
    const char *vary = stored_value(checkpoint, "bptt-vary"), *seed = stored_value(checkpoint, "seed");
    bool varied = vary && strcmp(vary, "true") == 0;
    uint64_t number = 0;
    return checkpoint->batch == config->batch && checkpoint->bptt == config->step.bptt &&
           strcmp(checkpoint->corpus_digest, trainer->corpus->digest) == 0 && varied == config->bptt_vary &&
           (!varied || (seed && number_parse_u64(seed, &number) == 0 && number == config->step.seed));
}

/* Makes a checkpoint of another run the beginning of this one. */
static void begin_branch(struct trainer *trainer, struct checkpoint *checkpoint)
{
    struct progress *progress = &checkpoint->progress;
    tell_other_precision(trainer, &checkpoint->model);
    trainer->branched_from = progress->step;
    progress->metrics_bytes = 0;
    progress->finished = 0;
    progress->seconds = 0;
    progress->valid_loss = progress->best_valid_loss = NAN;
    progress->valid_step = -1;
    progress->best_step = 0;
    progress->stalls = progress->plateau_stalls = 0;
    progress->lr_factor = 1;
    progress->log_loss = 0;
    progress->log_tokens = 0;
    if (!cuts_alike(trainer, checkpoint)) {
        /* Its windows are not ours: the epoch starts anew, with empty states. */
        progress->window = 0;
        mem_free(checkpoint->states);
        checkpoint->states = NULL;
    }
}

static enum status find_source(struct trainer *trainer, struct checkpoint *checkpoint, bool *found, struct error *e)
{
    struct rundir *source;
    enum status status = rundir_look(trainer->config->run, &source, e);
    if (!status)
        status = read_newest(trainer, source, checkpoint, found, e);
    rundir_close(source);
    if (!status && !*found)
        status = error_set(e, STATUS_NOINPUT,
                           "cannot branch from '%.200s': it holds no checkpoint; name a run that has "
                           "one with --run",
                           trainer->config->run);
    if (!status)
        keep_clusters(trainer, &checkpoint->model);
    if (!status)
        status = compare_shape(trainer, checkpoint, e);
    if (!status)
        status = compare_data(trainer, checkpoint, trainer->config->run, e);
    if (!status)
        begin_branch(trainer, checkpoint);
    return status;
}

/* Rank 0. What reading may take in all: a directory's checkpoints are tried one after another. */
static int64_t bytes_to_read(const struct rundir *rundir)
{
    int64_t *steps, bytes = 0;
    int count;
    if (rundir_list(rundir, &steps, &count, NULL))
        return 0;
    for (int i = 0; i < count; i++) {
        char path[FILE_PATH_MAX];
        rundir_checkpoint(rundir, steps[i], path);
        bytes += file_bytes(path);
    }
    mem_free(steps);
    return bytes;
}

/* The others wait for it. */
static void beat_for_reading(struct trainer *trainer)
{
    int64_t bytes = 0;
    struct rundir *source = NULL;
    if (trainer->rundir)
        bytes = bytes_to_read(trainer->rundir);
    if (trainer->rundir && trainer->config->branch && !rundir_look(trainer->config->run, &source, NULL))
        bytes += bytes_to_read(source);
    rundir_close(source);
    heartbeat_bytes(&trainer->heartbeat, "reading the checkpoint", comm_max(trainer->comm, bytes));
}

/* ---- rank 0: a run that has come to no checkpoint ---- */

/* The first line of metrics.jsonl says which step a branch came from, and no file which run: -1 if it is no branch. */
static int64_t step_of_source(const struct rundir *rundir)
{
    char path[FILE_PATH_MAX];
    struct json_read line;
    rundir_file(rundir, "metrics.jsonl", path);
    int64_t step = metrics_first_line(path, &line, NULL) ? -1 : metrics_whole(&line, "branched_from");
    json_read_close(&line);
    return step;
}

/* There is no checkpoint: whether a run may begin here, for the first time or again. */
static enum status check_start(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    const char *path = trainer->rundir->path;
    trainer->begins_again = rundir_is_at_start(path);
    if (!trainer->begins_again && config->resume == RESUME_MUST && !config->branch)
        return error_set(e, STATUS_NOINPUT,
                         "cannot resume '%.200s': it holds no checkpoint; check the path, or start a "
                         "new run with --resume auto",
                         path);
    if (!trainer->begins_again)
        return STATUS_OK;
    if (config->resume == RESUME_NEVER)
        return error_set(
            e, STATUS_CANTCREATE,
            "'%.200s' holds a run already, though no checkpoint of it; name another --run, or begin it again "
            "by --resume auto",
            path);
    int64_t source = config->branch ? -1 : step_of_source(trainer->rundir);
    if (source < 0)
        return STATUS_OK;
    return error_set(e, STATUS_NOINPUT,
                     "cannot begin '%.200s' again: it is a branch from step %" PRId64
                     " of another run, and holds no checkpoint; say which run by --run SOURCE --branch '%.200s'",
                     path, source, path);
}

/* Rank 0. */
static enum status find_on_rank_0(struct trainer *trainer, struct checkpoint *checkpoint, bool *found, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    enum status status = read_newest(trainer, trainer->rundir, checkpoint, found, e);
    if (status)
        return status;
    const char *path = trainer->rundir->path;
    if (*found && config->resume == RESUME_NEVER)
        return error_set(e, STATUS_CANTCREATE,
                         "'%.200s' holds a run of %" PRId64 " steps already; name another --run, or "
                         "go on with it by --resume auto",
                         path, checkpoint->progress.step);
    if (!*found) {
        status = check_start(trainer, e);
        return status || !config->branch ? status : find_source(trainer, checkpoint, found, e);
    }
    status = compare_options(trainer, checkpoint, e);
    return status ? status : compare_data(trainer, checkpoint, path, e);
}

enum status trainer_explain_misfit(struct trainer *trainer, enum status status, struct error *e)
{
    struct rundir *rundir = NULL;
    struct checkpoint *checkpoint = NULL;
    struct error other;
    bool found = false;
    if (!status || trainer->comm->rank != 0 || !trainer->corpus || trainer->config->branch)
        return status;
    if (!rundir_look(trainer->config->run, &rundir, NULL))
        checkpoint = mem_alloc(1, sizeof *checkpoint, "a checkpoint", NULL);
    if (checkpoint && !read_newest(trainer, rundir, checkpoint, &found, &other) && found &&
        compare_data(trainer, checkpoint, trainer->config->run, &other)) {
        *e = other;
        status = other.status;
    }
    if (checkpoint)
        checkpoint_release(checkpoint);
    mem_free(checkpoint);
    rundir_close(rundir);
    return status;
}

/* Processors, compilers and versions of one revision compute the same bits and are passed over in silence. */
static void warn_of_other_arithmetic(struct trainer *trainer, int was)
{
    int is = trainer->build.arithmetic;
    if (was == is)
        return;
    if (trainer->branched_from >= 0)
        reporter_warn(&trainer->reporter,
                      "another arithmetic: what this run branches from was computed by arithmetic revision %d, the run "
                      "itself is by %d: neither revision alone gives the bits of the two together",
                      was, is);
    else
        reporter_warn(
            &trainer->reporter,
            "another arithmetic: the run so far was computed by arithmetic revision %d, from now on by %d: its "
            "bits are no longer those of an uninterrupted run",
            was, is);
}

enum status trainer_find(struct trainer *trainer, struct checkpoint *checkpoint, bool *found, struct error *e)
{
    enum status status = STATUS_OK;
    const struct trainer_config *config = trainer->config;
    *found = false;
    trainer->branched_from = -1;
    beat_for_reading(trainer);
    if (trainer->rundir)
        status = find_on_rank_0(trainer, checkpoint, found, e);
    status = comm_agree(trainer->comm, status, e);
    if (status)
        return status;
    int groups = lane_groups_choose(config->groups, config->batch, trainer->typical);
    if (*found) {
        /* Another version may choose another default; a run keeps what it began with. */
        if (config->groups == 0 && checkpoint->batch == config->batch && checkpoint->bptt == config->step.bptt)
            groups = checkpoint->groups;
        warn_of_other_arithmetic(trainer, checkpoint->build.arithmetic);
        trainer->shape.reordered = checkpoint->model.reordered; /* its constants are taken, whatever the counts here */
        keep_clusters(trainer, &checkpoint->model);
    }
    comm_broadcast(trainer->comm, trainer->shape.cutoffs, sizeof trainer->shape.cutoffs, 0);
    comm_broadcast(trainer->comm, &trainer->shape.reordered, sizeof trainer->shape.reordered, 0);
    comm_broadcast(trainer->comm, &groups, sizeof groups, 0);
    comm_broadcast(trainer->comm, &trainer->branched_from, sizeof trainer->branched_from, 0);
    comm_broadcast(trainer->comm, found, sizeof *found, 0);
    trainer->share = lane_share_of(config->batch, groups, trainer->comm->size, trainer->comm->rank);
    return STATUS_OK;
}

/* ---- all ranks ---- */

/* Whether the average goes on too: in a branch, where it is of the same kind. */
static bool keeps_average(const struct trainer *trainer, const struct average_state *was)
{
    const struct average_state *is = &trainer->average.state;
    return was->kind == is->kind && (was->count > 0 || was->nonmono == is->nonmono);
}

/* Rank 0. A branch that averages in another way, or not, begins with the average. */
static enum status load_arrays(struct trainer *trainer, struct checkpoint *checkpoint, struct error *e)
{
    const struct average_state *was = &checkpoint->average;
    struct average *average = &trainer->average;
    struct optimizer *optimizer = trainer->step->optimizer;
    const struct param_table *table = &trainer->table;
    bool same = checkpoint->rule.kind == optimizer->config.kind, keeps = keeps_average(trainer, was);
    if (keeps)
        average->state = *was;
    bool averaged = average->state.count > 0;
    enum status status = checkpoint_load(checkpoint, averaged ? average->values : trainer->values,
                                         averaged ? trainer->values : NULL, same ? optimizer : NULL, e);
    if (!status && averaged)
        memcpy(trainer->values + table->trained, average->values + table->trained,
               (table->total - table->trained) * sizeof(float));
    if (!status && !keeps && was->count > 0)
        reporter_tell(&trainer->reporter,
                      "starting from the average of the weights since step %lld, which they are now",
                      (long long)was->began);
    optimizer->updates = same ? checkpoint->updates : 0;
    return status;
}

/* Rank 0 reads parameters, average and optimizer to where they belong; then all ranks get them. */
static enum status restore_arrays(struct trainer *trainer, struct checkpoint *checkpoint, struct error *e)
{
    struct average *average = &trainer->average;
    struct optimizer *optimizer = trainer->step->optimizer;
    enum status status = trainer->comm->rank == 0 ? load_arrays(trainer, checkpoint, e) : STATUS_OK;
    status = comm_agree(trainer->comm, status, e);
    if (status)
        return status;
    comm_broadcast(trainer->comm, trainer->values, trainer->table.total * sizeof(float), 0);
    comm_broadcast(trainer->comm, &average->state, sizeof average->state, 0);
    if (average->state.count > 0)
        comm_broadcast(trainer->comm, average->values, trainer->table.total * sizeof(float), 0);
    /* A branch with another optimizer starts it fresh: what was broadcast then are zeros. */
    comm_broadcast(trainer->comm, &optimizer->updates, sizeof optimizer->updates, 0);
    for (int slot = 0; slot < optimizer->slots; slot++)
        comm_broadcast(trainer->comm, optimizer->slot[slot], trainer->table.trained * sizeof(float), 0);
    return STATUS_OK;
}

enum status trainer_restore(struct trainer *trainer, struct checkpoint *checkpoint, struct error *e)
{
    enum status status = restore_arrays(trainer, checkpoint, e);
    if (status)
        return status;
    if (trainer->comm->rank == 0)
        trainer->progress = checkpoint->progress;
    comm_broadcast(trainer->comm, &trainer->progress, sizeof trainer->progress, 0);
    states_scatter(&trainer->states, checkpoint->states, trainer->step->model);
    feed_seek(&trainer->feed, trainer->progress.epoch, 0);
    trainer->windows = feed_windows(&trainer->feed);
    if (trainer->progress.window >= trainer->windows)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot resume: window %" PRId64 " of an epoch that has %" PRId64
                         " windows; use the corpus that "
                         "the run began with",
                         trainer->progress.window, trainer->windows);
    feed_seek(&trainer->feed, trainer->progress.epoch, trainer->progress.window);
    if (trainer->branched_from < 0) {
        trainer->saver.step = trainer->progress.step;
        trainer->saver.valid_step = trainer->progress.valid_step;
    }
    trainer->costs.before = trainer->progress.seconds;
    return STATUS_OK;
}
