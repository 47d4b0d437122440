/* --help, the manual page and the completion of bash: all from the tables of commands and options. */
#ifndef UNROLL_CLI_HELP_H
#define UNROLL_CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>

#include "unroll/cli/option_table.h"

/* --help, 80 columns wide. */
void help_program(FILE *stream);
void help_command(FILE *stream, enum command command);

/* `unroll help --man`: a page for man(1), in roff. */
void help_manual(FILE *stream);

/* `unroll help --completion`: a script for bash. */
void help_completion(FILE *stream);

/* What the forms share. */
extern const char help_purpose[], help_statuses[];

#define HELP_HEADING 80
#define HELP_EXPLANATION 800

/* An option as all forms show it. */
struct help_entry {
    const struct option *option;
    bool begins;                        /* it is the first of its section */
    char heading[HELP_HEADING];         /* "-o, --output FILE", "--[no-]tied" */
    char explanation[HELP_EXPLANATION]; /* "units in each layer (default: 256)" */
};

/* The options of `command` one after the other. */
void help_each_option(enum command command, void (*visit)(FILE *stream, const struct help_entry *entry), FILE *stream);

/* Those that it cannot do without, as the usage line shows them: "--run DIR". */
void help_each_required(enum command command, void (*visit)(FILE *stream, const char *text), FILE *stream);

#endif
