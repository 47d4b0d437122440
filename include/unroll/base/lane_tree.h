/* The order in which lane groups are added: it depends on the number of groups alone, never on ranks or threads.
 *
 * Sums over lanes are taken inside each lane group (base/lane_share.h) first and then over a fixed binary tree of
 * groups: node [a, b) is the sum of its halves [a, m) and [m, b) with m = a + ceil((b-a)/2). A rank's groups are the
 * union of a few maximal tree nodes (exactly one for a power of two of ranks); each rank computes the sums of its
 * nodes, and the reducer adds the nodes of all ranks up the rest of the tree. So the additions performed are the
 * same for every number of ranks. */
#ifndef UNROLL_BASE_LANE_TREE_H
#define UNROLL_BASE_LANE_TREE_H

struct lane_node {
    int begin, end; /* lane groups [begin, end) */
};

#define LANE_NODES_MAX 64 /* no range decomposes into more: 2 per level of a tree over at most 2^31 groups */

/* Where node [begin, end) with at least two groups splits. */
int lane_node_middle(int begin, int end);

/* Decomposes [begin, end) into maximal nodes of the tree over [0, groups), in order; returns how many (0 if empty). */
int lane_nodes(int groups, int begin, int end, struct lane_node nodes[LANE_NODES_MAX]);

/* Sums values[0 .. groups) over the tree. */
double lane_tree_sum(const double *values, int groups);

#endif
