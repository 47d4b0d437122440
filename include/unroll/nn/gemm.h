/* Matrix products of the unrolled step, in the two forms it needs:
 *
 * Rows times weights, C[rows][n] = A[rows][k] W: activations stay where they are, row-major; weights are packed into
 * column panels of GEMM_WIDE. Every element of C is a sum of blocks of GEMM_KC values of k, each one chain of fused
 * multiply-adds from zero in the order of k: its bits do not depend on how many other rows there are, where a row stands, which
 * thread computes it, or on the processor. BLIS's sgemm cannot promise that (it picks its path by m, n and k).
 * The micro-kernel is our own because A is read in place: BLIS's needs A packed into interleaved panels, which at one
 * time step of 20 to 64 lanes costs more than it gains. Measured against BLIS's micro-kernel on ready-packed panels, one
 * thread of a Zen 5: 50 x 512 x 2048 219 against 183 GFLOP/s, 20 x 650 x 2600 215 / 181, 64 x 1024 x 4096 200 / 182,
 * 2500 x 512 x 2048 193 / 187, 1 x 100 x 512 65 / 18.
 *
 * Weight gradients, C[m][n] = sum over lanes and time of A^T B: both operands are packed and reused many times, so this
 * one runs on BLIS's micro-kernel. Each tile is finished over all lane groups, in the order of the lane tree, while it
 * is in the L1 cache: every gradient is written once.
 *
 * Functions that take `threads` share their work out to the team (base/team.h). */
#ifndef UNROLL_NN_GEMM_H
#define UNROLL_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/lane_tree.h"
#include "unroll/base/vmath.h"
#include "unroll/sys/blas.h"

/* The block of k, for both forms. Sums are cut here, so it is one number on every processor: part of the arithmetic. A panel's
 * block is 24 or 48 KiB, and 384 is BLIS's own for AVX-512. */
#define GEMM_KC 384

#ifdef __AVX512F__
#define GEMM_WIDE 32  /* columns of a panel: two registers */
#define GEMM_ROWS 12  /* rows of a tile: 24 of 32 registers accumulate */
#define GEMM_GROUP 10 /* panels packed at once: half of a second-level cache of 1 MiB */
#else
#define GEMM_WIDE 16 /* two registers of AVX2, four of NEON */
#define GEMM_ROWS 6
#define GEMM_GROUP 8
#endif

/* n rounded up to whole panels: how wide rows of C, and arrays that take part, must be. */
static inline int gemm_round(int n)
{
    return (n + GEMM_WIDE - 1) / GEMM_WIDE * GEMM_WIDE;
}

/* Row stride for rows of n floats: whole panels, but not a multiple of 1 KiB (rows would share cache sets). */
static inline int gemm_stride(int n)
{
    int padded = gemm_round(n);
    return padded % 256 == 0 ? padded + 16 : padded;
}

/* Packs one panel, [k][GEMM_WIDE]: columns column .. column + GEMM_WIDE - 1 of W, those from n on zero.
 * `transposed`: element (i, j) of W is w[j * ldw + i] (PyTorch's [out][in] times a row of `in`), else w[i * ldw + j]. */
void gemm_pack_panel(const float *w, int64_t ldw, bool transposed, int k, int n, int column, float *panel);

/* C[rows][GEMM_WIDE] = (accumulate ? C : 0) + A[rows][k] panel, of which `columns` (if fewer) are not padding. The accumulation
 * over k starts from zero in blocks of GEMM_KC and each block is added to C. c and panel 64-byte aligned, ldc a multiple of 16. */
void gemm_panel(int rows, int k, const float *a, int64_t lda, const float *panel, int columns, bool accumulate,
                float *c, int64_t ldc);

/* A sum of products over segments of k, so that padded or reordered gate rows need no copy. */
#define GEMM_SEGMENTS 4
struct gemm_operand {
    int segments;
    struct {
        const float *a; /* A's first column of this segment */
        const float *w; /* W's first row of this segment; or, with `packed`, all its panels one after another */
        int k;
    } segment[GEMM_SEGMENTS];
    int64_t lda, ldw;
    bool transposed;
    bool packed; /* W was packed by gemm_pack: worth it when products have few rows and weights stay the same */
};

/* Packs all panels of W, gemm_packed(k, n) floats. */
size_t gemm_packed(int k, int n);
void gemm_pack(const float *w, int64_t ldw, bool transposed, int k, int n, float *packed, int threads);

/* C[rows][n padded] = A W over all threads, packing weights on the way. `scratch` holds threads * gemm_scratch() floats. */
size_t gemm_scratch(void);
void gemm_rows(const struct gemm_operand *operand, int rows, int n, float *c, int64_t ldc, float *scratch, int threads);

/* Where row (t, lane) of an operand of a weight gradient lies: base + t * time_stride + lane * lane_stride. */
struct gemm_lanes {
    const float *base;
    int64_t time_stride, lane_stride;
};

/* The sum that a weight gradient is: over the lane groups of `node` (whose lanes start at group_lane[g - group0], local
 * lane numbers, group_lane[groups] the end), each over T time steps. With `exact` groups add up the lane tree, else all rows
 * are one chain. */
struct gemm_sum {
    struct lane_node node;
    int group0;
    const int *group_lane;
    int T;
    bool exact;
};
int gemm_sum_rows(const struct gemm_sum *sum);

/* C[m][n] = (add ? C : 0) + sum A^T B, A's rows of m floats (from a.base), B's of n; and bias[m], unless that is NULL, the
 * sum of A's rows in the same way, in the same blocks. `packed_b` holds gemm_gradient_packed(n, rows) floats, `scratch` threads *
 * gemm_gradient_scratch(groups, rows); rows and groups are those of the sum. */
size_t gemm_gradient_packed(const struct blas_tile *tile, int n, int rows);
size_t gemm_gradient_scratch(const struct blas_tile *tile, int groups, int rows);
/* Packs B once for several products with it, each of m rows. */
void gemm_gradient_pack(const struct blas_tile *tile, const struct gemm_sum *sum, struct gemm_lanes b, int m, int n,
                        float *packed_b, int threads);
/* Zeroes the packed rows (t, lane) with marks[t * lanes + lane] set. */
void gemm_gradient_clear(const struct blas_tile *tile, const struct gemm_sum *sum, const uint8_t *marks, int lanes,
                         int m, int n, float *packed_b);
void gemm_gradient(const struct blas_tile *tile, const struct gemm_sum *sum, struct gemm_lanes a, int m,
                   const float *packed_b, int n, bool add, float *c, int64_t ldc, float *bias, float *scratch,
                   int threads);

/* bias[m] = sum of A's rows alone, with the same bits. */
void gemm_gradient_bias(const struct gemm_sum *sum, struct gemm_lanes a, int m, float *bias, int threads);

#endif
