/* The messages that the reducer sends for one sum of gradients, computed without sending them: for plans, bounds and
 * simulations. It must agree with the reducer; tests/mpi/test_traffic.c compares both, message by message.
 *
 * The exchange goes in rounds. In a round every rank sends one message and receives one; the next begins when both
 * have arrived. */
#ifndef UNROLL_TRAIN_REDUCER_TRAFFIC_H
#define UNROLL_TRAIN_REDUCER_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/train/reducer.h"

#define REDUCER_PIECE ((size_t)1 << 20) /* floats reduced at a time: bounds the receive buffer */

enum traffic_pattern {
    TRAFFIC_SWAP,  /* r and r ^ distance exchange messages */
    TRAFFIC_SHIFT, /* r sends to r + distance and receives from r - distance, modulo ranks */
    TRAFFIC_RING   /* the same with distance 1, as comm_allgatherv goes, and MPI's allreduce for large messages */
};

struct traffic_round {
    enum traffic_pattern pattern;
    int distance;
    int64_t times; /* such rounds in one sum */
    size_t bytes;  /* of the largest message that a rank sends in one */
};

struct reducer_traffic {
    int ranks, groups;
    enum reduction reduction;
    size_t floats; /* that are summed: param_table.grad_total, or fewer with sparse rows (reducer_summed) */
};

/* Visits all rounds, in no particular order. Nothing to do for one rank. */
void reducer_traffic_each(const struct reducer_traffic *traffic,
                          void (*visit)(void *context, const struct traffic_round *round), void *context);

/* Floats that the rank with most work adds, and copies, in one sum. */
void reducer_traffic_work(const struct reducer_traffic *traffic, double *added, double *copied);

/* How nodes of the lane tree lie on the ranks: of all ranks, and most on one. True if the sum is a butterfly. */
bool reducer_traffic_nodes(int groups, int ranks, int64_t *all, int *most);

#endif
