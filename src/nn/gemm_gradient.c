/* Weight gradients: packs both factors, and sums every tile up the lane tree. */
#include <string.h>

#include "gemm_private.h"
#include "unroll/base/bf16.h"
#include "unroll/base/status.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

int gemm_sum_rows(const struct gemm_sum *sum)
{
    return (sum->group_lane[sum->node.end - sum->group0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
}

/* Copies row after row of `panels` panels that stand side by side, `width` columns each: to[panel][row][width]; and
 * adds them up in `total`, unless that is NULL. A constant `width` makes each copy a few registers. */
static inline __attribute__((always_inline)) float *pack_rows(const float *row, int64_t stride, int rows, int panels,
                                                              size_t panel_size, const int width, float *to,
                                                              float *restrict total)
{
    for (int r = 0; r < rows; r++, row += stride, to += width)
        for (int p = 0; p < panels; p++) {
            memcpy(to + p * panel_size, row + p * width, sizeof *to * width);
            for (int j = 0; total && j < width; j++)
                total[p * width + j] += row[p * width + j];
        }
    return to;
}

static float *pack_whole(const float *row, int64_t stride, int rows, int panels, size_t panel_size, int width,
                         float *to, float *total)
{
    switch (width) { /* those of BLIS's micro-kernels */
    case 6:
        return pack_rows(row, stride, rows, panels, panel_size, 6, to, total);
    case 12:
        return pack_rows(row, stride, rows, panels, panel_size, 12, to, total);
    case 16:
        return pack_rows(row, stride, rows, panels, panel_size, 16, to, total);
    case 32:
        return pack_rows(row, stride, rows, panels, panel_size, 32, to, total);
    default:
        return pack_rows(row, stride, rows, panels, panel_size, width, to, total);
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

/* total += chain, chain = 0. */
static void end_block(float *restrict total, float *restrict chain, int columns)
{
    for (int j = 0; j < columns; j++) {
        total[j] += chain[j];
        chain[j] = 0;
    }
}

/* Numbers [column, column + n) of a bf16 row, as floats. */
static const float *expand_row(struct gemm_lanes x, int t, int lane, int column, int n, float *to)
{
    const char *row = (const char *)x.base + t * x.time_stride + lane * x.lane_stride;
    for (int i = 0; i < n; i++)
        to[i] = bf16_expand(((const uint16_t *)(row + (column + i) / GEMM_WIDE * x.block))[(column + i) % GEMM_WIDE]);
    return to;
}

/* Packs `panels` panels of `width` columns, from `column` on, of all rows of the sum, group after group, time step
 * after time step: the order in which they are added. [panels][rows][width], zero beyond `n`. `totals`, if given:
 * the sums of the rows of each group, [groups + 1][panels * width], in blocks of GEMM_KC rows, as the products are;
 * the last is for the block. */
static void pack(const struct gemm_sum *sum, struct gemm_lanes x, bool rounded, int n, int column, int width,
                 int panels, float *packed, float *totals)
{
    size_t panel_size = (size_t)gemm_sum_rows(sum) * width;
    int whole = column + panels * width <= n ? panels : panels - 1, columns = panels * width;
    int groups = sum->node.end - sum->node.begin;
    float *to = packed, *last = packed + whole * panel_size, expanded[BLAS_WIDE_MAX];
    int64_t stride = x.lane_stride / (int64_t)sizeof(float);
    if (totals)
        memset(totals, 0, sizeof *totals * (groups + 1) * columns);
    for (int g = 0; g < groups; g++) {
        const int *lane_of = sum->group_lane + sum->node.begin + g - sum->group0;
        bool one_block = (lane_of[1] - lane_of[0]) * sum->T <= GEMM_KC;
        float *chain = totals ? totals + (one_block ? g : groups) * columns : NULL;
        int filled = 0; /* rows of the block */
        for (int t = 0; t < sum->T; t++)
            for (int lane = lane_of[0], rows; lane < lane_of[1]; lane += rows) {
                const float *row =
                    (const float *)((const char *)x.base + t * x.time_stride + lane * x.lane_stride) + column;
                rows = lane_of[1] - lane < GEMM_KC - filled ? lane_of[1] - lane : GEMM_KC - filled;
                if (rounded) {
                    rows = 1;
                    row = expand_row(x, t, lane, column, columns < n - column ? columns : n - column, expanded);
                }
                to = pack_whole(row, stride, rows, whole, panel_size, width, to, chain);
                if (whole < panels)
                    last = pack_narrow(row + whole * width, stride, rows, n - column - whole * width, width, last,
                                       chain ? chain + whole * width : NULL);
                filled = (filled + rows) % GEMM_KC;
                if (totals && !one_block && filled == 0)
                    end_block(totals + g * columns, chain, columns);
            }
        if (totals && !one_block)
            end_block(totals + g * columns, chain, columns);
    }
}

/* How a gradient's tiles lie: its rows along the tile's narrow side and its columns along the wide one, or turned,
 * where that leaves less of the last tiles empty: at 8000 x 100 by 12 x 32, and 800 rows to sum, a turned product
 * takes 7 % less of the whole step. Which factor comes first changes no bit. */
struct tile_layout {
    bool turned;
    int a_width, b_width; /* of a panel of A, and of B */
};

static int64_t round_up(int64_t n, int width)
{
    return (n + width - 1) / width * width;
}

#define STORE_TURNED 24 /* rows that a tile could sum while a turned one is stored */

static struct tile_layout choose_layout(const struct blas_tile *tile, int m, int n, int rows)
{
    int64_t straight = round_up(m, tile->narrow) * round_up(n, tile->wide) * rows;
    int64_t turned = round_up(m, tile->wide) * round_up(n, tile->narrow) * (rows + STORE_TURNED);
    return TUNE_TURN_TILES && turned < straight ? (struct tile_layout){true, tile->wide, tile->narrow}
                                                : (struct tile_layout){false, tile->narrow, tile->wide};
}

size_t gemm_factor_bytes(const struct gemm *gemm, int n, int rows)
{
    int64_t straight = round_up(n, gemm->tile.wide), turned = round_up(n, gemm->tile.narrow);
    return sizeof(float) * (size_t)(straight > turned ? straight : turned) * (size_t)rows;
}

struct packing {
    const struct gemm_factor *factor;
    int rows, width;
    bool rounded;
};

static struct packing packing_of(const struct gemm *gemm, const struct gemm_factor *factor)
{
    int rows = gemm_sum_rows(&factor->sum);
    return (struct packing){factor, rows, choose_layout(&gemm->tile, factor->m, factor->n, rows).b_width,
                            gemm->kind->number_bytes == sizeof(uint16_t)};
}

static void pack_panels(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct packing *work = context;
    const struct gemm_factor *factor = work->factor;
    for (int64_t p = begin; p < end; p++)
        pack(&factor->sum, factor->b, work->rounded, factor->n, (int)p * work->width, work->width, 1,
             (float *)factor->packed + p * work->rows * work->width, NULL);
}

void gemm_factor_pack(const struct gemm *gemm, const struct gemm_factor *factor)
{
    struct packing work = packing_of(gemm, factor);
    team_share(gemm->threads, (factor->n + work.width - 1) / work.width, 8 * (int64_t)work.rows * factor->n,
               pack_panels, &work);
}

void gemm_factor_clear(const struct gemm *gemm, const struct gemm_factor *factor, const uint8_t *marks, int lanes)
{
    const struct gemm_sum *sum = &factor->sum;
    struct packing work = packing_of(gemm, factor);
    int panels = (factor->n + work.width - 1) / work.width, row = 0;
    float *packed = factor->packed;
    size_t panel_size = (size_t)work.rows * work.width;
    for (int g = sum->node.begin - sum->group0; g < sum->node.end - sum->group0; g++)
        for (int t = 0; t < sum->T; t++)
            for (int lane = sum->group_lane[g]; lane < sum->group_lane[g + 1]; lane++, row++)
                for (int p = 0; marks[t * lanes + lane] && p < panels; p++)
                    memset(packed + p * panel_size + (size_t)row * work.width, 0, sizeof *packed * work.width);
}

#define TREE_DEPTH_MAX 32
#define SLAB_COLUMNS 48 /* of A that a thread packs at once: as many whole panels as fit, or one */

static int slab_panels_max(int width)
{
    return width < SLAB_COLUMNS ? SLAB_COLUMNS / width : 1;
}

static int slab_columns_max(const struct blas_tile *tile)
{
    return tile->wide > SLAB_COLUMNS ? tile->wide : SLAB_COLUMNS;
}

/* Sums of the rows of each group, and of the current block. */
static size_t totals_size(const struct blas_tile *tile, int groups)
{
    return VROUND((size_t)slab_columns_max(tile) * ((size_t)groups + 1));
}

/* Of a thread: partial sums of a tile, sums of rows, packed panels. */
size_t gemm_gradient_scratch_bytes(const struct gemm *gemm, int groups, int rows)
{
    return sizeof(float) * (TREE_DEPTH_MAX * BLAS_NARROW_MAX * BLAS_WIDE_MAX + totals_size(&gemm->tile, groups) +
                            VROUND((size_t)slab_columns_max(&gemm->tile) * rows));
}

/* One tile of the result: what walks the lane tree. */
struct tile_sum {
    const struct blas_tile *tile;
    const struct gemm_sum *sum;
    const float *narrow, *wide; /* packed panels */
};

static void multiply(const struct tile_sum *work, int row_begin, int row_end, bool add, float *c)
{
    const struct blas_tile *tile = work->tile;
    for (int row = row_begin; row < row_end; row += GEMM_KC) {
        int k = row_end - row < GEMM_KC ? row_end - row : GEMM_KC;
        blas_tile_multiply(tile, k, work->narrow + (int64_t)row * tile->narrow, work->wide + (int64_t)row * tile->wide,
                           add || row > row_begin, c, tile->wide);
    }
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

/* level[0] = the sum over `node`, or with `add` added to it; level[1], ... are the deeper partial sums. The
 * micro-kernel adds to its result what it has summed in registers: a right leaf of one call needs no partial sum. */
static void sum_node(const struct tile_sum *work, struct lane_node node, bool add, float *level)
{
    const struct gemm_sum *sum = work->sum;
    int size = work->tile->narrow * work->tile->wide;
    if (node.end - node.begin == 1) {
        const int *lane = sum->group_lane + node.begin - sum->group0;
        int first = (lane[0] - sum->group_lane[sum->node.begin - sum->group0]) * sum->T;
        int rows = (lane[1] - lane[0]) * sum->T;
        if (add && rows > GEMM_KC) {
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

/* The same of a turned tile: its columns are rows of the result. */
static void store_turned(const float *from, int wide, int rows, int columns, bool add, float *to, int64_t ldc)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < columns; j++)
            to[r * ldc + j] = add ? to[r * ldc + j] + from[j * wide + r] : from[j * wide + r];
}

/* A product and what all its tiles share. */
struct product {
    const struct blas_tile *tile;
    struct tile_layout lay;
    int m, n, rows;
    bool rounded;
    struct gemm_gradient to;
};

static void store_bias(const struct product *work, int column, int columns, const float *total)
{
    float *bias = work->to.bias;
    for (int j = 0; j < columns && column + j < work->m; j++)
        bias[column + j] = work->to.add ? bias[column + j] + total[j] : total[j];
}

/* The tile of panel i of A, packed at `a`, and panel p of B. */
static void gradient_tile(const struct product *work, int i, const float *a, int p, float *levels)
{
    const struct gemm_factor *factor = work->to.factor;
    struct tile_layout lay = work->lay;
    const float *b = (const float *)factor->packed + (size_t)p * work->rows * lay.b_width;
    struct tile_sum tile_sum = {work->tile, &factor->sum, lay.turned ? b : a, lay.turned ? a : b};
    int row = i * lay.a_width, rows = work->m - row < lay.a_width ? work->m - row : lay.a_width;
    int column = p * lay.b_width, columns = work->n - column < lay.b_width ? work->n - column : lay.b_width;
    float *c = work->to.c + row * work->to.ldc + column;
    prefetch_tile(rows, columns, c, work->to.ldc);
    if (factor->sum.exact)
        sum_node(&tile_sum, factor->sum.node, false, levels);
    else
        multiply(&tile_sum, 0, work->rows, false, levels);
    (lay.turned ? store_turned : store_tile)(levels, work->tile->wide, rows, columns, work->to.add, c, work->to.ldc);
}

/* The tiles of panels [first, last) of A by those [panel_begin, panel_end) of B. */
static void gradient_slab(const struct product *work, int first, int last, int panel_begin, int panel_end,
                          float *scratch)
{
    const struct gemm_sum *sum = &work->to.factor->sum;
    int a_width = work->lay.a_width, slab_columns = (last - first) * a_width;
    float *levels = scratch, *totals = levels + TREE_DEPTH_MAX * BLAS_NARROW_MAX * BLAS_WIDE_MAX;
    float *packed_a = totals + totals_size(work->tile, sum->node.end - sum->node.begin);
    bool sums_rows = work->to.bias && panel_begin == 0;
    pack(sum, work->to.a, work->rounded, work->m, first * a_width, a_width, last - first, packed_a,
         sums_rows ? totals : NULL);
    if (sums_rows)
        store_bias(work, first * a_width, slab_columns, add_totals(totals, slab_columns, sum->node.begin, sum->node));
    for (int p = panel_begin; p < panel_end; p++)
        for (int i = first; i < last; i++)
            gradient_tile(work, i, packed_a + (size_t)(i - first) * work->rows * a_width, p, levels);
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
    struct tile_layout lay = items->work.lay;
    int m = items->work.m, n = items->work.n;
    items->a_panels = (m + lay.a_width - 1) / lay.a_width;
    items->b_panels = (n + lay.b_width - 1) / lay.b_width;
    int most = slab_panels_max(lay.a_width), slabs = (items->a_panels + most - 1) / most;
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
    int m = factor->m, n = factor->n, rows = gemm_sum_rows(&factor->sum);
    struct items items = {
        .work = {&gemm->tile, choose_layout(&gemm->tile, m, n, rows), m, n, rows,
                 gemm->kind->number_bytes == sizeof(uint16_t), *gradient},
        .share = gemm_gradient_scratch_bytes(gemm, factor->sum.node.end - factor->sum.node.begin, rows),
        .scratch = gemm->gradient_scratch,
    };
    share_out(&items, gemm->threads);
    team_run(gemm->threads, 2 * (int64_t)rows * m * n, take_items, &items);
}

/* ---- sums of rows ---- */

#define BIAS_COLUMNS 256

static void bias_chain(const struct gemm_sum *sum, struct gemm_lanes a, bool rounded, int lane_begin, int lane_end,
                       int column, int columns, float *total)
{
    float expanded[BIAS_COLUMNS];
    float chain[BIAS_COLUMNS] = {0};
    int filled = 0;
    memset(total, 0, sizeof *total * columns);
    for (int t = 0; t < sum->T; t++)
        for (int lane = lane_begin; lane < lane_end; lane++) {
            const float *row =
                rounded ? expand_row(a, t, lane, column, columns, expanded)
                        : (const float *)((const char *)a.base + t * a.time_stride + lane * a.lane_stride) + column;
            for (int j = 0; j < columns; j++)
                chain[j] += row[j];
            if (++filled % GEMM_KC == 0)
                end_block(total, chain, columns);
        }
    end_block(total, chain, columns);
}

/* A range of columns of A. */
struct bias_columns {
    const struct gemm_sum *sum;
    struct gemm_lanes a;
    bool rounded;
    int column, columns;
};

static void bias_node(const struct bias_columns *of, struct lane_node node, float (*level)[BIAS_COLUMNS])
{
    const struct gemm_sum *sum = of->sum;
    const int *lane = sum->group_lane - sum->group0;
    if (node.end - node.begin == 1 || !sum->exact) {
        bias_chain(sum, of->a, of->rounded, lane[node.begin], lane[node.end], of->column, of->columns, level[0]);
        return;
    }
    int middle = lane_node_middle(node.begin, node.end);
    bias_node(of, (struct lane_node){node.begin, middle}, level);
    bias_node(of, (struct lane_node){middle, node.end}, level + 1);
    for (int j = 0; j < of->columns; j++)
        level[0][j] += level[1][j];
}

struct bias_work {
    struct bias_columns all;
    float *bias;
};

static void bias_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct bias_work *work = context;
    int m = work->all.columns;
    for (int column = (int)begin * BIAS_COLUMNS; column < (int)end * BIAS_COLUMNS && column < m;
         column += BIAS_COLUMNS) {
        float level[TREE_DEPTH_MAX][BIAS_COLUMNS];
        struct bias_columns here = work->all;
        here.column = column;
        here.columns = m - column < BIAS_COLUMNS ? m - column : BIAS_COLUMNS;
        bias_node(&here, here.sum->node, level);
        for (int j = 0; j < here.columns; j++)
            work->bias[column + j] = level[0][j];
    }
}

void gemm_gradient_bias(const struct gemm *gemm, const struct gemm_sum *sum, struct gemm_lanes a, int m, float *bias)
{
    struct bias_work work = {{sum, a, gemm->kind->number_bytes == sizeof(uint16_t), 0, m}, bias};
    team_share(gemm->threads, (m + BIAS_COLUMNS - 1) / BIAS_COLUMNS, 4 * (int64_t)gemm_sum_rows(sum) * m, bias_blocks,
               &work);
}
