/* What messages and sums over ranks cost, by hand; how links are written; and verdicts on hosts and links from made-up
 * measurements. That the reducer sends what is counted here is tested in tests/mpi/test_traffic.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/use/network.h"

static struct error error;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
        fail_msg("%.17g for %.17g", got, want);
}

/* ---- links as text ---- */

static void reads(const char *text, double latency, double bandwidth)
{
    struct network_link link;
    if (network_link_parse(text, "'--network'", &link, &error) != STATUS_OK)
        fail_msg("refused: %s", error.text);
    near(link.latency, latency);
    near(link.start_up, latency);
    near(link.bandwidth, bandwidth);
}

static void links_are_read(void **state)
{
    (void)state;
    reads("30us,1Gbit", 30e-6, 125e6);
    reads("1.5us,12GB", 1.5e-6, 12e9);
    reads("1.5us,12GB/s", 1.5e-6, 12e9);
    reads("2ms,100Mbit/s", 2e-3, 12.5e6);
    reads("0s,1GiB", 0, 1 << 30);
    reads("800ns,400Gbit", 800e-9, 50e9);
    reads("1s,56000bit", 1, 7000);
    reads("1s,9600B", 1, 9600);
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "",           "30us",        "30,1Gbit",    "30us,1G",     "30us,Gbit",
        "us,1Gbit",   "30us,1Gbits", "30us 1Gbit",  "-3us,1B",     "30us,-1GB",
        "30us,1gbit", "30us,1Gbit,", "30 us,1Gbit", "1e3us,1Gbit", "30us,1Gbit/h",
        "nans,1B",    "1.2.3us,1GB",
    };
    struct network_link link;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_int_equal(network_link_parse(malformed[i], "'--network'", &link, &error), STATUS_USAGE);
        assert_non_null(strstr(error.text, "'--network'"));
        assert_non_null(strstr(error.text, "30us,1Gbit"));
    }
    assert_int_equal(network_link_parse("61s,1GB", "'x'", &link, &error), STATUS_CONFIG);
    assert_int_equal(network_link_parse("1s,0GB", "'x'", &link, &error), STATUS_CONFIG);
}

/* ---- costs ---- */

static const struct network plain = {
    .between = {.latency = 1e-3, .start_up = 4e-3, .bandwidth = 1e6},
    .inside = {.latency = 1e-4, .start_up = 2e-4, .bandwidth = 1e7},
    .ranks_per_node = 1,
};

static void a_message(void **state)
{
    (void)state;
    near(network_message_seconds(&plain.between, 1000, 1), 2e-3);
    near(network_message_seconds(&plain.between, COMM_EAGER, 1), 1e-3 + 61440e-6);
    near(network_message_seconds(&plain.between, COMM_EAGER + 4, 1), 4e-3 + 61444e-6);
    near(network_message_seconds(&plain.between, 1000, 3), 4e-3);
}

static struct reducer_traffic traffic_of(int ranks, int groups, size_t floats)
{
    return (struct reducer_traffic){.ranks = ranks, .groups = groups, .floats = floats};
}

/* 8 ranks, 8000 floats: halves of 16, 8 and 4 kB, there and back. */
static void a_butterfly(void **state)
{
    (void)state;
    struct reducer_traffic traffic = traffic_of(8, 8, 8000);
    near(network_sum_seconds(&plain, &traffic), 2 * (3 * 1e-3 + 28e-3));
    struct network network = plain;
    network.add_rate = 7e6; /* 7/8 of 8000 floats are added */
    near(network_sum_seconds(&network, &traffic), 2 * (3 * 1e-3 + 28e-3) + 1e-3);
    /* two whole pieces of 2^20 floats, with large messages of 2, 1 and 1/2 MiB, and a rest of 8 */
    traffic.floats = 2 * REDUCER_PIECE + 8;
    double piece = 3 * 4e-3 + 3.5e-6 * (1 << 20), rest = 3 * 1e-3 + 28e-6;
    near(network_sum_seconds(&plain, &traffic), 2 * (2 * piece + rest));
    traffic.ranks = 1;
    near(network_sum_seconds(&plain, &traffic), 0);
}

/* 3 ranks on 6 groups of a tree (((0 1) 2) ((3 4) 5)): ranks own 0-1, 2-3 and 4-5, 1, 2 and 2 nodes. */
static void an_exchange_of_slices(void **state)
{
    (void)state;
    struct reducer_traffic traffic = traffic_of(3, 6, 3000);
    int64_t all;
    int most;
    assert_false(reducer_traffic_nodes(6, 3, &all, &most));
    assert_int_equal(all, 5);
    assert_int_equal(most, 2);
    near(network_sum_seconds(&plain, &traffic), 2 * (1e-3 + 8e-3) + 2 * (1e-3 + 4e-3));
    double added, copied;
    reducer_traffic_work(&traffic, &added, &copied);
    near(added, 4000);
    near(copied, 3000 * 2 + 1000 * 3);
}

static void other_algorithms_and_the_bound(void **state)
{
    (void)state;
    struct reducer_traffic traffic = traffic_of(4, 4, 4000);
    near(network_ring_seconds(&plain, &traffic), 6 * (1e-3 + 4e-3));
    near(network_doubling_seconds(&plain, &traffic), 2 * (1e-3 + 16e-3));
    near(network_bound_seconds(&plain, &traffic), 2 * 1e-3 + 2 * 12e-3);
    traffic.ranks = 5; /* three levels */
    near(network_doubling_seconds(&plain, &traffic), 3 * (1e-3 + 16e-3));
    near(network_gather_seconds(&plain, 4, 8), 2 * 1e-3 + 24e-6);
    near(network_gather_seconds(&plain, 5, 8), 3 * 1e-3 + 32e-6);
    for (int ranks = 2; ranks < 40; ranks++)
        for (size_t floats = 1; floats < 4 * REDUCER_PIECE; floats = floats * 5 + 3) {
            traffic = traffic_of(ranks, 64, floats);
            double bound = network_bound_seconds(&plain, &traffic);
            assert_true(bound <= network_sum_seconds(&plain, &traffic));
            assert_true(bound <= network_ring_seconds(&plain, &traffic));
        }
}

/* Two ranks on each of two nodes: the first round stays inside, in the second both ranks share the link. */
static void ranks_of_a_node_share_its_link(void **state)
{
    (void)state;
    struct network network = plain;
    network.ranks_per_node = 2;
    struct reducer_traffic traffic = traffic_of(4, 4, 4000);
    near(network_sum_seconds(&network, &traffic), 2 * (1e-4 + 0.8e-3) + 2 * (1e-3 + 2 * 4e-3));
    near(network_ring_seconds(&network, &traffic), 6 * (1e-3 + 4e-3)); /* one of them sends out */
    near(network_bound_seconds(&network, &traffic), 1e-3 + 16e-3);
    network.ranks_per_node = 4;
    near(network_sum_seconds(&network, &traffic), 2 * (1e-4 + 0.8e-3) + 2 * (1e-4 + 0.4e-3));
    near(network_bound_seconds(&network, &traffic), 2 * 1e-4 + 2.4e-3);
    network.ranks_per_node = 3; /* ranks 2 and 3 are on two nodes, although only 1 apart */
    near(network_sum_seconds(&network, &traffic), 2 * (1e-3 + 8e-3) + 2 * (1e-3 + 2 * 4e-3));
}

/* ---- pairs ---- */

/* All pairs one after the other; of many ranks those a power of two apart, side by side. Every pair once, in rounds of
 * disjoint ones. */
static void pairs_in_rounds(void **state)
{
    (void)state;
    enum { MOST = 40 };
    static struct network_pair pairs[MOST * MOST];
    static int round[MOST * MOST];
    for (int ranks = 1; ranks <= MOST; ranks++) {
        bool busy[MOST] = {false}, seen[MOST][MOST] = {{false}};
        bool all = ranks <= NETWORK_ALL_PAIRS;
        int count = network_list_pairs(ranks, pairs, round), expected = 0;
        assert_int_equal(count, network_list_pairs(ranks, NULL, NULL));
        for (int distance = 1; distance < ranks; distance = all ? distance + 1 : 2 * distance)
            expected += ranks - distance;
        assert_int_equal(count, expected);
        for (int i = 0; i < count; i++) {
            int a = pairs[i].rank[0], b = pairs[i].rank[1];
            assert_true(0 <= a && a < b && b < ranks && !seen[a][b]);
            seen[a][b] = true;
            if (i == 0 || round[i] != round[i - 1]) {
                assert_true(i == 0 || round[i] > round[i - 1]);
                memset(busy, 0, sizeof busy);
            } else
                assert_false(all);
            assert_false(busy[a] || busy[b]);
            busy[a] = busy[b] = true;
            assert_true(all || ((b - a) & (b - a - 1)) == 0);
        }
    }
}

/* ---- verdicts ---- */

#define RANKS 8

static struct network_rank rank[RANKS];
static struct network_host host[RANKS];
static struct network_pair pair[RANKS * RANKS];

/* One rank on each of n1, n2, ...; equal links, equal speeds. */
static struct network_report even(int ranks)
{
    struct network_report report = {.ranks = ranks, .rank = rank, .host = host, .pair = pair};
    for (int r = 0; r < ranks; r++) {
        rank[r] = (struct network_rank){.lanes = 4, .compute_seconds = 0.5};
        snprintf(rank[r].host, sizeof rank[r].host, "n%d", r + 1);
        for (int s = r + 1; s < ranks; s++)
            pair[report.pairs++] = (struct network_pair){.rank = {r, s},
                                                         .latency = 20e-6,
                                                         .latency_min = 15e-6,
                                                         .start_up = 60e-6,
                                                         .bandwidth = 100e6 + r,
                                                         .throughput = 90e6};
    }
    return report;
}

static void judge(struct network_report *report)
{
    assert_int_equal(network_judge(report, &error), STATUS_OK);
}

static int slow_pairs(const struct network_report *report)
{
    int count = 0;
    for (int i = 0; i < report->pairs; i++)
        count += report->pair[i].slow;
    return count;
}

static void nothing_is_slow_where_all_are_equal(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= RANKS; ranks++) {
        struct network_report report = even(ranks);
        judge(&report);
        assert_int_equal(report.hosts, ranks);
        assert_int_equal(report.ranks_per_host, 1);
        assert_int_equal(report.between.pairs, ranks * (ranks - 1) / 2);
        assert_int_equal(report.inside.pairs, 0);
        assert_int_equal(slow_pairs(&report), 0);
        near(report.imbalance, 1);
        for (int h = 0; h < report.hosts; h++) {
            assert_false(host[h].slow);
            assert_true(!host[h].slow_link || ranks < 2);
            near(host[h].speed, 8);
        }
        assert_true((network_slowest(&report) == NULL) == (ranks == 1));
    }
}

static void a_slow_host_is_named(void **state)
{
    (void)state;
    for (int ranks = 2; ranks <= RANKS; ranks++) {
        struct network_report report = even(ranks);
        rank[1].compute_seconds = 1;
        judge(&report);
        for (int h = 0; h < ranks; h++)
            assert_int_equal(host[h].slow, h == 1);
        near(report.imbalance, 1 / ((0.5 * (ranks - 1) + 1) / ranks));
    }
    struct network_report report = even(3); /* slower, but with more lanes: no fault of the host */
    rank[1].compute_seconds = 1;
    rank[1].lanes = 8;
    judge(&report);
    assert_false(host[1].slow);
}

static void slow_links_are_named(void **state)
{
    (void)state;
    for (int ranks = 3; ranks <= RANKS; ranks++)
        for (int late = 0; late < 2; late++) {
            struct network_report report = even(ranks); /* all links of rank 2's host */
            for (int i = 0; i < report.pairs; i++)
                if (pair[i].rank[0] == 2 || pair[i].rank[1] == 2) {
                    pair[i].throughput = late ? 90e6 : 30e6;
                    pair[i].bandwidth = late ? 100e6 : 33e6;
                    pair[i].latency_min = late ? 200e-6 : 15e-6;
                }
            judge(&report);
            assert_int_equal(slow_pairs(&report), ranks - 1);
            for (int h = 0; h < ranks; h++)
                assert_int_equal(host[h].slow_link, h == 2);
            if (!late)
                assert_int_equal(network_slowest(&report)->rank[0] == 2 || network_slowest(&report)->rank[1] == 2, 1);

            report = even(ranks); /* a single one */
            pair[0].throughput = 1e6;
            judge(&report);
            assert_int_equal(slow_pairs(&report), 1);
            assert_true(pair[0].slow);
            for (int h = 0; h < ranks; h++)
                assert_false(host[h].slow_link);
        }
}

static void ranks_of_a_host_are_no_slow_link_and_no_yardstick(void **state)
{
    (void)state;
    struct network_report report = even(4);
    for (int r = 0; r < 4; r++)
        snprintf(rank[r].host, sizeof rank[r].host, "n%d", r / 2);
    for (int i = 0; i < report.pairs; i++)
        if (pair[i].rank[0] / 2 == pair[i].rank[1] / 2) {
            pair[i].throughput = 9e9;
            pair[i].bandwidth = 8e9;
            pair[i].latency = pair[i].latency_min = 1e-6;
        }
    judge(&report);
    assert_int_equal(report.hosts, 2);
    assert_int_equal(report.ranks_per_host, 2);
    assert_int_equal(report.between.pairs, 4);
    assert_int_equal(report.inside.pairs, 2);
    assert_int_equal(slow_pairs(&report), 0);
    struct network network = network_of_report(&report);
    near(network.inside.bandwidth, 8e9);
    assert_true(network.between.bandwidth < 101e6);
    assert_int_equal(network.ranks_per_node, 2);
    assert_true(network_slowest(&report)->bandwidth < 101e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_read),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(a_message),
        cmocka_unit_test(a_butterfly),
        cmocka_unit_test(an_exchange_of_slices),
        cmocka_unit_test(other_algorithms_and_the_bound),
        cmocka_unit_test(ranks_of_a_node_share_its_link),
        cmocka_unit_test(pairs_in_rounds),
        cmocka_unit_test(nothing_is_slow_where_all_are_equal),
        cmocka_unit_test(a_slow_host_is_named),
        cmocka_unit_test(slow_links_are_named),
        cmocka_unit_test(ranks_of_a_host_are_no_slow_link_and_no_yardstick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
