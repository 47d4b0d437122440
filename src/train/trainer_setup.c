/* Sets a run up: checks, model, arrays and run directory. */
#include "trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/output.h"
#include "unroll/sys/blas.h"
#include "unroll/train/signals.h"

/* ---- what computes here, and on which data ---- */

static enum status describe_build(struct trainer *trainer, struct error *e)
{
    struct blas_tile tile;
    checkpoint_build_here(&trainer->build);
    enum status status = comm_agree(trainer->comm, blas_init(&tile, e), e);
    if (status)
        return status;
    snprintf(trainer->build.kernel, sizeof trainer->build.kernel, "%s", tile.kernel);
    trainer->build.ranks = trainer->comm->size;
    trainer->build.threads = trainer->placement.threads;
    return STATUS_OK;
}

static enum status check_corpus(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    heartbeat_beat(&trainer->heartbeat, "opening the corpus"); /* which takes the same time whatever its length */
    enum status status = corpus_open_shared(trainer->comm, config->corpus, &trainer->corpus, e);
    if (status == STATUS_NOINPUT && config->corpus_remembered)
        return error_set(
            e, status,
            "cannot open '%.300s': no such file, though the run's options name it; say where the corpus is "
            "now with --corpus FILE",
            config->corpus);
    if (status)
        return status;
    if (config->step.model.task == TASK_CLASSIFY &&
        (!trainer->corpus->labels || trainer->corpus->texts[SPLIT_TRAIN] == 0))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--task classify': corpus '%.200s' has no labels; prepare it with --labelled or "
                         "--class",
                         config->corpus);
    bool valid = trainer_has(trainer, SPLIT_VALID);
    if (!valid && config->patience > 0 && config->patience_given)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--patience': corpus '%.200s' has no validation text; prepare it with --valid or "
                         "--split, or leave --patience out",
                         config->corpus);
    if (!valid && config->schedule.kind == SCHEDULE_PLATEAU)
        reporter_warn(&trainer->reporter, "the corpus has no validation text (prepare it with --split 90,5,5):\n"
                                          "  the plateau schedule keeps --lr as it is");
    return STATUS_OK;
}

/* How long the windows of labelled texts are. Not collective. */
static enum status measure_texts(struct trainer *trainer, struct error *e)
{
    int64_t cut = 0, texts = trainer->corpus->texts[SPLIT_TRAIN];
    double mean = 1;
    enum status status =
        examples_lengths(trainer->corpus, SPLIT_TRAIN, trainer->config->step.bptt, &trainer->bptt, &cut, &mean, e);
    trainer->typical = (int)ceil(mean);
    if (!status && cut > 0)
        reporter_warn(&trainer->reporter,
                      "%lld of %lld training texts are longer than --bptt %d tokens: only so many are read",
                      (long long)cut, (long long)texts, trainer->config->step.bptt);
    return status;
}

/* Collective. Those of the vocabulary; or, where it has none and the output layer goes by them, of the training text.
 */
static enum status find_counts(struct trainer *trainer, struct error *e)
{
    const struct vocab *vocab = trainer->corpus->vocab;
    size_t V = (size_t)vocab->size;
    trainer->counts = vocab->counts;
    if (vocab_has_counts(vocab) || !(output_kind(&trainer->shape)->uses & (OUTPUT_ORDER | OUTPUT_SAMPLES)))
        return STATUS_OK;
    heartbeat_bytes(&trainer->heartbeat, "counting the training text",
                    trainer->corpus->tokens[SPLIT_TRAIN] * (int64_t)sizeof(uint32_t));
    trainer->own_counts = mem_alloc(V, sizeof *trainer->own_counts, "counts", e);
    enum status status = comm_agree(trainer->comm, trainer->own_counts ? STATUS_OK : STATUS_OS, e);
    if (status)
        return status;
    if (trainer->comm->rank == 0)
        status = corpus_count(trainer->corpus, SPLIT_TRAIN, trainer->own_counts, e);
    status = comm_agree(trainer->comm, status, e);
    if (!status)
        comm_broadcast(trainer->comm, trainer->own_counts, V * sizeof *trainer->own_counts, 0);
    trainer->counts = trainer->own_counts;
    return status;
}

static enum status check_all(struct trainer *trainer, struct error *e)
{
    char advice[ERROR_TEXT];
    enum status status = placement_choose(trainer->comm, trainer->config->threads, &trainer->placement, advice, e);
    if (status)
        return status;
    status = describe_build(trainer, e);
    if (status)
        return status;
    if (advice[0])
        reporter_warn(&trainer->reporter, "%s", advice);
    if (trainer->comm->rank == 0)
        status = file_check_place(trainer->config->json_summary, "--json-summary", e);
    status = comm_agree(trainer->comm, status, e);
    if (!status)
        status = check_corpus(trainer, e);
    if (status)
        return status;
    trainer->shape = trainer->config->step.model;
    const struct vocab *vocab = trainer->corpus->vocab;
    trainer->shape.vocab = vocab->size;
    if (trainer->config->reset_at_eos && vocab->eos < 0)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--reset-at eos': the vocabulary of '%.200s' has no sentence end; prepare it from a "
            "text with line ends, or leave the option out",
            trainer->config->corpus);
    if (trainer->config->reset_at_eos)
        trainer->shape.reset_token = (uint32_t)vocab->eos;
    model_config_settle(&trainer->shape);
    status = find_counts(trainer, e);
    if (!status)
        status = output_settle(&trainer->shape, trainer->counts, e);
    if (status)
        return status;
    trainer->shape.labels = trainer->shape.task == TASK_CLASSIFY ? trainer->corpus->labels->count : 0;
    status = model_config_check(&trainer->shape, e);
    if (!status)
        status = trainer_check_flow(trainer, e);
    if (!status)
        status = trainer_check_sample(trainer, e);
    if (!status)
        status = trainer_check_average(trainer, e);
    trainer->typical = trainer->config->step.bptt;
    trainer->bptt = cuts_longest(trainer->typical, trainer->config->bptt_vary);
    if (!status && trainer->shape.task == TASK_CLASSIFY)
        status = measure_texts(trainer, e);
    return comm_agree(trainer->comm, status, e);
}

enum status trainer_check(struct trainer *trainer, struct error *e)
{
    enum status status = check_all(trainer, e);
    return comm_agree(trainer->comm, trainer_explain_misfit(trainer, status, e), e);
}

/* ---- the model and its arrays ---- */

/* Collective. The parameters, and what trains them. */
static enum status build_step(struct trainer *trainer, struct error *e)
{
    struct step_config step = trainer->config->step;
    step.model = trainer->shape;
    step.share = trainer->share;
    step.bptt = trainer->bptt;
    step.threads = trainer->placement.threads;
    step.norm = true;
    param_table_build(&trainer->shape, &trainer->table);
    trainer->values = mem_alloc(trainer->table.total, sizeof(float), "the parameters", e);
    enum status status = comm_agree(trainer->comm, trainer->values ? STATUS_OK : STATUS_OS, e);
    if (status)
        return status;
    return step_create(trainer->comm, &step, &trainer->table, trainer->values, &trainer->step, e);
}

/* Not collective. The text of this rank's lanes. A rank without lanes has none: step_create refuses it. */
static enum status open_text(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    struct examples_config slice = {.split = SPLIT_TRAIN,
                                    .batch = config->batch,
                                    .lane0 = trainer->share.lane_begin,
                                    .lanes = lane_share_lanes(&trainer->share),
                                    .longest = classifies ? trainer->bptt : config->step.bptt,
                                    .vary = config->bptt_vary,
                                    .shuffle = true,
                                    .seed = config->step.seed,
                                    .word_dropout = config->word_dropout};
    if (slice.lanes == 0)
        return STATUS_OK;
    enum status status = feed_open(trainer->corpus, classifies, &slice, &trainer->feed, e);
    if (status)
        return status;
    trainer->windows = feed_windows(&trainer->feed);
    trainer->steps = feed_windows_of(&trainer->feed, config->epochs);
    return STATUS_OK;
}

/* Not collective. */
static enum status build_local(struct trainer *trainer, bool fresh, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    enum status status = exchange_create(&trainer->exchange, &trainer->share, e);
    if (!status)
        status = states_create(trainer->comm, &trainer->shape, &trainer->share, &trainer->states, e);
    if (!status)
        status = trainer_create_average(trainer, e);
    if (!status && fresh)
        status = param_init(&trainer->shape, &trainer->table, config->init, config->step.seed, trainer->values, e);
    if (!status)
        status = constants_fill(&trainer->shape, &trainer->table, trainer->counts, trainer->values, e);
    return status ? status : saver_create(&trainer->saver, trainer, e);
}

enum status trainer_build(struct trainer *trainer, bool fresh, struct error *e)
{
    /* the text first: a batch that it is too short for is not to fail for want of memory */
    enum status status = comm_agree(trainer->comm, open_text(trainer, e), e);
    if (!status)
        status = build_step(trainer, e);
    if (!status)
        status = comm_agree(trainer->comm, build_local(trainer, fresh, e), e);
    return status ? status : trainer_open_validation(trainer, e);
}

/* ---- the run directory ---- */

enum status trainer_open_directory(struct trainer *trainer, struct error *e)
{
    enum status status = STATUS_OK;
    char notice[ERROR_TEXT] = "";
    const char *path = trainer->config->branch ? trainer->config->branch : trainer->config->run;
    if (trainer->comm->rank == 0)
        status = rundir_open(path, &trainer->rundir, notice, e);
    if (!status && trainer->rundir) {
        signals_hold(&trainer->rundir->lock);
        trainer->heartbeat.lock = &trainer->rundir->lock;
    }
    status = comm_agree(trainer->comm, status, e);
    if (!status && notice[0])
        reporter_warn(&trainer->reporter, "%s", notice);
    return status;
}

enum status trainer_open_files(struct trainer *trainer, bool fresh, struct error *e)
{
    struct rundir *rundir = trainer->rundir;
    if (!rundir)
        return comm_agree(trainer->comm, STATUS_OK, e);
    char path[FILE_PATH_MAX];
    rundir->begun = true;
    rundir_file(rundir, "config.ini", path);
    enum status status =
        file_replace(path, trainer->config->ini_text, strlen(trainer->config->ini_text), &rundir->guard, e);
    if (!status)
        status = reporter_open(&trainer->reporter, rundir, fresh ? 0 : trainer->progress.metrics_bytes, e);
    return comm_agree(trainer->comm, status, e);
}

void trainer_release(struct trainer *trainer)
{
    heartbeat_stop(&trainer->heartbeat);
    evaluator_free(trainer->valid);
    feed_close(&trainer->feed);
    step_free(trainer->step);
    corpus_close(trainer->corpus);
    reporter_close(&trainer->reporter);
    signals_hold(NULL);
    rundir_close(trainer->rundir);
    mem_free(trainer->values);
    average_release(&trainer->average);
    mem_free(trainer->own_counts);
    exchange_release(&trainer->exchange);
    states_release(&trainer->states);
    saver_release(&trainer->saver);
}
