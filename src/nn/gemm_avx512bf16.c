/* bf16 products in pairs by VDPBF16PS, which adds in that order and flushes whatever MXCSR says. */
#include "gemm_pairs.h"

#if GEMM_UNITS
#include "unroll/base/tuning.h"

#define PAIRS (GEMM_WIDE / 2) /* of a block of a view */
#define AHEAD 8               /* rows of pairs are fetched so much before they are used */

#define EACH_REGISTER(r, i)                                      \
    _Pragma("GCC unroll 12") for (int r = 0; r < GEMM_ROWS; r++) \
        _Pragma("GCC unroll 2") for (int i = 0; i < 2; i++) if (r < R && i < used)

/* R rows by one panel, or by its left half, both constants in every instance. Rows in threes share a pointer: an
 * address is base, one or two times the stride. */
static inline __attribute__((always_inline)) GEMM_UNIT_TARGET void multiply_rows(const int R, const bool half, int k,
                                                                                 struct gemm_view a,
                                                                                 const uint32_t *restrict panel,
                                                                                 bool accumulate, float *restrict c,
                                                                                 int64_t ldc)
{
    const int used = half ? 1 : 2;
    __m512 sum[GEMM_ROWS][2];
    EACH_REGISTER(r, i)
    sum[r][i] = accumulate ? _mm512_load_ps(c + r * ldc + 16 * i) : _mm512_setzero_ps();
    const char *block = a.base;
    for (int left = k / 2; left > 0; left -= PAIRS, block += a.block) {
        const char *base[4] = {block, block + 3 * a.stride, block + 6 * a.stride, block + 9 * a.stride};
        for (int pair = 0; pair < PAIRS && pair < left; pair++, panel += GEMM_WIDE) {
            __m512bh w[2];
            for (int i = 0; i < used; i++)
                w[i] = (__m512bh)_mm512_load_si512(panel + 16 * i);
            for (int i = 0; TUNE_PREFETCH && i < 2; i++)
                __builtin_prefetch(panel + AHEAD * GEMM_WIDE + 16 * i);
#pragma GCC unroll 12
            for (int r = 0; r < GEMM_ROWS; r++)
                if (r < R) {
                    __m512bh x = (__m512bh)_mm512_set1_epi32(*(const int *)(base[r / 3] + r % 3 * a.stride));
                    for (int i = 0; i < used; i++)
                        sum[r][i] = _mm512_dpbf16_ps(sum[r][i], x, w[i]);
                }
            for (int i = 0; i < 4; i++)
                base[i] += 4;
        }
    }
    if (k % 2) {
        const char *last = (const char *)gemm_view_at(a, k - 1) + (k - 1) % GEMM_WIDE * 2;
        EACH_REGISTER(r, i)
        sum[r][i] = _mm512_dpbf16_ps(sum[r][i], (__m512bh)_mm512_set1_epi32(*(const uint16_t *)(last + r * a.stride)),
                                     (__m512bh)_mm512_load_si512(panel + 16 * i));
    }
    EACH_REGISTER(r, i)
    _mm512_store_ps(c + r * ldc + 16 * i, sum[r][i]);
}

typedef void kernel(int k, struct gemm_view a, const uint32_t *panel, bool accumulate, float *c, int64_t ldc);

#define KERNEL(name, R, half)                                                                                  \
    static GEMM_UNIT_TARGET void name##_##R(int k, struct gemm_view a, const uint32_t *panel, bool accumulate, \
                                            float *c, int64_t ldc)                                             \
    {                                                                                                          \
        multiply_rows(R, half, k, a, panel, accumulate, c, ldc);                                               \
    }
#define KERNELS(R)          \
    KERNEL(whole, R, false) \
    KERNEL(half, R, true)

KERNELS(1)
KERNELS(2)
KERNELS(3)
KERNELS(4)
KERNELS(5)
KERNELS(6)
KERNELS(7)
KERNELS(8)
KERNELS(9)
KERNELS(10)
KERNELS(11)
KERNELS(12)

static kernel *const kernels[2][GEMM_ROWS + 1] = {
    {NULL, whole_1, whole_2, whole_3, whole_4, whole_5, whole_6, whole_7, whole_8, whole_9, whole_10, whole_11,
     whole_12},
    {NULL, half_1, half_2, half_3, half_4, half_5, half_6, half_7, half_8, half_9, half_10, half_11, half_12},
};

static void multiply(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                     float *c, int64_t ldc)
{
    int pieces = (rows + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int i = 0; i < pieces; i++) {
        int begin = (int)((int64_t)rows * i / pieces), end = (int)((int64_t)rows * (i + 1) / pieces);
        struct gemm_view part = {(const char *)a.base + begin * a.stride, a.stride, a.block};
        for (int p = 0; p * GEMM_WIDE < n; p++)
            kernels[n - p * GEMM_WIDE <= GEMM_WIDE / 2][end - begin](
                k, part, (const uint32_t *)((const char *)panels + p * apart), accumulate,
                c + begin * ldc + p * GEMM_WIDE, ldc);
    }
}

const struct gemm_kind gemm_pair_avx512bf16 = {
    .unit = "AVX512_BF16", GEMM_PAIRS, .multiply = multiply, .tiles = &gemm_tiles_pairs};
#endif
