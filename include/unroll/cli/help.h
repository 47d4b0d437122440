/* --help and --version: what they print on stdout, 80 columns wide. */
#ifndef UNROLL_CLI_HELP_H
#define UNROLL_CLI_HELP_H

#include <stdio.h>

#include "unroll/cli/option_table.h"

void help_program(FILE *stream);
void help_command(FILE *stream, enum command command);

#endif
