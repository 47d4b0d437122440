/* Products of single rows, for weights of which every row of a window has its own: with the precision of products, of
 * bf16 where they are, summed in float32. A dot product is VPAD chains of fused multiply-adds on every processor. Rows
 * y are dense (nn/gemm.h), weights are float32 and rounded here. */
#ifndef UNROLL_NN_ROW_PRODUCTS_H
#define UNROLL_NN_ROW_PRODUCTS_H

#include "unroll/nn/gemm.h"

/* y . w, of n numbers. */
float row_dot(const struct gemm *gemm, const void *y, const float *w, int n);
/* A factor of the two below as products take it. */
float row_rounded(const struct gemm *gemm, float x);
/* to[k] += d w[k] */
void row_add_weights(const struct gemm *gemm, float d, const float *w, int n, float *to);
/* to[k] = d y[k] */
void row_scale(const struct gemm *gemm, float d, const void *y, int n, float *to);

#endif
