/* What the files of the reducer share: sums (reducer.c), rows that a step touches (reducer_rows.c), the norm
 * (reducer_norm.c). */
#ifndef UNROLL_TRAIN_REDUCER_PRIVATE_H
#define UNROLL_TRAIN_REDUCER_PRIVATE_H

#include "unroll/train/reducer.h"

/* Lists of touched rows over all ranks, and what is made of them. */
struct reducer_rows {
    struct touched all; /* arrays [list.places], the rows of all ranks */
    int64_t *counts;    /* [ranks][lists] of each rank */
    uint32_t *sent;     /* this rank's ids, list after list */
    uint32_t *received; /* ids of all ranks, rank after rank */
    size_t *bytes[2];   /* [ranks] and their offsets */
    uint32_t *row;      /* parameter after parameter: touched rows ... */
    const float **grad; /* ... and where the gradient of each lies */
    struct gradient_rows of[PARAM_MAX];
};

struct reducer {
    struct comm comm;
    const struct param_table *table;
    const struct gradient_layout *layout;
    enum reduction reduction;
    int groups;
    bool butterfly;
    int nodes;                   /* of this rank */
    float *grad[LANE_NODES_MAX]; /* [layout.total] each */
    struct lane_node *all;       /* nodes of all ranks, in order */
    int *first;                  /* [ranks + 1] where each rank's begin in `all` */
    float *received;             /* slices from other ranks */
    size_t *bytes[4];            /* [ranks]: send bytes and offsets, receive bytes and offsets */
    float *send;                 /* slices of this rank's nodes, destination after destination */

    struct comm host; /* the ranks here, who share the norm's blocks */
    size_t *share[2]; /* [ranks here] bytes and offsets of their blocks' sums */
    uint32_t *active; /* [param_blocks] the blocks that are not all zeros, ascending ... */
    double *block;    /* ... and their sums of squares */

    struct reducer_rows rows;
    size_t summed; /* floats of each array, in the last sum */
};

/* ---- reducer_rows.c ---- */
/* Bytes of what rows take; 0 without lists. */
size_t reducer_rows_bytes(const struct gradient_layout *layout, int ranks);
/* Not collective. */
enum status reducer_rows_create(struct reducer *reducer, struct error *e);
void reducer_rows_free(struct reducer *reducer);
/* Collective. Unites the lists of all ranks, and moves the rows of this rank's arrays to their places in them. */
void reducer_rows_unite(struct reducer *reducer, const struct touched *touched);
/* Not collective. Adds up the parts of each parameter, and says where each of its touched rows lies. */
void reducer_rows_fold(struct reducer *reducer);

#endif
