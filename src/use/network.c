/* Measures links between ranks and the sum of gradients. */
#include "unroll/use/network.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/quantile.h"

#define SMALL 8 /* bytes of messages that measure the latency */
#define MEDIUM ((size_t)256 << 10)
#define LARGE ((size_t)2 << 20) /* the largest message of the reducer's butterfly */

#define LATENCY_SECONDS 0.03 /* seconds that a measurement may take, if the least number of repetitions allows it */
#define LARGE_SECONDS 0.3
#define SUM_SECONDS 1.5
#define LEAST 3
#define LATENCY_LEAST 20
#define MOST 200

/* ---- one pair ---- */

static int choose_repetitions(double budget, double each, int least)
{
    double count = each > 0 ? budget / each : MOST;
    return count < least ? least : count > MOST ? MOST : (int)count | 1;
}

/* Makes both ranks of a pair go on at about the same time. */
static void synchronise_pair(const struct comm *comm, int peer)
{
    char mine = 0, other;
    comm_exchange(comm, peer, &mine, sizeof mine, &other, sizeof other);
}

/* The larger of both ranks' numbers. */
static double larger_of_pair(const struct comm *comm, int peer, double mine)
{
    double other;
    comm_exchange(comm, peer, &mine, sizeof mine, &other, sizeof other);
    return fmax(mine, other);
}

static double measure_latency(const struct comm *comm, int peer, bool first, char *buffer)
{
    double begin = omp_get_wtime();
    for (int turn = 0; turn < 2; turn++) {
        bool sends = first == (turn == 0);
        comm_exchange(comm, peer, buffer, sends ? SMALL : 0, buffer + SMALL, sends ? 0 : SMALL);
    }
    return larger_of_pair(comm, peer, (omp_get_wtime() - begin) / 2);
}

/* Both send `bytes` at once. A rank's own clock sees when it has received, the other's when its message arrived. */
static double both_ways(const struct comm *comm, int peer, char *buffer, size_t bytes)
{
    synchronise_pair(comm, peer);
    double begin = omp_get_wtime();
    comm_exchange(comm, peer, buffer, bytes, buffer + LARGE, bytes);
    return larger_of_pair(comm, peer, omp_get_wtime() - begin);
}

static void measure_pair(const struct comm *comm, struct network_pair *pair, char *buffer)
{
    bool first = comm->rank == pair->rank[0];
    int peer = pair->rank[first];
    double seconds[MOST], large = 0, medium, least;
    for (int i = 0; i < 2; i++) /* connects, and lets TCP find its window */
        large = both_ways(comm, peer, buffer, LARGE);

    (void)measure_latency(comm, peer, first, buffer);
    int count = choose_repetitions(LATENCY_SECONDS, measure_latency(comm, peer, first, buffer), LATENCY_LEAST);
    for (int i = 0; i < count; i++)
        seconds[i] = measure_latency(comm, peer, first, buffer);
    pair->latency = median(seconds, count);
    pair->latency_min = seconds[0];

    count = choose_repetitions(LARGE_SECONDS, large, LEAST);
    for (int i = 0; i < count; i++)
        seconds[i] = both_ways(comm, peer, buffer, LARGE);
    large = median(seconds, count);
    least = seconds[0];
    for (int i = 0; i < count; i++)
        seconds[i] = both_ways(comm, peer, buffer, MEDIUM);
    medium = median(seconds, count);
    pair->throughput = LARGE / least;
    pair->bandwidth = large > medium ? (double)(LARGE - MEDIUM) / (large - medium) : LARGE / large;
    pair->start_up = fmax(large - LARGE / pair->bandwidth, pair->latency);
}

/* Collective. Ranks without a pair in a round sleep. */
static void measure_pairs(const struct comm *comm, struct network_report *report, const int *round, char *buffer)
{
    for (int next = 0; next < report->pairs;) {
        int begin = next;
        comm_barrier_asleep(comm);
        for (; next < report->pairs && round[next] == round[begin]; next++) {
            struct network_pair *pair = &report->pair[next];
            if (pair->rank[0] == comm->rank || pair->rank[1] == comm->rank)
                measure_pair(comm, pair, buffer);
        }
    }
    comm_barrier_asleep(comm);
    for (int i = 0; i < report->pairs; i++)
        comm_broadcast(comm, &report->pair[i], sizeof report->pair[i], report->pair[i].rank[0]);
}

/* ---- sums ---- */

/* Collective: the same on all ranks. */
static double longest_of_ranks(const struct comm *comm, double seconds)
{
    return 1e-9 * (double)comm_max(comm, (int64_t)(seconds * 1e9));
}

double network_add_rate(const struct comm *comm, float *room)
{
    float *restrict to = room, *restrict from = room + NETWORK_ADDED;
    double seconds[9];
    for (int i = 0; i < 9; i++) {
        comm_barrier(comm);
        double begin = omp_get_wtime();
        for (size_t k = 0; k < NETWORK_ADDED; k++)
            to[k] += from[k];
        seconds[i] = omp_get_wtime() - begin;
    }
    return (double)NETWORK_ADDED / longest_of_ranks(comm, median(seconds, 9));
}

/* Collective. */
static double time_sum(const struct comm *comm, const struct network_subject *subject)
{
    comm_barrier(comm);
    double begin = omp_get_wtime();
    (void)reducer_sum(subject->reducer, subject->touched);
    return longest_of_ranks(comm, omp_get_wtime() - begin);
}

/* Collective. */
static void measure_sum(const struct comm *comm, const struct network_subject *subject, struct network_sum *sum)
{
    struct reducer *reducer = subject->reducer;
    float *const *grads;
    int nodes = reducer_nodes(reducer, &grads);
    for (int i = 0; i < nodes; i++)
        memset(grads[i], 0, subject->grad_total * sizeof(float)); /* sums of sums of gradients would overflow */
    double seconds[MOST];
    (void)time_sum(comm, subject);
    int count = choose_repetitions(SUM_SECONDS, time_sum(comm, subject), LEAST); /* the same on all ranks */
    for (int i = 0; i < count; i++)
        seconds[i] = time_sum(comm, subject);
    sum->bytes = reducer_summed(reducer) * sizeof(float);
    sum->seconds = median(seconds, count);
    sum->seconds_min = seconds[0];
}

/* ---- the whole ---- */

/* Collective. */
static enum status report_create(const struct comm *comm, struct network_report *report, int **round, char **buffer,
                                 struct error *e)
{
    report->ranks = comm->size;
    report->pairs = network_list_pairs(comm->size, NULL, NULL);
    report->rank = mem_alloc((size_t)report->ranks, sizeof *report->rank, "the network's report", e);
    report->host = mem_alloc((size_t)report->ranks, sizeof *report->host, "the network's report", e);
    report->pair = mem_alloc((size_t)report->pairs, sizeof *report->pair, "the network's report", e);
    *round = mem_alloc((size_t)report->pairs, sizeof **round, "the network's report", e);
    *buffer = mem_alloc(2, LARGE, "messages", e);
    bool complete = report->rank && report->host && report->pair && *round && *buffer;
    return comm_agree(comm, complete ? STATUS_OK : STATUS_OS, e);
}

enum status network_measure(const struct comm *comm, const struct network_subject *subject,
                            struct network_report *report, struct error *e)
{
    int *round;
    char *buffer;
    *report = (struct network_report){0};
    enum status status = report_create(comm, report, &round, &buffer, e);
    if (!status) {
        comm_allgather(comm, &subject->mine, sizeof subject->mine, report->rank);
        (void)network_list_pairs(comm->size, report->pair, round);
        measure_pairs(comm, report, round, buffer);
        report->add_rate = subject->add_rate;
        measure_sum(comm, subject, &report->sum);
        status = comm_agree(comm, network_judge(report, e), e);
    }
    if (!status) {
        struct network network = network_of_report(report);
        struct reducer_traffic traffic = {comm->size, subject->groups, subject->reduction,
                                          reducer_summed(subject->reducer)};
        report->sum.model_seconds = network_sum_seconds(&network, &traffic);
        report->sum.bound_seconds = network_bound_seconds(&network, &traffic);
    }
    mem_free(round);
    mem_free(buffer);
    return status;
}

void network_release(struct network_report *report)
{
    mem_free(report->rank);
    mem_free(report->host);
    mem_free(report->pair);
    *report = (struct network_report){0};
}
