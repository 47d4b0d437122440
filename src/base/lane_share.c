/* Cuts the lanes of a batch into groups, and gives each rank its groups. */
#include "unroll/base/lane_share.h"

#include <stdint.h>

/* ceil(part * whole / parts) without overflow. */
static int ceil_share(int whole, int parts, int part)
{
    int64_t product = (int64_t)whole * part;
    return (int)((product + parts - 1) / parts);
}

struct lane_share lane_share_of(int batch, int groups, int ranks, int rank)
{
    struct lane_share share = {
        .batch = batch,
        .groups = groups,
        .ranks = ranks,
        .rank = rank,
        .group_begin = ceil_share(groups, ranks, rank),
        .group_end = ceil_share(groups, ranks, rank + 1),
    };
    share.lane_begin = lane_share_group_lane(&share, share.group_begin);
    share.lane_end = lane_share_group_lane(&share, share.group_end);
    return share;
}

struct lane_share lane_share_whole(int batch, int groups)
{
    return lane_share_of(batch, groups, 1, 0);
}

int lane_share_group_lane(const struct lane_share *share, int group)
{
    return ceil_share(share->batch, share->groups, group);
}

int lane_share_nodes(const struct lane_share *share, struct lane_node nodes[LANE_NODES_MAX])
{
    return lane_nodes(share->groups, share->group_begin, share->group_end, nodes);
}

int lane_groups_choose(int wanted, int batch, int bptt)
{
    if (wanted > 0)
        return wanted;
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
