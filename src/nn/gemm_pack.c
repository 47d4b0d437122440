/* Packs rows of a sum into panels of a weight gradient. Floats are copied where they go. Numbers of bf16 pass through a
 * stage of GEMM_STAGED rows, from which each kind of tiles packs in its own way. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "unroll/base/bf16.h"
#include "unroll/base/status.h"
#include "unroll/base/tuning.h"

int gemm_group_rows(const struct gemm_sum *sum, int group)
{
    const int *lane = sum->group_lane + group - sum->group0;
    return (lane[1] - lane[0]) * sum->T;
}

int gemm_sum_rows(const struct gemm_sum *sum)
{
    return (sum->group_lane[sum->node.end - sum->group0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
}

int gemm_packed_rows(const struct gemm *gemm, const struct gemm_sum *sum)
{
    int multiple = gemm->kind->tiles->rows, rows = 0;
    if (multiple == 1 || !sum->exact)
        return gemm_round_up(gemm_sum_rows(sum), multiple);
    for (int g = sum->node.begin; g < sum->node.end; g++)
        rows += gemm_round_up(gemm_group_rows(sum, g), multiple);
    return rows;
}

int64_t gemm_packed_rows_most(const struct gemm *gemm, int groups, int rows)
{
    return rows + (int64_t)groups * (gemm->kind->tiles->rows - 1);
}

#define CHUNK 16 /* bf16 numbers that are staged at once: they stand side by side in any view */
#define BF16_BYTES ((int64_t)sizeof(uint16_t))
#define LINE 16 /* floats of a line of the cache */
#define AHEAD 8 /* rows that are fetched before they are staged */
/* Of a row of the stage: the columns of a slab, the beginning of the first chunk, and 16 that may be read beyond. */
#define STAGE_COLUMNS (96 + 2 * CHUNK + CHUNK)

_Static_assert(GEMM_WIDE % CHUNK == 0, "a chunk lies in one block of a view");

struct packer {
    const struct gemm_tiles *tiles;
    const struct gemm_slab *slab;
    int columns, whole;                   /* all of the slab's; panels that lie in x as a whole */
    size_t row_bytes, panel_bytes;        /* of a panel */
    int row;                              /* rows packed so far */
    int64_t ahead;                        /* bytes to a row that comes later in the group */
    int chunks, rest;                     /* whole ones; numbers of the last one, or zero */
    int64_t chunk[STAGE_COLUMNS / CHUNK]; /* bytes from a row's beginning */
    int staged;
    uint16_t stage[GEMM_STAGED][STAGE_COLUMNS] __attribute__((aligned(64)));
};

/* ---- floats ---- */

/* Copies row after row of `panels` panels that stand side by side, `width` columns each: to[panel][row][width]; and
 * adds them up in `total`, unless that is NULL. `ahead`: floats to a row that comes later; it is fetched. A constant
 * `width` makes each copy a few registers. */
static inline __attribute__((always_inline)) float *pack_rows(const float *row, int64_t stride, int rows, int panels,
                                                              size_t panel_size, const int width, float *to,
                                                              float *restrict total, int64_t ahead)
{
    for (int r = 0; r < rows; r++, row += stride, to += width)
        for (int p = 0; p < panels; p++) {
            for (int j = 0; TUNE_PREFETCH && j < width; j += LINE)
                __builtin_prefetch(row + ahead + p * width + j);
            memcpy(to + p * panel_size, row + p * width, sizeof *to * width);
            for (int j = 0; total && j < width; j++)
                total[p * width + j] += row[p * width + j];
        }
    return to;
}

static float *pack_whole(const float *row, int64_t stride, int rows, int panels, size_t panel_size, int width,
                         float *to, float *total, int64_t ahead)
{
    switch (width) { /* those of BLIS's micro-kernels */
    case 6:
        return pack_rows(row, stride, rows, panels, panel_size, 6, to, total, ahead);
    case 12:
        return pack_rows(row, stride, rows, panels, panel_size, 12, to, total, ahead);
    case 16:
        return pack_rows(row, stride, rows, panels, panel_size, 16, to, total, ahead);
    case 32:
        return pack_rows(row, stride, rows, panels, panel_size, 32, to, total, ahead);
    default:
        return pack_rows(row, stride, rows, panels, panel_size, width, to, total, ahead);
    }
}

/* The last panel of all, when n does not fill it. */
static float *pack_narrow(const float *row, int64_t stride, int rows, int columns, int width, float *to, float *total)
{
    for (int r = 0; r < rows; r++, row += stride, to += width) {
        memcpy(to, row, sizeof *to * columns);
        memset(to + columns, 0, sizeof *to * (width - columns));
        for (int j = 0; total && j < columns; j++)
            total[j] += row[j];
    }
    return to;
}

static void put_floats(struct packer *packer, const char *from, int64_t stride, int rows, float *chain)
{
    const struct gemm_slab *slab = packer->slab;
    const float *row = (const float *)from + slab->column;
    int width = slab->width, whole = packer->whole;
    size_t panel_size = packer->panel_bytes / sizeof *row;
    float *to = (float *)slab->packed + (size_t)packer->row * width;
    stride /= (int64_t)sizeof *row;
    pack_whole(row, stride, rows, whole, panel_size, width, to, chain, packer->ahead / (int64_t)sizeof *row);
    if (whole < slab->panels)
        pack_narrow(row + whole * width, stride, rows, slab->n - slab->column - whole * width, width,
                    to + whole * panel_size, chain ? chain + whole * width : NULL);
    packer->row += rows;
}

/* ---- numbers of bf16 ---- */

/* Packs what is staged, and zero rows up to what a chain must be a multiple of. */
static void pack_staged(struct packer *packer)
{
    const struct gemm_slab *slab = packer->slab;
    int rows = gemm_round_up(packer->staged, packer->tiles->rows);
    memset(packer->stage[packer->staged], 0, sizeof packer->stage[0] * (size_t)(rows - packer->staged));
    for (int p = 0; rows && p < slab->panels; p++)
        packer->tiles->pack(packer->stage[0] + slab->column % CHUNK + p * slab->width, STAGE_COLUMNS, rows,
                            slab->narrow, packer->row, (char *)slab->packed + p * packer->panel_bytes);
    packer->row += rows;
    packer->staged = 0;
}

/* Where the slab's chunks stand in a row. Beyond number n of the row the stage stays zero. */
static void find_chunks(struct packer *packer)
{
    const struct gemm_slab *slab = packer->slab;
    int column = slab->column / CHUNK * CHUNK, end = slab->column + packer->columns;
    packer->chunks = packer->rest = 0;
    for (; column < end && column < slab->n; column += CHUNK) {
        packer->chunk[packer->chunks] = column / GEMM_WIDE * slab->x.block + column % GEMM_WIDE * BF16_BYTES;
        if (slab->n - column < CHUNK)
            packer->rest = slab->n - column;
        else
            packer->chunks++;
    }
}

/* ahead: how far the row stands that comes some rows later; it is fetched. */
static void stage_row(const struct packer *packer, const char *row, int64_t ahead, uint16_t *to)
{
    int i = 0;
    for (; i < packer->chunks; i++, to += CHUNK) {
        const char *from = row + packer->chunk[i];
        if (TUNE_PREFETCH)
            __builtin_prefetch(from + ahead);
        memcpy(to, from, CHUNK * BF16_BYTES);
    }
    if (packer->rest)
        memcpy(to, row + packer->chunk[i], (size_t)packer->rest * BF16_BYTES);
}

static void put_rounded(struct packer *packer, const char *from, int64_t stride, int rows, float *chain)
{
    int skip = packer->slab->column % CHUNK;
    for (int r = 0; r < rows; r++, from += stride) {
        uint16_t *staged = packer->stage[packer->staged];
        stage_row(packer, from, packer->ahead, staged);
        if (chain)
            bf16_add_row(staged + skip, packer->columns, chain);
        if (++packer->staged == GEMM_STAGED)
            pack_staged(packer);
    }
}

/* ---- all rows ---- */

typedef void put_function(struct packer *, const char *, int64_t, int, float *);

/* The rows of a group, from `total` zero on. block: for its blocks, where there are several. */
static void put_group(struct packer *packer, put_function *put, int group, float *total, float *block)
{
    const struct gemm_sum *sum = packer->slab->sum;
    const struct gemm_lanes *x = &packer->slab->x;
    const int *lane_of = sum->group_lane + group - sum->group0;
    bool one_block = gemm_group_rows(sum, group) <= GEMM_KC;
    float *chain = one_block ? total : block;
    int filled = 0, lanes = lane_of[1] - lane_of[0]; /* rows of the block; of a time step */
    packer->ahead = lanes > AHEAD ? AHEAD * x->lane_stride : AHEAD / (lanes ? lanes : 1) * x->time_stride;
    for (int t = 0; t < sum->T; t++)
        for (int lane = lane_of[0], rows; lane < lane_of[1]; lane += rows) {
            rows = lane_of[1] - lane < GEMM_KC - filled ? lane_of[1] - lane : GEMM_KC - filled;
            put(packer, (const char *)x->base + t * x->time_stride + lane * x->lane_stride, x->lane_stride, rows,
                chain);
            filled = (filled + rows) % GEMM_KC;
            if (total && !one_block && filled == 0)
                gemm_end_block(total, chain, packer->columns);
        }
    if (total && !one_block)
        gemm_end_block(total, chain, packer->columns);
}

void gemm_pack_slab(const struct gemm *gemm, const struct gemm_slab *slab, float *totals)
{
    const struct gemm_sum *sum = slab->sum;
    struct packer packer;
    packer.tiles = gemm->kind->tiles;
    packer.slab = slab;
    packer.columns = slab->panels * slab->width;
    packer.whole = slab->column + packer.columns <= slab->n ? slab->panels : slab->panels - 1;
    packer.row_bytes = packer.tiles->number_bytes * (size_t)slab->width;
    packer.panel_bytes = packer.row_bytes * (size_t)gemm_packed_rows(gemm, sum);
    packer.row = packer.staged = 0;
    int groups = sum->node.end - sum->node.begin;
    if (totals)
        memset(totals, 0, sizeof *totals * (size_t)((groups + 1) * packer.columns));
    if (packer.tiles->pack) {
        CHECK(packer.columns <= STAGE_COLUMNS - 3 * CHUNK);
        memset(packer.stage, 0, sizeof packer.stage);
        find_chunks(&packer);
    }
    for (int g = 0; g < groups; g++) {
        put_group(&packer, packer.tiles->pack ? put_rounded : put_floats, sum->node.begin + g,
                  totals ? totals + g * packer.columns : NULL, totals ? totals + groups * packer.columns : NULL);
        if (sum->exact)
            pack_staged(&packer);
    }
    pack_staged(&packer);
}
