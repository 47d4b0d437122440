/* Tiles of weight gradients in float32: BLIS's micro-kernel, or our own in its place. */
#include <string.h>

#include "gemm_gradient_private.h"

static void clear(const struct gemm *gemm, int row, bool narrow, void *panel)
{
    int width = narrow ? gemm->tile.narrow : gemm->tile.wide;
    memset((float *)panel + (size_t)row * (size_t)width, 0, sizeof(float) * (size_t)width);
}

static void multiply(const struct gemm *gemm, int k, const void *narrow, const void *wide, bool accumulate, float *c)
{
    const struct blas_tile *tile = &gemm->tile;
    const float *a = narrow, *b = wide;
    for (int row = 0; row < k; row += GEMM_KC)
        blas_tile_multiply(tile, k - row < GEMM_KC ? k - row : GEMM_KC, a + (int64_t)row * tile->narrow,
                           b + (int64_t)row * tile->wide, accumulate || row > 0, c, tile->wide);
}

const struct gemm_tiles gemm_tiles_float32 = {
    .number_bytes = sizeof(float), .rows = 1, .added = GEMM_KC, .clear = clear, .multiply = multiply};
