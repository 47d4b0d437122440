/* The options of all commands. One typed table (cli/option_table.h) drives command line, INI file, --help, config.ini and
 * checkpoints: a new option is one field here and one line in option_table.c. */
#ifndef UNROLL_CLI_OPTIONS_H
#define UNROLL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"
#include "unroll/train/trainer.h"
#include "unroll/use/weights.h"

enum nbest { NBEST_NONE, NBEST_MOSES, NBEST_KALDI };
enum invalid_utf8 { INVALID_REFUSE, INVALID_REPLACE };

#define OPTION_FILES_MAX 64
#define OPTION_OPERANDS_MAX 4096
#define OPTION_EPOCHS_MAX 1000000
#define OPTION_CELL_ALL CELLS

struct options {
    const char *command; /* name of the command */
    bool help;           /* --help was given: nothing else was looked at */
    int files;           /* operands, and how many */
    const char *file[OPTION_OPERANDS_MAX];

    /* files and places */
    int config_files; /* --config FILE, INI files: the later override the earlier, flags all */
    const char *config_file[OPTION_FILES_MAX];
    const char *corpus, *run, *model_file; /* --corpus C.h5, --run DIR, --model M.h5 */
    const char *output;                    /* -o, --output */
    const char *json_summary;              /* --json-summary FILE */
    bool json;                             /* inspect, eval and runs --json */

    /* prepare */
    enum level level;
    int train_files, valid_files, test_files;
    const char *train_file[OPTION_FILES_MAX], *valid_file[OPTION_FILES_MAX], *test_file[OPTION_FILES_MAX];
    double split_percent[3];       /* --split 90,5,5; all 0 if not given */
    int64_t vocab_size, min_count; /* vocab_size 0: no limit */
    bool lowercase;
    bool labelled; /* --class says it, too */
    int classes;
    const char *class_file[OPTION_FILES_MAX];
    enum invalid_utf8 invalid;
    enum normal normal;
    enum markers markers; /* score, classify and sample take it, too */

    /* model */
    struct model_config model; /* vocab is filled from the corpus */
    enum init init;
    bool reset_at_eos; /* --reset-at eos */
    double word_dropout;
    const char *init_from; /* --init-from LM.h5 */

    /* training */
    int batch, bptt, lane_groups; /* lane_groups 0: lane_groups_default; batch -1, of eval: as in training */
    struct optimizer_config optimizer;
    double lr; /* options_parse puts the optimizer's own default where none is given */
    enum schedule_kind schedule;
    double lr_decay;           /* step, plateau: divide by this */
    int64_t lr_step;           /* step: every so many epochs */
    double lr_min;             /* cosine, plateau: not below */
    int64_t lr_patience;       /* plateau: validations without improvement before dividing */
    int64_t warmup;            /* steps of linear warm-up */
    double clip;               /* global norm, 0: none */
    int64_t epochs, max_steps; /* max_steps 0: no limit; if it alone is given, epochs is OPTION_EPOCHS_MAX */
    int64_t patience;          /* early stopping: validations without improvement; 0: never, -1: cmd_train chooses */
    uint64_t seed;
    int64_t eval_every;       /* steps; 0: at each epoch's end */
    int64_t gradflow_every;   /* steps; 0: never */
    int64_t sample_every;     /* steps; 0: never; TRAINER_EPOCH: at each epoch's end */
    int64_t sample_length;    /* tokens */
    int64_t checkpoint_every; /* steps; 0: at each epoch's end */
    int64_t keep;             /* checkpoints kept */
    int64_t log_every;        /* steps */
    int64_t check_replicas;   /* steps between comparisons of the ranks' parameters; 0: only at checkpoints */
    double max_time;          /* seconds, 0: none; given as HH:MM:SS */
    int threads;              /* 0: OMP_NUM_THREADS, else the cores this rank is bound to */
    enum reduction reduction;
    enum resume resume;
    const char *branch; /* --branch NEWDIR: start a new run from this one's newest checkpoint */
    enum checkpoint_writer checkpoint_writer;
    double stall_timeout; /* seconds; 0: no watchdog */

    /* bench, plan; both take vocab_size and json_summary, which 'json' stands for there */
    int64_t bench_steps;                     /* timed steps, 0: as many as take a few seconds */
    bool bench_network;                      /* --network */
    bool print_digests;                      /* --print */
    int plan_ranks;                          /* 0: those of this process */
    int plan_nodes, ranks_per_node;          /* nodes 0: predict nothing */
    const char *plan_network, *node_network; /* --network LATENCY,BANDWIDTH; NULL if not given */
    int from_files;
    const char *from_file[OPTION_FILES_MAX];

    /* gradflow; takes output too */
    int flow_models;
    const char *flow_model[OPTION_FILES_MAX];
    int flow_cell; /* an enum cell, or OPTION_CELL_ALL */
    int lags;
    int64_t flow_windows;
    const char *csv;

    /* eval, score, sample */
    enum split split;
    bool dynamic;
    double eval_lr; /* of dynamic evaluation */
    bool per_token;
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
    int64_t length, min_length, count;
    const char *prime, *prime_file, *stop; /* NULL if not given */
    bool stop_at_eos;
    int beam; /* 0: draw */
    double length_norm;
    double temperature, top_p;
    int64_t top_k;

    /* export, import */
    enum weights_format to;
    enum weights_source from;
    const char *vocab_from; /* --vocab-from FILE; prepare takes it, too */
    int renames;
    const char *rename[OPTION_FILES_MAX]; /* --rename FROM=TO */

    struct option_memory *memory; /* which options were given, and strings of the INI file; owned, see options_free */
};

/* Parses `argv` of `command` (argv[0] is the command's name). With --help sets `help` and looks at nothing else.
 *
 * On the command line an unknown option, a missing value, a missing option that the command needs and a text that is no
 * number are STATUS_USAGE (unknown names get a "did you mean"). A value out of range, options that contradict each other
 * and any fault of a --config file are STATUS_CONFIG; if such a file is missing, STATUS_NOINPUT. Strings point into argv
 * or into memory owned by `options`. Release with options_free, also after a failure.
 *
 * `train`: if the run directory holds a run, its config.ini says what neither flags nor files do; a --config file that is
 * a run's own config.ini, in the run's directory, names that directory. Where a model is asked for and a run directory
 * named, the option comes to be the file (train/rundir.h: rundir_model). */
enum status options_parse(int argc, char **argv, struct options *options, struct error *e);
void options_free(struct options *options);

/* Where the option's value comes from; the later override the earlier. */
enum option_origin {
    ORIGIN_DEFAULT,
    ORIGIN_RUN,  /* `train`: the config.ini of the run that is gone on with */
    ORIGIN_FILE, /* a --config file */
    ORIGIN_FLAG
};
enum option_origin options_origin(const struct options *options, const char *name);

/* True if the option was given on the command line or in a --config file. */
bool options_given(const struct options *options, const char *name);

/* How an option matters to a run that resumes. */
enum option_class {
    OPTION_MATHEMATICS, /* a change makes another run: refused on resume */
    OPTION_EXTENT,      /* how far to go: epochs, max-steps, patience may change */
    OPTION_CONDUCT      /* how it is carried out: threads, logging, paths ... */
};

/* Walks the options of `train` in table order, with the effective value as text that parses back to the same bits. Texts
 * that were not given and have no default (paths) are left out. `value` is valid during the visit only. */
void options_each_of_run(const struct options *options,
                         void (*visit)(void *context, const char *name, const char *value, enum option_class class),
                         void *context);

/* The effective options of `train` as an INI file that is also valid TOML: what DIR/config.ini holds. Paths are absolute,
 * and what is of one start stays out (run, branch, resume), so that the file means the same wherever it is read. The text
 * belongs to the caller (mem_free). STATUS_OS if memory is short. */
enum status options_ini_text(const struct options *options, char **text, struct error *e);

#endif
