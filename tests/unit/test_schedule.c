/* Learning rates at points where the formulas can be worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/train/schedule.h"

static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-15 * fabs(b)))
        fail_msg("%.17g instead of %.17g", a, b);
}

static double at(const struct schedule_config *config, int64_t step, int64_t epoch)
{
    struct schedule_point point = {.step = step, .epoch = epoch, .total = 101, .factor = 1};
    return schedule_lr(config, &point);
}

static void test_constant(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_CONSTANT, .lr = 0.3, .minimum = 0.1};
    assert_close(at(&config, 0, 0), 0.3);
    assert_close(at(&config, 1000000, 500), 0.3);
}

static void test_warmup_rises_to_the_full_rate(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_CONSTANT, .lr = 0.4, .warmup = 4};
    assert_close(at(&config, 0, 0), 0.1);
    assert_close(at(&config, 2, 0), 0.3);
    assert_close(at(&config, 3, 0), 0.4);
    assert_close(at(&config, 4, 0), 0.4);
}

static void test_step_divides_every_so_many_epochs(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_STEP, .lr = 0.8, .decay = 2, .every = 3, .minimum = 0.15};
    assert_close(at(&config, 0, 0), 0.8);
    assert_close(at(&config, 50, 2), 0.8);
    assert_close(at(&config, 60, 3), 0.4);
    assert_close(at(&config, 99, 8), 0.2);
    assert_close(at(&config, 99, 9), 0.15); /* not below */
}

static void test_cosine_goes_from_lr_to_minimum(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_COSINE, .lr = 1, .minimum = 0.5};
    assert_close(at(&config, 0, 0), 1);
    assert_close(at(&config, 50, 0), 0.75); /* half way: cos(pi/2) = 0 up to rounding */
    assert_close(at(&config, 100, 0), 0.5);
    assert_close(at(&config, 200, 0), 0.5); /* beyond the end */
    config.warmup = 20;
    assert_close(at(&config, 9, 0), 0.5); /* 10/20 of the full rate */
    assert_close(at(&config, 20, 0), 1);
    assert_close(at(&config, 100, 0), 0.5);
}

/* Rates of PyTorch 1.13: OneCycleLR(SGD, max_lr=lr, total_steps=total, cycle_momentum=False, pct_start, div_factor,
 * final_div_factor). In the first case the phases meet between two steps, in the last one the rate never rises. */
static void test_onecycle_is_that_of_pytorch(void **state)
{
    (void)state;
    static const struct {
        double lr, rise, start, end;
        int total, step;
        double rate;
    } known[] = {
        {0.3, 0.3, 25, 1e4, 101, 0, 0.012000000000000011},
        {0.3, 0.3, 25, 1e4, 101, 1, 0.012826953120081974},
        {0.3, 0.3, 25, 1e4, 101, 15, 0.16140269992263021},
        {0.3, 0.3, 25, 1e4, 101, 29, 0.29992550929855838},
        {0.3, 0.3, 25, 1e4, 101, 30, 0.29992744263402882},
        {0.3, 0.3, 25, 1e4, 101, 57, 0.20001383035207035},
        {0.3, 0.3, 25, 1e4, 101, 99, 0.00014926383118838774},
        {0.3, 0.3, 25, 1e4, 101, 100, 1.2e-06},
        {2, 0.25, 10, 100, 40, 0, 0.2},
        {2, 0.25, 10, 100, 40, 4, 0.94371664009976253},
        {2, 0.25, 10, 100, 40, 9, 2},
        {2, 0.25, 10, 100, 40, 10, 1.994527373472905},
        {2, 0.25, 10, 100, 40, 25, 0.89657606519561439},
        {2, 0.25, 10, 100, 40, 39, 0.002},
        {1, 0.1, 25, 1e4, 7, 0, 0.99441543545091171},
        {1, 0.1, 25, 1e4, 7, 1, 0.89856665934644686},
        {1, 0.1, 25, 1e4, 7, 3, 0.46263710266697505},
        {1, 0.1, 25, 1e4, 7, 6, 4e-06},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct schedule_config config = {.kind = SCHEDULE_ONECYCLE,
                                               .lr = known[i].lr,
                                               .minimum = known[i].lr, /* of no use here */
                                               .cycle_rise = known[i].rise,
                                               .cycle_start = known[i].start,
                                               .cycle_end = known[i].end};
        const struct schedule_point point = {.step = known[i].step, .total = known[i].total, .factor = 1};
        double rate = schedule_lr(&config, &point);
        if (!(fabs(rate - known[i].rate) <= 1e-13 * known[i].lr))
            fail_msg("step %d of %d: %.17g instead of %.17g", known[i].step, known[i].total, rate, known[i].rate);
    }
}

/* PyTorch divides by zero where the first phase ends with the first step. */
static void test_onecycle_of_few_steps(void **state)
{
    (void)state;
    struct schedule_config config = {
        .kind = SCHEDULE_ONECYCLE, .lr = 1, .cycle_rise = 0.5, .cycle_start = 25, .cycle_end = 100};
    struct schedule_point point = {.total = 2};
    assert_close(schedule_lr(&config, &point), 1);
    point.step = 1;
    assert_close(schedule_lr(&config, &point), 0.0004);
    point.step = 2; /* beyond the end */
    assert_close(schedule_lr(&config, &point), 0.0004);
    config.cycle_rise = 1;
    point = (struct schedule_point){.total = 1};
    assert_close(schedule_lr(&config, &point), 1);
}

static void test_plateau_divides_after_stalls_in_a_row(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_PLATEAU, .lr = 1, .decay = 4, .patience = 2};
    double factor = 1;
    int64_t stalls = 0;
    assert_false(schedule_validated(&config, false, &factor, &stalls));
    assert_false(schedule_validated(&config, true, &factor, &stalls)); /* not in a row */
    assert_false(schedule_validated(&config, false, &factor, &stalls));
    assert_close(factor, 1);
    assert_true(schedule_validated(&config, false, &factor, &stalls));
    assert_close(factor, 0.25);
    assert_int_equal(stalls, 0); /* counting starts anew */
    assert_false(schedule_validated(&config, false, &factor, &stalls));
    assert_true(schedule_validated(&config, false, &factor, &stalls));
    assert_close(factor, 0.0625);
    struct schedule_point point = {.factor = factor};
    assert_close(schedule_lr(&config, &point), 0.0625);
    config.minimum = 0.1;
    assert_close(schedule_lr(&config, &point), 0.1);
}

/* So many stalls; returns how often the rate changed. */
static int stall(const struct schedule_config *config, int times, double *factor)
{
    int64_t stalls = 0;
    int changes = 0;
    for (int i = 0; i < times; i++) {
        struct schedule_point before = {.factor = *factor};
        double was = schedule_lr(config, &before);
        bool changed = schedule_validated(config, false, factor, &stalls);
        struct schedule_point after = {.factor = *factor};
        assert_int_equal(changed, schedule_lr(config, &after) != was);
        assert_true(*factor > 0);
        changes += changed;
    }
    return changes;
}

static void test_plateau_stops_at_the_minimum(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_PLATEAU, .lr = 0.9, .decay = 2, .patience = 1, .minimum = 0.4};
    double factor = 1;
    assert_int_equal(stall(&config, 5, &factor), 2); /* 0.45, 0.4 */
    assert_close(factor, 0.25);
    config.warmup = 10; /* which multiplies afterwards */
    struct schedule_point point = {.factor = factor, .step = 4};
    assert_close(schedule_lr(&config, &point), 0.2);
    /* hit exactly; and a rate that begins at the minimum, or below */
    config = (struct schedule_config){.kind = SCHEDULE_PLATEAU, .lr = 1, .decay = 2, .patience = 1, .minimum = 0.25};
    factor = 1;
    assert_int_equal(stall(&config, 9, &factor), 2);
    assert_close(factor, 0.25);
    config.minimum = 1;
    factor = 1;
    assert_int_equal(stall(&config, 9, &factor), 0);
    config.minimum = 5;
    assert_int_equal(stall(&config, 9, &factor), 0);
    assert_close(factor, 1);
}

/* A minimum of 0 is none, yet the factor never is: neither by halves nor in leaps. */
static void test_plateau_never_reaches_zero(void **state)
{
    (void)state;
    for (double decay = 1.5; decay <= 1e6; decay *= 3) {
        struct schedule_config config = {.kind = SCHEDULE_PLATEAU, .lr = 1e-3, .decay = decay, .patience = 1};
        double factor = 1;
        assert_true(stall(&config, 3000, &factor) > 40);
        assert_true(isnormal(factor));
    }
}

/* What runs of earlier versions have saved: they go on with the rate that they had. */
static void test_plateau_goes_on_below_the_minimum(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_PLATEAU, .lr = 1, .decay = 2, .patience = 1, .minimum = 0.25};
    for (int i = 0; i < 3; i++) {
        double was = (double[]){0.0625, 1e-300, 5e-324}[i], factor = was;
        assert_int_equal(stall(&config, 3, &factor), 0);
        assert_true(factor == was);
        struct schedule_point point = {.factor = factor};
        assert_close(schedule_lr(&config, &point), 0.25);
    }
}

/* The step schedule keeps no state: after any number of epochs the rate is a number. */
static void test_step_over_many_epochs(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_STEP, .lr = 0.8, .decay = 1e6, .every = 1, .minimum = 1e-5};
    assert_close(at(&config, 0, 1000000000), 1e-5);
    config.minimum = 0;
    double rate = at(&config, 0, 1000000000);
    assert_true(rate >= 0 && rate < 1e-300);
}

static void test_other_schedules_ignore_validations(void **state)
{
    (void)state;
    struct schedule_config config = {.kind = SCHEDULE_STEP, .lr = 1, .decay = 4, .patience = 1, .every = 1};
    double factor = 1;
    int64_t stalls = 0;
    assert_false(schedule_validated(&config, false, &factor, &stalls));
    assert_close(factor, 1);
}

static void test_names(void **state)
{
    (void)state;
    struct error e;
    int kind = -1;
    assert_int_equal(choices_parse(&schedule_choices, "cosine", &kind, &e), STATUS_OK);
    assert_int_equal(kind, SCHEDULE_COSINE);
    assert_int_equal(choices_parse(&schedule_choices, "linear", &kind, &e), STATUS_CONFIG);
    assert_string_equal(e.text, "unknown schedule 'linear'; use constant, step, plateau, cosine or onecycle");
    assert_int_equal(kind, SCHEDULE_COSINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_warmup_rises_to_the_full_rate),
        cmocka_unit_test(test_step_divides_every_so_many_epochs),
        cmocka_unit_test(test_cosine_goes_from_lr_to_minimum),
        cmocka_unit_test(test_onecycle_is_that_of_pytorch),
        cmocka_unit_test(test_onecycle_of_few_steps),
        cmocka_unit_test(test_plateau_divides_after_stalls_in_a_row),
        cmocka_unit_test(test_plateau_stops_at_the_minimum),
        cmocka_unit_test(test_plateau_never_reaches_zero),
        cmocka_unit_test(test_plateau_goes_on_below_the_minimum),
        cmocka_unit_test(test_step_over_many_epochs),
        cmocka_unit_test(test_other_schedules_ignore_validations),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
