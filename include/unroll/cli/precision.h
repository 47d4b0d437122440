/* --precision and --bf16-order: what `host` stands for, and what takes the place of a checkpoint's own. */
#ifndef UNROLL_CLI_PRECISION_H
#define UNROLL_CLI_PRECISION_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/sys/comm.h"

/* Collective. `host` becomes the order that is fastest on rank 0's host, on all ranks: theirs may differ. */
void precision_settle(const struct comm *comm, struct options *options);

/* Not collective. Of the model that was read from `path`, precision and order become those that the options of eval,
 * score, classify, sample and gradflow ask for; where they ask for none, its own stay. STATUS_CONFIG for an order of
 * sums that are not of bf16. */
enum status precision_take(const struct options *options, const char *path, struct model_config *model,
                           struct error *e);

/* Not collective. On standard output, of a model in bf16: what computes it on this host, and what to expect; the texts
 * begin in that column. */
void precision_print(const struct model_config *model, int column);

#endif
