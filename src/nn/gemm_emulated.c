/* Rows times panels in bf16 by plain fused multiply-adds, in both orders: for processors without a unit for them, with
 * its bits. Panels hold rounded weights as floats; rows are expanded to floats on their way. */
#include <string.h>

#include "gemm_flush.h"
#include "gemm_private.h"
#include "gemm_transpose.h"
#include "unroll/base/bf16.h"
#include "unroll/base/tuning.h"

#define REGISTERS (GEMM_WIDE / VLEN)

/* ---- panels ---- */

typedef uint32_t words __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

typedef uint32_t octet_words __attribute__((vector_size(32)));
BF16_ROUNDING(round_words, words)
BF16_ROUNDING(round_octet, octet_words)

static void round_floats(float *x, int n)
{
    for (int i = 0; i < n; i += VLEN)
        *(words *)(x + i) = round_words(*(words *)(x + i));
}

/* w's rows are the panel's columns: 8 x 8 blocks are rounded in registers. */
static void pack_octets(const float *w, int64_t ldw, int k, float *panel)
{
    for (int i = 0; i < k; i += 8)
        for (int j = 0; j < GEMM_WIDE; j += 8) {
            gemm_octet row[8];
            for (int l = 0; l < 8; l++)
                row[l] = (gemm_octet)round_octet((octet_words)(*(const gemm_octet *)(w + (j + l) * ldw + i)));
            gemm_transpose_octets(row, panel + i * GEMM_WIDE + j);
        }
}

static void pack(const struct gemm_weights *weights, int first, int k, int panel, void *to)
{
    float *packed = to;
    bool whole = weights->transposed && (panel + 1) * GEMM_WIDE <= weights->n;
    int done = whole ? k / 8 * 8 : 0;
    if (whole)
        pack_octets(weights->w + panel * GEMM_WIDE * weights->ldw + first, weights->ldw, done, packed);
    for (int i = done; i < k; i += GEMM_BLOCK) {
        int rows = k - i < GEMM_BLOCK ? k - i : GEMM_BLOCK;
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

static inline void expand_row(const char *block, int64_t apart, int k, float *to)
{
    for (; k >= GEMM_WIDE; k -= GEMM_WIDE, block += apart, to += GEMM_WIDE)
        for (int i = 0; i < GEMM_WIDE; i += PART)
            expand_part((const uint16_t *)block + i, to + i);
    if (k > 0) {
        uint16_t last[GEMM_WIDE] = {0};
        memcpy(last, block, sizeof *last * (size_t)k);
        for (int i = 0; i < k; i += PART)
            expand_part(last + i, to + i);
    }
}

/* k numbers of each row, `stride` apart; then zeros to the end of the part. */
static inline void expand(struct gemm_view a, int rows, int k, float *to, int stride)
{
    for (int r = 0; r < rows; r++)
        expand_row((const char *)a.base + r * a.stride, a.block, k, to + r * stride);
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

/* A pair of rows, so many rows before it is used. */
static inline __attribute__((always_inline)) void fetch(const float *panel, const int ahead)
{
    if (TUNE_PREFETCH)
        for (int i = 0; i < 2 * GEMM_WIDE; i += 16)
            __builtin_prefetch(panel + ahead * GEMM_WIDE + i);
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
            fetch(panel, 16);
            ADD_ROW(sum, x + VLEN + i, GEMM_KC, panel + GEMM_WIDE);
            ADD_ROW(sum, x + i, GEMM_KC, panel);
        }
    EACH_REGISTER(r, i)
    vstore(c + r * ldc + i * VLEN, sum[r][i]);
}

/* The even or the odd chain over a block. Pairs of zeros that would fill it leave zeros positive, and change nothing
 * else. The even one fetches the panel's next block. */
static inline __attribute__((always_inline)) void chain(const int R, const int used, const bool even, int k,
                                                        const float *x, const float *panel, vfloat (*sum)[REGISTERS])
{
    EACH_REGISTER(r, i)
    sum[r][i] = vset(0);
    for (int pairs = (k + 1) / 2; pairs > 0; pairs -= VLEN, x += PART)
        for (int i = 0; i < VLEN && i < pairs; i++, panel += 2 * GEMM_WIDE) {
            if (even)
                fetch(panel, GEMM_BLOCK);
            ADD_ROW(sum, x + i, GEMM_BLOCK, panel);
        }
    if (k < GEMM_BLOCK - 1)
        EACH_REGISTER(r, i)
    sum[r][i] += vset(0);
}

/* One block. The even chains wait in the L1 cache. */
static inline __attribute__((always_inline)) void tile_rows(const int R, const bool half, int k,
                                                            const float *restrict x, const float *restrict panel,
                                                            bool accumulate, float *restrict c, int64_t ldc)
{
    const int used = half ? REGISTERS / 2 : REGISTERS;
    vfloat even[GEMM_ROWS][REGISTERS], odd[GEMM_ROWS][REGISTERS];
    chain(R, used, true, k, x, panel, even);
    chain(R, used, false, k, x + VLEN, panel + GEMM_WIDE, odd);
    EACH_REGISTER(r, i)
    {
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

#define BOTH(R)      \
    KERNELS(tile, R) \
    KERNELS(pair, R)
BOTH(1)
BOTH(2)
BOTH(3)
BOTH(4)
BOTH(5)
BOTH(6)
#if GEMM_ROWS == 12
BOTH(7)
BOTH(8)
BOTH(9)
BOTH(10)
BOTH(11)
BOTH(12)
#define SIX(name) name##_1, name##_2, name##_3, name##_4, name##_5, name##_6
#define HEIGHTS(name) NULL, SIX(name), name##_7, name##_8, name##_9, name##_10, name##_11, name##_12
#else
#define HEIGHTS(name) NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6
#endif
static kernel *const tile_kernels[2][GEMM_ROWS + 1] = {{HEIGHTS(tile_whole)}, {HEIGHTS(tile_half)}};
static kernel *const pair_kernels[2][GEMM_ROWS + 1] = {{HEIGHTS(pair_whole)}, {HEIGHTS(pair_half)}};

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
        expand(view_below(a, piece.begin), piece.rows, k, x, GEMM_KC);
        for (int p = 0; p * GEMM_WIDE < n; p++)
            pair_kernels[is_half(n, p)][piece.rows](k, x, panel_at(panels, apart, p), accumulate,
                                                    c + piece.begin * ldc + p * GEMM_WIDE, ldc);
    }
    gemm_flush_restore(before);
}

#define TILE_ROWS 24 /* of A stay in the L1 cache while panels go by, block after block */

typedef float expanded[TILE_ROWS * GEMM_BLOCK]; /* a block of k of each row */

static void tile_block(int rows, int k, const float *x, const float *panel, bool half, bool accumulate, float *c,
                       int64_t ldc)
{
    for (int i = 0; i * GEMM_ROWS < rows; i++) {
        struct piece piece = piece_of(rows, GEMM_ROWS, i);
        tile_kernels[half][piece.rows](k, x + piece.begin * GEMM_BLOCK, panel, accumulate, c + piece.begin * ldc, ldc);
    }
}

static int block_at(int k, int first)
{
    return k - first < GEMM_BLOCK ? k - first : GEMM_BLOCK;
}

static void expand_block(struct gemm_view a, int rows, int k, int first, float *x)
{
    a.base = gemm_view_at(a, first);
    expand(a, rows, block_at(k, first), x, GEMM_BLOCK);
}

/* Several panels: rows are expanded once for all. */
static void tile_panels(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                        float *c, int64_t ldc)
{
    expanded x[GEMM_KC / GEMM_BLOCK] __attribute__((aligned(64)));
    for (int first = 0; first < k; first += GEMM_BLOCK)
        expand_block(a, rows, k, first, x[first / GEMM_BLOCK]);
    for (int p = 0; p * GEMM_WIDE < n; p++)
        for (int first = 0; first < k; first += GEMM_BLOCK)
            tile_block(rows, block_at(k, first), x[first / GEMM_BLOCK], panel_at(panels, apart, p) + first * GEMM_WIDE,
                       is_half(n, p), accumulate || first, c + p * GEMM_WIDE, ldc);
}

/* One panel, which goes by once: more rows, each block of which is expanded when it is needed. */
static void tile_panel(int rows, int k, struct gemm_view a, const float *panel, bool half, bool accumulate, float *c,
                       int64_t ldc)
{
    float x[2 * TILE_ROWS * GEMM_BLOCK] __attribute__((aligned(64)));
    for (int first = 0; first < k; first += GEMM_BLOCK) {
        expand_block(a, rows, k, first, x);
        tile_block(rows, block_at(k, first), x, panel + first * GEMM_WIDE, half, accumulate || first, c, ldc);
    }
}

static void multiply_tile(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                          float *c, int64_t ldc)
{
    int most = n > GEMM_WIDE ? TILE_ROWS : 2 * TILE_ROWS;
    unsigned before = gemm_flush_on();
    for (int i = 0; i * most < rows; i++) {
        struct piece piece = piece_of(rows, most, i);
        struct gemm_view part = view_below(a, piece.begin);
        float *place = c + piece.begin * ldc;
        if (n > GEMM_WIDE)
            tile_panels(piece.rows, k, part, panels, apart, n, accumulate, place, ldc);
        else
            tile_panel(piece.rows, k, part, panels, is_half(n, 0), accumulate, place, ldc);
    }
    gemm_flush_restore(before);
}

#define EMULATED                                                                                              \
    .unit = "emulation", .number_bytes = sizeof(uint16_t), .row_bytes = GEMM_WIDE * sizeof(float), .rows = 2, \
    .pack = pack

const struct gemm_kind gemm_tile_emulated = {EMULATED, .multiply = multiply_tile, .tiles = &gemm_tiles_tile_emulated};
const struct gemm_kind gemm_pair_emulated = {EMULATED, .multiply = multiply_pair, .tiles = &gemm_tiles_pair_emulated};
