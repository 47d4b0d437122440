/* Our own micro-kernel for packed operands: where BLIS's does not add up as blas.h promises. 0.9 to 1.0 of the speed
 * of BLIS's kernels for the same instructions. */
#include "blas_private.h"

#include "unroll/base/vmath.h"

#define WIDE (VLEN < 8 ? 4 * VLEN : 2 * VLEN)
#define REGISTERS (WIDE / VLEN)
#ifdef __AVX512F__
#define NARROW 12
#else
#define NARROW 6
#endif

void blas_use_own(struct blas_tile *tile)
{
    tile->own = true;
    tile->narrow = NARROW;
    tile->wide = WIDE;
    tile->swap = 0;
    tile->ukr = NULL;
}

void blas_own_multiply(int k, const float *a, const float *b, int accumulate, float *c, int64_t ldc)
{
    vfloat sum[NARROW][REGISTERS];
#pragma GCC unroll 12
    for (int r = 0; r < NARROW; r++)
#pragma GCC unroll 4
        for (int i = 0; i < REGISTERS; i++)
            sum[r][i] = vset(0);
    for (int step = 0; step < k; step++, a += NARROW, b += WIDE) {
        vfloat w[REGISTERS];
#pragma GCC unroll 4
        for (int i = 0; i < REGISTERS; i++)
            w[i] = vload(b + i * VLEN);
#pragma GCC unroll 12
        for (int r = 0; r < NARROW; r++)
#pragma GCC unroll 4
            for (int i = 0; i < REGISTERS; i++)
                sum[r][i] = vfma(vset(a[r]), w[i], sum[r][i]);
    }
#pragma GCC unroll 12
    for (int r = 0; r < NARROW; r++)
#pragma GCC unroll 4
        for (int i = 0; i < REGISTERS; i++) {
            float *out = c + r * ldc + i * VLEN;
            if (accumulate)
                sum[r][i] += vload(out);
            vstore(out, sum[r][i]);
        }
}
