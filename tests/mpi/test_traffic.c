/* What reducer_traffic counts is what the reducer sends: messages and bytes, counted on their way into MPI: its
 * profiling interface lets this program stand in front of MPI_Isend and MPI_Allgatherv. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>

#include "unroll/sys/comm.h"
#include "unroll/train/reducer.h"
#include "unroll/train/reducer_traffic.h"
#include "unroll/use/plan.h"

struct count {
    int64_t parts, bytes; /* of messages */
};
static struct count sent; /* by this rank, since it was cleared */

static void add_messages(struct count *count, int64_t messages, int64_t bytes)
{
    count->parts += messages * ((bytes + (int64_t)COMM_EAGER - 1) / (int64_t)COMM_EAGER);
    count->bytes += messages * bytes;
}

__attribute__((visibility("default"))) int MPI_Isend(const void *data, int count, MPI_Datatype type, int destination,
                                                     int tag, MPI_Comm comm, MPI_Request *request)
{
    add_messages(&sent, 1, count);
    return PMPI_Isend(data, count, type, destination, tag, comm, request);
}

/* For small parts: a ring, too, in what it sends in all. */
__attribute__((visibility("default"))) int MPI_Allgatherv(const void *send, int send_count, MPI_Datatype send_type,
                                                          void *receive, const int counts[], const int places[],
                                                          MPI_Datatype receive_type, MPI_Comm comm)
{
    int rank, size;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    add_messages(&sent, size - 1, counts[rank]);
    return PMPI_Allgatherv(send, send_count, send_type, receive, counts, places, receive_type, comm);
}

/* No rank shares memory: all goes by MPI. */
void *shmat(int id, const void *address, int flags)
{
    (void)id, (void)address, (void)flags;
    return (void *)-1; /* NOLINT: as the manual says */
}

static void hear(void *context, const struct traffic_round *round)
{
    add_messages(context, round->times, (int64_t)round->bytes);
}

static int check(const struct comm *comm, const struct param_table *table, const struct gradient_layout *layout,
                 int groups)
{
    struct error e = {0};
    struct reducer *reducer;
    struct reducer_traffic traffic = {comm->size, groups, REDUCTION_EXACT, table->grad_total};
    struct count told = {0};
    if (reducer_create(comm, table, layout, groups, REDUCTION_EXACT, &reducer, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    sent = (struct count){0};
    (void)reducer_sum(reducer, NULL);
    struct count got = sent;
    reducer_traffic_each(&traffic, hear, &told);
    reducer_free(reducer);
    /* Told is what a rank sends that sends most in every round. Slices do not come out even: in a piece a rank may
     * send less than that by a float for each message and node, and so may save a part. */
    int64_t most = comm_max(comm, got.bytes), parts = comm_max(comm, got.parts), pieces = 3;
    int64_t slack = pieces * 2 * (comm->size - 1) * (int64_t)sizeof(float) * 4;
    if (most <= told.bytes && most >= told.bytes - slack && parts == told.parts)
        return 0;
    if (comm->rank == 0)
        fprintf(stderr, "%d ranks, %d groups: sent %lld bytes in %lld parts; told %lld in %lld\n", comm->size, groups,
                (long long)most, (long long)parts, (long long)told.bytes, (long long)told.parts);
    return 1;
}

/* Of rows that steps touch, those and their ids are sent, whatever the vocabulary: each rank touches `count` rows, of
 * which half are the next rank's, too. */
static int check_rows(const struct comm *comm, const struct param_table *table, const struct gradient_layout *layout,
                      int groups, int64_t count)
{
    struct error e = {0};
    struct reducer *reducer;
    float *const *grads;
    uint32_t row[1000];
    struct touched touched = {.list[0] = {count, row}};
    struct count told = {0};
    if (reducer_create(comm, table, layout, groups, REDUCTION_EXACT, &reducer, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    for (int64_t i = 0; i < count; i++)
        row[i] = (uint32_t)(comm->rank * (count / 2) + i);
    (void)reducer_nodes(reducer, &grads);
    sent = (struct count){0};
    (void)reducer_sum(reducer, &touched);
    struct count got = sent;
    int64_t rows = comm->size > 1 ? (comm->size + 1) * (count / 2) : count;
    int64_t ids = (comm->size - 1) * count * (int64_t)sizeof *row;
    struct reducer_traffic traffic = {comm->size, groups, REDUCTION_EXACT,
                                      layout->dense + (size_t)rows * layout->part[0].width};
    reducer_traffic_each(&traffic, hear, &told);
    reducer_free(reducer);
    int64_t most = comm_max(comm, got.bytes), slack = 8 * 2 * (comm->size - 1) * (int64_t)sizeof(float) * 16;
    int64_t counts = 256 * comm->size * comm->size; /* how many ids there are, and what MPI adds to it */
    if (most <= told.bytes + ids + counts && most >= told.bytes + ids - slack)
        return 0;
    if (comm->rank == 0)
        fprintf(stderr, "%d ranks, %d groups, %lld rows: sent %lld bytes; told %lld, and %lld of ids\n", comm->size,
                groups, (long long)count, (long long)most, (long long)told.bytes, (long long)ids);
    return 1;
}

/* plan's bytes on the wire are those of the rounds, but for slices that do not come out even. */
static int check_plan(const struct comm *comm, int ranks, int groups)
{
    struct plan_config config = {
        .step.model = {.cell = CELL_LSTM, .layers = 1, .embedding = 64, .hidden = 64, .vocab = 20000},
        .batch = groups,
        .step.bptt = 8,
        .groups = groups,
        .ranks = ranks,
        .step.threads = 1,
    };
    struct error e = {0};
    struct plan plan;
    if (plan_build(&config, &plan, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    struct reducer_traffic traffic = {ranks, groups, REDUCTION_EXACT,
                                      plan_summed_floats(&config.step.model, groups, config.step.bptt)};
    struct count told = {0};
    reducer_traffic_each(&traffic, hear, &told);
    double bytes = (double)told.bytes, planned = (double)plan.wire_bytes;
    if (comm->rank == 0 && !(bytes >= planned - 1 && bytes <= planned * 1.001))
        return fprintf(stderr, "%d ranks, %d groups: %.0f bytes in rounds, %.0f planned\n", ranks, groups, bytes,
                       planned),
               1;
    return 0;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int failures = 0;
    static const struct model_config models[] = {
        {.cell = CELL_GRU, .layers = 1, .embedding = 9, .hidden = 9, .vocab = 31},
        {.cell = CELL_RNN_TANH, .layers = 1, .embedding = 100, .hidden = 16, .vocab = 25000}, /* more than two pieces */
    };
    for (int m = 0; m < 2; m++) {
        struct param_table table;
        struct gradient_layout layout;
        param_table_build(&models[m], &table);
        gradient_layout_build(&models[m], &table, 1, 1, false, &layout);
        for (int groups = comm.size; groups <= 13; groups++)
            failures += check(&comm, &table, &layout, groups);
    }
    struct param_table table;
    struct gradient_layout layout;
    param_table_build(&models[1], &table);
    gradient_layout_build(&models[1], &table, 1000, 10, true, &layout);
    for (int64_t count = 10; count <= 1000; count *= 10)
        failures += check_rows(&comm, &table, &layout, 13, count);
    for (int ranks = 1; ranks <= 24; ranks++)
        failures += check_plan(&comm, ranks, 24);
    comm_finalize(&comm);
    return failures != 0;
}
