/* The order of additions must not depend on the number of ranks: ranks' nodes tile the groups, and adding them up
 * the tree gives the same double whatever the cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unroll/base/lane_share.h"

/* True if [begin, end) is a node of the tree over [0, groups). */
static bool is_node(int groups, int begin, int end)
{
    int b = 0, e = groups;
    while (e - b > 1 && !(b == begin && e == end)) {
        const int middle = lane_node_middle(b, e);
        if (begin < middle)
            e = middle;
        else
            b = middle;
    }
    return b == begin && e == end;
}

static void test_nodes(void **unused)
{
    (void)unused;
    struct lane_node nodes[LANE_NODES_MAX];
    for (int groups = 1; groups <= 40; groups++)
        for (int begin = 0; begin <= groups; begin++)
            for (int end = begin; end <= groups; end++) {
                const int count = lane_nodes(groups, begin, end, nodes);
                int at = begin;
                for (int n = 0; n < count; n++) {
                    assert_int_equal(nodes[n].begin, at);
                    assert_true(is_node(groups, nodes[n].begin, nodes[n].end));
                    at = nodes[n].end;
                }
                assert_int_equal(at, end);
                assert_true(count > 0 || begin == end);
            }
}

/* Two siblings whose parent lies in the range as well would be one node too many. */
static void test_nodes_are_maximal(void **unused)
{
    (void)unused;
    struct lane_node nodes[LANE_NODES_MAX];
    for (int ranks = 1; ranks <= 64; ranks *= 2)
        for (int rank = 0; rank < ranks; rank++) { /* powers of two: each rank owns exactly one subtree */
            const struct lane_share share = lane_share_of(100, 64, ranks, rank);
            assert_int_equal(lane_share_nodes(&share, nodes), 1);
        }
    assert_int_equal(lane_nodes(8, 1, 7, nodes), 4);
    assert_int_equal(lane_node_middle(2, 7), 5);
    assert_true(lane_nodes(1 << 30, 1, (1 << 30) - 1, nodes) <= LANE_NODES_MAX);
}

static double node_sum(const double *values, int begin, int end)
{
    if (end - begin == 1)
        return values[begin];
    const int middle = lane_node_middle(begin, end);
    return node_sum(values, begin, middle) + node_sum(values, middle, end);
}

struct partial {
    struct lane_node node;
    double sum;
};

/* What the reducer does: a node that some rank has computed is taken, others are the sum of their halves. */
static double combine(const struct partial *partials, int count, int begin, int end)
{
    for (int i = 0; i < count; i++)
        if (partials[i].node.begin == begin && partials[i].node.end == end)
            return partials[i].sum;
    const int middle = lane_node_middle(begin, end);
    return combine(partials, count, begin, middle) + combine(partials, count, middle, end);
}

static void test_sum_is_the_same_for_any_ranks(void **unused)
{
    (void)unused;
    double values[50];
    for (int i = 0; i < 50; i++)
        values[i] = (i % 2 ? 1e10 : 1) / (i + 3.0); /* any other order rounds differently */
    for (int groups = 1; groups <= 50; groups++)
        for (int ranks = 1; ranks <= groups; ranks++) {
            struct partial partials[50 * 4];
            int count = 0;
            for (int rank = 0; rank < ranks; rank++) {
                struct lane_node nodes[LANE_NODES_MAX];
                const struct lane_share share = lane_share_of(groups, groups, ranks, rank);
                const int own = lane_share_nodes(&share, nodes);
                for (int n = 0; n < own; n++)
                    partials[count++] = (struct partial){nodes[n], node_sum(values, nodes[n].begin, nodes[n].end)};
            }
            assert_true(combine(partials, count, 0, groups) == lane_tree_sum(values, groups));
        }
    double forward = 0;
    for (int i = 0; i < 50; i++)
        forward += values[i];
    assert_true(forward != lane_tree_sum(values, 50)); /* the values do tell orders apart */
    assert_true(lane_tree_sum(values, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_nodes_are_maximal),
        cmocka_unit_test(test_sum_is_the_same_for_any_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
