/* Quantiles of measured numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unroll/base/quantile.h"

static void ordered_shares(void **state)
{
    (void)state;
    double values[] = {5, 1, 4, 2, 3};
    assert_true(quantile(values, 5, 0) == 1);
    for (int i = 0; i < 5; i++)
        assert_true(values[i] == i + 1); /* sorted in place */
    assert_true(quantile(values, 5, 0.5) == 3);
    assert_true(quantile(values, 5, 0.99) == 5);
}

static void the_middle(void **state)
{
    (void)state;
    double odd[] = {-1, 7, 2}, even[] = {4, 1, 3, 2}, one[] = {9};
    assert_true(median(odd, 3) == 2);
    assert_true(median(even, 4) == 3);
    assert_true(median(one, 1) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ordered_shares), cmocka_unit_test(the_middle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
