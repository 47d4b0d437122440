/* 8 x 8 blocks of 32 bits through registers: how rows of weights become columns of panels. */
#ifndef UNROLL_NN_GEMM_TRANSPOSE_H
#define UNROLL_NN_GEMM_TRANSPOSE_H

#include "unroll/nn/gemm.h"

typedef float gemm_octet __attribute__((vector_size(32), may_alias, aligned(4)));

/* to[j][i] = row[i][j], rows of a panel of 32 bits a number. */
static inline __attribute__((always_inline)) void gemm_transpose_octets(const gemm_octet *row, void *to)
{
    float *panel = to;
    gemm_octet pair[8], quad[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pair[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            quad[i + 2 * j] = __builtin_shufflevector(pair[i + j], pair[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            quad[i + 2 * j + 1] = __builtin_shufflevector(pair[i + j], pair[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int j = 0; j < 4; j++) {
        *(gemm_octet *)(panel + j * GEMM_WIDE) =
            __builtin_shufflevector(quad[j], quad[4 + j], 0, 1, 2, 3, 8, 9, 10, 11);
        *(gemm_octet *)(panel + (j + 4) * GEMM_WIDE) =
            __builtin_shufflevector(quad[j], quad[4 + j], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline void gemm_transpose(const float *from, int64_t stride, float *to)
{
    gemm_octet row[8];
    for (int i = 0; i < 8; i++)
        row[i] = *(const gemm_octet *)(from + i * stride);
    gemm_transpose_octets(row, to);
}

#endif
