/* The network between ranks, and the hosts they run on, measured: which link and which host are slow. `unroll bench
 * --network` prints it. Its JSON has a member "network", all times in seconds and bandwidths in bytes per second:
 *
 *   "hosts": [{"name", "ranks", "speed", "slow", "slow_link"}, ...]   in order of their first rank
 *   "by_rank": [{"host", "lanes", "compute_seconds", "sgemm_gflops"}, ...]
 *   "pairs": [{"ranks": [a, b], "hosts": [a's, b's], "latency", "latency_min", "start_up", "bandwidth", "throughput",
 *              "slow"}, ...]
 *   "between_hosts", "inside_hosts": null without such a pair, else {"pairs", "latency", "start_up", "bandwidth"
 *              (medians), "latency_min", "latency_max", "bandwidth_min", "bandwidth_max" (over the pairs' medians)}
 *   "slowest_pair": as in "pairs"; null with one rank
 *   "slow_hosts", "slow_links": names for people: ["n3"], ["n2", "n1 - n4"]
 *   "imbalance": longest time in computing of a rank by the mean of all; "ranks_per_host": of the host that has most
 *   "sum": {"bytes", "seconds", "seconds_min", "model_seconds", "bound_seconds"}
 *
 * The latency of a pair is half the time that 8 bytes take to another rank and back; its bandwidth is that of large
 * messages of which both send one at the same time, as the reducer's ranks do; start_up is what such a message takes
 * beyond its bytes. All pairs of up to NETWORK_ALL_PAIRS ranks are measured one after the other; of more, those
 * whose ranks are a power of two apart, side by side. "sum" is the gradient sum of the bench's model by the reducer;
 * see use/network_model.h for model and bound. "compute_seconds" is a step of this rank without the reduction. */
#ifndef UNROLL_USE_NETWORK_H
#define UNROLL_USE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"
#include "unroll/train/reducer.h"
#include "unroll/use/network_model.h"

#define NETWORK_ALL_PAIRS 16
#define NETWORK_NAME 64 /* bytes of a host's name, terminator included; longer ones are cut */

struct network_rank {
    char host[NETWORK_NAME];
    int host_index; /* into network_report.host */
    int lanes;
    double compute_seconds; /* of a step, median over the repetitions */
    double sgemm_flops;     /* per second, the best of the repetitions */
};

struct network_pair {
    int rank[2]; /* a < b */
    double latency, latency_min;
    double start_up, bandwidth;
    double throughput; /* bytes of the largest message by the shortest time that one took, start-up included */
    bool slow;
};

struct network_host {
    char name[NETWORK_NAME];
    int ranks;
    double speed;   /* lanes computed per second by a rank, mean of its ranks */
    bool slow;      /* below NETWORK_SLOW_HOST of the fast hosts' speed */
    bool slow_link; /* to all other hosts */
};

struct network_range { /* over the pairs of one kind */
    int pairs;
    struct network_link median;
    double latency_min, latency_max, bandwidth_min, bandwidth_max;
};

struct network_sum {
    size_t bytes; /* of the gradient */
    double seconds, seconds_min, model_seconds, bound_seconds;
};

struct network_report {
    int ranks, hosts, pairs;
    struct network_rank *rank; /* [ranks] */
    struct network_host *host; /* [hosts] */
    struct network_pair *pair; /* [pairs] */
    struct network_range between, inside;
    int ranks_per_host; /* of the host that has most */
    double imbalance;
    double add_rate; /* floats per second */
    struct network_sum sum;
};

/* A host is slow below NETWORK_SLOW_HOST of the fast hosts' speed (upper quartile). A pair on two hosts is slow if
 * its best throughput is below NETWORK_SLOW_LINK of that of fast pairs, or its best latency longer than theirs by
 * the inverse of that and by NETWORK_SLOW_LATENCY seconds. Of three or more hosts, one whose pairs are all slow has
 * a slow link to the rest. */
#define NETWORK_SLOW_HOST 0.75
#define NETWORK_SLOW_LINK 0.6
#define NETWORK_SLOW_LATENCY 50e-6

/* What the measurement needs from the bench. */
struct network_subject {
    struct network_rank mine; /* what this rank says of itself */
    struct reducer *reducer;  /* its gradients are cleared */
    int groups;               /* of the reducer, as are the next two */
    enum reduction reduction;
    size_t grad_total;             /* floats of a gradient array */
    const struct touched *touched; /* by a window of this rank: those rows are summed */
    double add_rate;               /* by network_add_rate; the same on all ranks */
};

/* Collective. Fills `report` on all ranks. Release with network_release, also after a failure. */
enum status network_measure(const struct comm *comm, const struct network_subject *subject,
                            struct network_report *report, struct error *e);
void network_release(struct network_report *report);

/* Collective. Floats per second that the slowest rank adds, all adding at once. `room` holds NETWORK_ADDED floats
 * twice. */
double network_add_rate(const struct comm *comm, float *room);
#define NETWORK_ADDED ((size_t)1 << 19) /* as many as the reducer adds at once, at most */

/* Lists the pairs to measure, in rounds of disjoint ones, and the number of each one's round; returns how many.
 * NULL: only counts. */
int network_list_pairs(int ranks, struct network_pair *pair, int *round);

/* The part without messages: computes hosts, ranges, slow hosts and links, and imbalance from rank[] and pair[]; `host`
 * has room for `ranks` entries. STATUS_OS. */
enum status network_judge(struct network_report *report, struct error *e);

/* The median links as a network to predict with. */
struct network network_of_report(const struct network_report *report);

/* The pair of least bandwidth, preferring those between hosts; NULL with one rank. */
const struct network_pair *network_slowest(const struct network_report *report);

#endif
