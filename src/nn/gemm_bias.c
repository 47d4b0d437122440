/* Sums of the rows of a weight gradient's factor alone: gradients of biases whose weights have no product. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "unroll/base/bf16.h"
#include "unroll/base/team.h"

#define BIAS_COLUMNS 256

_Static_assert(BIAS_COLUMNS % GEMM_WIDE == 0, "columns begin with a block of a view");

/* to[j] += number column + j of a row. */
static void add_row(struct gemm_lanes x, bool rounded, const char *row, int column, int columns, float *to)
{
    if (!rounded)
        for (int j = 0; j < columns; j++)
            to[j] += ((const float *)row)[column + j];
    for (int j = 0; rounded && j < columns; j += GEMM_WIDE)
        bf16_add_row((const uint16_t *)(row + (column + j) / GEMM_WIDE * x.block),
                     columns - j < GEMM_WIDE ? columns - j : GEMM_WIDE, to + j);
}

static void bias_chain(const struct gemm_sum *sum, struct gemm_lanes a, bool rounded, int lane_begin, int lane_end,
                       int column, int columns, float *total)
{
    float chain[BIAS_COLUMNS] = {0};
    int filled = 0;
    memset(total, 0, sizeof *total * columns);
    for (int t = 0; t < sum->T; t++)
        for (int lane = lane_begin; lane < lane_end; lane++) {
            add_row(a, rounded, (const char *)a.base + t * a.time_stride + lane * a.lane_stride, column, columns,
                    chain);
            if (++filled % GEMM_KC == 0)
                gemm_end_block(total, chain, columns);
        }
    gemm_end_block(total, chain, columns);
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
        float level[GEMM_TREE_DEPTH_MAX][BIAS_COLUMNS];
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
    struct bias_work work = {{sum, a, gemm_is_rounded(gemm), 0, m}, bias};
    team_share(gemm->threads, (m + BIAS_COLUMNS - 1) / BIAS_COLUMNS, 4 * (int64_t)gemm_sum_rows(sum) * m, bias_blocks,
               &work);
}
