/* unroll train: puts the options together for the trainer. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/recipes.h"
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

/* What only this command knows, besides what the options say. */
static void complete(struct trainer_config *config, const struct options *options, const struct option_list *list,
                     const char *ini_text)
{
    config->corpus_remembered = options_origin(options, "corpus") < ORIGIN_FLAG;
    config->patience_given = options_given(options, "patience");
    config->ini_text = ini_text;
    config->options = list->count;
    config->option = list->option;
    config->write_sample = write_sample;
}

/* The first line of every log: what computes here. All of it is in timing.jsonl. */
static void tell_program(struct terminal *log)
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
static void fit(struct trainer_config *config, int64_t tokens, struct terminal *log)
{
    char batch[80] = "", epochs[48] = "";
    if (config->batch == 0) {
        config->batch = fit_lanes(tokens, config->step.bptt, config->groups);
        int64_t steps = fit_steps(tokens, config->batch, config->step.bptt, config->bptt_vary);
        snprintf(batch, sizeof batch, " --batch %d (%s%lld step%s an epoch)", config->batch,
                 config->bptt_vary ? "about " : "", (long long)steps, steps == 1 ? "" : "s");
    }
    if (config->epochs == 0) {
        config->epochs = fit_epochs(tokens);
        snprintf(epochs, sizeof epochs, " --epochs %lld", (long long)config->epochs);
    }
    if (log && (*batch || *epochs))
        terminal_message(log, "to fit %lld training tokens:%s%s", (long long)tokens, batch, epochs);
    if (config->eval_every >= 0)
        return;
    config->eval_every = 0; /* an epoch, where averaging begins by the losses of epochs (--nonmono) */
    if (!optimizer_averages(config->step.optimizer.kind))
        config->eval_every = fit_eval_every(tokens, config->batch, config->step.bptt, config->bptt_vary);
    if (log && config->eval_every > 0)
        terminal_message(log, "to validate a long text within its epochs: --eval-every %lld",
                         (long long)config->eval_every);
}

/* What a run's options follow from, as rank 0 finds it. */
struct found {
    int64_t tokens, texts; /* of the training text */
    bool valid, begun;     /* there is validation text; the directory holds a run */
    int level;             /* of the tokens, -1 if nothing is known */
};

/* One token if the corpus cannot be opened, which is the trainer's to refuse. */
static void find(const struct trainer_config *config, struct found *found)
{
    struct corpus *corpus;
    struct error unreadable;
    *found = (struct found){
        .tokens = 1, .level = -1, .begun = rundir_goes_on(config->branch ? config->branch : config->run)};
    if (corpus_open(config->corpus, &corpus, &unreadable))
        return;
    found->tokens = corpus->tokens[SPLIT_TRAIN];
    found->texts = corpus->texts[SPLIT_TRAIN];
    found->valid = corpus->tokens[SPLIT_VALID] >= 2;
    found->level = (int)corpus->vocab->level;
    corpus_close(corpus);
}

/* A run that began before there was this default goes on without. */
static int64_t choose_patience(const struct options *options, const struct found *found)
{
    const struct trainer_config *config = &options->train;
    bool before = found->begun && options_origin(options, "patience") == ORIGIN_DEFAULT;
    if (before || !found->valid)
        return 0;
    int64_t steps = config->step.model.task == TASK_CLASSIFY
                        ? (found->texts + config->batch - 1) / config->batch
                        : fit_steps(found->tokens, config->batch, config->step.bptt, config->bptt_vary);
    return fit_patience(steps, config->eval_every);
}

/* Rank 0. What a run that begins by a recipe takes from it, and a doubt where the recipe is for other texts. */
static void tell_recipe(const struct options *options, const struct found *found, struct terminal *log)
{
    const struct recipe *recipe = recipe_of(options->recipe);
    if (options->recipe == RECIPE_NONE || !options_given(options, "recipe") || found->begun)
        return;
    terminal_message(log, "recipe %s%s%s: %s", recipe->name, recipe->reached ? ", which reached " : "",
                     recipe->reached ? recipe->reached : "", recipe->options);
    char doubt[RECIPE_DOUBT];
    if (found->level >= 0 && recipe_doubt(recipe, (enum level)found->level, options->train.corpus, doubt))
        terminal_message(log, "unroll: warning: %s", doubt);
}

/* Collective. Options without 'auto', the same on all ranks. */
static enum status fit_to_corpus(const struct comm *comm, struct options *options, struct terminal *log,
                                 struct error *e)
{
    struct trainer_config *config = &options->train;
    struct watchdog *watchdog;
    struct found found = {.tokens = 1};
    if (options->recipe == RECIPE_NONE && config->batch > 0 && config->epochs > 0 && config->eval_every >= 0 &&
        config->patience >= 0)
        return STATUS_OK;
    enum status status = watchdog_start(config->stall_timeout, comm->rank, &watchdog, e);
    status = comm_agree(comm, status, e);
    if (status)
        return status;
    watchdog_beat(watchdog, 0, "opening the corpus", 0);
    if (comm->rank == 0)
        find(config, &found);
    comm_broadcast(comm, &found, sizeof found, 0);
    watchdog_stop(watchdog);
    if (comm->rank == 0)
        tell_recipe(options, &found, log);
    fit(config, found.tokens, comm->rank == 0 && found.tokens > 1 ? log : NULL);
    if (config->patience < 0)
        config->patience = choose_patience(options, &found);
    return STATUS_OK;
}

enum status cmd_train(const struct comm *comm, const struct options *given, struct error *e)
{
    struct options fitted = *given, *options = &fitted;
    struct terminal log;
    char *ini_text = NULL;
    /* Standard error: Open MPI gives standard output of a rank a terminal even where it ends in a file. */
    terminal_init(&log, stderr);
    if (comm->rank == 0)
        tell_program(&log);
    enum status status = fit_to_corpus(comm, options, &log, e);
    if (status)
        return status;
    struct option_list *list = mem_alloc(1, sizeof *list, "options", e);
    status = list ? options_ini_text(options, &ini_text, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (!status) {
        list->options = options;
        options_each_of_run(options, add_option, list);
        complete(&fitted.train, options, list, ini_text);
        status = trainer_run(comm, &fitted.train, &log, e);
    }
    mem_free(list);
    mem_free(ini_text);
    return status;
}
