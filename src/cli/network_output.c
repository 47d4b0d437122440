/* Prints what `unroll bench --network` measured, and puts it into JSON. */
#include "unroll/cli/network_output.h"

#include <stdio.h>

#define SLOW_LINK_NAME (2 * NETWORK_NAME + 4)

static const char *host_of(const struct network_report *report, int rank)
{
    return report->rank[rank].host;
}

/* Calls `put` with the name of each slow link: a host whose pairs are all slow, or two hosts of which neither is. */
static void each_slow_link(const struct network_report *report, void (*put)(void *context, const char *name),
                           void *context)
{
    for (int h = 0; h < report->hosts; h++)
        if (report->host[h].slow_link)
            put(context, report->host[h].name);
    for (int i = 0; i < report->pairs; i++) {
        const struct network_pair *pair = &report->pair[i];
        int a = report->rank[pair->rank[0]].host_index, b = report->rank[pair->rank[1]].host_index;
        bool told = !pair->slow || report->host[a].slow_link || report->host[b].slow_link;
        for (int k = 0; k < i && !told; k++) {
            const struct network_pair *other = &report->pair[k];
            int c = report->rank[other->rank[0]].host_index, d = report->rank[other->rank[1]].host_index;
            told = other->slow && ((a == c && b == d) || (a == d && b == c));
        }
        char name[SLOW_LINK_NAME];
        snprintf(name, sizeof name, "%s - %s", report->host[a].name, report->host[b].name);
        if (!told)
            put(context, name);
    }
}

/* ---- for people ---- */

static void print_range(const char *name, const struct network_range *range)
{
    if (range->pairs == 0)
        return;
    printf("  %-14s %4d %s   latency %.1f us (%.1f to %.1f), large messages %.1f us + %.1f MB/s (%.1f to %.1f)\n", name,
           range->pairs, range->pairs == 1 ? "pair " : "pairs", 1e6 * range->median.latency, 1e6 * range->latency_min,
           1e6 * range->latency_max, 1e6 * range->median.start_up, 1e-6 * range->median.bandwidth,
           1e-6 * range->bandwidth_min, 1e-6 * range->bandwidth_max);
}

static void print_link(void *context, const char *name)
{
    (void)context;
    printf("  slow link      %s\n", name);
}

void network_print(const struct network_report *report)
{
    const struct network_pair *slowest = network_slowest(report);
    const struct network_sum *sum = &report->sum;
    printf("\nnetwork of %d %s on %d %s\n", report->ranks, report->ranks == 1 ? "rank" : "ranks", report->hosts,
           report->hosts == 1 ? "host" : "hosts");
    print_range("between hosts", &report->between);
    print_range("inside hosts", &report->inside);
    if (slowest)
        printf("  slowest pair   ranks %d (%s) and %d (%s): %.1f us, %.1f MB/s\n", slowest->rank[0],
               host_of(report, slowest->rank[0]), slowest->rank[1], host_of(report, slowest->rank[1]),
               1e6 * slowest->latency, 1e-6 * slowest->bandwidth);
    each_slow_link(report, print_link, NULL);
    for (int h = 0; h < report->hosts; h++)
        if (report->host[h].slow)
            printf("  slow host      %s: %.1f lanes/s a rank\n", report->host[h].name, report->host[h].speed);
    printf("  imbalance      %.3f: longest time in computing of a rank, by the mean\n", report->imbalance);
    if (report->ranks > 1)
        printf("  gradient sum   %.3f ms for %.1f MiB; the model of this exchange says %.3f, no sum takes less than "
               "%.3f\n",
               1e3 * sum->seconds, (double)sum->bytes / (1 << 20), 1e3 * sum->model_seconds, 1e3 * sum->bound_seconds);
}

/* ---- for programs ---- */

static void put_pair(struct json *json, const char *key, const struct network_report *report,
                     const struct network_pair *pair)
{
    json_object_begin(json, key);
    json_array_begin(json, "ranks");
    for (int end = 0; end < 2; end++)
        json_put_int(json, NULL, pair->rank[end]);
    json_array_end(json);
    json_array_begin(json, "hosts");
    for (int end = 0; end < 2; end++)
        json_put_string(json, NULL, host_of(report, pair->rank[end]));
    json_array_end(json);
    json_put_double(json, "latency", pair->latency);
    json_put_double(json, "latency_min", pair->latency_min);
    json_put_double(json, "start_up", pair->start_up);
    json_put_double(json, "bandwidth", pair->bandwidth);
    json_put_double(json, "throughput", pair->throughput);
    json_put_bool(json, "slow", pair->slow);
    json_object_end(json);
}

static void put_range(struct json *json, const char *key, const struct network_range *range)
{
    if (range->pairs == 0) {
        json_put_null(json, key);
        return;
    }
    json_object_begin(json, key);
    json_put_int(json, "pairs", range->pairs);
    json_put_double(json, "latency", range->median.latency);
    json_put_double(json, "start_up", range->median.start_up);
    json_put_double(json, "bandwidth", range->median.bandwidth);
    json_put_double(json, "latency_min", range->latency_min);
    json_put_double(json, "latency_max", range->latency_max);
    json_put_double(json, "bandwidth_min", range->bandwidth_min);
    json_put_double(json, "bandwidth_max", range->bandwidth_max);
    json_object_end(json);
}

static void put_hosts(struct json *json, const struct network_report *report)
{
    json_array_begin(json, "hosts");
    for (int h = 0; h < report->hosts; h++) {
        const struct network_host *host = &report->host[h];
        json_object_begin(json, NULL);
        json_put_string(json, "name", host->name);
        json_put_int(json, "ranks", host->ranks);
        json_put_double(json, "speed", host->speed);
        json_put_bool(json, "slow", host->slow);
        json_put_bool(json, "slow_link", host->slow_link);
        json_object_end(json);
    }
    json_array_end(json);
    json_array_begin(json, "by_rank");
    for (int r = 0; r < report->ranks; r++) {
        const struct network_rank *rank = &report->rank[r];
        json_object_begin(json, NULL);
        json_put_string(json, "host", rank->host);
        json_put_int(json, "lanes", rank->lanes);
        json_put_double(json, "compute_seconds", rank->compute_seconds);
        json_put_double(json, "sgemm_gflops", 1e-9 * rank->sgemm_flops);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_link(void *context, const char *name)
{
    json_put_string(context, NULL, name);
}

void network_put(struct json *json, const char *key, const struct network_report *report)
{
    const struct network_pair *slowest = network_slowest(report);
    json_object_begin(json, key);
    put_hosts(json, report);
    json_array_begin(json, "pairs");
    for (int i = 0; i < report->pairs; i++)
        put_pair(json, NULL, report, &report->pair[i]);
    json_array_end(json);
    put_range(json, "between_hosts", &report->between);
    put_range(json, "inside_hosts", &report->inside);
    if (slowest)
        put_pair(json, "slowest_pair", report, slowest);
    else
        json_put_null(json, "slowest_pair");
    json_array_begin(json, "slow_hosts");
    for (int h = 0; h < report->hosts; h++)
        if (report->host[h].slow)
            json_put_string(json, NULL, report->host[h].name);
    json_array_end(json);
    json_array_begin(json, "slow_links");
    each_slow_link(report, put_link, json);
    json_array_end(json);
    json_put_double(json, "imbalance", report->imbalance);
    json_put_int(json, "ranks_per_host", report->ranks_per_host);
    json_object_begin(json, "sum");
    json_put_uint(json, "bytes", report->sum.bytes);
    json_put_double(json, "seconds", report->sum.seconds);
    json_put_double(json, "seconds_min", report->sum.seconds_min);
    json_put_double(json, "model_seconds", report->sum.model_seconds);
    json_put_double(json, "bound_seconds", report->sum.bound_seconds);
    json_object_end(json);
    json_object_end(json);
}
