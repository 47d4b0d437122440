/* BLIS: the only room that sees blis.h. Gives the micro-kernel with its geometry for nn/gemm, and sgemm as the
 * yardstick.
 *
 * One thing is relied on: an element of the kernel's C is one chain of fused multiply-adds from zero in the order of k,
 * to which the earlier C is added once. BLIS's kernels for haswell, zen, skx and cortexa57 do that; plain C ones may
 * not fuse. blas_init compares the chosen kernel with such a chain, and takes our own (blas_own.c) where it differs.
 *
 * BLIS 0.9 knows no AMD CPU newer than Zen 3, and in virtual machines no Intel CPU with AVX-512: it falls to plain C
 * or to AVX2 code. blas_init therefore names the AVX-512 kernels on such CPUs; a BLIS_ARCH_TYPE in the environment
 * is respected. With UNROLL_ARCH=x86-64-v3 (base/build_info.h) it names those of AVX2. */
#ifndef UNROLL_SYS_BLAS_H
#define UNROLL_SYS_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

/* One tile of C = A B (+ C): `narrow` rows by `wide` columns, C row-major, columns contiguous. The packed operands:
 * a [k][narrow], b [k][wide], both 64-byte aligned. BLIS's own kernel prefers columns or rows; this hides which. */
#define BLAS_NARROW_MAX 16
#define BLAS_WIDE_MAX 64

struct blas_tile {
    int narrow, wide;   /* rows and columns of a tile */
    const char *kernel; /* name of BLIS's sub-configuration, e.g. "haswell", "skx" */
    bool own;           /* that kernel adds in another order: ours is used instead */
    void *ukr, *context;
    int swap; /* kernel stores columns: its m is our wide dimension */
};

/* Not thread safe: once, before anything else of BLIS. STATUS_UNAVAILABLE if the kernel's geometry is not usable;
 * STATUS_CONFIG if UNROLL_ARCH asks for what this build does not have. */
enum status blas_init(struct blas_tile *tile, struct error *e);

/* From now on our own kernel, with its geometry: for tests, and where BLIS has no usable kernel. */
void blas_use_own(struct blas_tile *tile);

/* c[narrow][ldc] = (accumulate ? c : 0) + a b. ldc in floats, c 64-byte aligned when ldc % 16 == 0. Thread safe. */
void blas_tile_multiply(const struct blas_tile *tile, int k, const float *a, const float *b, int accumulate, float *c,
                        int64_t ldc);

/* BLIS's own sgemm, row-major, C[m][n] = A[m][k] B[k][n], on `threads` threads: the yardstick. */
void blas_sgemm(int m, int n, int k, const float *a, const float *b, float *c, int threads);
const char *blas_version(void);

#endif
