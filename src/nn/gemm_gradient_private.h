/* What the files on weight gradients share: how tiles lie, how many rows are packed, and packing. */
#ifndef UNROLL_NN_GEMM_GRADIENT_PRIVATE_H
#define UNROLL_NN_GEMM_GRADIENT_PRIVATE_H

#include "gemm_flush.h"
#include "gemm_private.h"

#define GEMM_TREE_DEPTH_MAX 32

static inline int gemm_round_up(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Columns of a panel on either side of a tile. */
static inline int gemm_narrow(const struct gemm *gemm)
{
    return gemm->kind->tiles->narrow ? gemm->kind->tiles->narrow : gemm->tile.narrow;
}

static inline int gemm_wide(const struct gemm *gemm)
{
    return gemm->kind->tiles->wide ? gemm->kind->tiles->wide : gemm->tile.wide;
}

/* total += chain, chain = 0. */
static inline void gemm_end_block(float *restrict total, float *restrict chain, int columns)
{
    for (int j = 0; j < columns; j++) {
        total[j] += chain[j];
        chain[j] = 0;
    }
}

/* ---- gemm_factor.c ---- */

/* How a gradient's tiles lie: its rows along the tile's narrow side and its columns along the wide one, or turned,
 * where that leaves less of the last tiles empty: at 8000 x 100 by 12 x 32, and 800 rows to sum, a turned product
 * takes 7 % less of the whole step. Which factor comes first changes no bit. */
struct gemm_layout {
    bool turned;
    int a_width, b_width; /* of a panel of A, and of B */
};
struct gemm_layout gemm_layout(const struct gemm *gemm, int m, int n, int rows);

/* ---- gemm_pack.c ---- */

int gemm_group_rows(const struct gemm_sum *sum, int group); /* group: of the lane tree */
/* Rows of a packed panel: those of the sum, and what fills its chains. */
int gemm_packed_rows(const struct gemm *gemm, const struct gemm_sum *sum);
/* At most, of sums of so many groups and rows. */
int64_t gemm_packed_rows_most(const struct gemm *gemm, int groups, int rows);

/* Panels side by side: columns [column, column + panels * width) of n, those from n on zero. */
struct gemm_slab {
    const struct gemm_sum *sum;
    struct gemm_lanes x;
    int n, column, width, panels;
    bool narrow;  /* the side of a tile that they are for */
    void *packed; /* [panels][packed rows][width] */
};

/* Packs all rows of the sum, group after group, time step after time step: the order in which they are added.
 * `totals`, if given: the sums of the rows of each group, [groups + 1][panels * width], in blocks of GEMM_KC rows; the
 * last is for the block. */
void gemm_pack_slab(const struct gemm *gemm, const struct gemm_slab *slab, float *totals);

#endif
