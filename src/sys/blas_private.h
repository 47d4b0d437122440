/* What the two files of the BLAS room share: the micro-kernel of our own. */
#ifndef UNROLL_SYS_BLAS_PRIVATE_H
#define UNROLL_SYS_BLAS_PRIVATE_H

#include "unroll/sys/blas.h"

void blas_own_multiply(int k, const float *a, const float *b, int accumulate, float *c, int64_t ldc);

#endif
