#include <omp.h>
#include <string.h>

#include "unroll/base/status.h"
#include "unroll/base/tuning.h"
#include "unroll/nn/gemm.h"

int gemm_sum_rows(const struct gemm_sum *sum)
{
    return (sum->group_lane[sum->node.end - sum->group0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
}

/* Copies row after row of `panels` panels that stand side by side, `width` columns each: to[panel][row][width]. A constant
 * `width` makes each copy a few registers. */
static inline __attribute__((always_inline)) float *pack_rows(const float *row, int64_t stride, int rows, int panels,
                                                              size_t panel_size, const int width, float *to)
{
    for (int r = 0; r < rows; r++, row += stride, to += width)
        for (int p = 0; p < panels; p++)
            memcpy(to + p * panel_size, row + p * width, sizeof *to * width);
    return to;
}

static float *pack_whole(const float *row, int64_t stride, int rows, int panels, size_t panel_size, int width,
                         float *to)
{
    switch (width) { /* those of BLIS's micro-kernels */
    case 6:
        return pack_rows(row, stride, rows, panels, panel_size, 6, to);
    case 12:
        return pack_rows(row, stride, rows, panels, panel_size, 12, to);
    case 16:
        return pack_rows(row, stride, rows, panels, panel_size, 16, to);
    case 32:
        return pack_rows(row, stride, rows, panels, panel_size, 32, to);
    default:
        return pack_rows(row, stride, rows, panels, panel_size, width, to);
    }
}

/* The last panel of all, when n does not fill it. */
static float *pack_narrow(const float *row, int64_t stride, int rows, int columns, int width, float *to)
{
    for (int r = 0; r < rows; r++, row += stride, to += width) {
        memcpy(to, row, sizeof *to * columns);
        memset(to + columns, 0, sizeof *to * (width - columns));
    }
    return to;
}

/* Packs `panels` panels of `width` columns, from `column` on, of all rows of the sum, group after group, time step after time
 * step: the order in which they are added. [panels][rows][width], zero beyond `n`. */
static void pack(const struct gemm_sum *sum, struct gemm_lanes x, int n, int column, int width, int panels,
                 float *packed)
{
    size_t panel_size = (size_t)gemm_sum_rows(sum) * width;
    int whole = column + panels * width <= n ? panels : panels - 1;
    float *to = packed, *last = packed + whole * panel_size;
    for (int g = sum->node.begin; g < sum->node.end; g++) {
        int lane_begin = sum->group_lane[g - sum->group0], lanes = sum->group_lane[g - sum->group0 + 1] - lane_begin;
        for (int t = 0; t < sum->T; t++) {
            const float *row = x.base + t * x.time_stride + lane_begin * x.lane_stride + column;
            to = pack_whole(row, x.lane_stride, lanes, whole, panel_size, width, to);
            if (whole < panels)
                last = pack_narrow(row + whole * width, x.lane_stride, lanes, n - column - whole * width, width, last);
        }
    }
}

size_t gemm_gradient_packed(const struct blas_tile *tile, int n, int rows)
{
    return (size_t)(n + tile->wide - 1) / tile->wide * tile->wide * rows;
}

void gemm_gradient_pack(const struct blas_tile *tile, const struct gemm_sum *sum, struct gemm_lanes b, int n,
                        float *packed_b, int threads)
{
    int panels = (n + tile->wide - 1) / tile->wide, rows = gemm_sum_rows(sum);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int p = 0; p < panels; p++)
        pack(sum, b, n, p * tile->wide, tile->wide, 1, packed_b + (size_t)p * rows * tile->wide);
}

void gemm_gradient_clear(const struct blas_tile *tile, const struct gemm_sum *sum, const uint8_t *marks, int lanes,
                         int n, float *packed_b)
{
    int panels = (n + tile->wide - 1) / tile->wide, row = 0;
    size_t panel_size = (size_t)gemm_sum_rows(sum) * tile->wide;
    for (int g = sum->node.begin - sum->group0; g < sum->node.end - sum->group0; g++)
        for (int t = 0; t < sum->T; t++)
            for (int lane = sum->group_lane[g]; lane < sum->group_lane[g + 1]; lane++, row++)
                for (int p = 0; marks[t * lanes + lane] && p < panels; p++)
                    memset(packed_b + p * panel_size + (size_t)row * tile->wide, 0, sizeof *packed_b * tile->wide);
}

#define TREE_DEPTH_MAX 32
#define SLAB_PANELS 4 /* narrow panels packed at once by a thread */

size_t gemm_gradient_scratch(const struct blas_tile *tile, int rows)
{
    return VROUND((size_t)SLAB_PANELS * tile->narrow * rows) + TREE_DEPTH_MAX * BLAS_NARROW_MAX * BLAS_WIDE_MAX;
}

/* One tile of the result: what walks the lane tree. */
struct tile_sum {
    const struct blas_tile *tile;
    const struct gemm_sum *sum;
    const float *a, *b; /* packed panels */
};

static void multiply(const struct tile_sum *work, int row_begin, int row_end, bool add, float *c)
{
    const struct blas_tile *tile = work->tile;
    for (int row = row_begin; row < row_end; row += tile->kc) {
        int k = row_end - row < tile->kc ? row_end - row : tile->kc;
        blas_tile_multiply(tile, k, work->a + (int64_t)row * tile->narrow, work->b + (int64_t)row * tile->wide,
                           add || row > row_begin, c, tile->wide);
    }
}

static void add_tile(float *restrict to, const float *restrict from, int size)
{
    for (int i = 0; i < size; i++)
        to[i] += from[i];
}

/* level[0] = the sum over `node`, or with `add` added to it; level[1], ... are the deeper partial sums. The micro-kernel adds to its result what it has
 * summed in registers: a right leaf of one call needs no partial sum. */
static void sum_node(const struct tile_sum *work, struct lane_node node, bool add, float *level)
{
    const struct gemm_sum *sum = work->sum;
    int size = work->tile->narrow * work->tile->wide;
    if (node.end - node.begin == 1) {
        const int *lane = sum->group_lane + node.begin - sum->group0;
        int first = (lane[0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
        int rows = (lane[1] - lane[0]) * sum->T;
        if (add && rows > work->tile->kc) {
            multiply(work, first, first + rows, false, level + size);
            add_tile(level, level + size, size);
        } else {
            multiply(work, first, first + rows, add, level);
        }
        return;
    }
    int middle = lane_node_middle(node.begin, node.end);
    float *to = add ? level + size : level;
    sum_node(work, (struct lane_node){node.begin, middle}, false, to);
    sum_node(work, (struct lane_node){middle, node.end}, true, to);
    if (add)
        add_tile(level, to, size);
}

/* The tile's place in the result, fetched while the tile is computed. */
static void prefetch_tile(int rows, int columns, float *to, int64_t ldc)
{
    for (int r = 0; TUNE_PREFETCH && r < rows; r++)
        for (int j = 0; j < columns; j += 16)
            __builtin_prefetch(to + r * ldc + j, 1);
}

static void store_tile(const float *from, int wide, int rows, int columns, bool add, float *to, int64_t ldc)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < columns; j++)
            to[r * ldc + j] = add ? to[r * ldc + j] + from[r * wide + j] : from[r * wide + j];
}

struct gradient {
    struct tile_sum tile_sum;
    struct gemm_lanes a;
    int m, n, rows;
    const float *packed_b;
    bool add;
    float *c;
    int64_t ldc;
};

/* The tiles of rows [first, last) panels of A by the wide panels [panel_begin, panel_end). */
static void gradient_slab(struct gradient work, int first, int last, int panel_begin, int panel_end, float *packed_a,
                          float *levels)
{
    const struct blas_tile *tile = work.tile_sum.tile;
    const struct gemm_sum *sum = work.tile_sum.sum;
    size_t panel_size = (size_t)work.rows * tile->narrow;
    pack(sum, work.a, work.m, first * tile->narrow, tile->narrow, last - first, packed_a);
    for (int p = panel_begin; p < panel_end; p++)
        for (int i = first; i < last; i++) {
            work.tile_sum.a = packed_a + (i - first) * panel_size;
            work.tile_sum.b = work.packed_b + (size_t)p * work.rows * tile->wide;
            int row = i * tile->narrow, rows = work.m - row < tile->narrow ? work.m - row : tile->narrow;
            int column = p * tile->wide, columns = work.n - column < tile->wide ? work.n - column : tile->wide;
            float *c = work.c + row * work.ldc + column;
            prefetch_tile(rows, columns, c, work.ldc);
            if (sum->exact)
                sum_node(&work.tile_sum, sum->node, false, levels);
            else
                multiply(&work.tile_sum, 0, work.rows, false, levels);
            store_tile(levels, tile->wide, rows, columns, work.add, c, work.ldc);
        }
}

void gemm_gradient(const struct blas_tile *tile, const struct gemm_sum *sum, struct gemm_lanes a, int m,
                   const float *packed_b, int n, bool add, float *c, int64_t ldc, float *scratch, int threads)
{
    int rows = gemm_sum_rows(sum);
    struct gradient work = {{tile, sum, NULL, NULL}, a, m, n, rows, packed_b, add, c, ldc};
    int a_panels = (m + tile->narrow - 1) / tile->narrow, b_panels = (n + tile->wide - 1) / tile->wide;
    int slabs = (a_panels + SLAB_PANELS - 1) / SLAB_PANELS;
    /* few slabs for many threads: smaller slabs, and columns shared out too */
    int slab_panels = slabs >= 2 * threads ? SLAB_PANELS : (a_panels + 2 * threads - 1) / (2 * threads);
    if (slab_panels > SLAB_PANELS)
        slab_panels = SLAB_PANELS;
    slabs = (a_panels + slab_panels - 1) / slab_panels;
    int column_parts = slabs >= threads ? 1 : (threads + slabs - 1) / slabs;
    if (column_parts > b_panels)
        column_parts = b_panels;
    size_t share = gemm_gradient_scratch(tile, rows);
#pragma omp parallel num_threads(threads)
    {
        float *levels = scratch + omp_get_thread_num() * share;
        float *packed_a = levels + TREE_DEPTH_MAX * BLAS_NARROW_MAX * BLAS_WIDE_MAX;
#pragma omp for schedule(dynamic)
        for (int item = 0; item < slabs * column_parts; item++) {
            int slab = item / column_parts, part = item % column_parts;
            int last = (slab + 1) * slab_panels < a_panels ? (slab + 1) * slab_panels : a_panels;
            gradient_slab(work, slab * slab_panels, last, (int)((int64_t)b_panels * part / column_parts),
                          (int)((int64_t)b_panels * (part + 1) / column_parts), packed_a, levels);
        }
    }
}

/* ---- sums of rows ---- */

static void bias_chain(const struct gemm_sum *sum, struct gemm_lanes a, int lane_begin, int lane_end, int columns,
                       float *total)
{
    for (int j = 0; j < columns; j++)
        total[j] = 0;
    for (int t = 0; t < sum->T; t++)
        for (int lane = lane_begin; lane < lane_end; lane++) {
            const float *row = a.base + t * a.time_stride + lane * a.lane_stride;
            for (int j = 0; j < columns; j++)
                total[j] += row[j];
        }
}

#define BIAS_COLUMNS 256

static void bias_node(const struct gemm_sum *sum, struct gemm_lanes a, struct lane_node node, int columns,
                      float (*level)[BIAS_COLUMNS])
{
    const int *lane = sum->group_lane - sum->group0;
    if (node.end - node.begin == 1 || !sum->exact) {
        bias_chain(sum, a, lane[node.begin], lane[node.end], columns, level[0]);
        return;
    }
    int middle = lane_node_middle(node.begin, node.end);
    bias_node(sum, a, (struct lane_node){node.begin, middle}, columns, level);
    bias_node(sum, a, (struct lane_node){middle, node.end}, columns, level + 1);
    for (int j = 0; j < columns; j++)
        level[0][j] += level[1][j];
}

void gemm_gradient_bias(const struct gemm_sum *sum, struct gemm_lanes a, int m, bool add, float *c, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int column = 0; column < m; column += BIAS_COLUMNS) {
        float level[TREE_DEPTH_MAX][BIAS_COLUMNS];
        int columns = m - column < BIAS_COLUMNS ? m - column : BIAS_COLUMNS;
        bias_node(sum, (struct gemm_lanes){a.base + column, a.time_stride, a.lane_stride}, sum->node, columns, level);
        for (int j = 0; j < columns; j++)
            c[column + j] = add ? c[column + j] + level[0][j] : level[0][j];
    }
}
