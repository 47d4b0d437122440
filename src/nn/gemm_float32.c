/* Panels of float32, and rows by them in registers of the processor. */
#include <string.h>

#include "gemm_private.h"
#include "gemm_transpose.h"
#include "unroll/base/tuning.h"

/* A panel row is so many registers of the target. */
#define REGISTERS (GEMM_WIDE / VLEN)
/* Rows of a panel that are fetched before they are used: weights that no second-level cache holds gain a tenth. */
#define AHEAD 16

/* R rows by one panel: R * REGISTERS accumulators stay in registers; by the left `half` of a panel whose right half
 * is padding: half as many. Both are constants in every instance below. */
static inline __attribute__((always_inline)) void tile(const int R, const bool half, int k, const float *restrict a,
                                                       int64_t lda, const float *restrict panel, bool accumulate,
                                                       float *restrict c, int64_t ldc)
{
    const int used = half ? REGISTERS / 2 : REGISTERS;
    vfloat sum[GEMM_ROWS][REGISTERS];
#pragma GCC unroll 12
    for (int r = 0; r < GEMM_ROWS; r++)
#pragma GCC unroll 4
        for (int i = 0; i < REGISTERS; i++)
            sum[r][i] = vset(0);
    /* rows in threes share a pointer: an address is base, one or two times lda */
    const float *base0 = a, *base1 = a + 3 * lda, *base2 = a + 6 * lda, *base3 = a + 9 * lda;
    for (int step = 0; step < k; step++) {
        vfloat w[REGISTERS];
#pragma GCC unroll 4
        for (int i = 0; i < REGISTERS; i++)
            w[i] = vload(panel + (i < used ? i : 0) * VLEN);
        panel += GEMM_WIDE;
        if (TUNE_PREFETCH) {
            __builtin_prefetch(panel + AHEAD * GEMM_WIDE);
            __builtin_prefetch(panel + AHEAD * GEMM_WIDE + GEMM_WIDE / 2);
        }
#pragma GCC unroll 12
        for (int r = 0; r < GEMM_ROWS; r++)
            if (r < R) {
                const float *base = r < 3 ? base0 : r < 6 ? base1 : r < 9 ? base2 : base3;
                vfloat x = vset(base[r % 3 * lda]);
#pragma GCC unroll 4
                for (int i = 0; i < REGISTERS; i++)
                    if (i < used)
                        sum[r][i] = vfma(x, w[i], sum[r][i]);
            }
        base0++, base1++, base2++, base3++;
    }
#pragma GCC unroll 12
    for (int r = 0; r < GEMM_ROWS; r++)
        if (r < R) {
            float *out = c;
            c += ldc;
            if (accumulate)
#pragma GCC unroll 4
                for (int i = 0; i < REGISTERS; i++)
                    sum[r][i] += vload(out + i * VLEN);
#pragma GCC unroll 4
            for (int i = 0; i < REGISTERS; i++)
                vstore(out + i * VLEN, sum[r][i]);
        }
}

#define TILE(R)                                                                                              \
    static void whole_##R(int k, const float *a, int64_t lda, const float *panel, bool accumulate, float *c, \
                          int64_t ldc)                                                                       \
    {                                                                                                        \
        tile(R, false, k, a, lda, panel, accumulate, c, ldc);                                                \
    }                                                                                                        \
    static void half_##R(int k, const float *a, int64_t lda, const float *panel, bool accumulate, float *c,  \
                         int64_t ldc)                                                                        \
    {                                                                                                        \
        tile(R, true, k, a, lda, panel, accumulate, c, ldc);                                                 \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#if GEMM_ROWS == 12
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif

typedef void tile_function(int, const float *, int64_t, const float *, bool, float *, int64_t);
static tile_function *const tiles[2][GEMM_ROWS + 1] = {
    {
        NULL,
        whole_1,
        whole_2,
        whole_3,
        whole_4,
        whole_5,
        whole_6,
#if GEMM_ROWS == 12
        whole_7,
        whole_8,
        whole_9,
        whole_10,
        whole_11,
        whole_12,
#endif
    },
    {
        NULL,
        half_1,
        half_2,
        half_3,
        half_4,
        half_5,
        half_6,
#if GEMM_ROWS == 12
        half_7,
        half_8,
        half_9,
        half_10,
        half_11,
        half_12,
#endif
    },
};

/* Rows in tiles of nearly equal height: 50 rows are five tiles of ten, not four of twelve and one of two. */
static void multiply(int rows, int k, struct gemm_view view, const void *panels, size_t apart, int n, bool accumulate,
                     float *c, int64_t ldc)
{
    const float *a = view.base;
    int64_t lda = view.stride / (int64_t)sizeof *a;
    int pieces = (rows + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int i = 0; i < pieces; i++) {
        int begin = (int)((int64_t)rows * i / pieces), end = (int)((int64_t)rows * (i + 1) / pieces);
        for (int p = 0; p * GEMM_WIDE < n; p++) {
            float *place = c + begin * ldc + p * GEMM_WIDE;
            for (int r = 0; TUNE_PREFETCH && r < end - begin; r++) {
                __builtin_prefetch(place + r * ldc, 1);
                __builtin_prefetch(place + r * ldc + GEMM_WIDE / 2, 1);
            }
            const float *panel = (const float *)((const char *)panels + p * apart);
            tiles[n - p * GEMM_WIDE <= GEMM_WIDE / 2][end - begin](k, a + begin * lda, lda, panel, accumulate, place,
                                                                   ldc);
        }
    }
}

/* In blocks of 8 x 8: w's rows are the panel's columns. */
static void pack_transposed(const float *w, int64_t ldw, int k, int columns, float *panel)
{
    int whole_k = k / 8 * 8, whole_columns = columns / 8 * 8;
    for (int i = 0; i < whole_k; i += 8)
        for (int j = 0; j < whole_columns; j += 8)
            gemm_transpose(w + j * ldw + i, ldw, panel + i * GEMM_WIDE + j);
    for (int i = 0; i < k; i++)
        for (int j = i < whole_k ? whole_columns : 0; j < columns; j++)
            panel[i * GEMM_WIDE + j] = w[j * ldw + i];
}

static void pack(const struct gemm_weights *weights, int first, int k, int panel, void *to)
{
    int column = panel * GEMM_WIDE, columns = weights->n - column < GEMM_WIDE ? weights->n - column : GEMM_WIDE;
    int64_t ldw = weights->ldw;
    float *packed = to;
    if (columns < GEMM_WIDE)
        memset(packed, 0, sizeof *packed * k * GEMM_WIDE);
    if (weights->transposed)
        pack_transposed(weights->w + column * ldw + first, ldw, k, columns, packed);
    else
        for (int i = 0; i < k; i++)
            memcpy(packed + i * GEMM_WIDE, weights->w + (first + i) * ldw + column, sizeof *packed * columns);
}

const struct gemm_kind gemm_float32 = {
    .unit = "float32",
    .number_bytes = sizeof(float),
    .row_bytes = GEMM_WIDE * sizeof(float),
    .rows = 1,
    .pack = pack,
    .multiply = multiply,
    .tiles = &gemm_tiles_float32,
};
