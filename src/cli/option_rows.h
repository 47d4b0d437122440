/* How rows of the table of options are written. Each file option_rows_*.c holds those of some sections, in the order
 * of --help and config.ini. */
#ifndef UNROLL_CLI_OPTION_ROWS_H
#define UNROLL_CLI_OPTION_ROWS_H

#include "unroll/cli/option_table.h"

struct option_rows {
    const struct option *row;
    int count;
};
extern const struct option_rows option_rows_files; /* files, and what a text is */
extern const struct option_rows option_rows_train; /* the model and its training */
extern const struct option_rows option_rows_use;   /* what is done with models, and how commands are carried out */

#define ROWS(table)                            \
    {                                          \
        table, sizeof(table) / sizeof *(table) \
    }

/* clang-format off */
extern const struct choices invalid_choices, resume_choices, writer_choices, to_choices, from_choices;
extern const struct choices format_choices, nbest_choices, reset_choices, cell_or_all_choices;
extern const struct choices order_or_host_choices, order_of_use_choices, precision_of_use_choices;

#define PREPARE (1u << COMMAND_PREPARE)
#define TRAIN (1u << COMMAND_TRAIN)
#define EVAL (1u << COMMAND_EVAL)
#define SCORE (1u << COMMAND_SCORE)
#define CLASSIFY (1u << COMMAND_CLASSIFY)
#define SAMPLE (1u << COMMAND_SAMPLE)
#define EXPORT (1u << COMMAND_EXPORT)
#define IMPORT (1u << COMMAND_IMPORT)
#define INSPECT (1u << COMMAND_INSPECT)
#define VERIFY (1u << COMMAND_VERIFY)
#define RUNS (1u << COMMAND_RUNS)
#define GRADCHECK (1u << COMMAND_GRADCHECK)
#define GRADFLOW (1u << COMMAND_GRADFLOW)
#define BENCH (1u << COMMAND_BENCH)
#define PLAN (1u << COMMAND_PLAN)
#define SELFTEST (1u << COMMAND_SELFTEST)
#define STEP (TRAIN | BENCH)
#define RUN (STEP | PLAN)

#define FIELD(field) .offset = offsetof(struct options, field), .size = sizeof(((struct options *)0)->field)
#define COUNT(field) .count_offset = offsetof(struct options, field)
#define READS .path = OPTION_PATH_READ
#define READS_LABELLED .path = OPTION_PATH_LABELLED
#define WRITES_RUN .path = OPTION_PATH_RUN
#define WRITES_STREAM .path = OPTION_PATH_STREAM
#define WRITES_HDF5 .path = OPTION_PATH_HDF5
#define FROM(least, most) .min = least, .max = most
#define WORD(text, value) .word = {{text, value}}
#define WORDS(text, value, text2, value2) .word = {{text, value}, {text2, value2}}
#define CHOICES(kind) .type = OPTION_CHOICE, .choices = &kind##_choices
#define FOLLOWS(...) .follows = {__VA_ARGS__}

#define MANY 1e15 /* more steps or tokens than any run has; exact in a double */
/* clang-format on */

#endif
