/* How threads share out a time step of a layer. */
#ifndef UNROLL_NN_LAYER_GRID_H
#define UNROLL_NN_LAYER_GRID_H

#include <stdint.h>

#include "unroll/nn/gemm.h"

/* So many ranges of lanes by so many of units. */
struct grid {
    int lanes, units;
};

/* A thread's part of the recurrence: blocks of hidden units, and lanes. */
struct part {
    int block_begin, block_end, lane_begin, lane_end;
};

/* What takes least time. k: numbers that a unit's products of a step read; blocks: of GEMM_WIDE units. */
struct grid grid_choose(const struct gemm *gemm, int64_t k, int blocks, int lanes, int threads);
/* Threads that the grid has no place for have an empty part. */
struct part grid_part(struct grid grid, int blocks, int lanes, int thread);

#endif
