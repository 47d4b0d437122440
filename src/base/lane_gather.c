/* Fills the tables that gathers and scatters use. */
#include "unroll/base/lane_gather.h"

#include "unroll/base/mem.h"

enum status lane_gather_create(const struct lane_share *share, struct lane_bytes size, struct lane_gather *gather,
                               struct error *e)
{
    size_t ranks = (size_t)share->ranks;
    gather->bytes = mem_alloc(ranks, sizeof *gather->bytes, "places of the ranks' parts", e);
    gather->offset = mem_alloc(ranks, sizeof *gather->offset, "places of the ranks' parts", e);
    if (!gather->bytes || !gather->offset)
        return STATUS_OS;
    for (size_t rank = 0; rank < ranks; rank++) {
        struct lane_share part = lane_share_of(share->batch, share->groups, share->ranks, (int)rank);
        size_t groups = (size_t)lane_share_groups(&part), lanes = (size_t)lane_share_lanes(&part);
        gather->bytes[rank] = size.rank + groups * size.group + lanes * size.lane;
        gather->offset[rank] =
            rank * size.rank + (size_t)part.group_begin * size.group + (size_t)part.lane_begin * size.lane;
    }
    return STATUS_OK;
}

void lane_gather_release(struct lane_gather *gather)
{
    mem_free(gather->bytes);
    mem_free(gather->offset);
    *gather = (struct lane_gather){NULL, NULL};
}
