/* Rows times panels in bf16 by plain fused multiply-adds, in both orders: for processors without a unit for them, with
 * its bits. Panels hold rounded weights as floats; rows are expanded to floats on their way. */
#include <string.h>

#include "gemm_flush.h"
#include "gemm_private.h"
#include "unroll/base/bf16.h"
#include "unroll/base/tuning.h"

#define BLOCK 32 /* of k, in the order `tile` */
#define REGISTERS (GEMM_WIDE / VLEN)
#define AHEAD 16 /* rows of a panel are fetched so much before they are used */

/* ---- panels ---- */

typedef uint32_t words __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

/* bf16_round and bf16_expand of floats in place, a multiple of VLEN of them. */
static void round_floats(float *x, int n)
{
    for (int i = 0; i < n; i += VLEN) {
        words bits = *(words *)(x + i), size = bits & 0x7fffffffu;
        words tiny = (words)(size < 0x00800000u), nan = (words)(size > 0x7f800000u);
        words rounded = bits + 0x7fffu + (bits >> 16 & 1);
        rounded = (nan & (bits | 0x400000u)) | (~nan & rounded);
        rounded = (tiny & (bits & 0x80000000u)) | (~tiny & rounded);
        *(words *)(x + i) = rounded & 0xffff0000u;
    }
}

static void pack(const struct gemm_weights *weights, int first, int k, int panel, void *to)
{
    float *packed = to;
    for (int i = 0; i < k; i += BLOCK) {
        int rows = k - i < BLOCK ? k - i : BLOCK;
        gemm_float32.pack(weights, first + i, rows, panel, packed + i * GEMM_WIDE);
        round_floats(packed + i * GEMM_WIDE, rows * GEMM_WIDE);
    }
    if (k % 2)
        memset(packed + k * GEMM_WIDE, 0, sizeof *packed * GEMM_WIDE);
}

/* ---- rows of A ---- */

#define PART (2 * VLEN) /* numbers that are expanded together: the even ones, then the odd ones */

static inline void expand_part(const uint16_t *from, float *to)
{
    words pairs = *(const words *)from;
    *(vfloat *)to = gemm_flushed((vfloat)(pairs << 16));
    *(vfloat *)(to + VLEN) = gemm_flushed((vfloat)(pairs & 0xffff0000u));
}

/* k numbers of each row from number `first` on, a multiple of BLOCK; then zeros to the end of the part. */
static void expand(struct gemm_view a, int rows, int first, int k, float *to, int stride)
{
    for (int r = 0; r < rows; r++, to += stride)
        for (int i = 0; i < k; i += PART) {
            int at = first + i;
            const char *block = (const char *)a.base + r * a.stride + at / GEMM_WIDE * a.block;
            const uint16_t *from = (const uint16_t *)block + at % GEMM_WIDE;
            uint16_t last[PART] = {0};
            if (k - i < PART)
                from = memcpy(last, from, sizeof *from * (size_t)(k - i));
            expand_part(from, to + i);
        }
}

/* ---- kernels: R rows by one panel, or by its left half; both are constants in every instance ---- */

#define EACH_REGISTER(r, i)                                      \
    _Pragma("GCC unroll 12") for (int r = 0; r < GEMM_ROWS; r++) \
        _Pragma("GCC unroll 4") for (int i = 0; i < REGISTERS; i++) if (r < R && i < used)

/* sum += one number of each row, `stride` apart, times a row of the panel. */
#define ADD_ROW(sum, x, stride, panel)                                                              \
    do {                                                                                            \
        vfloat w[REGISTERS];                                                                        \
        _Pragma("GCC unroll 4") for (int i_ = 0; i_ < REGISTERS; i_++) if (i_ < used) w[i_] =       \
            vload((panel) + i_ * VLEN);                                                             \
        EACH_REGISTER(r_, j_) sum[r_][j_] = gemm_fma(vset((x)[r_ * (stride)]), w[j_], sum[r_][j_]); \
    } while (0)

static inline __attribute__((always_inline)) void fetch(const float *panel)
{
    if (TUNE_PREFETCH)
        for (int i = 0; i < 2 * GEMM_WIDE; i += 16)
            __builtin_prefetch(panel + AHEAD * GEMM_WIDE + i);
}

/* All of k. */
static inline __attribute__((always_inline)) void pair_rows(const int R, const bool half, int k,
                                                            const float *restrict x, const float *restrict panel,
                                                            bool accumulate, float *restrict c, int64_t ldc)
{
    const int used = half ? REGISTERS / 2 : REGISTERS;
    vfloat sum[GEMM_ROWS][REGISTERS];
    EACH_REGISTER(r, i)
    sum[r][i] = accumulate ? gemm_flushed(vload(c + r * ldc + i * VLEN)) : vset(0);
    for (int pairs = (k + 1) / 2; pairs > 0; pairs -= VLEN, x += PART)
        for (int i = 0; i < VLEN && i < pairs; i++, panel += 2 * GEMM_WIDE) {
            fetch(panel);
            ADD_ROW(sum, x + VLEN + i, GEMM_KC, panel + GEMM_WIDE);
            ADD_ROW(sum, x + i, GEMM_KC, panel);
        }
    EACH_REGISTER(r, i)
    vstore(c + r * ldc + i * VLEN, sum[r][i]);
}

/* One block. Pairs of zeros that would fill it leave zeros positive, and change nothing else. */
static inline __attribute__((always_inline)) void tile_rows(const int R, const bool half, int k,
                                                            const float *restrict x, const float *restrict panel,
                                                            bool accumulate, float *restrict c, int64_t ldc)
{
    const int used = half ? REGISTERS / 2 : REGISTERS;
    vfloat even[GEMM_ROWS][REGISTERS], odd[GEMM_ROWS][REGISTERS];
    EACH_REGISTER(r, i)
    even[r][i] = odd[r][i] = vset(0);
    for (int pairs = (k + 1) / 2; pairs > 0; pairs -= VLEN, x += PART)
        for (int i = 0; i < VLEN && i < pairs; i++, panel += 2 * GEMM_WIDE) {
            fetch(panel);
            ADD_ROW(even, x + i, BLOCK, panel);
            ADD_ROW(odd, x + VLEN + i, BLOCK, panel + GEMM_WIDE);
        }
    EACH_REGISTER(r, i)
    {
        if (k < BLOCK - 1) {
            even[r][i] += vset(0);
            odd[r][i] += vset(0);
        }
        float *place = c + r * ldc + i * VLEN;
        vfloat before = accumulate ? gemm_flushed(vload(place)) : vset(0);
        vstore(place, gemm_add(before, gemm_add(even[r][i], odd[r][i])));
    }
}

typedef void kernel(int k, const float *x, const float *panel, bool accumulate, float *c, int64_t ldc);

#define KERNEL(name, size, R, half)                                                                                    \
    static void name##_##size##_##R(int k, const float *x, const float *panel, bool accumulate, float *c, int64_t ldc) \
    {                                                                                                                  \
        name##_rows(R, half, k, x, panel, accumulate, c, ldc);                                                         \
    }
#define KERNELS(name, R)          \
    KERNEL(name, whole, R, false) \
    KERNEL(name, half, R, true)

KERNELS(tile, 1)
KERNELS(tile, 2)
KERNELS(tile, 3)
KERNELS(pair, 1)
KERNELS(pair, 2)
KERNELS(pair, 3)
KERNELS(pair, 4)
KERNELS(pair, 5)
KERNELS(pair, 6)
#define THREE(name, size) NULL, name##_##size##_1, name##_##size##_2, name##_##size##_3
#define SIX(name, size) THREE(name, size), name##_##size##_4, name##_##size##_5, name##_##size##_6
#if GEMM_ROWS == 12
KERNELS(tile, 4)
KERNELS(tile, 5)
KERNELS(tile, 6)
KERNELS(pair, 7)
KERNELS(pair, 8)
KERNELS(pair, 9)
KERNELS(pair, 10)
KERNELS(pair, 11)
KERNELS(pair, 12)
#define NINE(name, size) SIX(name, size), name##_##size##_7, name##_##size##_8, name##_##size##_9
#define TWELVE(name, size) NINE(name, size), name##_##size##_10, name##_##size##_11, name##_##size##_12
static kernel *const tile_kernels[2][7] = {{SIX(tile, whole)}, {SIX(tile, half)}};
static kernel *const pair_kernels[2][13] = {{TWELVE(pair, whole)}, {TWELVE(pair, half)}};
#else
static kernel *const tile_kernels[2][4] = {{THREE(tile, whole)}, {THREE(tile, half)}};
static kernel *const pair_kernels[2][7] = {{SIX(pair, whole)}, {SIX(pair, half)}};
#endif

/* ---- products ---- */

static bool is_half(int n, int panel)
{
    return n - panel * GEMM_WIDE <= GEMM_WIDE / 2;
}

static const float *panel_at(const void *panels, size_t apart, int panel)
{
    return (const float *)((const char *)panels + panel * apart);
}

/* Rows in pieces of nearly equal height, at most `most`. */
struct piece {
    int begin, rows;
};

static struct piece piece_of(int rows, int most, int piece)
{
    int pieces = (rows + most - 1) / most;
    int begin = (int)((int64_t)rows * piece / pieces), end = (int)((int64_t)rows * (piece + 1) / pieces);
    return (struct piece){begin, end - begin};
}

static struct gemm_view view_below(struct gemm_view a, int row)
{
    a.base = (const char *)a.base + row * a.stride;
    return a;
}

static void multiply_pair(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                          float *c, int64_t ldc)
{
    float x[GEMM_ROWS * GEMM_KC] __attribute__((aligned(64)));
    unsigned before = gemm_flush_on();
    for (int i = 0; i * GEMM_ROWS < rows; i++) {
        struct piece piece = piece_of(rows, GEMM_ROWS, i);
        expand(view_below(a, piece.begin), piece.rows, 0, k, x, GEMM_KC);
        for (int p = 0; p * GEMM_WIDE < n; p++)
            pair_kernels[is_half(n, p)][piece.rows](k, x, panel_at(panels, apart, p), accumulate,
                                                    c + piece.begin * ldc + p * GEMM_WIDE, ldc);
    }
    gemm_flush_restore(before);
}

#define TILE_ROWS (GEMM_ROWS / 2) /* both chains of so many rows stay in registers */
#define TILE_CHUNK 48             /* rows whose sums stay in the L1 cache while a panel goes by, block after block */

static void tile_chunk(int rows, int k, struct gemm_view a, const float *panel, bool half, bool accumulate, float *c,
                       int64_t ldc)
{
    float x[TILE_CHUNK * BLOCK] __attribute__((aligned(64)));
    for (int first = 0; first < k; first += BLOCK, panel += BLOCK * GEMM_WIDE, accumulate = true) {
        int block = k - first < BLOCK ? k - first : BLOCK;
        expand(a, rows, first, block, x, BLOCK);
        for (int i = 0; i * TILE_ROWS < rows; i++) {
            struct piece piece = piece_of(rows, TILE_ROWS, i);
            tile_kernels[half][piece.rows](block, x + piece.begin * BLOCK, panel, accumulate, c + piece.begin * ldc,
                                           ldc);
        }
    }
}

static void multiply_tile(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                          float *c, int64_t ldc)
{
    unsigned before = gemm_flush_on();
    for (int i = 0; i * TILE_CHUNK < rows; i++) {
        struct piece piece = piece_of(rows, TILE_CHUNK, i);
        for (int p = 0; p * GEMM_WIDE < n; p++)
            tile_chunk(piece.rows, k, view_below(a, piece.begin), panel_at(panels, apart, p), is_half(n, p), accumulate,
                       c + piece.begin * ldc + p * GEMM_WIDE, ldc);
    }
    gemm_flush_restore(before);
}

#define EMULATED                                                                                              \
    .unit = "emulation", .number_bytes = sizeof(uint16_t), .row_bytes = GEMM_WIDE * sizeof(float), .rows = 2, \
    .pack = pack

const struct gemm_kind gemm_tile_emulated = {EMULATED, .multiply = multiply_tile, .tiles = &gemm_tiles_tile_emulated};
const struct gemm_kind gemm_pair_emulated = {EMULATED, .multiply = multiply_pair, .tiles = &gemm_tiles_pair_emulated};
