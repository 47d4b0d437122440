/* Matrix products of the unrolled step, in the two forms it needs:
 *
 * Rows times weights, C[rows][n] = A[rows][k] W: activations stay where they are, row-major; weights are packed into
 * column panels of GEMM_WIDE. Every element of C is a sum of blocks of GEMM_KC values of k, each one chain of fused
 * multiply-adds from zero in the order of k: its bits do not depend on how many other rows there are, where a row
 * stands, which thread computes it, or on the processor. BLIS's sgemm cannot promise that (it picks its path by m, n
 * and k). The micro-kernel is our own because A is read in place: BLIS's needs A packed into interleaved panels, which
 * at one time step of 20 to 64 lanes costs more than it gains. Measured against BLIS's micro-kernel on ready-packed
 * panels, one thread of a Zen 5: 50 x 512 x 2048 219 against 183 GFLOP/s, 20 x 650 x 2600 215 / 181, 64 x 1024 x 4096
 * 200 / 182, 2500 x 512 x 2048 193 / 187, 1 x 100 x 512 65 / 18.
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
#include "unroll/nn/precision.h"
#include "unroll/sys/blas.h"

/* The block of k, for both forms. Sums are cut here, so it is one number on every processor: part of the arithmetic.
 * A panel's block is 24 or 48 KiB, and 384 is BLIS's own for AVX-512. */
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

/* Row stride for rows of n numbers: whole panels, so that each row begins a line of the cache, also of 16 bits a
 * number; but not a multiple of 1 KiB of floats (rows would share cache sets). */
static inline int gemm_stride(int n)
{
    int padded = gemm_round(n);
    return padded % 256 == 0 ? padded + GEMM_WIDE : padded;
}

struct gemm_kind; /* what panels are made of, and the micro-kernels over them: gemm_private.h */
/* What computes products of this precision, and in bf16 in this order, fastest on this processor. UNROLL_BF16 in the
 * environment, for tests: `emulate` for bf16 without its units, `unit` for a unit even where it is slower. */
const struct gemm_kind *gemm_kind(enum precision precision, enum bf16_order order);
/* All that compute bf16 in this order on this processor with the same bits, at most two; emulation is the last. */
int gemm_kinds(enum bf16_order order, const struct gemm_kind **kinds);
/* "float32", "AMX", "AVX512_BF16", "emulation". */
const char *gemm_unit(const struct gemm_kind *kind);
/* The order in which bf16 is fastest on this processor. */
enum bf16_order gemm_host_order(void);

/* How products are computed: chosen once, when a model is made. The scratch is the caller's: [threads] pieces of
 * gemm_scratch_bytes(), and for weight gradients of gemm_gradient_scratch_bytes(). */
struct gemm {
    const struct gemm_kind *kind;
    struct blas_tile tile; /* of weight gradients */
    int threads;
    void *scratch, *gradient_scratch;
};
/* Errors: those of blas_init. */
enum status gemm_init(struct gemm *gemm, const struct gemm_kind *kind, int threads, struct error *e);
size_t gemm_scratch_bytes(const struct gemm *gemm);

/* Rows of numbers as products read them: row r begins at base + r * stride, and its next GEMM_WIDE numbers are `block`
 * further; all in bytes. In float32 numbers are floats, one after another. In bf16 they have 16 bits; those of a block
 * stand one after another, and blocks either too (a dense row), or each at the beginning of the place of GEMM_WIDE
 * floats that were rounded there (a settled row). */
struct gemm_view {
    const void *base;
    int64_t stride, block;
};
size_t gemm_number_bytes(const struct gemm *gemm); /* of a number of a dense row: 4 or 2 */
/* Rows `stride` numbers apart that gemm_store has written: floats may be viewed as they are. */
struct gemm_view gemm_dense(const struct gemm *gemm, const void *base, int64_t stride);
/* Rows `stride` floats apart that are settled. base: a block's beginning. */
struct gemm_view gemm_settled(const struct gemm *gemm, const float *base, int64_t stride);
/* From number `first` of each row on, a multiple of GEMM_WIDE. */
static inline const void *gemm_view_at(struct gemm_view view, int first)
{
    return (const char *)view.base + first / GEMM_WIDE * view.block;
}

/* n floats to a dense row; nothing is done where `to` is `from`. */
void gemm_store(const struct gemm *gemm, const float *from, int n, void *to);
/* n numbers of a dense row as floats: where they are if they are floats, else at `to`. */
const float *gemm_load(const struct gemm *gemm, const void *from, int n, float *to);
/* Settles n floats in place, from a block's beginning; n a multiple of GEMM_WIDE. They must not be read as floats any
 * more. */
void gemm_settle(const struct gemm *gemm, float *row, int n);
/* to[i] += number i of a settled row; n a multiple of GEMM_WIDE. */
void gemm_add_settled(const struct gemm *gemm, const float *row, int n, float *to);

/* Weights W [k][n]: where they lie and, if they are packed ahead, their panels. Packing ahead is worth it when
 * products have few rows and weights stay the same. */
struct gemm_weights {
    const float
        *w; /* W(i, j) is w[i * ldw + j]; `transposed`: w[j * ldw + i], as PyTorch's [out][in] times a row of `in` */
    int64_t ldw;
    bool transposed;
    int k, n;
    void *
        panels; /* gemm_panels_bytes(k, n), 64-byte aligned, filled by gemm_pack; NULL: each product packs on its way */
};
size_t gemm_panels_bytes(const struct gemm *gemm, int k, int n); /* a multiple of 64 */

/* Packs all panels over all threads. */
void gemm_pack(const struct gemm *gemm, const struct gemm_weights *weights);
/* One thread: panel `panel` alone, columns panel * GEMM_WIDE and on; those from n on are zero. */
void gemm_pack_panel(const struct gemm *gemm, const struct gemm_weights *weights, int panel);

/* One thread: C[rows][GEMM_WIDE] = (accumulate ? C : 0) + A[rows][k] times a panel that is packed. In float32 the
 * accumulation over k starts from zero in blocks of GEMM_KC and each block is added to C; in bf16 see nn/precision.h. c
 * 64-byte aligned, ldc a multiple of 16. */
void gemm_panel(const struct gemm *gemm, const struct gemm_weights *weights, int panel, int rows, struct gemm_view a,
                bool accumulate, float *c, int64_t ldc);

/* A sum of products over segments of k, so that padded or reordered gate rows need no copy. */
#define GEMM_SEGMENTS 6
struct gemm_operand {
    int segments;
    bool add; /* to C, as if it held an earlier segment's product: one over a multiple of 32 numbers */
    struct {
        struct gemm_view a;
        const struct gemm_weights *w;
    } segment[GEMM_SEGMENTS];
};

/* C[rows][n padded] = A W, or with `add` C + A W, over all threads; n is that of the weights. */
void gemm_rows(const struct gemm *gemm, const struct gemm_operand *operand, int rows, float *c, int64_t ldc);

/* Where row (t, lane) of an operand of a weight gradient begins: base + t * time_stride + lane * lane_stride, in bytes,
 * and its numbers as in a view. */
struct gemm_lanes {
    const void *base;
    int64_t time_stride, lane_stride, block;
};
/* Of a view's rows: `lanes` of them for each time step. */
static inline struct gemm_lanes gemm_lanes(struct gemm_view view, int lanes)
{
    return (struct gemm_lanes){view.base, lanes * view.stride, view.stride, view.block};
}

/* The sum that a weight gradient is: over the lane groups of `node` (whose lanes start at group_lane[g - group0],
 * local lane numbers, group_lane[groups] the end; a group may have none), each over T time steps. With `exact` groups
 * add up the lane tree, else all rows are one chain. */
struct gemm_sum {
    struct lane_node node;
    int group0;
    const int *group_lane;
    int T;
    bool exact;
};
int gemm_sum_rows(const struct gemm_sum *sum);

/* B [n] of weight gradients, packed once for several products with it, each of m rows. */
struct gemm_factor {
    struct gemm_sum sum;
    struct gemm_lanes b;
    int m, n;
    void *packed; /* gemm_factor_bytes() for the n, the groups and the rows of the sum */
};
/* Whole lines of the cache, and for the groups and rows of two sums at least what both take: another factor of the same
 * n may lie behind. */
size_t gemm_factor_bytes(const struct gemm *gemm, int n, int groups, int rows);
void gemm_factor_pack(const struct gemm *gemm, const struct gemm_factor *factor);
/* Zeroes the packed rows (t, lane) with marks[t * lanes + lane] set. */
void gemm_factor_clear(const struct gemm *gemm, const struct gemm_factor *factor, const uint8_t *marks, int lanes);

/* C[m][n] = (add ? C : 0) + sum A^T B, A's rows of m floats (from a.base), B's of n; and bias[m], unless that is
 * NULL, the sum of A's rows in the same way, in the same blocks. */
struct gemm_gradient {
    const struct gemm_factor *factor;
    struct gemm_lanes a;
    bool add;
    float *c;
    int64_t ldc;
    float *bias;
};
size_t gemm_gradient_scratch_bytes(const struct gemm *gemm, int groups, int rows); /* at most so many of the sum */
void gemm_gradient(const struct gemm *gemm, const struct gemm_gradient *gradient);

/* bias[m] = sum of A's rows alone, with the same bits. */
void gemm_gradient_bias(const struct gemm *gemm, const struct gemm_sum *sum, struct gemm_lanes a, int m, float *bias);

#endif
