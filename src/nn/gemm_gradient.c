/* Weight gradients: every tile is summed up the lane tree and stored once. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

#define SLAB_BYTES 192 /* of a row of A that a thread packs at once: as many whole panels as fit, or one */

static int slab_panels_max(const struct gemm *gemm, int width)
{
    int columns = SLAB_BYTES / (int)gemm->kind->tiles->number_bytes;
    return width < columns ? columns / width : 1;
}

static int slab_columns_max(const struct gemm *gemm)
{
    int columns = SLAB_BYTES / (int)gemm->kind->tiles->number_bytes, wide = gemm_wide(gemm);
    return wide > columns ? wide : columns;
}

/* Sums of the rows of each group, and of the current block. */
static size_t totals_size(const struct gemm *gemm, int groups)
{
    return VROUND((size_t)slab_columns_max(gemm) * ((size_t)groups + 1));
}

#define LEVELS_SIZE (GEMM_TREE_DEPTH_MAX * BLAS_NARROW_MAX * BLAS_WIDE_MAX) /* floats of partial sums of a tile */

/* Of a thread: partial sums of a tile, sums of rows, packed panels. */
size_t gemm_gradient_scratch_bytes(const struct gemm *gemm, int groups, int rows)
{
    size_t packed = gemm->kind->tiles->number_bytes * (size_t)slab_columns_max(gemm) *
                    (size_t)gemm_packed_rows_most(gemm, groups, rows);
    return sizeof(float) * (LEVELS_SIZE + totals_size(gemm, groups)) + (packed + 63) / 64 * 64;
}

/* One tile of the result: what walks the lane tree. */
struct tile_sum {
    const struct gemm *gemm;
    const struct gemm_sum *sum;
    const char *narrow, *wide;       /* packed panels, from the next group's first row on */
    size_t narrow_bytes, wide_bytes; /* of their rows */
    int size;
};

/* The next k rows. Where a group has none, what is added is zero: that makes a -0 what it is when another rank adds it.
 */
static void multiply(struct tile_sum *work, int k, bool add, float *c)
{
    for (int i = 0; k == 0 && i < work->size; i++)
        c[i] = add ? c[i] + 0.0f : 0.0f;
    if (k == 0)
        return;
    work->gemm->kind->tiles->multiply(work->gemm, k, work->narrow, work->wide, add, c);
    work->narrow += k * work->narrow_bytes;
    work->wide += k * work->wide_bytes;
}

static void add_tile(float *restrict to, const float *restrict from, int size)
{
    for (int i = 0; i < size; i++)
        to[i] += from[i];
}

/* Adds up the groups' sums of rows along the tree; the sum over `node` ends where its first group's was. */
static float *add_totals(float *totals, int columns, int first, struct lane_node node)
{
    if (node.end - node.begin == 1)
        return totals + (size_t)(node.begin - first) * columns;
    int middle = lane_node_middle(node.begin, node.end);
    float *left = add_totals(totals, columns, first, (struct lane_node){node.begin, middle});
    add_tile(left, add_totals(totals, columns, first, (struct lane_node){middle, node.end}), columns);
    return left;
}

/* level[0] = the sum over `node`, or with `add` added to it; level[1], ... are the deeper partial sums. Float32's
 * micro-kernel adds to its result what it has summed in registers: a right leaf of one block needs no partial sum. */
static void sum_node(struct tile_sum *work, struct lane_node node, bool add, float *level)
{
    int size = work->size;
    if (node.end - node.begin == 1) {
        int rows = gemm_group_rows(work->sum, node.begin);
        bool apart = add && rows > work->gemm->kind->tiles->added;
        multiply(work, gemm_round_up(rows, work->gemm->kind->tiles->rows), add && !apart, apart ? level + size : level);
        if (apart)
            add_tile(level, level + size, size);
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

/* The same of a turned tile: its columns are rows of the result. */
static void store_turned(const float *from, int wide, int rows, int columns, bool add, float *to, int64_t ldc)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < columns; j++)
            to[r * ldc + j] = add ? to[r * ldc + j] + from[j * wide + r] : from[j * wide + r];
}

/* A product and what all its tiles share. */
struct product {
    const struct gemm *gemm;
    struct gemm_layout lay;
    int m, n, rows;          /* rows: packed ones */
    size_t a_bytes, b_bytes; /* of a packed row of a panel */
    struct gemm_gradient to;
};

static void store_bias(const struct product *work, int column, int columns, const float *total)
{
    float *bias = work->to.bias;
    for (int j = 0; j < columns && column + j < work->m; j++)
        bias[column + j] = work->to.add ? bias[column + j] + total[j] : total[j];
}

/* The tile of panel i of A, packed at `a`, and panel p of B. */
static void gradient_tile(const struct product *work, int i, const char *a, int p, float *levels)
{
    const struct gemm_factor *factor = work->to.factor;
    struct gemm_layout lay = work->lay;
    const char *b = (const char *)factor->packed + (size_t)p * (size_t)work->rows * work->b_bytes;
    int wide = gemm_wide(work->gemm);
    struct tile_sum tile_sum = {
        work->gemm, &factor->sum, a, b, work->a_bytes, work->b_bytes, lay.a_width * lay.b_width};
    if (lay.turned)
        tile_sum =
            (struct tile_sum){work->gemm, &factor->sum, b, a, work->b_bytes, work->a_bytes, lay.a_width * lay.b_width};
    int row = i * lay.a_width, rows = work->m - row < lay.a_width ? work->m - row : lay.a_width;
    int column = p * lay.b_width, columns = work->n - column < lay.b_width ? work->n - column : lay.b_width;
    float *c = work->to.c + row * work->to.ldc + column;
    prefetch_tile(rows, columns, c, work->to.ldc);
    if (factor->sum.exact)
        sum_node(&tile_sum, factor->sum.node, false, levels);
    else
        multiply(&tile_sum, work->rows, false, levels);
    (lay.turned ? store_turned : store_tile)(levels, wide, rows, columns, work->to.add, c, work->to.ldc);
}

/* The tiles of panels [first, last) of A by those [panel_begin, panel_end) of B. */
static void gradient_slab(const struct product *work, int first, int last, int panel_begin, int panel_end,
                          float *scratch)
{
    const struct gemm_sum *sum = &work->to.factor->sum;
    int a_width = work->lay.a_width, slab_columns = (last - first) * a_width;
    float *levels = scratch, *totals = levels + LEVELS_SIZE;
    char *packed_a = (char *)(totals + totals_size(work->gemm, sum->node.end - sum->node.begin));
    bool sums_rows = work->to.bias && panel_begin == 0;
    struct gemm_slab slab = {sum,     work->to.a,   work->m,           first * a_width,
                             a_width, last - first, !work->lay.turned, packed_a};
    gemm_pack_slab(work->gemm, &slab, sums_rows ? totals : NULL);
    if (sums_rows)
        store_bias(work, first * a_width, slab_columns, add_totals(totals, slab_columns, sum->node.begin, sum->node));
    for (int p = panel_begin; p < panel_end; p++)
        for (int i = first; i < last; i++)
            gradient_tile(work, i, packed_a + (size_t)(i - first) * (size_t)work->rows * work->a_bytes, p, levels);
}

/* The product in items: slabs of A's panels by parts of B's. */
struct items {
    struct product work;
    int a_panels, b_panels, slab_panels, column_parts, count;
    size_t share; /* bytes of scratch of a thread */
    char *scratch;
    struct team_counter next;
};

static void take_items(void *context, const struct team_member *me)
{
    struct items *items = context;
    for (int64_t item; (item = team_next(&items->next, 1)) < items->count;) {
        int64_t slab = item / items->column_parts, part = item % items->column_parts, parts = items->column_parts;
        int first = (int)slab * items->slab_panels, last = first + items->slab_panels;
        gradient_slab(&items->work, first, last < items->a_panels ? last : items->a_panels,
                      (int)(items->b_panels * part / parts), (int)(items->b_panels * (part + 1) / parts),
                      (float *)(items->scratch + (size_t)me->thread * items->share));
    }
}

/* Few slabs for many threads: smaller slabs, and columns shared out too. */
static void share_out(struct items *items, int threads)
{
    struct gemm_layout lay = items->work.lay;
    int m = items->work.m, n = items->work.n;
    items->a_panels = (m + lay.a_width - 1) / lay.a_width;
    items->b_panels = (n + lay.b_width - 1) / lay.b_width;
    int most = slab_panels_max(items->work.gemm, lay.a_width), slabs = (items->a_panels + most - 1) / most;
    items->slab_panels = slabs >= 2 * threads ? most : (items->a_panels + 2 * threads - 1) / (2 * threads);
    if (items->slab_panels > most)
        items->slab_panels = most;
    slabs = (items->a_panels + items->slab_panels - 1) / items->slab_panels;
    items->column_parts = slabs >= threads ? 1 : (threads + slabs - 1) / slabs;
    if (items->column_parts > items->b_panels)
        items->column_parts = items->b_panels;
    items->count = slabs * items->column_parts;
}

void gemm_gradient(const struct gemm *gemm, const struct gemm_gradient *gradient)
{
    const struct gemm_factor *factor = gradient->factor;
    size_t number = gemm->kind->tiles->number_bytes;
    int m = factor->m, n = factor->n, rows = gemm_sum_rows(&factor->sum);
    struct gemm_layout lay = gemm_layout(gemm, m, n, rows);
    struct items items = {
        .work = {gemm, lay, m, n, gemm_packed_rows(gemm, &factor->sum), number * (size_t)lay.a_width,
                 number * (size_t)lay.b_width, *gradient},
        .share = gemm_gradient_scratch_bytes(gemm, factor->sum.node.end - factor->sum.node.begin, rows),
        .scratch = gemm->gradient_scratch,
    };
    share_out(&items, gemm->threads);
    team_run(gemm->threads, 2 * (int64_t)rows * m * n, take_items, &items);
}
