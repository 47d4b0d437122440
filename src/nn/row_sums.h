/* Sums of rows that belong to the same place, up the lane tree: gradients of the rows of a parameter that a window
 * reads several times. */
#ifndef UNROLL_NN_ROW_SUMS_H
#define UNROLL_NN_ROW_SUMS_H

#include "common.h"

struct row_sums {
    int width;       /* floats of a row */
    int *row;        /* [rows] sorted by place, then by lane group, then by time and lane ... */
    int *group;      /* ... and the group of each, a global number */
    int *start;      /* [places + 1] first of each place; the end is the next one's */
    uint32_t *place; /* [rows] the places that occur, ascending ... */
    int distinct;    /* ... which are so many */
    float *scratch;  /* [threads][depth][width rounded] */
    int depth;
};

/* The store's memory, for at most so many rows and places. */
void row_sums_create(struct common *common, struct row_sums *sums, size_t rows, size_t places, int width);

struct row_sums_task {
    const float *rows; /* `stride` floats apart, each readable to whole vectors */
    int64_t stride;
    const uint32_t *place; /* of each row, below `places` */
    const int *group_row;  /* [groups + 1] first row of each group; NULL: the window's positions [T][B] */
    int64_t places;
    float *sums; /* [places][width] overwritten: zero where the node has no row of a place */
};
/* By all threads: the sums over a node's lanes. */
void row_sums_node(const struct common *common, struct row_sums *sums, const struct row_sums_task *task,
                   struct lane_node node);

#endif
