/* The order in which lane groups are added: it depends on the number of groups alone, never on ranks or threads.
 *
 * The global lanes 0 .. batch-1 are cut into `groups` contiguous lane groups; group g holds lanes
 * [ceil(g*batch/groups), ceil((g+1)*batch/groups)). Sums over lanes are taken inside each group first and then over a
 * fixed binary tree of groups: node [a, b) is the sum of its halves [a, m) and [m, b) with m = a + ceil((b-a)/2).
 * Rank r of R owns the groups [ceil(r*G/R), ceil((r+1)*G/R)). That range is the union of a few maximal tree nodes
 * (exactly one for R a power of two); each rank computes the sums of its nodes, and the reducer adds the nodes of all
 * ranks up the rest of the tree. So the additions performed are the same for every R. */
#ifndef UNROLL_BASE_LANE_TREE_H
#define UNROLL_BASE_LANE_TREE_H

#include <stdint.h>

struct lane_node {
    int begin, end; /* lane groups [begin, end) */
};

#define LANE_NODES_MAX 64 /* no range decomposes into more: 2 per level of a tree over at most 2^31 groups */

/* First group of rank r (r == ranks gives `groups`), and first lane of group g (g == groups gives `batch`). */
int lane_rank_begin(int groups, int ranks, int rank);
int lane_group_begin(int batch, int groups, int group);

/* Where node [begin, end) with at least two groups splits. */
int lane_node_middle(int begin, int end);

/* Decomposes [begin, end) into maximal nodes of the tree over [0, groups), in order; returns how many (0 if empty). */
int lane_nodes(int groups, int begin, int end, struct lane_node nodes[LANE_NODES_MAX]);

/* The number of groups used when the user names none: as many as keep a group's share of a window, T * lanes, at 64 rows
 * or more (below that adding the groups costs more than a few percent of the weight-gradient GEMM), even and dividing
 * the batch where a nearby number does; every lane its own group for batches below 16. */
int lane_groups_default(int batch, int bptt);

/* Sums values[0 .. groups) over the tree. */
double lane_tree_sum(const double *values, int groups);

#endif
