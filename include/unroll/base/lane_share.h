/* Which lanes and lane groups of a batch each rank owns.
 *
 * The global lanes 0 .. batch-1 are cut into `groups` contiguous lane groups; group g holds lanes
 * [ceil(g*batch/groups), ceil((g+1)*batch/groups)). Rank r of R owns the groups [ceil(r*G/R), ceil((r+1)*G/R)) and
 * their lanes. That is part of a checkpoint's meaning. base/lane_tree.h says in which order groups are added. */
#ifndef UNROLL_BASE_LANE_SHARE_H
#define UNROLL_BASE_LANE_SHARE_H

#include "unroll/base/lane_tree.h"

struct lane_share {
    int batch, groups; /* of all ranks: lanes, and lane groups, 1 .. batch */
    int ranks, rank;
    int group_begin, group_end; /* of this rank; empty where it is left without groups, having more ranks than groups */
    int lane_begin, lane_end;   /* the lanes of those groups */
};

/* The share of one of `ranks` ranks, and of one that has all. All numbers are at least 1, but for `rank`. */
struct lane_share lane_share_of(int batch, int groups, int ranks, int rank);
struct lane_share lane_share_whole(int batch, int groups);

static inline int lane_share_groups(const struct lane_share *share)
{
    return share->group_end - share->group_begin;
}

static inline int lane_share_lanes(const struct lane_share *share)
{
    return share->lane_end - share->lane_begin;
}

/* First of the batch's lanes that belongs to `group`, whoever owns it; `groups` gives `batch`. */
int lane_share_group_lane(const struct lane_share *share, int group);

/* The maximal nodes of the lane tree that make up the share's groups, in order; returns how many (0 if it has none). */
int lane_share_nodes(const struct lane_share *share, struct lane_node nodes[LANE_NODES_MAX]);

/* The number of lane groups: `wanted`, or if that is 0 a number for this batch and bptt. It is the largest for which a
 * group's share of a window, T * lanes, has 64 rows or more: with fewer rows, adding the groups costs more than a few
 * percent of the weight-gradient GEMM. It is even and divides the batch if a nearby number does. In batches below 16
 * every lane is its own group. */
int lane_groups_choose(int wanted, int batch, int bptt);

#endif
