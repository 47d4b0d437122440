#include <omp.h>
#include <string.h>

#include "unroll/base/status.h"
#include "unroll/nn/gemm.h"

int gemm_sum_rows(const struct gemm_sum *sum)
{
    return (sum->group_lane[sum->node.end - sum->group0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
}

/* Packs columns [column, column + width) of all rows of the sum, group after group, time step after time step: the order in
 * which they are added. [rows][width], zero beyond `n`. */
static void pack(const struct gemm_sum *sum, struct gemm_lanes x, int n, int column, int width, float *packed)
{
    int columns = n - column < width ? n - column : width;
    for (int g = sum->node.begin; g < sum->node.end; g++) {
        int lane_begin = sum->group_lane[g - sum->group0], lane_end = sum->group_lane[g - sum->group0 + 1];
        for (int t = 0; t < sum->T; t++)
            for (int lane = lane_begin; lane < lane_end; lane++, packed += width) {
                const float *row = x.base + t * x.time_stride + lane * x.lane_stride + column;
                memcpy(packed, row, sizeof *packed * columns);
                if (columns < width)
                    memset(packed + columns, 0, sizeof *packed * (width - columns));
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
        pack(sum, b, n, p * tile->wide, tile->wide, packed_b + (size_t)p * rows * tile->wide);
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

static void multiply(const struct tile_sum *work, int row_begin, int row_end, float *c)
{
    const struct blas_tile *tile = work->tile;
    for (int row = row_begin; row < row_end; row += tile->kc) {
        int k = row_end - row < tile->kc ? row_end - row : tile->kc;
        blas_tile_multiply(tile, k, work->a + (int64_t)row * tile->narrow, work->b + (int64_t)row * tile->wide,
                           row > row_begin, c, tile->wide);
    }
}

/* level[0] = the sum over `node`; level[1], ... are the deeper partial sums. */
static void sum_node(const struct tile_sum *work, struct lane_node node, float *level)
{
    const struct gemm_sum *sum = work->sum;
    if (node.end - node.begin == 1) {
        const int *lane = sum->group_lane + node.begin - sum->group0;
        int first = sum->group_lane[sum->node.begin - sum->group0];
        multiply(work, (lane[0] - first) * sum->T, (lane[1] - first) * sum->T, level);
        return;
    }
    int size = work->tile->narrow * work->tile->wide, middle = lane_node_middle(node.begin, node.end);
    float *right = level + size;
    sum_node(work, (struct lane_node){node.begin, middle}, level);
    sum_node(work, (struct lane_node){middle, node.end}, right);
    for (int i = 0; i < size; i++)
        level[i] += right[i];
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
    for (int i = first; i < last; i++)
        pack(sum, work.a, work.m, i * tile->narrow, tile->narrow, packed_a + (i - first) * panel_size);
    for (int p = panel_begin; p < panel_end; p++)
        for (int i = first; i < last; i++) {
            work.tile_sum.a = packed_a + (i - first) * panel_size;
            work.tile_sum.b = work.packed_b + (size_t)p * work.rows * tile->wide;
            if (sum->exact)
                sum_node(&work.tile_sum, sum->node, levels);
            else
                multiply(&work.tile_sum, 0, work.rows, levels);
            int row = i * tile->narrow, column = p * tile->wide;
            store_tile(levels, tile->wide, work.m - row < tile->narrow ? work.m - row : tile->narrow,
                       work.n - column < tile->wide ? work.n - column : tile->wide, work.add,
                       work.c + row * work.ldc + column, work.ldc);
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
