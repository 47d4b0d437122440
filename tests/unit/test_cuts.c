/* Lengths of windows: against the distribution that the header names, by the C library's normal distribution; and that
 * they are functions of seed, epoch and index alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unroll/data/cuts.h"

enum { DRAWN = 200000, LONGEST = 1000 };

static double below(double x, double mean)
{
    return erfc((mean - x) / (CUTS_DEVIATION * sqrt(2))) / 2;
}

/* The probability that a window's length is at most `length`: 1 at bptt + CUTS_MORE, and 0 below CUTS_LEAST. */
static double share_up_to(int length, int bptt)
{
    if (length < CUTS_LEAST)
        return 0;
    if (length >= bptt + CUTS_MORE)
        return 1;
    return (1 - 1.0 / CUTS_HALF) * below(length + 1, bptt) + 1.0 / CUTS_HALF * below(length + 1, bptt / 2.0);
}

static void check_distribution(int bptt, uint64_t seed, int64_t epoch)
{
    const struct cuts cuts = {.steps = INT64_MAX, .bptt = bptt, .vary = true, .seed = seed};
    static int count[LONGEST + 1];
    double sum = 0, mean = 0, square = 0;
    for (int length = 0; length <= LONGEST; length++)
        count[length] = 0;
    for (int64_t index = 0; index < DRAWN; index++) {
        int length = cuts_length(&cuts, epoch, index);
        assert_in_range(length, CUTS_LEAST, bptt + CUTS_MORE);
        count[length]++;
        sum += length;
    }
    for (int length = CUTS_LEAST; length <= bptt + CUTS_MORE; length++) {
        double p = share_up_to(length, bptt) - share_up_to(length - 1, bptt);
        double far = fabs(count[length] - DRAWN * p), deviation = sqrt(DRAWN * p * (1 - p));
        assert_true(far <= 5 * deviation + (DRAWN * p < 1 ? 5 : 0));
        mean += p * length;
        square += p * length * length;
    }
    assert_true(fabs(sum / DRAWN - mean) <= 5 * sqrt((square - mean * mean) / DRAWN));
}

static void lengths_follow_the_recipe(void **state)
{
    (void)state;
    check_distribution(70, 1, 0);
    check_distribution(70, 141, 7);
    check_distribution(35, 1, 0);
    check_distribution(5, 1, 0);
    check_distribution(900, 3, 1);
}

/* Part of the promise that a run repeats: a change here changes everyone's results. */
static void lengths_are_of_record(void **state)
{
    (void)state;
    static const int expected[2][12] = {{67, 69, 67, 34, 69, 66, 75, 68, 65, 69, 75, 70},
                                        {78, 61, 66, 62, 40, 67, 70, 69, 63, 72, 78, 75}};
    for (int epoch = 0; epoch < 2; epoch++)
        for (int index = 0; index < 12; index++) {
            const struct cuts cuts = {.steps = 1000, .bptt = 70, .vary = true, .seed = 1};
            assert_int_equal(cuts_length(&cuts, epoch, index), expected[epoch][index]);
        }
}

/* Share of pairs of lengths that are equal. */
static double share_equal(const struct cuts *a, int64_t epoch_a, const struct cuts *b, int64_t epoch_b, int64_t shift)
{
    int equal = 0;
    for (int64_t index = 0; index < DRAWN; index++)
        equal += cuts_length(a, epoch_a, index) == cuts_length(b, epoch_b, index + shift);
    return (double)equal / DRAWN;
}

/* Seed, epoch and index matter, to the last bit of each; the text's length does not. Independent draws are equal in
 * some 5 % of pairs: the sum of the squares of probabilities is about 0.95^2 / (2 sqrt(pi) 5). */
static void lengths_are_functions_of_seed_epoch_and_index(void **state)
{
    (void)state;
    const struct cuts cuts = {.steps = INT64_MAX, .bptt = 70, .vary = true, .seed = 1}, shorter = {100, 70, true, 1};
    const struct cuts next = {INT64_MAX, 70, true, 2}, far = {INT64_MAX, 70, true, 1 + (UINT64_C(1) << 63)};
    const double chance = 0.95 * 0.95 / (2 * sqrt(acos(-1)) * CUTS_DEVIATION), bound = 5 * sqrt(chance / DRAWN) + 2e-3;
    assert_true(share_equal(&cuts, 3, &shorter, 3, 0) == 1);
    assert_true(fabs(share_equal(&cuts, 3, &next, 3, 0) - chance) < bound);
    assert_true(fabs(share_equal(&cuts, 3, &far, 3, 0) - chance) < bound);
    assert_true(fabs(share_equal(&cuts, 3, &cuts, 4, 0) - chance) < bound);
    assert_true(fabs(share_equal(&cuts, 3, &cuts, 3, 1) - chance) < bound);
    assert_true(fabs(share_equal(&cuts, 3, &cuts, 3, INT64_C(1) << 32) - chance) < bound);
}

static void windows_are_counted(void **state)
{
    (void)state;
    for (int64_t steps = 1; steps < 3000; steps = steps * 7 / 5 + 1) {
        const struct cuts same = {.steps = steps, .bptt = 35}, vary = {steps, 35, true, 9};
        int64_t all = 0;
        assert_int_equal(cuts_windows(&same, 5), (steps + 34) / 35);
        assert_int_equal(cuts_windows_of(&same, 7), 7 * ((steps + 34) / 35));
        for (int64_t epoch = 0; epoch < 7; epoch++) {
            int64_t windows = cuts_windows(&vary, epoch), before = 0;
            for (int64_t index = 0; index < windows - 1; index++)
                before += cuts_length(&vary, epoch, index);
            assert_true(before < steps && before + cuts_length(&vary, epoch, windows - 1) >= steps);
            assert_int_equal(cuts_windows_of(&vary, epoch), all);
            all += windows;
        }
    }
    assert_int_equal(cuts_longest(70, false), 70);
    assert_int_equal(cuts_longest(70, true), 90);
}

/* A run without an end: what is not counted is like what is. */
static void many_windows_are_estimated(void **state)
{
    (void)state;
    const struct cuts cuts = {.steps = 100000, .bptt = 70, .vary = true, .seed = 1};
    int64_t whole = cuts_windows_of(&cuts, 1000);
    assert_true(llabs(cuts_windows_of(&cuts, 1000000000) / 1000000 - whole) <= whole / 1000);
    assert_true(cuts_windows_of(&cuts, INT64_MAX / 2) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_follow_the_recipe),
        cmocka_unit_test(lengths_are_of_record),
        cmocka_unit_test(lengths_are_functions_of_seed_epoch_and_index),
        cmocka_unit_test(windows_are_counted),
        cmocka_unit_test(many_windows_are_estimated),
    };
    return cmocka_run_group_tests_name("cuts", tests, NULL, NULL);
}
