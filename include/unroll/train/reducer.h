/* Gradient sums over ranks. The same additions in the same order for every number of ranks (--reduction exact), or a plain
 * MPI_Allreduce for comparison (--reduction fast). See reducer.c for the choice and its cost. */
#ifndef UNROLL_TRAIN_REDUCER_H
#define UNROLL_TRAIN_REDUCER_H

#include <stdint.h>

#include "unroll/base/lane_tree.h"
#include "unroll/base/status.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"

enum reduction { REDUCTION_EXACT, REDUCTION_FAST };
const char *reduction_name(enum reduction reduction);
enum status reduction_parse(const char *name, enum reduction *reduction, struct error *e);

struct reducer;

/* Collective. Allocates one gradient array [table->grad_total] per lane-tree node of this rank. More ranks than groups is
 * STATUS_CONFIG naming the nearest valid numbers. */
enum status reducer_create(const struct comm *comm, const struct param_table *table, int groups,
                           enum reduction reduction, struct reducer **out, struct error *e);
void reducer_free(struct reducer *reducer);

/* This rank's nodes and their gradient arrays, for model_train to fill. */
int reducer_nodes(const struct reducer *reducer, float *const **node_grads);

/* Collective. Sums all nodes of all ranks; the result, aliases folded in, is on every rank. Valid until the next fill. */
const float *reducer_sum(struct reducer *reducer);

/* Not collective: sum of squares of the reduced gradient in fixed blocks, the same bits for any number of threads. */
double reducer_norm2(const struct reducer *reducer, int threads);

#endif
