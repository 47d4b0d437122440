#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unroll/train/fit.h"

/* Powers of two, of which none is nearer to 400 steps an epoch. */
static void lanes_make_about_400_steps(void **state)
{
    (void)state;
    for (int64_t tokens = 1; tokens < 2000000000; tokens += 1 + tokens / 50) {
        int lanes = fit_lanes(tokens, 64, 0);
        double steps = (double)(tokens / 64) / lanes;
        if (tokens <= FIT_LANES_MIN) { /* a target for each lane */
            assert_true(lanes < tokens || tokens == 1);
            continue;
        }
        assert_true(lanes >= FIT_LANES_MIN && lanes <= FIT_LANES_MAX && (lanes & (lanes - 1)) == 0);
        if (lanes > FIT_LANES_MIN)
            assert_true(steps >= 400 * sqrt(0.5) - 1e-9);
        if (lanes < FIT_LANES_MAX)
            assert_true(steps < 400 * sqrt(2) + 1e-9);
    }
}

static void texts_of_record_have_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(fit_lanes(1003854, 64, 0), 32); /* tinyshakespeare, 90 of 100 */
    assert_int_equal(fit_epochs(1003854), 10);
    assert_int_equal(fit_steps(1003854, 32, 64, false), 491);
    assert_in_range(fit_steps(1003854, 32, 64, true), 495, 520); /* a mean of 61.9 */
    assert_int_equal(fit_lanes(180000, 64, 0), 8);               /* its first 200 kB */
    assert_int_equal(fit_epochs(180000), 18);
}

static void lane_groups_have_lanes(void **state)
{
    (void)state;
    assert_int_equal(fit_lanes(100, 64, 48), 48);
    assert_int_equal(fit_lanes(1000000, 64, 8), 32);
}

static void epochs_are_the_cube_root(void **state)
{
    (void)state;
    assert_int_equal(fit_epochs(1), FIT_EPOCHS_MAX);
    assert_int_equal(fit_epochs(INT64_MAX), 1);
    for (int64_t tokens = 10000; tokens < 2000000000; tokens += 1 + tokens / 50) {
        double ideal = 10 * cbrt(1e6 / (double)tokens);
        assert_true(fabs((double)fit_epochs(tokens) - fmin(FIT_EPOCHS_MAX, fmax(1, ideal))) <= 0.5 + 1e-9);
    }
}

static void long_texts_are_validated_within_epochs(void **state)
{
    (void)state;
    for (int64_t tokens = 1; tokens < 2000000000; tokens += 1 + tokens / 50) {
        int64_t epochs = fit_epochs(tokens), steps = fit_steps(tokens, 64, 64, false),
                every = fit_eval_every(tokens, 64, 64, false);
        if (epochs >= FIT_VALIDATIONS)
            assert_int_equal(every, 0);
        else
            assert_true(every <= steps && epochs * steps / every >= FIT_VALIDATIONS - 1);
    }
}

/* FIT_PATIENCE validations, and never less than an epoch. */
static void patience_is_an_epoch_at_least(void **state)
{
    (void)state;
    assert_int_equal(fit_patience(491, 0), FIT_PATIENCE);
    for (int64_t every = 1; every < 1000; every++) {
        int64_t patience = fit_patience(491, every);
        assert_true(patience >= FIT_PATIENCE && patience * every >= 491);
        assert_true(patience == FIT_PATIENCE || (patience - 1) * every < 491);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_make_about_400_steps),
        cmocka_unit_test(texts_of_record_have_their_numbers),
        cmocka_unit_test(lane_groups_have_lanes),
        cmocka_unit_test(epochs_are_the_cube_root),
        cmocka_unit_test(long_texts_are_validated_within_epochs),
        cmocka_unit_test(patience_is_an_epoch_at_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
