/* Gathers losses and requests to stop from all ranks. */
#include "trainer_exchange.h"

#include <string.h>

#include "unroll/base/lane_tree.h"
#include "unroll/base/mem.h"

enum status exchange_create(struct exchange *exchange, const struct lane_share *share, struct error *e)
{
    size_t mine = (size_t)lane_share_groups(share), groups = (size_t)share->groups, ranks = (size_t)share->ranks;
    const char *what = "buffers between ranks";
    *exchange = (struct exchange){.share = *share};
    exchange->mine = mem_alloc(1 + mine, sizeof(double), what, e);
    exchange->all = mem_alloc(ranks + groups, sizeof(double), what, e);
    exchange->losses = mem_alloc(groups, sizeof(double), what, e);
    if (!exchange->mine || !exchange->all || !exchange->losses)
        return STATUS_OS;
    struct lane_bytes message = {.rank = sizeof(double), .group = sizeof(double)};
    return lane_gather_create(share, message, &exchange->gather, e);
}

void exchange_release(struct exchange *exchange)
{
    mem_free(exchange->mine);
    mem_free(exchange->all);
    mem_free(exchange->losses);
    lane_gather_release(&exchange->gather);
    *exchange = (struct exchange){0};
}

double exchange_losses(struct exchange *exchange, const struct comm *comm, int request, const double *losses)
{
    const struct lane_gather *gather = &exchange->gather;
    size_t mine = (size_t)lane_share_groups(&exchange->share);
    exchange->mine[0] = request;
    if (losses)
        memcpy(exchange->mine + 1, losses, mine * sizeof(double));
    else
        memset(exchange->mine + 1, 0, mine * sizeof(double));
    comm_allgatherv(comm, exchange->mine, exchange->all, gather->bytes, gather->offset);
    exchange->request = REQUEST_NONE;
    double *next = exchange->losses;
    for (int rank = 0; rank < exchange->share.ranks; rank++) {
        const double *message = exchange->all + gather->offset[rank] / sizeof(double);
        size_t groups = gather->bytes[rank] / sizeof(double) - 1;
        if ((int)message[0] > exchange->request)
            exchange->request = (int)message[0];
        memcpy(next, message + 1, groups * sizeof(double));
        next += groups;
    }
    return lane_tree_sum(exchange->losses, exchange->share.groups);
}

void exchange_request(struct exchange *exchange, const struct comm *comm, int request)
{
    exchange->request = (int)comm_max(comm, request);
}
