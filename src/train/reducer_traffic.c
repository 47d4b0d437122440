/* The rounds of messages of the reducer's sum, without sending them. */
#include "unroll/train/reducer_traffic.h"

bool reducer_traffic_nodes(int groups, int ranks, int64_t *all, int *most)
{
    struct lane_node nodes[LANE_NODES_MAX];
    *all = *most = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct lane_share share = lane_share_of(groups, groups, ranks, rank); /* of groups alone */
        int count = lane_share_nodes(&share, nodes);
        *all += count;
        *most = count > *most ? count : *most;
    }
    return *most == 1 && (ranks & (ranks - 1)) == 0;
}

/* Recursive halving and doubling over `count` floats: at each level a rank receives as many floats as it sends. The
 * middle is rounded down, so the upper half is the larger. */
static void butterfly_rounds(int ranks, size_t count, int64_t pieces,
                             void (*visit)(void *context, const struct traffic_round *round), void *context)
{
    for (int distance = 1; distance < ranks; distance *= 2) {
        count -= count / 2;
        struct traffic_round round = {TRAFFIC_SWAP, distance, 2 * pieces, count * sizeof(float)};
        visit(context, &round);
    }
}

/* The largest slice of `count` floats cut among the ranks. */
static size_t slice_max(size_t count, int ranks)
{
    return (count + (size_t)ranks - 1) / (size_t)ranks;
}

static void slice_rounds(int ranks, int nodes, size_t count, int64_t pieces,
                         void (*visit)(void *context, const struct traffic_round *round), void *context)
{
    size_t slice = slice_max(count, ranks) * sizeof(float);
    for (int distance = 1; distance < ranks; distance++) {
        struct traffic_round round = {TRAFFIC_SHIFT, distance, pieces, slice * (size_t)nodes};
        visit(context, &round);
    }
    struct traffic_round round = {TRAFFIC_RING, 1, pieces * (ranks - 1), slice};
    visit(context, &round);
}

void reducer_traffic_each(const struct reducer_traffic *traffic,
                          void (*visit)(void *context, const struct traffic_round *round), void *context)
{
    int ranks = traffic->ranks, most;
    int64_t all;
    if (ranks < 2)
        return;
    if (traffic->reduction == REDUCTION_FAST) {
        struct traffic_round round = {TRAFFIC_RING, 1, 2 * (int64_t)(ranks - 1),
                                      slice_max(traffic->floats, ranks) * sizeof(float)};
        visit(context, &round);
        return;
    }
    bool butterfly = reducer_traffic_nodes(traffic->groups, ranks, &all, &most);
    size_t rest = traffic->floats % REDUCER_PIECE;
    int64_t pieces = (int64_t)(traffic->floats / REDUCER_PIECE);
    for (int full = 1; full >= 0; full--) {
        size_t count = full ? REDUCER_PIECE : rest;
        int64_t times = full ? pieces : rest > 0;
        if (times && butterfly)
            butterfly_rounds(ranks, count, times, visit, context);
        else if (times)
            slice_rounds(ranks, most, count, times, visit, context);
    }
}

void reducer_traffic_work(const struct reducer_traffic *traffic, double *added, double *copied)
{
    int ranks = traffic->ranks, most;
    double floats = (double)traffic->floats;
    int64_t all;
    *added = *copied = 0;
    if (ranks < 2)
        return;
    if (traffic->reduction == REDUCTION_FAST || reducer_traffic_nodes(traffic->groups, ranks, &all, &most)) {
        *added = floats * (ranks - 1) / ranks;
        return;
    }
    *added = floats / ranks * (double)(all - 1);
    *copied = floats * most + floats / ranks * (most + 1); /* packed for sending; what a rank sends itself */
}
