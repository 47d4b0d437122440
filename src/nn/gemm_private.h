/* What the gemm rooms share: a kind of panels. gemm.c cuts products into blocks and shares them out; what a panel is
 * made of, and how rows are multiplied by it, is known to one file for each kind: gemm_float32.c. So it is for tiles of
 * weight gradients: gemm_tiles_*.c. */
#ifndef UNROLL_NN_GEMM_PRIVATE_H
#define UNROLL_NN_GEMM_PRIVATE_H

#include "unroll/nn/gemm.h"

#define GEMM_BLOCK 32 /* the block of k, and of rows, in the order `tile` (nn/precision.h) */

/* Weight gradients: panels of a factor's columns, all rows (t, lane) of each, and tiles of a panel of either side. */
struct gemm_tiles {
    int narrow, wide;    /* columns of a panel on a tile's narrow and wide side; 0: those of struct blas_tile */
    size_t number_bytes; /* of a packed number */
    int rows;            /* each chain's packed rows are a multiple of so many: zero rows fill it */
    int added; /* of at most so many rows `multiply` adds one sum to the earlier C; 0: chains go on through C */
    /* bf16: `rows` rows, `stride` numbers apart, as a panel's rows from `first` on, a multiple of GEMM_STAGED. `from`
     * may be read 16 numbers beyond the panel's columns. NULL: floats are copied. */
    void (*pack)(const uint16_t *from, int64_t stride, int rows, bool narrow, int first, void *panel);
    /* Zeroes one row of a panel. */
    void (*clear)(const struct gemm *gemm, int row, bool narrow, void *panel);
    /* C[narrow][wide] = (accumulate ? C : 0) + the sum over k rows of both panels; k a multiple of `rows`. */
    void (*multiply)(const struct gemm *gemm, int k, const void *narrow, const void *wide, bool accumulate, float *c);
};
#define GEMM_STAGED 32

extern const struct gemm_tiles gemm_tiles_float32;
extern const struct gemm_tiles gemm_tiles_tile_emulated, gemm_tiles_pair_emulated;
extern const struct gemm_tiles gemm_tiles_pairs, gemm_tiles_amx;

struct gemm_kind {
    const char *unit;
    size_t number_bytes; /* of an operand */
    size_t row_bytes;    /* of a panel, one value of k; times `rows` a multiple of 64 */
    int rows;            /* a panel has a multiple of so many; GEMM_KC is one */
    bool whole;          /* k is not cut where a panel has all of it, for chains go on through C */
    /* Rows first .. first + k - 1 of W's panel number `panel`; columns and rows beyond W are zero. */
    void (*pack)(const struct gemm_weights *weights, int first, int k, int panel, void *to);
    /* C = (accumulate ? C : 0) + A times panels, `apart` bytes apart, that hold n columns. */
    void (*multiply)(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                     float *c, int64_t ldc);
    const struct gemm_tiles *tiles; /* of weight gradients */
};

extern const struct gemm_kind gemm_float32;
extern const struct gemm_kind gemm_tile_emulated, gemm_pair_emulated;
#ifdef __AVX512F__
extern const struct gemm_kind gemm_tile_amx, gemm_pair_avx512bf16; /* where the processor has them: gemm_units.c */
#endif

/* Whether operands are of bf16. */
static inline bool gemm_is_rounded(const struct gemm *gemm)
{
    return gemm->kind->number_bytes == sizeof(uint16_t);
}

/* Of a panel of k rows. */
static inline size_t gemm_panel_bytes(const struct gemm_kind *kind, int k)
{
    return kind->row_bytes * (size_t)((k + kind->rows - 1) / kind->rows * kind->rows);
}

/* Where panel number `panel` of packed weights stands, from row `first` on. */
static inline void *gemm_panel_at(const struct gemm_kind *kind, const struct gemm_weights *weights, int panel,
                                  int first)
{
    return (char *)weights->panels + panel * gemm_panel_bytes(kind, weights->k) + first * kind->row_bytes;
}

#endif
