/* bf16 products by plain fused multiply-adds, in both orders: for processors without a unit for them, with its bits. */
#include <string.h>

#include "gemm_flush.h"
#include "gemm_private.h"
#include "unroll/base/bf16.h"

#define BLOCK 32 /* of k, in the order `tile` */

static void pack(const struct gemm_weights *weights, int first, int k, int panel, void *to)
{
    float *packed = to;
    int column = panel * GEMM_WIDE;
    for (int i = 0; i < (k + BLOCK - 1) / BLOCK * BLOCK; i++)
        for (int j = 0; j < GEMM_WIDE; j++) {
            bool inside = i < k && column + j < weights->n;
            int64_t row = first + i, col = column + j;
            float w = !inside               ? 0
                      : weights->transposed ? weights->w[col * weights->ldw + row]
                                            : weights->w[row * weights->ldw + col];
            packed[i * GEMM_WIDE + j] = bf16_expand(bf16_round(w));
        }
}

static void expand(struct gemm_view a, int row, int k, float *to)
{
    const char *from = (const char *)a.base + row * a.stride;
    for (int i = 0; i < k; i += GEMM_WIDE, from += a.block)
        bf16_expand_row((const uint16_t *)from, k - i < GEMM_WIDE ? k - i : GEMM_WIDE, to + i);
    for (int i = k; i % BLOCK; i++)
        to[i] = 0;
}

static void tile_row(int k, const float *x, const float *panel, bool accumulate, float *c)
{
    for (int j = 0; j < GEMM_WIDE; j += VLEN) {
        vfloat sum = accumulate ? vload(c + j) : vset(0);
        for (int i = 0; i < k; i += BLOCK) {
            vfloat even = vset(0), odd = vset(0);
            for (int l = 0; l < BLOCK; l += 2) {
                even = vfma(vset(x[i + l]), vload(panel + (i + l) * GEMM_WIDE + j), even);
                odd = vfma(vset(x[i + l + 1]), vload(panel + (i + l + 1) * GEMM_WIDE + j), odd);
            }
            sum += even + odd;
        }
        vstore(c + j, sum);
    }
}

static void pair_row(int k, const float *x, const float *panel, bool accumulate, float *c)
{
    for (int j = 0; j < GEMM_WIDE; j += VLEN) {
        vfloat sum = accumulate ? vload(c + j) : vset(0);
        for (int i = 0; i < k; i += 2) {
            sum = vfma(vset(x[i + 1]), vload(panel + (i + 1) * GEMM_WIDE + j), sum);
            sum = vfma(vset(x[i]), vload(panel + i * GEMM_WIDE + j), sum);
        }
        vstore(c + j, sum);
    }
}

typedef void row_function(int, const float *, const float *, bool, float *);

static void multiply(row_function *function, int rows, int k, struct gemm_view a, const void *panels, size_t apart,
                     int n, bool accumulate, float *c, int64_t ldc)
{
    float x[GEMM_KC];
    unsigned before = gemm_flush_on();
    for (int row = 0; row < rows; row++) {
        expand(a, row, k, x);
        for (int p = 0; p * GEMM_WIDE < n; p++)
            function(k, x, (const float *)((const char *)panels + p * apart), accumulate,
                     c + row * ldc + p * GEMM_WIDE);
    }
    gemm_flush_restore(before);
}

static void multiply_tile(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                          float *c, int64_t ldc)
{
    multiply(tile_row, rows, k, a, panels, apart, n, accumulate, c, ldc);
}

static void multiply_pair(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                          float *c, int64_t ldc)
{
    multiply(pair_row, rows, k, a, panels, apart, n, accumulate, c, ldc);
}

#define EMULATED                                                                                                  \
    .unit = "emulation", .number_bytes = sizeof(uint16_t), .row_bytes = GEMM_WIDE * sizeof(float), .rows = BLOCK, \
    .pack = pack

const struct gemm_kind gemm_tile_emulated = {EMULATED, .multiply = multiply_tile, .tiles = &gemm_tiles_tile_emulated};
const struct gemm_kind gemm_pair_emulated = {EMULATED, .multiply = multiply_pair, .tiles = &gemm_tiles_pair_emulated};
