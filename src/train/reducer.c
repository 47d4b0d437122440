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
 * Sparse rows: ranks unite the bit sets of the tokens they have seen and exchange those rows of encoder.weight,
 * copied side by side, as if they were a small tensor of their own. With a vocabulary of 10000 that is a third to a
 * half of the bytes on the wire and of what norm and optimizer read. */
#include "unroll/train/reducer.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/train/reducer_traffic.h"

#define PIECE REDUCER_PIECE

struct reducer {
    struct comm comm;
    const struct param_table *table;
    enum reduction reduction;
    int groups;
    bool butterfly;
    int nodes;                   /* of this rank */
    float *grad[LANE_NODES_MAX]; /* [grad_total] each */
    struct lane_node *all;       /* nodes of all ranks, in order */
    int *first;                  /* [ranks + 1] where each rank's begin in `all` */
    float *received;             /* slices from other ranks */
    size_t *bytes[4];            /* [ranks]: send bytes and offsets, receive bytes and offsets */
    float *send;                 /* slices of this rank's nodes, destination after destination */

    struct comm host; /* the ranks here, who share the norm's blocks */
    size_t *share[2]; /* [ranks here] bytes and offsets of their blocks' sums */
    double *block;    /* [param_blocks] sums of squares */

    int sparse_rows;                /* most rows of encoder.weight that a step touches; 0: no sparse rows */
    uint64_t *touched;              /* [words] bit v: row v of some array may be other than zero */
    size_t words;                   /* of 64 rows */
    unsigned char *active;          /* [param_blocks] those with touched rows, and all of other tensors */
    float *compact[LANE_NODES_MAX]; /* [sparse_rows][E] touched rows of each node; NULL on one rank */
    size_t summed;                  /* floats of each array, in the last sum */
};

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
    size_t words, active, compact;  /* with sparse rows; `compact` of each node */
    size_t received, send, offsets; /* where ranks exchange slices or halves */
};

static struct sizes sizes_of(const struct param_table *table, int ranks, enum reduction reduction, int sparse_rows,
                             bool butterfly, int nodes, int64_t total)
{
    const struct param *encoder = &table->param[table->encoder];
    size_t slice = PIECE / (size_t)ranks + 1;
    struct sizes sizes = {
        .all = (size_t)ranks * LANE_NODES_MAX, .first = (size_t)ranks + 1, .block = param_blocks(table)};
    if (sparse_rows) {
        sizes.words = ((size_t)encoder->shape[0] + 63) / 64;
        sizes.active = param_blocks(table);
        sizes.compact = ranks > 1 ? (size_t)sparse_rows * (size_t)encoder->shape[1] : 0;
    }
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

size_t reducer_gradient_bytes(const struct param_table *table, int groups, int ranks, int rank)
{
    return (size_t)nodes_of(groups, ranks, rank) * table->grad_total * sizeof(float);
}

size_t reducer_bytes(const struct param_table *table, int groups, int ranks, int rank, enum reduction reduction,
                     int sparse_rows)
{
    const struct reducer *reducer = NULL; /* for the sizes of elements */
    int nodes = nodes_of(groups, ranks, rank), most;
    int64_t total;
    bool butterfly = reducer_traffic_nodes(groups, ranks, &total, &most);
    struct sizes sizes = sizes_of(table, ranks, reduction, sparse_rows, butterfly, nodes, total);
    return sizes.all * sizeof *reducer->all + sizes.first * sizeof *reducer->first +
           sizes.block * sizeof *reducer->block + sizes.words * sizeof *reducer->touched +
           sizes.active * sizeof *reducer->active + sizes.compact * sizeof(float) * (size_t)nodes +
           (sizes.received + sizes.send) * sizeof(float) + 4 * sizes.offsets * sizeof(size_t);
}

static enum status create_sparse(struct reducer *reducer, struct sizes sizes, struct error *e)
{
    reducer->words = sizes.words;
    reducer->touched = mem_alloc(reducer->words, sizeof *reducer->touched, "touched rows", e);
    reducer->active = mem_alloc(sizes.active, sizeof *reducer->active, "touched rows", e);
    if (!reducer->touched || !reducer->active)
        return STATUS_OS;
    for (int i = 0; sizes.compact && i < reducer->nodes; i++) {
        reducer->compact[i] = mem_alloc(sizes.compact, sizeof(float), "touched rows", e);
        if (!reducer->compact[i])
            return STATUS_OS;
    }
    return STATUS_OK;
}

static enum status create_arrays(struct reducer *reducer, struct error *e)
{
    int ranks = reducer->comm.size, most;
    int64_t total;
    reducer->butterfly = reducer_traffic_nodes(reducer->groups, ranks, &total, &most);
    reducer->nodes = nodes_of(reducer->groups, ranks, reducer->comm.rank);
    struct sizes sizes = sizes_of(reducer->table, ranks, reducer->reduction, reducer->sparse_rows, reducer->butterfly,
                                  reducer->nodes, total);
    reducer->all = mem_alloc(sizes.all, sizeof *reducer->all, "lane-tree nodes", e);
    reducer->first = mem_alloc(sizes.first, sizeof *reducer->first, "lane-tree nodes", e);
    if (!reducer->all || !reducer->first)
        return STATUS_OS;
    for (int r = 0; r < ranks; r++) {
        struct lane_share share = lane_share_of(reducer->groups, reducer->groups, ranks, r); /* of groups alone */
        reducer->first[r + 1] = reducer->first[r] + lane_share_nodes(&share, reducer->all + reducer->first[r]);
    }
    for (int i = 0; i < reducer->nodes; i++) {
        reducer->grad[i] = mem_alloc(reducer->table->grad_total, sizeof(float), "gradients", e);
        if (!reducer->grad[i])
            return STATUS_OS;
    }
    reducer->block = mem_alloc(sizes.block, sizeof *reducer->block, "gradient norm", e);
    for (int i = 0; i < 2; i++)
        reducer->share[i] = mem_alloc(reducer->host.size, sizeof *reducer->share[i], "gradient norm", e);
    if (!reducer->block || !reducer->share[0] || !reducer->share[1] ||
        (reducer->sparse_rows && create_sparse(reducer, sizes, e)))
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

enum status reducer_create(const struct comm *comm, const struct param_table *table, int groups,
                           enum reduction reduction, int sparse_rows, struct reducer **out, struct error *e)
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
        reducer->reduction = reduction;
        reducer->groups = groups;
        reducer->sparse_rows = sparse_rows;
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
    for (int i = 0; i < reducer->nodes; i++) {
        mem_free(reducer->grad[i]);
        mem_free(reducer->compact[i]);
    }
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
    mem_free(reducer->touched);
    mem_free(reducer->active);
    mem_free(reducer);
}

/* ---- rows of encoder.weight ---- */

/* The touched row from `row` on, -1 after the last. */
static int64_t next_touched(const struct reducer *reducer, int64_t row)
{
    size_t word = (size_t)row / 64;
    if (word >= reducer->words)
        return -1;
    uint64_t bits = reducer->touched[word] & (UINT64_MAX << row % 64);
    while (!bits) {
        if (++word == reducer->words)
            return -1;
        bits = reducer->touched[word];
    }
    return (int64_t)word * 64 + __builtin_ctzll(bits);
}

int reducer_nodes(struct reducer *reducer, float *const **node_grads)
{
    if (reducer->sparse_rows) {
        size_t E = (size_t)reducer->table->param[reducer->table->encoder].shape[1];
        for (int64_t row = next_touched(reducer, 0); row >= 0; row = next_touched(reducer, row + 1))
            for (int i = 0; i < reducer->nodes; i++)
                memset(reducer->grad[i] + (size_t)row * E, 0, E * sizeof(float));
        memset(reducer->touched, 0, reducer->words * sizeof *reducer->touched);
    }
    *node_grads = reducer->grad;
    return reducer->nodes;
}

void reducer_mark(struct reducer *reducer, const uint32_t *tokens, size_t count)
{
    for (size_t i = 0; reducer->sparse_rows && i < count; i++)
        reducer->touched[tokens[i] / 64] |= (uint64_t)1 << tokens[i] % 64;
}

/* Blocks that hold touched rows, or something else than encoder.weight. */
static void find_active(struct reducer *reducer)
{
    const struct param *encoder = &reducer->table->param[reducer->table->encoder];
    size_t E = (size_t)encoder->shape[1], sparse = encoder->count / PARAM_BLOCK;
    memset(reducer->active, 0, sparse);
    memset(reducer->active + sparse, 1, param_blocks(reducer->table) - sparse);
    for (int64_t row = next_touched(reducer, 0); row >= 0; row = next_touched(reducer, row + 1)) {
        size_t begin = (size_t)row * E, last = begin + E - 1;
        memset(reducer->active + begin / PARAM_BLOCK, 1, last / PARAM_BLOCK - begin / PARAM_BLOCK + 1);
    }
}

/* Copies touched rows side by side, or (`back`) to their places. Returns how many. */
static size_t move_touched(const struct reducer *reducer, float *grad, float *compact, bool back)
{
    size_t E = (size_t)reducer->table->param[reducer->table->encoder].shape[1], count = 0;
    for (int64_t row = next_touched(reducer, 0); row >= 0; row = next_touched(reducer, row + 1), count++) {
        float *place = grad + (size_t)row * E, *side = compact + count * E;
        memcpy(back ? place : side, back ? side : place, E * sizeof(float));
    }
    return count;
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

/* The sum over all nodes of all ranks of [begin, end) of their arrays, into that of data[0]. */
static void sum_range(struct reducer *reducer, float *const *data, size_t begin, size_t end)
{
    if (reducer->reduction == REDUCTION_FAST) {
        for (int i = 1; i < reducer->nodes; i++)
            add_floats(data[0] + begin, data[i] + begin, end - begin);
        comm_allreduce_float(&reducer->comm, data[0] + begin, end - begin);
        return;
    }
    for (size_t offset = begin; offset < end; offset += PIECE) {
        size_t count = end - offset < PIECE ? end - offset : PIECE;
        if (reducer->butterfly)
            sum_butterfly(reducer, data[0] + offset, count);
        else
            exchange_slices(reducer, data, offset, count);
    }
}

/* Touched rows first, then all behind encoder.weight. */
static void sum_sparse(struct reducer *reducer)
{
    const struct param *encoder = &reducer->table->param[reducer->table->encoder];
    size_t count = 0;
    comm_unite_bits(&reducer->comm, reducer->touched, reducer->words);
    for (int i = 0; i < reducer->nodes; i++)
        count = move_touched(reducer, reducer->grad[i], reducer->compact[i], false);
    sum_range(reducer, reducer->compact, 0, count * (size_t)encoder->shape[1]);
    (void)move_touched(reducer, reducer->grad[0], reducer->compact[0], true);
    sum_range(reducer, reducer->grad, reducer->table->grad_dense, reducer->table->grad_total);
    reducer->summed = count * (size_t)encoder->shape[1] + reducer->table->grad_total - reducer->table->grad_dense;
}

struct param_gradient reducer_sum(struct reducer *reducer)
{
    bool alone = reducer->comm.size == 1;
    reducer->summed = reducer->table->grad_total;
    if (!alone && reducer->sparse_rows)
        sum_sparse(reducer);
    else if (!alone)
        sum_range(reducer, reducer->grad, 0, reducer->table->grad_total);
    if (reducer->sparse_rows)
        find_active(reducer);
    param_fold_aliases(reducer->table, reducer->grad[0]);
    return (struct param_gradient){reducer->grad[0], reducer->active};
}

size_t reducer_summed(const struct reducer *reducer)
{
    return reducer->summed;
}

/* ---- norm ---- */

static bool is_active(const struct reducer *reducer, size_t block)
{
    return !reducer->active || reducer->active[block];
}

/* Shares out the blocks among this host's ranks, each as many active ones. */
static void share_blocks(const struct reducer *reducer)
{
    size_t blocks = param_blocks(reducer->table), ranks = (size_t)reducer->host.size, active = 0, seen = 0, begin = 0;
    for (size_t b = 0; b < blocks; b++)
        active += is_active(reducer, b);
    for (size_t rank = 0; rank < ranks; rank++) {
        size_t end = begin;
        while (end < blocks && (rank == ranks - 1 || seen < active * (rank + 1) / ranks))
            seen += is_active(reducer, end++);
        reducer->share[0][rank] = (end - begin) * sizeof *reducer->block;
        reducer->share[1][rank] = begin * sizeof *reducer->block;
        begin = end;
    }
}

/* The squares of block b, added up. */
static double block_norm2(const struct reducer *reducer, size_t b)
{
    const float *grad = reducer->grad[0];
    size_t total = reducer->table->total;
    size_t begin = b * PARAM_BLOCK, end = begin + PARAM_BLOCK < total ? begin + PARAM_BLOCK : total;
    double chain[8] = {0}; /* total is a multiple of 16: tensors are padded */
    for (size_t i = begin; i < end; i += 8)
        for (int j = 0; j < 8; j++)
            chain[j] += (double)grad[i + j] * grad[i + j];
    return ((chain[0] + chain[1]) + (chain[2] + chain[3])) + ((chain[4] + chain[5]) + (chain[6] + chain[7]));
}

struct norm {
    struct reducer *reducer;
    size_t first; /* block of this rank */
};

static void norm_blocks(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct norm *work = context;
    struct reducer *reducer = work->reducer;
    for (size_t b = work->first + (size_t)begin; b < work->first + (size_t)end; b++)
        reducer->block[b] = is_active(reducer, b) ? block_norm2(reducer, b) : 0;
}

double reducer_norm2(struct reducer *reducer, int threads)
{
    size_t blocks = param_blocks(reducer->table);
    share_blocks(reducer);
    size_t first = reducer->share[1][reducer->host.rank] / sizeof *reducer->block;
    size_t last = first + reducer->share[0][reducer->host.rank] / sizeof *reducer->block;
    struct norm work = {reducer, first};
    team_share(threads, (int64_t)(last - first), 4 * PARAM_BLOCK * (int64_t)(last - first), norm_blocks, &work);
    comm_allgatherv(&reducer->host, reducer->block + first, reducer->block, reducer->share[0], reducer->share[1]);
    double sum = 0;
    for (size_t b = 0; b < blocks; b++)
        sum += reducer->block[b];
    return sum;
}
