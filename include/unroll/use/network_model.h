/* What messages cost, and sums over ranks made of them: the alpha-beta model (Hockney; Thakur, Rabenseifner and Gropp,
 * "Optimization of Collective Communication Operations in MPICH", 2005). All times in seconds, bandwidths in bytes per
 * second.
 *
 * A message of n bytes takes latency + n / bandwidth. One of several parts (COMM_EAGER in sys/comm.h) may take more to
 * start, where it was measured so: `start_up` stands for `latency` there.
 *
 * Ranks of one node share its link to the others: where k of them send out of the node in a round, each has a k-th
 * of the bandwidth. A round takes as long as its slowest message. Additions and copies of the sum are counted by
 * memory traffic, since they run at that speed. */
#ifndef UNROLL_USE_NETWORK_MODEL_H
#define UNROLL_USE_NETWORK_MODEL_H

#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/train/reducer_traffic.h"

struct network_link {
    double latency;   /* of a small message, one way */
    double start_up;  /* of a message of several parts */
    double bandwidth; /* each way, while both ways are busy */
};

struct network {
    struct network_link between, inside; /* nodes; a node */
    int ranks_per_node;                  /* neighbouring ranks share a node */
    double add_rate; /* floats per second that a rank adds to others; 0: time for it is not counted */
};

/* Reads 'LATENCY,BANDWIDTH': a number with s, ms, us or ns; then one with a factor (none, k, M, G, T: powers of
 * 1000; Ki, Mi, Gi, Ti: of 1024) and 'bit' or 'B', of each second, with or without '/s': 30us,1Gbit or 1.5us,12GB/s.
 * start_up becomes the latency. STATUS_CONFIG, or STATUS_USAGE where the text has another form; `where` names the
 * option. */
enum status network_link_parse(const char *text, const char *where, struct network_link *link, struct error *e);

/* One message, while `sharing` ranks of its node send (1: it has the link to itself). */
double network_message_seconds(const struct network_link *link, size_t bytes, int sharing);

/* One sum of gradients, as the reducer does it. */
double network_sum_seconds(const struct network *network, const struct reducer_traffic *traffic);

/* The same sum by a ring (reduce-scatter, then allgather), and by recursive doubling of whole gradients: without the
 * pieces and orders of the reducer. */
double network_ring_seconds(const struct network *network, const struct reducer_traffic *traffic);
double network_doubling_seconds(const struct network *network, const struct reducer_traffic *traffic);

/* No sum can take less: log2(nodes) latencies, and each node must send, and receive, 2 (1 - 1/nodes) of the gradient
 * (Chan, Heimlich, Purkayastha and van de Geijn, "Collective communication: theory, practice, and experience",
 * 2007). */
double network_bound_seconds(const struct network *network, const struct reducer_traffic *traffic);

/* A gathering of `bytes` from each rank on all ranks, for small ones: log2(ranks) rounds of growing messages
 * (Bruck). */
double network_gather_seconds(const struct network *network, int ranks, size_t bytes);

#endif
