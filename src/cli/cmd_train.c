/* unroll train: puts the options together for the trainer. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/mem.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/sys/blas.h"
#include "unroll/train/trainer.h"

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

static void assemble(const struct options *options, const struct option_list *list, const char *ini_text,
                     struct trainer_config *config)
{
    *config = (struct trainer_config){
        .corpus = options->corpus,
        .corpus_remembered = options_origin(options, "corpus") < ORIGIN_FLAG,
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

/* The first line of every log: what computes here. */
static void say_hello(struct terminal *log)
{
    const char *revision = build_revision();
    struct blas_tile tile;
    struct checkpoint_build build;
    checkpoint_build_here(&build);
    enum status status = blas_init(&tile, NULL);
    terminal_message(log, "unroll %s%s%s%s, arithmetic revision %d, %s, %s; %s; BLIS %s kernel %s, %s", build_version(),
                     *revision ? " (" : "", revision, *revision ? ")" : "", build.arithmetic, build_compiler(),
                     build_flags(), build_libraries(), blas_version(), status ? "unusable" : tile.kernel,
                     build.instructions);
    if (!status && tile.own)
        terminal_message(
            log,
            "BLIS's kernel '%s' does not add in the order of k, or does not fuse: Unroll's own is used in its place",
            tile.kernel);
}

enum status cmd_train(const struct comm *comm, const struct options *options, struct error *e)
{
    struct terminal log;
    struct trainer_config config;
    char *ini_text = NULL;
    /* Standard error: Open MPI gives standard output of a rank a terminal even where it ends in a file. */
    terminal_init(&log, stderr);
    if (comm->rank == 0)
        say_hello(&log);
    struct option_list *list = mem_alloc(1, sizeof *list, "options", e);
    enum status status = list ? options_ini_text(options, &ini_text, e) : STATUS_OS;
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
