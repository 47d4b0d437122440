/* Predicts the seconds of messages and sums by the alpha-beta model. */
#include "unroll/use/network_model.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "unroll/base/number.h"

/* ---- reading ---- */

struct unit {
    const char *name;
    double factor;
};

/* A number directly followed by one of the units, `length` characters in all. */
static bool parse_quantity(const char *text, size_t length, const struct unit *units, double *value)
{
    char number[NUMBER_TEXT] = "", unit[16] = "";
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits >= length || digits >= sizeof number || length - digits >= sizeof unit)
        return false;
    memcpy(number, text, digits);
    memcpy(unit, text + digits, length - digits);
    if (number_parse_double(number, value) != 0)
        return false;
    for (; units->name; units++)
        if (strcmp(units->name, unit) == 0) {
            *value *= units->factor;
            return true;
        }
    return false;
}

/* 'Gbit/s' or 'GB': taken apart from behind. */
static bool parse_bandwidth(const char *text, double *value)
{
    static const struct unit factors[] = {
        {"k", 1e3},   {"M", 1e6},      {"G", 1e9},      {"T", 1e12},
        {"Ki", 1024}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1.099511627776e12},
        {NULL, 0},
    };
    size_t length = strlen(text);
    if (length > 2 && strcmp(text + length - 2, "/s") == 0)
        length -= 2;
    bool bits = length > 3 && strncmp(text + length - 3, "bit", 3) == 0;
    if (!bits && !(length > 1 && text[length - 1] == 'B'))
        return false;
    length -= bits ? 3 : 1;
    char number[NUMBER_TEXT + 4] = "";
    if (length >= sizeof number)
        return false;
    memcpy(number, text, length);
    if (isdigit((unsigned char)number[length - 1]) || number[length - 1] == '.') {
        if (number_parse_double(number, value) != 0)
            return false;
    } else if (!parse_quantity(number, length, factors, value))
        return false;
    *value /= bits ? 8 : 1;
    return true;
}

enum status network_link_parse(const char *text, const char *where, struct network_link *link, struct error *e)
{
    static const struct unit seconds[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {NULL, 0}};
    const char *comma = strchr(text, ',');
    double latency, bandwidth;
    if (!comma || !parse_quantity(text, (size_t)(comma - text), seconds, &latency) ||
        !parse_bandwidth(comma + 1, &bandwidth))
        return error_set(e, STATUS_USAGE,
                         "bad value '%s' for %s: no LATENCY,BANDWIDTH with units; write them as in "
                         "30us,1Gbit or 1.5us,12GB",
                         text, where);
    if (!(latency <= 60 && bandwidth >= 1 && bandwidth <= 1e15))
        return error_set(e, STATUS_CONFIG,
                         "bad value '%s' for %s: out of range; write a latency of 0s to 60s and a bandwidth of 1B to "
                         "1000TB a second",
                         text, where);
    *link = (struct network_link){.latency = latency, .start_up = latency, .bandwidth = bandwidth};
    return STATUS_OK;
}

/* ---- messages and rounds ---- */

double network_message_seconds(const struct network_link *link, size_t bytes, int sharing)
{
    return (bytes > COMM_EAGER ? link->start_up : link->latency) + (double)bytes * sharing / link->bandwidth;
}

/* Ranks of a node that send out of it in a round, at most. */
static int ranks_leaving_node(const struct network *network, int ranks, const struct traffic_round *round)
{
    int node = network->ranks_per_node;
    if (node >= ranks)
        return 0;
    if (round->pattern != TRAFFIC_SWAP)
        return round->distance < node ? round->distance : node;
    /* r and r ^ distance are on one node if the node is a whole block of the butterfly up to there. */
    bool inside = round->distance < node && node % (2 * round->distance) == 0;
    return inside ? 0 : round->distance < node ? round->distance : node;
}

static double round_seconds(const struct network *network, int ranks, const struct traffic_round *round)
{
    int out = ranks_leaving_node(network, ranks, round);
    double between = out > 0 ? network_message_seconds(&network->between, round->bytes, out) : 0;
    double inside = out < network->ranks_per_node ? network_message_seconds(&network->inside, round->bytes, 1) : 0;
    return (double)round->times * fmax(between, inside);
}

struct sum {
    const struct network *network;
    int ranks;
    double seconds;
};

static void add_round(void *context, const struct traffic_round *round)
{
    struct sum *sum = context;
    sum->seconds += round_seconds(sum->network, sum->ranks, round);
}

/* An addition reads two floats and writes one, a copy reads one and writes one. */
static double work_seconds(const struct network *network, double added, double copied)
{
    return network->add_rate > 0 ? (added + copied * 2 / 3) / network->add_rate : 0;
}

/* ---- sums ---- */

double network_sum_seconds(const struct network *network, const struct reducer_traffic *traffic)
{
    struct sum sum = {network, traffic->ranks, 0};
    double added, copied;
    reducer_traffic_each(traffic, add_round, &sum);
    reducer_traffic_work(traffic, &added, &copied);
    return sum.seconds + work_seconds(network, added, copied);
}

double network_ring_seconds(const struct network *network, const struct reducer_traffic *traffic)
{
    struct reducer_traffic ring = *traffic;
    ring.reduction = REDUCTION_FAST;
    return network_sum_seconds(network, &ring);
}

static int rounds_of(int ranks) /* ceil(log2) */
{
    int rounds = 0;
    while (rounds < 31 && 1 << rounds < ranks)
        rounds++;
    return rounds;
}

double network_doubling_seconds(const struct network *network, const struct reducer_traffic *traffic)
{
    struct sum sum = {network, traffic->ranks, 0};
    int levels = rounds_of(traffic->ranks);
    for (int level = 0; level < levels; level++) {
        struct traffic_round round = {TRAFFIC_SWAP, 1 << level, 1, traffic->floats * sizeof(float)};
        add_round(&sum, &round);
    }
    return sum.seconds + work_seconds(network, (double)traffic->floats * levels, 0);
}

double network_bound_seconds(const struct network *network, const struct reducer_traffic *traffic)
{
    int node = network->ranks_per_node, nodes = (traffic->ranks + node - 1) / node;
    const struct network_link *link = nodes > 1 ? &network->between : &network->inside;
    int ends = nodes > 1 ? nodes : traffic->ranks; /* of the link that bounds */
    double bytes = (double)traffic->floats * sizeof(float);
    return ends > 1 ? rounds_of(ends) * link->latency + 2 * bytes * (ends - 1) / ends / link->bandwidth : 0;
}

double network_gather_seconds(const struct network *network, int ranks, size_t bytes)
{
    struct sum sum = {network, ranks, 0};
    for (int have = 1; have < ranks; have *= 2) {
        int more = 2 * have < ranks ? have : ranks - have;
        struct traffic_round round = {TRAFFIC_SHIFT, have, 1, bytes * (size_t)more};
        add_round(&sum, &round);
    }
    return sum.seconds;
}
