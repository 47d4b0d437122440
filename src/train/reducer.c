/* Gradient sums over ranks.
 *
 * Every rank has computed the sums over its lane-tree nodes; the rest of the tree spans ranks. When the number of ranks
 * is a power of two each rank owns exactly one node and the tree above them is a butterfly: recursive halving adds a
 * rank's node to its sibling's, each rank for half of what is left, then recursive doubling hands the results back. The
 * volume is that of the best allreduce, 2 (1 - 1/R) gradients per rank. For other numbers of ranks each rank owns a
 * slice of the gradient, receives that slice of every node of every rank, adds them up the tree and hands the result
 * back: the volume grows with the nodes per rank, about two.
 *
 * Addition of two floats commutes, so it does not matter which of two siblings adds. MPI only moves bytes here: its
 * float reductions choose their order by size and communicator.
 *
 * Chosen over 64-bit fixed-point sums, whose order would not matter and which MPI_Allreduce could do: those double both
 * the bytes on the wire and the gradient's memory, need a scale before the magnitudes are known, and still need the
 * groups' products to be computed one by one, since the order inside a GEMM depends on its rows. The tree moves the
 * same bytes as a plain allreduce where ranks are a power of two. It costs 1 to 6 % of a step on one rank, all of it in
 * the weight gradients' many short products; on two, what goes by mailbox wins that back (the table in tools/README.md,
 * "Speed", by tools/benchmark).
 *
 * Parts: ranks send each other the ids of the rows they have touched, move their rows to common places and sum those
 * alone, as if they were a small tensor of their own. With a vocabulary of 10000 that is a third to a half of the bytes
 * on the wire and of what norm and optimizer read; with 800,000 it is what makes a step possible. */
#include <string.h>

#include "reducer_private.h"
#include "unroll/base/mem.h"
#include "unroll/train/reducer_traffic.h"

#define PIECE REDUCER_PIECE

const char *reduction_name(int reduction)
{
    static const char *const names[] = {[REDUCTION_EXACT] = "exact", [REDUCTION_FAST] = "fast"};
    return names[reduction];
}

const struct choices reduction_choices = {"reduction", REDUCTION_FAST + 1, reduction_name};

/* The slice of a piece of `count` floats that rank `rank` owns. */
static size_t slice_begin(size_t count, int ranks, int rank)
{
    return count * rank / ranks;
}

/* ---- what it allocates ---- */

/* Elements of the arrays beside the gradients, of a rank with so many of the `total` nodes. */
struct sizes {
    size_t all, first, block;       /* always */
    size_t received, send, offsets; /* where ranks exchange slices or halves */
};

static struct sizes sizes_of(const struct param_table *table, int ranks, enum reduction reduction, bool butterfly,
                             int nodes, int64_t total)
{
    size_t slice = PIECE / (size_t)ranks + 1;
    struct sizes sizes = {
        .all = (size_t)ranks * LANE_NODES_MAX, .first = (size_t)ranks + 1, .block = param_blocks(table)};
    if (ranks == 1 || reduction == REDUCTION_FAST)
        return sizes;
    sizes.received = butterfly ? PIECE / 2 + 1 : slice * (size_t)total;
    sizes.send = butterfly ? 0 : slice * (size_t)ranks * (size_t)nodes;
    sizes.offsets = butterfly ? 0 : (size_t)ranks;
    return sizes;
}

static int nodes_of(int groups, int ranks, int rank)
{
    struct lane_node nodes[LANE_NODES_MAX];
    struct lane_share share = lane_share_of(groups, groups, ranks, rank); /* of groups alone */
    return lane_share_nodes(&share, nodes);
}

size_t reducer_gradient_bytes(const struct gradient_layout *layout, int groups, int ranks, int rank)
{
    return (size_t)nodes_of(groups, ranks, rank) * layout->total * sizeof(float);
}

size_t reducer_bytes(const struct param_table *table, const struct gradient_layout *layout, int groups, int ranks,
                     int rank, enum reduction reduction)
{
    const struct reducer *reducer = NULL; /* for the sizes of elements */
    int nodes = nodes_of(groups, ranks, rank), most;
    int64_t total;
    bool butterfly = reducer_traffic_nodes(groups, ranks, &total, &most);
    struct sizes sizes = sizes_of(table, ranks, reduction, butterfly, nodes, total);
    return sizes.all * sizeof *reducer->all + sizes.first * sizeof *reducer->first +
           sizes.block * (sizeof *reducer->block + sizeof *reducer->active) +
           (sizes.received + sizes.send) * sizeof(float) + 4 * sizes.offsets * sizeof(size_t) +
           reducer_rows_bytes(layout, ranks);
}

static enum status create_arrays(struct reducer *reducer, struct error *e)
{
    int ranks = reducer->comm.size, most;
    int64_t total;
    reducer->butterfly = reducer_traffic_nodes(reducer->groups, ranks, &total, &most);
    reducer->nodes = nodes_of(reducer->groups, ranks, reducer->comm.rank);
    struct sizes sizes = sizes_of(reducer->table, ranks, reducer->reduction, reducer->butterfly, reducer->nodes, total);
    reducer->all = mem_alloc(sizes.all, sizeof *reducer->all, "lane-tree nodes", e);
    reducer->first = mem_alloc(sizes.first, sizeof *reducer->first, "lane-tree nodes", e);
    if (!reducer->all || !reducer->first)
        return STATUS_OS;
    for (int r = 0; r < ranks; r++) {
        struct lane_share share = lane_share_of(reducer->groups, reducer->groups, ranks, r); /* of groups alone */
        reducer->first[r + 1] = reducer->first[r] + lane_share_nodes(&share, reducer->all + reducer->first[r]);
    }
    for (int i = 0; i < reducer->nodes; i++) {
        reducer->grad[i] = mem_alloc(reducer->layout->total, sizeof(float), "gradients", e);
        if (!reducer->grad[i])
            return STATUS_OS;
    }
    reducer->block = mem_alloc(sizes.block, sizeof *reducer->block, "gradient norm", e);
    reducer->active = mem_alloc(sizes.block, sizeof *reducer->active, "gradient norm", e);
    for (int i = 0; i < 2; i++)
        reducer->share[i] = mem_alloc(reducer->host.size, sizeof *reducer->share[i], "gradient norm", e);
    if (!reducer->block || !reducer->active || !reducer->share[0] || !reducer->share[1] ||
        reducer_rows_create(reducer, e))
        return STATUS_OS;
    if (!sizes.received)
        return STATUS_OK;
    reducer->received = mem_alloc(sizes.received, sizeof(float), "received gradients", e);
    if (!reducer->received)
        return STATUS_OS;
    if (reducer->butterfly)
        return STATUS_OK;
    reducer->send = mem_alloc(sizes.send, sizeof(float), "gradients to send", e);
    if (!reducer->send)
        return STATUS_OS;
    for (int i = 0; i < 4; i++) {
        reducer->bytes[i] = mem_alloc(sizes.offsets, sizeof *reducer->bytes[i], "gradients to send", e);
        if (!reducer->bytes[i])
            return STATUS_OS;
    }
    return STATUS_OK;
}

enum status reducer_create(const struct comm *comm, const struct param_table *table,
                           const struct gradient_layout *layout, int groups, enum reduction reduction,
                           struct reducer **out, struct error *e)
{
    *out = NULL;
    if (comm->size > groups)
        return error_set(e, STATUS_CONFIG,
                         "cannot share '%d' lane groups among '%d' ranks; use at most %d ranks, or start the run with "
                         "--lane-groups %d or more (and at least as many lanes, --batch)",
                         groups, comm->size, groups, comm->size);
    struct comm host;
    enum status status = comm_split_host(comm, &host, e);
    if (status)
        return status;
    struct reducer *reducer = mem_alloc(1, sizeof *reducer, "the reducer", e);
    status = STATUS_OS;
    if (reducer) {
        reducer->host = host;
        reducer->comm = *comm;
        reducer->table = table;
        reducer->layout = layout;
        reducer->reduction = reduction;
        reducer->groups = groups;
        status = create_arrays(reducer, e);
    }
    status = comm_agree(comm, status, e);
    if (status) {
        if (!reducer)
            comm_release(&host);
        reducer_free(reducer);
        return status;
    }
    *out = reducer;
    return STATUS_OK;
}

void reducer_free(struct reducer *reducer)
{
    if (!reducer)
        return;
    for (int i = 0; i < reducer->nodes; i++)
        mem_free(reducer->grad[i]);
    for (int i = 0; i < 4; i++)
        mem_free(reducer->bytes[i]);
    mem_free(reducer->all);
    mem_free(reducer->first);
    mem_free(reducer->received);
    mem_free(reducer->send);
    mem_free(reducer->share[0]);
    mem_free(reducer->share[1]);
    mem_free(reducer->block);
    comm_release(&reducer->host);
    mem_free(reducer->active);
    reducer_rows_free(reducer);
    mem_free(reducer);
}

int reducer_nodes(struct reducer *reducer, float *const **node_grads)
{
    *node_grads = reducer->grad;
    return reducer->nodes;
}

/* ---- sums ---- */

static void add_floats(float *restrict to, const float *restrict from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* Recursive halving, then doubling, over data[0 .. count). At distance d the ranks r and r ^ d own sibling nodes. */
static void sum_butterfly(struct reducer *reducer, float *data, size_t count)
{
    int rank = reducer->comm.rank, ranks = reducer->comm.size;
    size_t begin = 0, end = count, begins[32], ends[32];
    int level = 0;
    for (int distance = 1; distance < ranks; distance *= 2, level++) {
        begins[level] = begin, ends[level] = end;
        size_t middle = begin + (end - begin) / 2;
        bool low = !(rank & distance);
        size_t keep_begin = low ? begin : middle, keep_end = low ? middle : end;
        size_t give_begin = low ? middle : begin, give_end = low ? end : middle;
        comm_exchange(&reducer->comm, rank ^ distance, data + give_begin, (give_end - give_begin) * sizeof *data,
                      reducer->received, (keep_end - keep_begin) * sizeof *data);
        add_floats(data + keep_begin, reducer->received, keep_end - keep_begin);
        begin = keep_begin, end = keep_end;
    }
    for (int distance = ranks / 2; distance >= 1; distance /= 2) {
        level--;
        size_t middle = begins[level] + (ends[level] - begins[level]) / 2;
        bool low = !(rank & distance);
        size_t other_begin = low ? middle : begins[level], other_end = low ? ends[level] : middle;
        comm_exchange(&reducer->comm, rank ^ distance, data + begin, (end - begin) * sizeof *data, data + other_begin,
                      (other_end - other_begin) * sizeof *data);
        begin = begins[level], end = ends[level];
    }
}

/* Adds up the tree: returns the array that holds the sum over `node`, which is one of the received or, where it had
 * to be added, the array of its leftmost received node. *next is the first received node not used yet. */
static float *add_up(struct reducer *reducer, struct lane_node node, size_t slice, int *next)
{
    struct lane_node received = reducer->all[*next];
    if (received.begin == node.begin && received.end == node.end)
        return reducer->received + slice * (*next)++;
    int middle = lane_node_middle(node.begin, node.end);
    float *left = add_up(reducer, (struct lane_node){node.begin, middle}, slice, next);
    float *right = add_up(reducer, (struct lane_node){middle, node.end}, slice, next);
    add_floats(left, right, slice);
    return left;
}

/* Any number of ranks and nodes: slices to their owners, sums there, results back to all. `data` holds an array for
 * each node of this rank; the sum goes into the first. */
static void exchange_slices(struct reducer *reducer, float *const *data, size_t offset, size_t count)
{
    int rank = reducer->comm.rank, ranks = reducer->comm.size;
    size_t *send_bytes = reducer->bytes[0], *send_offset = reducer->bytes[1];
    size_t *receive_bytes = reducer->bytes[2], *receive_offset = reducer->bytes[3];
    size_t own_begin = slice_begin(count, ranks, rank), own = slice_begin(count, ranks, rank + 1) - own_begin;
    size_t position = 0;
    for (int r = 0; r < ranks; r++) {
        size_t begin = slice_begin(count, ranks, r), slice = slice_begin(count, ranks, r + 1) - begin;
        send_offset[r] = position * sizeof(float);
        send_bytes[r] = slice * reducer->nodes * sizeof(float);
        for (int i = 0; i < reducer->nodes; i++, position += slice)
            memcpy(reducer->send + position, data[i] + offset + begin, slice * sizeof(float));
        receive_offset[r] = own * reducer->first[r] * sizeof(float);
        receive_bytes[r] = own * (reducer->first[r + 1] - reducer->first[r]) * sizeof(float);
    }
    comm_alltoallv(&reducer->comm, reducer->send, send_bytes, send_offset, reducer->received, receive_bytes,
                   receive_offset);
    int next = 0;
    float *sum = add_up(reducer, (struct lane_node){0, reducer->groups}, own, &next);
    for (int r = 0; r < ranks; r++) {
        size_t begin = slice_begin(count, ranks, r);
        receive_offset[r] = begin * sizeof(float);
        receive_bytes[r] = (slice_begin(count, ranks, r + 1) - begin) * sizeof(float);
    }
    comm_allgatherv(&reducer->comm, sum, data[0] + offset, receive_bytes, receive_offset);
}

/* The sum over all nodes of all ranks of [begin, end) of their arrays, into that of the first. */
static void sum_range(struct reducer *reducer, size_t begin, size_t end)
{
    float *const *grad = reducer->grad;
    reducer->summed += end - begin;
    if (reducer->comm.size == 1)
        return;
    if (reducer->reduction == REDUCTION_FAST) {
        for (int i = 1; i < reducer->nodes; i++)
            add_floats(grad[0] + begin, grad[i] + begin, end - begin);
        comm_allreduce_float(&reducer->comm, grad[0] + begin, end - begin);
        return;
    }
    for (size_t offset = begin; offset < end; offset += PIECE) {
        size_t count = end - offset < PIECE ? end - offset : PIECE;
        if (reducer->butterfly)
            sum_butterfly(reducer, grad[0] + offset, count);
        else
            exchange_slices(reducer, grad, offset, count);
    }
}

struct param_gradient reducer_sum(struct reducer *reducer, const struct touched *touched)
{
    const struct gradient_layout *layout = reducer->layout;
    reducer->summed = 0;
    if (layout->lists)
        reducer_rows_unite(reducer, touched);
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        sum_range(reducer, part->offset, part->offset + (size_t)reducer->rows.all.list[part->list].count * part->width);
    sum_range(reducer, 0, layout->dense);
    if (!layout->parts) /* else an alias has parts, as what it stands for */
        param_fold_aliases(reducer->table, reducer->grad[0]);
    reducer_rows_fold(reducer);
    return (struct param_gradient){layout, reducer->grad[0], reducer->rows.of};
}

size_t reducer_summed(const struct reducer *reducer)
{
    return reducer->summed;
}
