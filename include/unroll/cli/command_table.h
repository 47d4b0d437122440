/* THE table of commands: a command is one row, and one file that does it. Its options are the rows of the table of
 * options that name it. Parsing, --help, the manual page and completion walk both. */
#ifndef UNROLL_CLI_COMMAND_TABLE_H
#define UNROLL_CLI_COMMAND_TABLE_H

#include <stdbool.h>

#include "unroll/base/status.h"

struct comm;
struct options;

enum command {
    COMMAND_PREPARE,
    COMMAND_TRAIN,
    COMMAND_EVAL,
    COMMAND_SCORE,
    COMMAND_CLASSIFY,
    COMMAND_SAMPLE,
    COMMAND_EXPORT,
    COMMAND_IMPORT,
    COMMAND_INSPECT,
    COMMAND_VERIFY,
    COMMAND_RUNS,
    COMMAND_GRADCHECK,
    COMMAND_GRADFLOW,
    COMMAND_BENCH,
    COMMAND_PLAN,
    COMMAND_SELFTEST,
    COMMANDS
};

struct command_info {
    const char *name;
    const char *summary;     /* a line in the list of commands */
    const char *description; /* a paragraph in the command's own help */
    const char *operand;     /* as the usage line shows it; NULL if there is none */
    int files_min, files_max;
    bool files_of_run;   /* a run directory may be named: its model is meant */
    const char *example; /* a command line that works */
    const char *second;  /* another one, or NULL */
    const char *meant;   /* without operands: the option that one is taken to be meant for, or NULL */

    /* It works on all ranks together, or makes no use of several: then rank 0 does it alone. */
    enum status (*together)(const struct comm *comm, const struct options *options, struct error *e);
    enum status (*alone)(const struct options *options, struct error *e);
    /* cli/option_together.h; NULL: nothing to do */
    void (*settle)(struct options *options);
    enum status (*check)(const struct options *options, struct error *e);
};

extern const struct command_info command_table[COMMANDS];

/* The command of that name, or COMMANDS. */
enum command command_find(const char *name);

/* The command whose name is nearest to `name`, for a "did you mean"; NULL if none is near. */
const char *command_suggest(const char *name);

#endif
