/* What reducer_traffic counts is what the reducer sends: messages and bytes, counted on their way into MPI (its profiling
 * interface lets this program stand in front of MPI_Sendrecv and MPI_Allgatherv). */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "unroll/sys/comm.h"
#include "unroll/train/reducer.h"
#include "unroll/train/reducer_traffic.h"
#include "unroll/use/plan.h"

struct count {
    int64_t messages, bytes, largest;
};
static struct count sent, gathered; /* by this rank, since they were cleared */

static void add_messages(struct count *count, int64_t messages, int64_t bytes)
{
    count->messages += messages;
    count->bytes += messages * bytes;
    if (bytes > count->largest)
        count->largest = bytes;
}

__attribute__((visibility("default"))) int MPI_Sendrecv(const void *send, int send_count, MPI_Datatype send_type,
                                                        int destination, int send_tag, void *receive, int receive_count,
                                                        MPI_Datatype receive_type, int source, int receive_tag,
                                                        MPI_Comm comm, MPI_Status *status)
{
    add_messages(&sent, 1, send_count);
    return PMPI_Sendrecv(send, send_count, send_type, destination, send_tag, receive, receive_count, receive_type,
                         source, receive_tag, comm, status);
}

/* A ring: every rank's part passes every rank. */
__attribute__((visibility("default"))) int MPI_Allgatherv(const void *send, int send_count, MPI_Datatype send_type,
                                                          void *receive, const int counts[], const int places[],
                                                          MPI_Datatype receive_type, MPI_Comm comm)
{
    int rank, size;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    add_messages(&gathered, size - 1, counts[rank]);
    return PMPI_Allgatherv(send, send_count, send_type, receive, counts, places, receive_type, comm);
}

/* What was told, in the same kinds. */
struct told {
    struct count sent, gathered;
};

static void hear(void *context, const struct traffic_round *round)
{
    struct told *told = context;
    add_messages(round->pattern == TRAFFIC_RING ? &told->gathered : &told->sent, round->times, (int64_t)round->bytes);
}

/* The rank that sends most; every rank sends as often. */
static int differs(const struct comm *comm, const char *what, int groups, const struct count *got,
                   const struct count *told)
{
    int64_t most = comm_max(comm, got->bytes), largest = comm_max(comm, got->largest);
    /* slices do not come out even: at each message one rank sends a few floats more, and not always the same one */
    int64_t slack = told->messages * (int64_t)sizeof(float) * 8;
    if (got->messages == told->messages && largest == told->largest && most <= told->bytes &&
        most >= told->bytes - slack)
        return 0;
    fprintf(stderr, "%s, rank %d of %d, %d groups: %lld messages, %lld bytes, at most %lld; told %lld, %lld, %lld\n",
            what, comm->rank, comm->size, groups, (long long)got->messages, (long long)most, (long long)largest,
            (long long)told->messages, (long long)told->bytes, (long long)told->largest);
    return 1;
}

static int check(const struct comm *comm, const struct param_table *table, int groups)
{
    struct error e = {0};
    struct reducer *reducer;
    struct reducer_traffic traffic = {comm->size, groups, REDUCTION_EXACT, table->grad_total};
    struct told told = {0};
    if (reducer_create(comm, table, groups, REDUCTION_EXACT, 0, &reducer, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    sent = gathered = (struct count){0};
    (void)reducer_sum(reducer);
    struct count got_sent = sent, got_gathered = gathered;
    reducer_traffic_each(&traffic, hear, &told);
    reducer_free(reducer);
    return differs(comm, "sent", groups, &got_sent, &told.sent) +
           differs(comm, "gathered", groups, &got_gathered, &told.gathered);
}

/* plan's bytes on the wire are those of the rounds, but for slices that do not come out even. */
static int check_plan(const struct comm *comm, int ranks, int groups)
{
    struct plan_config config = {
        .model = {.cell = CELL_LSTM, .layers = 1, .embedding = 64, .hidden = 64, .vocab = 20000},
        .batch = groups,
        .bptt = 8,
        .groups = groups,
        .ranks = ranks,
        .threads = 1,
    };
    struct error e = {0};
    struct plan plan;
    if (plan_build(&config, &plan, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    struct reducer_traffic traffic = {ranks, groups, REDUCTION_EXACT,
                                      plan_summed_floats(&config.model, groups, config.bptt)};
    struct told told = {0};
    reducer_traffic_each(&traffic, hear, &told);
    double bytes = (double)(told.sent.bytes + told.gathered.bytes), planned = (double)plan.wire_bytes;
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
        param_table_build(&models[m], &table);
        for (int groups = comm.size; groups <= 13; groups++)
            failures += check(&comm, &table, groups);
    }
    for (int ranks = 1; ranks <= 24; ranks++)
        failures += check_plan(&comm, ranks, 24);
    comm_finalize(&comm);
    return failures != 0;
}
