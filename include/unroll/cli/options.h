/* The options of all commands. One typed table (cli/option_table.h) drives command line, INI file, --help,
 * config.ini and checkpoints. A new option of train is one field in the struct of the room that uses it (struct
 * trainer_config, or in it struct step_config, which bench takes, too, model_config, optimizer_config ...) and one
 * row in option_rows_train.c. */
#ifndef UNROLL_CLI_OPTIONS_H
#define UNROLL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/cli/command_table.h"
#include "unroll/data/markers.h"
#include "unroll/data/prepare.h"
#include "unroll/train/evaluator.h"
#include "unroll/train/trainer.h"
#include "unroll/use/beam.h"
#include "unroll/use/gradflow.h"
#include "unroll/use/sampler.h"
#include "unroll/use/spelling.h"
#include "unroll/use/weights.h"

enum nbest { NBEST_NONE, NBEST_MOSES, NBEST_KALDI };

#define OPTION_FILES_MAX 64
#define OPTION_OPERANDS_MAX 4096
#define OPTION_EPOCHS_MAX 1000000
#define OPTION_CELL_ALL CELLS
#define OPTION_ORDER_HOST (BF16_PAIR + 1) /* until precision_settle (cli/precision.h): this host's fastest */
#define OPTION_ORDER_TRAINED (BF16_PAIR + 2)
#define OPTION_PRECISION_TRAINED (PRECISION_BF16 + 1)

/* Most values lie in the structs of the rooms that use them. What a command finds out itself (files, threads) it
 * puts into a copy. */
struct options {
    enum command command;
    const struct command_info *info; /* the row of the command */
    bool help;                       /* --help was given: nothing else was looked at */
    int files;                       /* operands, and how many */
    const char *file[OPTION_OPERANDS_MAX];

    int recipe; /* its number (cli/recipes.h); what it sets stands in the fields below */

    int config_files; /* --config FILE, INI files: the later override the earlier, flags all */
    const char *config_file[OPTION_FILES_MAX];

    /* train; bench and plan take the same, and other commands the fields that they share with it: model, seed, threads.
     * What 'auto' means stands here until the command knows better: batch, groups, epochs, threads 0; eval_every and
     * patience -1. With max_steps alone epochs is OPTION_EPOCHS_MAX. */
    struct trainer_config train;
    int hidden[MODEL_LAYERS_MAX]; /* --hidden as it was given: one number, or one for each layer */
    double dropout_input, dropout_hidden, dropout_output; /* -1: as `dropout` of the model, which takes them over */

    const char *corpus, *model_file; /* of the others: --corpus C.h5, --model M.h5 */
    const char *output;              /* -o, --output */
    const char *json_summary;        /* bench and plan --json FILE */
    bool json;                       /* inspect, eval and runs --json */
    int use_precision, use_order;    /* of eval, score, classify, sample, gradflow: OPTION_..._TRAINED, or in place of
                                        what the model was trained in */
    enum markers markers;            /* what the texts of prepare, score, classify and sample may hold */
    const char *vocab_from;          /* prepare and import --vocab-from FILE */

    struct prepare_config prepare; /* import takes level and normal */
    int train_files, valid_files, test_files, classes;
    const char *train_file[OPTION_FILES_MAX], *valid_file[OPTION_FILES_MAX], *test_file[OPTION_FILES_MAX];
    const char *class_file[OPTION_FILES_MAX];

    struct weights_hints import;
    enum weights_source from;
    int renames;
    const char *rename[OPTION_FILES_MAX]; /* --rename FROM=TO */
    enum weights_format to;               /* export */

    int64_t bench_steps;                     /* timed steps, 0: as many as take a few seconds */
    bool bench_network;                      /* --network */
    bool print_digests;                      /* selftest --print */
    int plan_ranks;                          /* 0: those of this process */
    int plan_nodes, ranks_per_node;          /* nodes 0: predict nothing */
    const char *plan_network, *node_network; /* --network LATENCY,BANDWIDTH; NULL if not given */
    int from_files;
    const char *from_file[OPTION_FILES_MAX];

    struct gradflow_config flow;
    int flow_models;
    const char *flow_model[OPTION_FILES_MAX];
    int flow_cell; /* an enum cell, or OPTION_CELL_ALL */
    const char *csv;

    struct evaluator_config eval; /* batch -1: as in training */

    const char *per_token_file; /* eval --per-token FILE; NULL if not given */
    bool per_token;
    bool unnormalised;
    bool all_labels;     /* classify --all */
    bool score_tsv_json; /* --format json */
    enum nbest nbest;
    bool nbest_best;     /* --best */
    const char *feature; /* --feature NAME */
    const char *context; /* --context FILE; NULL if not given */
    bool carry_state;
    double weight, oov_penalty;
    const char *mix; /* --mix FILE; NULL if not given */
    double lambda;

    struct sampler_config sampler;
    struct text_end_config end; /* of sample: its length and where it stops */
    struct beam_config beam;    /* width 0: draw */
    int64_t count;
    const char *prime, *prime_file; /* NULL if not given */

    struct option_memory *memory; /* which options were given, and strings of the INI file; owned, see options_free */
};

/* Parses `argv` of `command` (argv[0] is the command's name). With --help sets `help` and looks at nothing else.
 *
 * On the command line an unknown option, a missing value, a missing option that the command needs and a text that is no
 * number are STATUS_USAGE (unknown names get a "did you mean"). A value out of range, options that contradict each
 * other and any fault of a --config file are STATUS_CONFIG; if such a file is missing, STATUS_NOINPUT. Strings point
 * into argv or into memory owned by `options`. Release with options_free, also after a failure.
 *
 * `train`: if the run directory holds a run, its config.ini says what neither flags nor files do; a --config file
 * that is a run's own config.ini, in the run's directory, names that directory. Where a model is asked for and a run
 * directory named, the option comes to be the file (train/rundir.h: rundir_model). */
enum status options_parse(int argc, char **argv, struct options *options, struct error *e);
void options_free(struct options *options);

/* Where the option's value comes from; the later override the earlier. */
enum option_origin {
    ORIGIN_DEFAULT,
    ORIGIN_RUN,    /* `train`: the config.ini of the run that is gone on with */
    ORIGIN_RECIPE, /* --recipe, unless the run goes on: it has its options */
    ORIGIN_FILE,   /* a --config file */
    ORIGIN_FLAG
};
enum option_origin options_origin(const struct options *options, const char *name);

/* True if the option was given on the command line, in a --config file or by --recipe. */
bool options_given(const struct options *options, const char *name);

/* How an option matters to a run that resumes. */
enum option_class {
    OPTION_MATHEMATICS, /* a change makes another run: refused on resume */
    OPTION_EXTENT,      /* how far to go: epochs, max-steps, patience may change */
    OPTION_CONDUCT      /* how it is carried out: threads, logging, paths ... */
};

/* Walks the options of `train` in table order, with the effective value as text that parses back to the same bits.
 * Texts that were not given and have no default (paths) are left out. `value` is valid during the visit only. */
void options_each_of_run(const struct options *options,
                         void (*visit)(void *context, const char *name, const char *value, enum option_class class),
                         void *context);

/* The effective options of `train` as an INI file that is also valid TOML: what DIR/config.ini holds. Paths are
 * absolute, and what is of one start stays out (run, branch, resume), so that the file means the same wherever it is
 * read. The text belongs to the caller (mem_free). STATUS_OS if memory is short. */
enum status options_ini_text(const struct options *options, char **text, struct error *e);

#endif
