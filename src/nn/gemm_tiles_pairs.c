/* Tiles of weight gradients in pair order by VDPBF16PS: panels of pairs, [rows / 2][width], the number of the even row
 * in the lower half. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "gemm_pairs.h"

#if GEMM_UNITS
#include "unroll/base/tuning.h"

#define NARROW 12
#define WIDE 32
#define AHEAD 8 /* rows of pairs that are fetched before they are used */

static void pack(const uint16_t *from, int64_t stride, int rows, bool narrow, int first, void *panel)
{
    uint32_t *to = (uint32_t *)panel + (size_t)first / 2 * (narrow ? NARROW : WIDE);
    if (narrow)
        for (int r = 0; r < rows; r += 2, from += 2 * stride, to += NARROW)
            _mm512_mask_storeu_epi32(to, (1 << NARROW) - 1, gemm_pairs_of(from, from + stride));
    else
        for (int r = 0; r < rows; r += 2, from += 2 * stride, to += WIDE)
            for (int j = 0; j < WIDE; j += 16)
                _mm512_storeu_si512(to + j, gemm_pairs_of(from + j, from + stride + j));
}

static void clear(const struct gemm *gemm, int row, bool narrow, void *panel)
{
    (void)gemm;
    int width = narrow ? NARROW : WIDE;
    uint16_t *number = (uint16_t *)panel + (size_t)row / 2 * 2 * (size_t)width + row % 2;
    for (int j = 0; j < width; j++)
        number[2 * j] = 0;
}

#define EACH_REGISTER(r, i) \
    _Pragma("GCC unroll 12") for (int r = 0; r < NARROW; r++) _Pragma("GCC unroll 2") for (int i = 0; i < 2; i++)

static GEMM_UNIT_TARGET void multiply(const struct gemm *gemm, int k, const void *narrow, const void *wide,
                                      bool accumulate, float *c)
{
    (void)gemm;
    const int *a = narrow, *b = wide;
    __m512 sum[NARROW][2];
    EACH_REGISTER(r, i)
    sum[r][i] = accumulate ? _mm512_load_ps(c + r * WIDE + 16 * i) : _mm512_setzero_ps();
    for (int row = 0; row < k; row += 2, a += NARROW, b += WIDE) {
        __m512bh w[2];
        for (int i = 0; i < 2; i++)
            w[i] = (__m512bh)_mm512_load_si512(b + 16 * i);
        if (TUNE_PREFETCH) {
            __builtin_prefetch(a + AHEAD * NARROW);
            __builtin_prefetch(b + AHEAD * WIDE);
            __builtin_prefetch(b + AHEAD * WIDE + 16);
        }
        EACH_REGISTER(r, i)
        sum[r][i] = _mm512_dpbf16_ps(sum[r][i], (__m512bh)_mm512_set1_epi32(a[r]), w[i]);
    }
    EACH_REGISTER(r, i)
    _mm512_store_ps(c + r * WIDE + 16 * i, sum[r][i]);
}

const struct gemm_tiles gemm_tiles_pairs = {.narrow = NARROW,
                                            .wide = WIDE,
                                            .number_bytes = sizeof(uint16_t),
                                            .rows = 2,
                                            .pack = pack,
                                            .clear = clear,
                                            .multiply = multiply};
#endif
