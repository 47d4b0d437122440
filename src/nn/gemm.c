#include "unroll/nn/gemm.h"

#include <string.h>

#include "unroll/base/status.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* A panel row is so many registers of the target. */
#define REGISTERS (GEMM_WIDE / VLEN)
/* Rows of a panel that are fetched before they are used: weights that no second-level cache holds gain a tenth. */
#define AHEAD 16

/* R rows by one panel: R * REGISTERS accumulators stay in registers; by the left `half` of a panel whose right half is padding:
 * half as many. Both are constants in every instance below. */
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

/* Rows of A by panels, `panel_size` floats apart, that hold n columns, in tiles of nearly equal height: 50 rows are five tiles
 * of ten, not four of twelve and one of two. */
static void rows_times_panels(int rows, int k, const float *a, int64_t lda, const float *panels, size_t panel_size,
                              int n, bool accumulate, float *c, int64_t ldc)
{
    int pieces = (rows + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int i = 0; i < pieces; i++) {
        int begin = (int)((int64_t)rows * i / pieces), end = (int)((int64_t)rows * (i + 1) / pieces);
        for (int p = 0; p * GEMM_WIDE < n; p++) {
            float *place = c + begin * ldc + p * GEMM_WIDE;
            for (int r = 0; TUNE_PREFETCH && r < end - begin; r++) {
                __builtin_prefetch(place + r * ldc, 1);
                __builtin_prefetch(place + r * ldc + GEMM_WIDE / 2, 1);
            }
            tiles[n - p * GEMM_WIDE <= GEMM_WIDE / 2][end - begin](k, a + begin * lda, lda, panels + p * panel_size,
                                                                   accumulate, place, ldc);
        }
    }
}

void gemm_panel(int rows, int k, const float *a, int64_t lda, const float *panel, int columns, bool accumulate,
                float *c, int64_t ldc)
{
    for (int begin = 0; begin < k; begin += GEMM_KC) {
        int part = k - begin < GEMM_KC ? k - begin : GEMM_KC;
        rows_times_panels(rows, part, a + begin, lda, panel + (int64_t)begin * GEMM_WIDE, 0,
                          columns < GEMM_WIDE ? columns : GEMM_WIDE, accumulate || begin, c, ldc);
    }
}

/* 8 x 8 blocks through registers: w's rows are the panel's columns. */
typedef float octet __attribute__((vector_size(32), may_alias, aligned(4)));

static void transpose_octet(const float *from, int64_t stride, float *to)
{
    octet row[8], pair[8], quad[8];
    for (int i = 0; i < 8; i++)
        row[i] = *(const octet *)(from + i * stride);
    for (int i = 0; i < 8; i += 2) {
        pair[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pair[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            quad[i + 2 * j] = __builtin_shufflevector(pair[i + j], pair[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            quad[i + 2 * j + 1] = __builtin_shufflevector(pair[i + j], pair[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int j = 0; j < 4; j++) {
        *(octet *)(to + j * GEMM_WIDE) = __builtin_shufflevector(quad[j], quad[4 + j], 0, 1, 2, 3, 8, 9, 10, 11);
        *(octet *)(to + (j + 4) * GEMM_WIDE) =
            __builtin_shufflevector(quad[j], quad[4 + j], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static void pack_transposed(const float *w, int64_t ldw, int k, int columns, float *panel)
{
    int whole_k = k / 8 * 8, whole_columns = columns / 8 * 8;
    for (int i = 0; i < whole_k; i += 8)
        for (int j = 0; j < whole_columns; j += 8)
            transpose_octet(w + j * ldw + i, ldw, panel + i * GEMM_WIDE + j);
    for (int i = 0; i < k; i++)
        for (int j = i < whole_k ? whole_columns : 0; j < columns; j++)
            panel[i * GEMM_WIDE + j] = w[j * ldw + i];
}

void gemm_pack_panel(const float *w, int64_t ldw, bool transposed, int k, int n, int column, float *panel)
{
    int columns = n - column < GEMM_WIDE ? n - column : GEMM_WIDE;
    if (columns < GEMM_WIDE)
        memset(panel, 0, sizeof *panel * k * GEMM_WIDE);
    if (transposed)
        pack_transposed(w + column * ldw, ldw, k, columns, panel);
    else
        for (int i = 0; i < k; i++)
            memcpy(panel + i * GEMM_WIDE, w + i * ldw + column, sizeof *panel * columns);
}

size_t gemm_packed(int k, int n)
{
    return (size_t)gemm_round(n) * k;
}

struct packing {
    const float *w;
    int64_t ldw;
    bool transposed;
    int k, n;
    float *packed;
};

static void pack_panels(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct packing *work = context;
    for (int64_t p = begin; p < end; p++)
        gemm_pack_panel(work->w, work->ldw, work->transposed, work->k, work->n, (int)p * GEMM_WIDE,
                        work->packed + p * work->k * GEMM_WIDE);
}

void gemm_pack(const float *w, int64_t ldw, bool transposed, int k, int n, float *packed, int threads)
{
    struct packing work = {w, ldw, transposed, k, n, packed};
    team_share(threads, gemm_round(n) / GEMM_WIDE, 8 * (int64_t)k * n, pack_panels, &work);
}

/* ---- rows times weights, over all threads ---- */

size_t gemm_scratch(void)
{
    return (size_t)GEMM_GROUP * GEMM_KC * GEMM_WIDE;
}

#define PACKED_ROWS 16 /* of a product take as long as packing its weights */

/* The share of a grid of row threads x column threads: as square as balance allows. */
struct share {
    int row_begin, row_end, panel_begin, panel_end;
};

static struct share share_of(int rows, int panels, int thread, int threads)
{
    int best_columns = 1;
    int64_t best_cost = INT64_MAX;
    for (int columns = 1; columns <= threads && columns <= panels; columns++) {
        if (threads % columns)
            continue;
        int row_threads = threads / columns;
        int64_t share_rows = (rows + row_threads - 1) / row_threads, share_panels = (panels + columns - 1) / columns;
        int64_t cost = share_panels * (share_rows + PACKED_ROWS);
        if (cost < best_cost)
            best_cost = cost, best_columns = columns;
    }
    int row_threads = threads / best_columns, row = thread / best_columns, column = thread % best_columns;
    return (struct share){(int)((int64_t)rows * row / row_threads), (int)((int64_t)rows * (row + 1) / row_threads),
                          (int)((int64_t)panels * column / best_columns),
                          (int)((int64_t)panels * (column + 1) / best_columns)};
}

static void rows_part(const struct gemm_operand *operand, struct share share, int n, float *c, int64_t ldc,
                      float *scratch)
{
    int rows = share.row_end - share.row_begin;
    bool accumulate = false;
    for (int s = 0; s < operand->segments; s++)
        for (int begin = 0; begin < operand->segment[s].k; begin += GEMM_KC) {
            int whole = operand->segment[s].k, k = whole - begin < GEMM_KC ? whole - begin : GEMM_KC;
            const float *a = operand->segment[s].a + share.row_begin * operand->lda + begin;
            const float *w = operand->segment[s].w;
            for (int first = share.panel_begin; first < share.panel_end; first += GEMM_GROUP) {
                int last = first + GEMM_GROUP < share.panel_end ? first + GEMM_GROUP : share.panel_end;
                int columns = (last * GEMM_WIDE < n ? last * GEMM_WIDE : n) - first * GEMM_WIDE;
                float *out = c + share.row_begin * ldc + first * GEMM_WIDE;
                if (operand->packed) {
                    rows_times_panels(rows, k, a, operand->lda, w + ((size_t)first * whole + begin) * GEMM_WIDE,
                                      (size_t)whole * GEMM_WIDE, columns, accumulate, out, ldc);
                    continue;
                }
                const float *block = w + (operand->transposed ? begin : begin * operand->ldw);
                for (int p = first; p < last; p++)
                    gemm_pack_panel(block, operand->ldw, operand->transposed, k, n, p * GEMM_WIDE,
                                    scratch + (size_t)(p - first) * k * GEMM_WIDE);
                rows_times_panels(rows, k, a, operand->lda, scratch, (size_t)k * GEMM_WIDE, columns, accumulate, out,
                                  ldc);
            }
            accumulate = true;
        }
}

struct product {
    const struct gemm_operand *operand;
    int rows, n;
    float *c;
    int64_t ldc;
    float *scratch;
};

static void multiply_share(void *context, const struct team_member *me)
{
    const struct product *work = context;
    struct share share = share_of(work->rows, gemm_round(work->n) / GEMM_WIDE, me->thread, me->threads);
    rows_part(work->operand, share, work->n, work->c, work->ldc, work->scratch + (size_t)me->thread * gemm_scratch());
}

void gemm_rows(const struct gemm_operand *operand, int rows, int n, float *c, int64_t ldc, float *scratch, int threads)
{
    struct product work = {operand, rows, n, c, ldc, scratch};
    int64_t k = 0;
    for (int s = 0; s < operand->segments; s++)
        k += operand->segment[s].k;
    team_run(threads, 2 * k * n * (rows + (operand->packed ? 0 : PACKED_ROWS)), multiply_share, &work);
}
