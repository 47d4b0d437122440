/* Who owns which lanes and lane groups of a batch: the ranks' shares tile it, and the tables of gathers say where
 * each lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unroll/base/lane_gather.h"

static void test_shares_tile(void **unused)
{
    (void)unused;
    for (int batch = 1; batch <= 40; batch++)
        for (int groups = 1; groups <= batch; groups++)
            for (int ranks = 1; ranks <= groups + 2; ranks++) {
                int group = 0, lane = 0;
                for (int rank = 0; rank < ranks; rank++) {
                    const struct lane_share share = lane_share_of(batch, groups, ranks, rank);
                    assert_int_equal(share.group_begin, group);
                    assert_int_equal(share.lane_begin, lane);
                    assert_in_range(lane_share_groups(&share), groups / ranks, (groups + ranks - 1) / ranks);
                    group = share.group_end;
                    lane = share.lane_end;
                }
                assert_int_equal(group, groups);
                assert_int_equal(lane, batch);
            }
}

static void test_groups_tile(void **unused)
{
    (void)unused;
    for (int batch = 1; batch <= 70; batch++)
        for (int groups = 1; groups <= batch; groups++) {
            const struct lane_share whole = lane_share_whole(batch, groups);
            assert_int_equal(whole.group_begin, 0);
            assert_int_equal(whole.group_end, groups);
            assert_int_equal(whole.lane_begin, 0);
            assert_int_equal(whole.lane_end, batch);
            for (int g = 0; g < groups; g++) {
                const int size = lane_share_group_lane(&whole, g + 1) - lane_share_group_lane(&whole, g);
                assert_in_range(size, batch / groups, (batch + groups - 1) / groups); /* never empty, nearly even */
            }
        }
    const struct lane_share large = lane_share_whole(1 << 30, 1 << 20), odd = lane_share_of(10, 4, 3, 1);
    assert_int_equal(large.lane_end, 1 << 30); /* no overflow on the way */
    /* rounded up: part of the checkpoint's meaning */
    assert_int_equal(lane_share_group_lane(&odd, 1), 3);
    assert_int_equal(odd.group_begin, 2);
    assert_int_equal(odd.group_end, 3);
    assert_int_equal(odd.lane_begin, 5);
    assert_int_equal(odd.lane_end, 8);
}

static void test_default_groups(void **unused)
{
    (void)unused;
    for (int batch = 1; batch <= 300; batch++)
        for (int bptt = 1; bptt <= 200; bptt += 7) {
            const int groups = lane_groups_choose(0, batch, bptt);
            assert_in_range(groups, 1, batch);
            assert_true(groups >= (batch < 8 ? batch : 8)); /* eight ranks are always possible */
            if (batch >= 16 && batch / 8 * bptt >= 64)      /* the share of a window is worth the adding */
                assert_true((batch + groups - 1) / groups * bptt >= 64);
        }
    assert_int_equal(lane_groups_choose(0, 7, 64), 7);
    assert_int_equal(lane_groups_choose(3, 7, 64), 3); /* as the user says */
}

/* 10 lanes in 4 groups (of 3, 2, 3 and 2) on 3 ranks (with 2, 1 and 1 of them): a number for each rank, two for each
 * group. */
static void test_gathers(void **unused)
{
    (void)unused;
    const struct lane_share share = lane_share_of(10, 4, 3, 0);
    struct lane_gather gather = {NULL, NULL};
    struct error e;
    lane_gather_release(&gather);
    assert_int_equal(lane_gather_create(&share, (struct lane_bytes){.rank = 8, .group = 16}, &gather, &e), STATUS_OK);
    const size_t bytes[3] = {40, 24, 24}, offset[3] = {0, 40, 64};
    assert_memory_equal(gather.bytes, bytes, sizeof bytes);
    assert_memory_equal(gather.offset, offset, sizeof offset);
    lane_gather_release(&gather);
    assert_int_equal(lane_gather_create(&share, (struct lane_bytes){.lane = 4}, &gather, &e), STATUS_OK);
    const size_t lane_bytes[3] = {20, 12, 8}, lane_offset[3] = {0, 20, 32};
    assert_memory_equal(gather.bytes, lane_bytes, sizeof lane_bytes);
    assert_memory_equal(gather.offset, lane_offset, sizeof lane_offset);
    lane_gather_release(&gather);
    assert_null(gather.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_tile),
        cmocka_unit_test(test_groups_tile),
        cmocka_unit_test(test_default_groups),
        cmocka_unit_test(test_gathers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
