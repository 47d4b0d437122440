/* --help, the manual page and the completion of bash: all from the tables of commands and options. */
#ifndef UNROLL_CLI_HELP_H
#define UNROLL_CLI_HELP_H

#include <stdio.h>

#include "unroll/cli/option_table.h"

/* --help, 80 columns wide. */
void help_program(FILE *stream);
void help_command(FILE *stream, enum command command);

/* `unroll help --man`: a page for man(1), in roff. */
void help_manual(FILE *stream);

/* `unroll help --completion`: a script for bash. */
void help_completion(FILE *stream);

/* What the forms share. Headings: "-o, --output FILE", "--[no-]tied"; explanations: "units in each layer (default: 256)".
 * Both fit `size` 80 and 500. */
extern const char help_purpose[], help_statuses[];
void help_option_heading(const struct option *option, char *room, size_t size);
void help_option_explanation(const struct option *option, enum command command, char *room, size_t size);

#endif
