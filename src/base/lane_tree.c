/* The binary tree over lane groups: where nodes split, and sums up the tree. */
#include "unroll/base/lane_tree.h"

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
