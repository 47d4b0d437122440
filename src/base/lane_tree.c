#include "unroll/base/lane_tree.h"

/* ceil(part * whole / parts) without overflow. */
static int ceil_share(int whole, int parts, int part)
{
    int64_t product = (int64_t)whole * part;
    return (int)((product + parts - 1) / parts);
}

int lane_rank_begin(int groups, int ranks, int rank)
{
    return ceil_share(groups, ranks, rank);
}

int lane_group_begin(int batch, int groups, int group)
{
    return ceil_share(batch, groups, group);
}

int lane_node_middle(int begin, int end)
{
    return begin + (end - begin + 1) / 2;
}

static int decompose(struct lane_node tree, int begin, int end, struct lane_node *nodes)
{
    if (begin >= tree.end || end <= tree.begin)
        return 0;
    if (begin <= tree.begin && tree.end <= end) {
        nodes[0] = tree;
        return 1;
    }
    int middle = lane_node_middle(tree.begin, tree.end);
    int left = decompose((struct lane_node){tree.begin, middle}, begin, end, nodes);
    return left + decompose((struct lane_node){middle, tree.end}, begin, end, nodes + left);
}

int lane_nodes(int groups, int begin, int end, struct lane_node nodes[LANE_NODES_MAX])
{
    return decompose((struct lane_node){0, groups}, begin, end, nodes);
}

int lane_groups_default(int batch, int bptt)
{
    if (batch < 16)
        return batch;
    int least = (64 + bptt - 1) / bptt; /* lanes that make 64 rows */
    if (least > batch / 8)
        least = batch / 8; /* eight ranks are always possible */
    for (int lanes = least; lanes <= 4 * least && lanes <= batch / 8; lanes++)
        if (batch % lanes == 0 && batch / lanes % 2 == 0)
            return batch / lanes;
    return batch / least;
}

static double tree_sum(const double *values, int begin, int end)
{
    if (end - begin == 1)
        return values[begin];
    int middle = lane_node_middle(begin, end);
    return tree_sum(values, begin, middle) + tree_sum(values, middle, end);
}

double lane_tree_sum(const double *values, int groups)
{
    return groups > 0 ? tree_sum(values, 0, groups) : 0;
}
