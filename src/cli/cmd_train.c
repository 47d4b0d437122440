/* unroll train: puts the options together for the trainer. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/sys/blas.h"
#include "unroll/train/fit.h"
#include "unroll/train/rundir.h"
#include "unroll/train/trainer.h"
#include "unroll/train/watchdog.h"
#include "unroll/use/sample_text.h"

struct option_list {
    const struct options *options;
    int count;
    struct trainer_option option[CHECKPOINT_OPTIONS_MAX];
};

static void add_option(void *context, const char *name, const char *value, enum option_class class)
{
    struct option_list *list = context;
    CHECK(list->count < CHECKPOINT_OPTIONS_MAX);
    struct trainer_option *option = &list->option[list->count++];
    snprintf(option->text.name, sizeof option->text.name, "%s", name);
    snprintf(option->text.value, sizeof option->text.value, "%s", value);
    option->mathematics = class == OPTION_MATHEMATICS;
    option->initial = !options_given(list->options, name);
}

/* As `unroll sample` would with its defaults and the run's seed. */
static enum status write_sample(const struct trainer_sample *sample, char **text, size_t *length, struct error *e)
{
    struct sample_text_config config = {
        .model = sample->model,
        .values = sample->values,
        .vocab = sample->vocab,
        .sampler = {.rule = {.temperature = 1, .top_p = 1}, .seed = sample->seed, .threads = 1},
        .length = sample->length,
        .beat = sample->beat,
        .beat_context = sample->beat_context,
    };
    return sample_text(&config, text, length, e);
}

static void assemble(const struct options *options, const struct option_list *list, const char *ini_text,
                     struct trainer_config *config)
{
    *config = (struct trainer_config){
        .corpus = options->corpus,
        .corpus_remembered = options_origin(options, "corpus") < ORIGIN_FLAG,
        .patience_given = options_given(options, "patience"),
        .run = options->run,
        .branch = options->branch,
        .json_summary = options->json_summary,
        .ini_text = ini_text,
        .options = list->count,
        .option = list->option,
        .model = options->model,
        .reset_at_eos = options->reset_at_eos,
        .word_dropout = options->word_dropout,
        .init = options->init,
        .init_from = options->init_from,
        .seed = options->seed,
        .batch = options->batch,
        .bptt = options->bptt,
        .groups = options->lane_groups,
        .optimizer = options->optimizer,
        .schedule =
            {
                .kind = options->schedule,
                .lr = options->lr,
                .decay = options->lr_decay,
                .every = options->lr_step,
                .patience = options->lr_patience,
                .minimum = options->lr_min,
                .warmup = options->warmup,
            },
        .clip = options->clip,
        .reduction = options->reduction,
        .epochs = options->epochs,
        .max_steps = options->max_steps,
        .patience = options->patience,
        .eval_every = options->eval_every,
        .gradflow_every = options->gradflow_every,
        .sample_every = options->sample_every,
        .sample_length = options->sample_length,
        .write_sample = write_sample,
        .checkpoint_every = options->checkpoint_every,
        .keep = options->keep,
        .log_every = options->log_every,
        .check_replicas = options->check_replicas,
        .max_time = options->max_time,
        .stall_timeout = options->stall_timeout,
        .threads = options->threads,
        .resume = options->resume,
        .writer = options->checkpoint_writer,
    };
}

/* The first line of every log: what computes here. All of it is in timing.jsonl. */
static void say_hello(struct terminal *log)
{
    const char *revision = build_revision();
    struct blas_tile tile;
    enum status status = blas_init(&tile, NULL);
    terminal_message(log, "unroll %s%s%s%s, arithmetic revision %d, BLIS kernel %s, %s", build_version(),
                     *revision ? " (" : "", revision, *revision ? ")" : "", build_arithmetic(),
                     status ? "unusable" : tile.kernel, build_instructions());
    if (!status && tile.own)
        terminal_message(
            log,
            "BLIS's kernel '%s' does not add in the order of k, or does not fuse: Unroll's own is used in its place",
            tile.kernel);
}

/* ---- what fits the text ---- */

/* Sets what is 'auto' by the length of the training text, and says what it has set. */
static void fit(struct options *options, int64_t tokens, struct terminal *log)
{
    char batch[80] = "", epochs[48] = "";
    if (options->batch == 0) {
        options->batch = fit_lanes(tokens, options->bptt, options->lane_groups);
        int64_t steps = fit_steps(tokens, options->batch, options->bptt);
        snprintf(batch, sizeof batch, " --batch %d (%lld step%s an epoch)", options->batch, (long long)steps,
                 steps == 1 ? "" : "s");
    }
    if (options->epochs == 0) {
        options->epochs = fit_epochs(tokens);
        snprintf(epochs, sizeof epochs, " --epochs %lld", (long long)options->epochs);
    }
    if (log && (*batch || *epochs))
        terminal_message(log, "to fit %lld training tokens:%s%s", (long long)tokens, batch, epochs);
    if (options->eval_every >= 0)
        return;
    options->eval_every = fit_eval_every(tokens, options->batch, options->bptt);
    if (log && options->eval_every > 0)
        terminal_message(log, "to validate a long text within its epochs: --eval-every %lld",
                         (long long)options->eval_every);
}

/* What a run's options follow from, as rank 0 finds it. */
struct found {
    int64_t tokens, texts; /* of the training text */
    bool valid, begun;     /* there is validation text; the directory holds a run */
};

/* One token if the corpus cannot be opened, which is the trainer's to refuse. */
static void find(const struct options *options, struct found *found)
{
    struct corpus *corpus;
    struct error unreadable;
    *found = (struct found){.tokens = 1, .begun = rundir_goes_on(options->branch ? options->branch : options->run)};
    if (corpus_open(options->corpus, &corpus, &unreadable) != STATUS_OK)
        return;
    found->tokens = corpus->tokens[SPLIT_TRAIN];
    found->texts = corpus->texts[SPLIT_TRAIN];
    found->valid = corpus->tokens[SPLIT_VALID] >= 2;
    corpus_close(corpus);
}

/* A run that began before there was this default goes on without. */
static int64_t choose_patience(const struct options *options, const struct found *found)
{
    bool before = found->begun && options_origin(options, "patience") == ORIGIN_DEFAULT;
    if (before || !found->valid)
        return 0;
    int64_t steps = options->model.task == TASK_CLASSIFY ? (found->texts + options->batch - 1) / options->batch
                                                         : fit_steps(found->tokens, options->batch, options->bptt);
    return fit_patience(steps, options->eval_every);
}

/* Collective. Options without 'auto', the same on all ranks. */
static enum status fit_to_corpus(const struct comm *comm, struct options *options, struct terminal *log,
                                 struct error *e)
{
    struct watchdog *watchdog;
    struct found found = {.tokens = 1};
    if (options->batch > 0 && options->epochs > 0 && options->eval_every >= 0 && options->patience >= 0)
        return STATUS_OK;
    enum status status = watchdog_start(options->stall_timeout, comm->rank, &watchdog, e);
    status = comm_agree(comm, status, e);
    if (status)
        return status;
    watchdog_beat(watchdog, 0, "opening the corpus", 0);
    if (comm->rank == 0)
        find(options, &found);
    comm_broadcast(comm, &found, sizeof found, 0);
    watchdog_stop(watchdog);
    fit(options, found.tokens, comm->rank == 0 && found.tokens > 1 ? log : NULL);
    if (options->patience < 0)
        options->patience = choose_patience(options, &found);
    return STATUS_OK;
}

enum status cmd_train(const struct comm *comm, const struct options *given, struct error *e)
{
    struct options fitted = *given, *options = &fitted;
    struct terminal log;
    struct trainer_config config;
    char *ini_text = NULL;
    /* Standard error: Open MPI gives standard output of a rank a terminal even where it ends in a file. */
    terminal_init(&log, stderr);
    if (comm->rank == 0)
        say_hello(&log);
    enum status status = fit_to_corpus(comm, options, &log, e);
    if (status)
        return status;
    struct option_list *list = mem_alloc(1, sizeof *list, "options", e);
    status = list ? options_ini_text(options, &ini_text, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (!status) {
        list->options = options;
        options_each_of_run(options, add_option, list);
        assemble(options, list, ini_text, &config);
        status = trainer_run(comm, &config, &log, e);
    }
    mem_free(list);
    mem_free(ini_text);
    return status;
}
