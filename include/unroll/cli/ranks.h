/* What the ranks of a job must have in common, compared before a command begins: a rank that differs in silence
 * would make another model than the others, or wait for ever. */
#ifndef UNROLL_CLI_RANKS_H
#define UNROLL_CLI_RANKS_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/sys/comm.h"

/* Collective. The same version, arithmetic revision and table of options, else STATUS_CONFIG naming both ranks,
 * hosts and values. Processors, libraries and builds of several kinds work in one job. */
enum status ranks_compare_programs(const struct comm *comm, struct error *e);

/* Collective, after ranks_compare_programs. The same command and the same value of every option, from whatever file or
 * flag it came, else STATUS_CONFIG naming the first that differs with both values and hosts. --config itself may have
 * other names: what the files say is compared. */
enum status ranks_compare_options(const struct comm *comm, const struct options *options, struct error *e);

#endif
