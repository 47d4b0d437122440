/* What options.c and option_files.c share (option_memory.c): how the fields got their values. */
#ifndef UNROLL_CLI_OPTIONS_PRIVATE_H
#define UNROLL_CLI_OPTIONS_PRIVATE_H

#include "unroll/cli/option_table.h"

/* Strings that no argv holds, in one chain. */
struct kept_string {
    struct kept_string *next;
    char text[];
};

struct option_memory {
    struct kept_string *strings;
    unsigned char *origin; /* [option_count] an enum option_origin each */
    bool goes_on;          /* `train`: with a run, whose config.ini was read */
};

/* The number under which the option's origin is kept: that of the first row by which `options->command` sets the same
 * field, for one may have two names. */
int option_number(const struct options *options, const struct option *option);

/* True of the options of `train` that a run records: all but files of options, and each by its first name (--json is
 * another one of --json-summary). */
static inline bool is_of_run(const struct options *options, const struct option *option)
{
    return option->commands >> COMMAND_TRAIN & 1 && option->type != OPTION_FILES &&
           option_at(option_number(options, option)) == option;
}

/* A copy that lives as long as the options; NULL if memory is short. */
const char *options_keep(struct options *options, const char *text, struct error *e);

/* Reads the command line, argv[1] and on. With --help it sets options->help and looks no further. STATUS_USAGE,
 * STATUS_CONFIG. */
enum status options_take_line(struct options *options, int argc, char **argv, struct error *e);

/* Reads the files of --config in order, the later overriding the earlier; what flags have set stays. Unless a flag
 * names another, the config.ini of a run that lies in its directory names the run by that, whatever it says itself. */
enum status options_take_files(struct options *options, struct error *e);

/* `train`: what neither flags nor files have set comes from the config.ini of the run that is gone on with. */
enum status options_take_run(struct options *options, struct error *e);

/* What neither flags nor files have set comes from the recipe that they name. A run that goes on has all its options,
 * and the recipe's name is compared as any other; a branch takes the recipe before what its source had. */
enum status options_take_recipe(struct options *options, struct error *e);

#endif
