/* No command destroys what it reads: which paths of a command line are the same file, by whatever names and links. */
#ifndef UNROLL_CLI_PATH_CHECK_H
#define UNROLL_CLI_PATH_CHECK_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"

/* Compares each path that the command is to write, and standard output where it is a file, with each that it is to
 * read and with the others that it is to write; the roles stand in the table of options. STATUS_CANTCREATE naming
 * both. Two outputs on standard output, or one there that needs a name: STATUS_CONFIG. Not collective; where ranks
 * share their files, one rank's answer is that of all. */
enum status path_check(const struct options *options, struct error *e);

#endif
