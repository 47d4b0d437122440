/* Which pairs to measure, and what ranks and pairs say about hosts and links. No ranks are needed here. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/quantile.h"
#include "unroll/use/network.h"

/* ---- which pairs ---- */

int network_list_pairs(int ranks, struct network_pair *pair, int *round)
{
    int count = 0, rounds = 0;
    bool all = ranks <= NETWORK_ALL_PAIRS;
    for (int distance = 1; distance < ranks; distance = all ? distance + 1 : 2 * distance)
        for (int odd = 0; odd < 2; odd++) {
            for (int a = 0; a + distance < ranks; a++) {
                if (a / distance % 2 != odd)
                    continue;
                if (pair) {
                    pair[count] = (struct network_pair){.rank = {a, a + distance}};
                    round[count] = rounds;
                }
                count++;
                rounds += all;
            }
            rounds++;
        }
    return count;
}

/* ---- hosts ---- */

/* Ranks of the same name are on one host. */
static void find_hosts(struct network_report *report)
{
    report->hosts = 0;
    for (int r = 0; r < report->ranks; r++) {
        struct network_rank *rank = &report->rank[r];
        int host = r > 0 ? report->rank[r - 1].host_index : 0; /* neighbours often share one */
        if (host >= report->hosts || strcmp(report->host[host].name, rank->host) != 0)
            for (host = 0; host < report->hosts; host++)
                if (strcmp(report->host[host].name, rank->host) == 0)
                    break;
        if (host == report->hosts) {
            report->host[host] = (struct network_host){.ranks = 0};
            memcpy(report->host[host].name, rank->host, sizeof rank->host);
            report->hosts++;
        }
        rank->host_index = host;
        report->host[host].ranks++;
        report->host[host].speed += rank->compute_seconds > 0 ? rank->lanes / rank->compute_seconds : 0;
    }
    report->ranks_per_host = 0;
    for (int h = 0; h < report->hosts; h++) {
        struct network_host *host = &report->host[h];
        host->speed /= host->ranks;
        report->ranks_per_host = host->ranks > report->ranks_per_host ? host->ranks : report->ranks_per_host;
    }
}

static bool on_two_hosts(const struct network_report *report, const struct network_pair *pair)
{
    return report->rank[pair->rank[0]].host_index != report->rank[pair->rank[1]].host_index;
}

static double compute_imbalance(const struct network_report *report)
{
    double longest = 0, sum = 0;
    for (int r = 0; r < report->ranks; r++) {
        longest = fmax(longest, report->rank[r].compute_seconds);
        sum += report->rank[r].compute_seconds;
    }
    return sum > 0 ? longest * report->ranks / sum : 1;
}

/* ---- numbers in order ---- */

/* A number of each pair that is, or is not, between hosts; returns how many. `field`: its offset in the pair. */
static int collect_numbers(const struct network_report *report, bool between, size_t field, double *values)
{
    int count = 0;
    for (int i = 0; i < report->pairs; i++)
        if (on_two_hosts(report, &report->pair[i]) == between)
            memcpy(&values[count++], (const char *)&report->pair[i] + field, sizeof *values);
    return count;
}

static struct network_range range_of(const struct network_report *report, bool between, double *values)
{
    struct network_range range = {.pairs =
                                      collect_numbers(report, between, offsetof(struct network_pair, latency), values)};
    if (range.pairs == 0)
        return range;
    range.median.latency = quantile(values, range.pairs, 0.5);
    range.latency_min = values[0];
    range.latency_max = values[range.pairs - 1];
    (void)collect_numbers(report, between, offsetof(struct network_pair, start_up), values);
    range.median.start_up = quantile(values, range.pairs, 0.5);
    (void)collect_numbers(report, between, offsetof(struct network_pair, bandwidth), values);
    range.median.bandwidth = quantile(values, range.pairs, 0.5);
    range.bandwidth_min = values[0];
    range.bandwidth_max = values[range.pairs - 1];
    return range;
}

/* ---- verdicts ---- */

static void judge_pairs(struct network_report *report, double *values)
{
    int count = collect_numbers(report, true, offsetof(struct network_pair, throughput), values);
    if (count < 2)
        return;
    double throughput = quantile(values, count, 0.75);
    (void)collect_numbers(report, true, offsetof(struct network_pair, latency_min), values);
    double latency = quantile(values, count, 0.25);
    for (int i = 0; i < report->pairs; i++) {
        struct network_pair *pair = &report->pair[i];
        bool narrow = pair->throughput < NETWORK_SLOW_LINK * throughput;
        bool late =
            pair->latency_min > latency / NETWORK_SLOW_LINK && pair->latency_min > latency + NETWORK_SLOW_LATENCY;
        pair->slow = on_two_hosts(report, pair) && (narrow || late);
    }
}

static void judge_hosts(struct network_report *report, double *values)
{
    for (int h = 0; h < report->hosts; h++)
        values[h] = report->host[h].speed;
    double fast = quantile(values, report->hosts, 0.75);
    for (int h = 0; h < report->hosts; h++) {
        report->host[h].slow = report->host[h].speed < NETWORK_SLOW_HOST * fast;
        report->host[h].slow_link = report->hosts > 2;
    }
    for (int i = 0; i < report->pairs; i++) {
        const struct network_pair *pair = &report->pair[i];
        for (int end = 0; end < 2; end++)
            if (on_two_hosts(report, pair) && !pair->slow)
                report->host[report->rank[pair->rank[end]].host_index].slow_link = false;
    }
}

enum status network_judge(struct network_report *report, struct error *e)
{
    size_t most = (size_t)(report->pairs > report->ranks ? report->pairs : report->ranks);
    double *values = mem_alloc(most, sizeof *values, "the network's report", e);
    if (!values)
        return STATUS_OS;
    find_hosts(report);
    report->imbalance = compute_imbalance(report);
    report->between = range_of(report, true, values);
    report->inside = range_of(report, false, values);
    judge_pairs(report, values);
    judge_hosts(report, values);
    mem_free(values);
    return STATUS_OK;
}

/* ---- answers ---- */

struct network network_of_report(const struct network_report *report)
{
    return (struct network){
        .between = report->between.median,
        .inside = report->inside.median,
        .ranks_per_node = report->ranks_per_host,
        .add_rate = report->add_rate,
    };
}

const struct network_pair *network_slowest(const struct network_report *report)
{
    const struct network_pair *slowest = NULL;
    for (int i = 0; i < report->pairs; i++) {
        const struct network_pair *pair = &report->pair[i];
        if (on_two_hosts(report, pair) == (report->between.pairs > 0) &&
            (!slowest || pair->bandwidth < slowest->bandwidth))
            slowest = pair;
    }
    return slowest;
}
