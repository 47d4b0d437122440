/* Gradient sums over ranks. The same additions in the same order for every number of ranks (--reduction exact), or a
 * plain MPI_Allreduce for comparison (--reduction fast). See reducer.c for the choice and its cost.
 *
 * Of parameters whose gradient lies in parts (nn/gradient.h) only the rows that the step touches are summed, and the
 * norm passes over the rest, which is zero: the same bits. A step is
 *     reducer_nodes, model_touch, model_train, reducer_sum, reducer_norm2, optimizer_update. */
#ifndef UNROLL_TRAIN_REDUCER_H
#define UNROLL_TRAIN_REDUCER_H

#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"
#include "unroll/nn/gradient.h"
#include "unroll/sys/comm.h"

enum reduction { REDUCTION_EXACT, REDUCTION_FAST };
extern const struct choices reduction_choices;
const char *reduction_name(int reduction);

struct reducer;

/* Collective. Allocates one gradient array [layout->total] per lane-tree node of this rank. `table` and `layout` must
 * outlive the reducer. More ranks than groups is STATUS_CONFIG naming the nearest valid numbers. */
enum status reducer_create(const struct comm *comm, const struct param_table *table,
                           const struct gradient_layout *layout, int groups, enum reduction reduction,
                           struct reducer **out, struct error *e);
void reducer_free(struct reducer *reducer);
/* Bytes of a rank's gradient arrays, and of all else that reducer_create allocates; a few for each rank of a host
 * aside. */
size_t reducer_gradient_bytes(const struct gradient_layout *layout, int groups, int ranks, int rank);
size_t reducer_bytes(const struct param_table *table, const struct gradient_layout *layout, int groups, int ranks,
                     int rank, enum reduction reduction);

/* This rank's nodes and their gradient arrays, for model_train to fill. */
int reducer_nodes(struct reducer *reducer, float *const **node_grads);

/* Collective. Sums all nodes of all ranks; the result, aliases and parts folded, is on every rank: its dense part, for
 * those who change it, in the array of the first node. Valid until the next call of model_train. `touched`: the rows
 * that this rank's arrays have, list by list; NULL where the layout has none. */
struct param_gradient reducer_sum(struct reducer *reducer, const struct touched *touched);

/* Not collective: what the last reducer_sum summed of each array, in floats. With parts that is not all. */
size_t reducer_summed(const struct reducer *reducer);

/* Collective over the ranks of each host, who share the work: sum of squares of the reduced gradient in fixed
 * blocks, the same bits for any number of ranks and threads, and for parts as for a dense gradient. */
double reducer_norm2(struct reducer *reducer, int threads);

#endif
