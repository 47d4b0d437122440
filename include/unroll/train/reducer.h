/* Gradient sums over ranks. The same additions in the same order for every number of ranks (--reduction exact), or a
 * plain MPI_Allreduce for comparison (--reduction fast). See reducer.c for the choice and its cost.
 *
 * Where a step touches few rows of encoder.weight (model_sparse_rows), only those rows are summed, and the norm and the
 * optimizer pass over the rest, which is zero: the same bits. A step is then
 *     reducer_nodes, model_train, reducer_mark, reducer_sum, reducer_norm2, optimizer_update. */
#ifndef UNROLL_TRAIN_REDUCER_H
#define UNROLL_TRAIN_REDUCER_H

#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"

enum reduction { REDUCTION_EXACT, REDUCTION_FAST };
extern const struct choices reduction_choices;
const char *reduction_name(int reduction);

struct reducer;

/* Collective. Allocates one gradient array [table->grad_total] per lane-tree node of this rank. `sparse_rows` is the
 * most rows of encoder.weight (the table's first) that a step touches, 0: all may be. More ranks than groups is
 * STATUS_CONFIG naming the nearest valid numbers. */
enum status reducer_create(const struct comm *comm, const struct param_table *table, int groups,
                           enum reduction reduction, int sparse_rows, struct reducer **out, struct error *e);
void reducer_free(struct reducer *reducer);
/* Bytes of a rank's gradient arrays, and of all else that reducer_create allocates; a few for each rank of a host
 * aside. */
size_t reducer_gradient_bytes(const struct param_table *table, int groups, int ranks, int rank);
size_t reducer_bytes(const struct param_table *table, int groups, int ranks, int rank, enum reduction reduction,
                     int sparse_rows);

/* This rank's nodes and their gradient arrays, for model_train to fill: with sparse rows all rows of encoder.weight are
 * zero now and only those of tokens given to reducer_mark may be written. */
int reducer_nodes(struct reducer *reducer, float *const **node_grads);
/* Not collective. The tokens whose rows were filled, in any order and number; nothing to do without sparse rows. */
void reducer_mark(struct reducer *reducer, const uint32_t *tokens, size_t count);

/* Collective. Sums all nodes of all ranks; the result, aliases folded in, is on every rank. Valid until the next
 * call of reducer_nodes. */
struct param_gradient reducer_sum(struct reducer *reducer);

/* Not collective: how many floats of each array the last reducer_sum summed; with sparse rows not all. */
size_t reducer_summed(const struct reducer *reducer);

/* Collective over the ranks of each host, who share the work: sum of squares of the reduced gradient in fixed
 * blocks, the same bits for any number of ranks and threads. */
double reducer_norm2(struct reducer *reducer, int threads);

#endif
