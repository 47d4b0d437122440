/* Tiles of weight gradients in bf16 by plain fused multiply-adds, in both orders: panels of numbers expanded to
 * floats. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "unroll/base/tuning.h"

#if defined __AVX512F__
#define NARROW 12
#else
#define NARROW 6
#endif
#define WIDE GEMM_WIDE
#define REGISTERS (WIDE / VLEN)
#define AHEAD 16 /* rows that are fetched before they are used */

/* ---- packing ---- */

typedef uint16_t halves __attribute__((vector_size(2 * VLEN), may_alias, aligned(2)));
typedef uint32_t words __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

static inline words expand(const uint16_t *from)
{
#if defined __AVX512F__
    return (words)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from)), 16);
#elif defined __AVX2__
    return (words)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)from)), 16);
#else
    return __builtin_convertvector(*(const halves *)from, words) << 16;
#endif
}

static inline __attribute__((always_inline)) void expand_rows(const uint16_t *from, int64_t stride, int rows,
                                                              const int width, float *to)
{
    for (int r = 0; r < rows; r++, from += stride, to += width)
        for (int j = 0; j < width; j += VLEN) {
            words wide = expand(from + j);
            if (j + VLEN <= width)
                *(words *)(to + j) = wide;
            else
                memcpy(to + j, &wide, sizeof *to * (width % VLEN));
        }
}

static void pack(const uint16_t *from, int64_t stride, int rows, bool narrow, int first, void *panel)
{
    if (narrow)
        expand_rows(from, stride, rows, NARROW, (float *)panel + first * NARROW);
    else
        expand_rows(from, stride, rows, WIDE, (float *)panel + first * WIDE);
}

static void clear(const struct gemm *gemm, int row, bool narrow, void *panel)
{
    (void)gemm;
    int width = narrow ? NARROW : WIDE;
    memset((float *)panel + (size_t)row * (size_t)width, 0, sizeof(float) * (size_t)width);
}

/* ---- sums ---- */

#define EACH_REGISTER(r, i)                                   \
    _Pragma("GCC unroll 12") for (int r = 0; r < NARROW; r++) \
        _Pragma("GCC unroll 4") for (int i = 0; i < REGISTERS; i++)

/* sum += one row of both panels. */
static inline __attribute__((always_inline)) void add_row(const float *a, const float *b, vfloat (*sum)[REGISTERS])
{
    vfloat w[REGISTERS];
#pragma GCC unroll 4
    for (int i = 0; i < REGISTERS; i++)
        w[i] = vload(b + i * VLEN);
    if (TUNE_PREFETCH) {
        __builtin_prefetch(a + AHEAD * NARROW);
        __builtin_prefetch(b + AHEAD * WIDE);
        __builtin_prefetch(b + AHEAD * WIDE + WIDE / 2);
    }
    EACH_REGISTER(r, i)
    sum[r][i] = gemm_fma(vset(a[r]), w[i], sum[r][i]);
}

/* The chain over every other of k rows, from zero. A zero pair that fills a block makes zeros positive. */
static inline __attribute__((always_inline)) void chain(int k, const float *a, const float *b, vfloat (*sum)[REGISTERS])
{
    EACH_REGISTER(r, i)
    sum[r][i] = vset(0);
    for (int row = 0; row < k; row += 2)
        add_row(a + row * NARROW, b + row * WIDE, sum);
    if (k < GEMM_BLOCK)
        EACH_REGISTER(r, i)
    sum[r][i] = gemm_add(sum[r][i], vset(0));
}

/* C += even + odd. */
static void add_block(int k, const float *a, const float *b, float *c)
{
    float even[NARROW * WIDE] __attribute__((aligned(64)));
    vfloat sum[NARROW][REGISTERS];
    chain(k, a, b, sum);
    EACH_REGISTER(r, i)
    vstore(even + r * WIDE + i * VLEN, sum[r][i]);
    chain(k, a + NARROW, b + WIDE, sum);
    EACH_REGISTER(r, i)
    {
        float *place = c + r * WIDE + i * VLEN;
        vstore(place, gemm_add(vload(place), gemm_add(vload(even + r * WIDE + i * VLEN), sum[r][i])));
    }
}

/* The compiler must not move additions out of where subnormals are flushed: kernels are functions of their own. */
#define KERNEL static __attribute__((noinline)) void

KERNEL add_tiles(int k, const float *a, const float *b, float *c)
{
    for (int row = 0; row < k; row += GEMM_BLOCK, a += GEMM_BLOCK * NARROW, b += GEMM_BLOCK * WIDE)
        add_block(k - row < GEMM_BLOCK ? k - row : GEMM_BLOCK, a, b, c);
}

KERNEL add_pairs(int k, const float *a, const float *b, float *c)
{
    vfloat sum[NARROW][REGISTERS];
    EACH_REGISTER(r, i)
    sum[r][i] = gemm_flushed(vload(c + r * WIDE + i * VLEN));
    for (int row = 0; row < k; row += 2, a += 2 * NARROW, b += 2 * WIDE) {
        add_row(a + NARROW, b + WIDE, sum);
        add_row(a, b, sum);
    }
    EACH_REGISTER(r, i)
    vstore(c + r * WIDE + i * VLEN, sum[r][i]);
}

typedef void kernel_function(int, const float *, const float *, float *);

static void multiply(kernel_function *kernel, int k, const void *narrow, const void *wide, bool accumulate, float *c)
{
    if (!accumulate)
        memset(c, 0, sizeof *c * NARROW * WIDE);
    unsigned before = gemm_flush_on();
    kernel(k, narrow, wide, c);
    gemm_flush_restore(before);
}

static void multiply_tile(const struct gemm *gemm, int k, const void *narrow, const void *wide, bool accumulate,
                          float *c)
{
    (void)gemm;
    multiply(add_tiles, k, narrow, wide, accumulate, c);
}

static void multiply_pair(const struct gemm *gemm, int k, const void *narrow, const void *wide, bool accumulate,
                          float *c)
{
    (void)gemm;
    multiply(add_pairs, k, narrow, wide, accumulate, c);
}

#define EMULATED .narrow = NARROW, .wide = WIDE, .number_bytes = sizeof(float), .rows = 2, .pack = pack, .clear = clear

const struct gemm_tiles gemm_tiles_tile_emulated = {EMULATED, .multiply = multiply_tile};
const struct gemm_tiles gemm_tiles_pair_emulated = {EMULATED, .multiply = multiply_pair};
