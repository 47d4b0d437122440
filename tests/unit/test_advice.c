/* What made-up histories are told. Epochs have 100 steps of 1000 targets, vocabulary 64, unless a test says
 * otherwise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/train/advice.h"

#define EPOCH 100

struct made_up {
    struct advice_run run;
    struct advice_history history;
    int said[ADVICE_KINDS]; /* how often */
    int64_t step;
    bool high;            /* the norm is above --clip */
    struct advice advice; /* of tell() */
};

static void begin(struct made_up *made, int64_t epochs)
{
    *made = (struct made_up){
        .run = {.uniform = log(64), .lr = 0.002, .clip = 5, .dropout = 0.2, .epoch = EPOCH, .total = epochs * EPOCH}};
    advice_begin(&made->history);
}

static void look(struct made_up *made)
{
    made->said[advice_seen(&made->run, &made->history)]++;
}

/* `steps` steps of this training loss, a line each 10. */
static void train(struct made_up *made, int steps, double loss)
{
    for (int i = 10; i <= steps; i += 10) {
        made->step += 10;
        advice_train(&made->run, &made->history,
                     &(struct advice_train){.step = made->step,
                                            .tokens = made->step * 1000,
                                            .loss = loss,
                                            .grad_norm = made->high ? 9 : 1,
                                            .lr = made->run.lr});
        look(made);
    }
}

static void valid(struct made_up *made, double loss)
{
    advice_valid(&made->run, &made->history, made->step, (made->step + EPOCH - 1) / EPOCH, loss);
    look(made);
}

/* An epoch that ends with a validation. */
static void epoch_of(struct made_up *made, double train_loss, double valid_loss)
{
    train(made, EPOCH, train_loss);
    valid(made, valid_loss);
}

static enum advice_kind end(struct made_up *made, double valid_loss)
{
    struct advice_outcome outcome = {.step = made->step,
                                     .epoch = (made->step + EPOCH - 1) / EPOCH,
                                     .train_loss = made->history.block,
                                     .valid_loss = valid_loss};
    return advice_end(&made->run, &made->history, &outcome);
}

/* The last validation is that of the end, too. */
static enum advice_kind end_as_validated(struct made_up *made)
{
    return end(made, made->history.valid);
}

/* What is said of this kind. */
static const struct advice *tell(struct made_up *made, enum advice_kind kind)
{
    advice_tell(&made->run, &made->history, kind, &made->advice);
    return &made->advice;
}

static int told(const struct made_up *made)
{
    int all = 0;
    for (int kind = ADVICE_NONE + 1; kind < ADVICE_KINDS; kind++)
        all += made->said[kind];
    return all;
}

/* An epoch, as training of real text goes: losses fall by the logarithm of the steps down to a floor, and then
 * hardly. */
static void healthy_epoch(struct made_up *made, double floor)
{
    double loss = fmax(floor, 3 - 0.3 * log((double)(made->step + EPOCH) / 20)) - 1e-6 * (double)made->step;
    epoch_of(made, loss, loss + 0.05);
}

static void a_healthy_run_is_told_nothing(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 20);
    for (int epoch = 0; epoch < 20; epoch++)
        healthy_epoch(&made, 1.9);
    assert_int_equal(told(&made), 0);
    assert_int_equal(end_as_validated(&made), ADVICE_NONE);
}

/* Both losses go up and down, by half a percent. */
static void noise_is_told_nothing(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 40);
    for (int epoch = 0; epoch < 40; epoch++)
        epoch_of(&made, 1.5 * (1 + 0.005 * sin(7 * epoch)), 1.6 * (1 + 0.005 * sin(5 * epoch)));
    assert_int_equal(told(&made), 0);
    assert_int_not_equal(end_as_validated(&made), ADVICE_OVERFITTING);
}

static void overfitting_is_told_once(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 12);
    for (int epoch = 0; epoch < 5; epoch++)
        healthy_epoch(&made, 1);
    double best = made.history.best;
    for (int epoch = 0; epoch < 7; epoch++) {
        epoch_of(&made, 1.2 - 0.1 * epoch, best * (1 + 0.01 * (epoch + 1)));
        assert_int_equal(made.said[ADVICE_OVERFITTING], epoch >= ADVICE_STALLS - 1);
    }
    assert_int_equal(told(&made), 1);
    assert_int_equal(end_as_validated(&made), ADVICE_OVERFITTING);
    assert_non_null(strstr(tell(&made, ADVICE_OVERFITTING)->found, "from step 500:"));
    assert_non_null(strstr(tell(&made, ADVICE_OVERFITTING)->fix, "0.2"));
}

/* Without an epoch behind the best nothing is concluded, however often it was validated. */
static void frequent_validations_do_not_make_it_overfitting(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 2);
    epoch_of(&made, 2, 2);
    for (int i = 0; i < 9; i++) {
        train(&made, 10, 1.5);
        valid(&made, 2.2);
    }
    assert_int_equal(told(&made), 0);
    train(&made, 10, 1.5);
    valid(&made, 2.2);
    assert_int_equal(made.said[ADVICE_OVERFITTING], 1);
}

static void an_unfinished_run_should_be_longer(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 10);
    for (int epoch = 0; epoch < 10; epoch++)
        healthy_epoch(&made, 0);
    assert_int_equal(told(&made), 0);
    assert_int_equal(end_as_validated(&made), ADVICE_UNFINISHED);
    assert_non_null(strstr(tell(&made, ADVICE_UNFINISHED)->fix, "--epochs"));
    made.run.limited = true;
    assert_non_null(strstr(tell(&made, ADVICE_UNFINISHED)->fix, "--max-steps"));
    /* the last weights may be validated in the end only */
    begin(&made, 10);
    for (int epoch = 0; epoch < 9; epoch++)
        healthy_epoch(&made, 0);
    train(&made, 90, 1.2);
    assert_int_equal(end(&made, made.history.valid * 0.98), ADVICE_UNFINISHED);
}

/* 2 % by the second half of a run are little; so is 1 % of a loss that is small. */
static void little_gain_is_no_gain(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 2);
    epoch_of(&made, 2, 2.04);
    epoch_of(&made, 2, 2);
    assert_int_equal(end(&made, 2), ADVICE_NONE);
    begin(&made, 10);
    for (int epoch = 0; epoch < 10; epoch++)
        epoch_of(&made, 0.2, 0.2 - 0.004 * epoch);
    assert_int_equal(end_as_validated(&made), ADVICE_NONE);
}

/* Validation that stays within half a percent of the best is no overfitting, whatever training does. */
static void a_plateau_is_no_overfitting(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 12);
    for (int epoch = 0; epoch < 12; epoch++)
        epoch_of(&made, 2 - 0.05 * epoch, epoch < 8 ? 2.2 - 0.05 * epoch : 1.859);
    assert_int_equal(told(&made), 0);
    assert_int_equal(end_as_validated(&made), ADVICE_NONE);
}

static void without_validation_text_training_loss_counts(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 3);
    for (int i = 0; i < 30; i++)
        train(&made, 10, 3.5 - 0.08 * i);
    assert_int_equal(told(&made), 0);
    assert_int_equal(end(&made, NAN), ADVICE_UNFINISHED);
    assert_non_null(strstr(tell(&made, ADVICE_UNFINISHED)->fix, "--split"));
    begin(&made, 3);
    for (int i = 0; i < 30; i++)
        train(&made, 10, 2 - 0.001 * i);
    assert_int_equal(end(&made, NAN), ADVICE_NONE);
}

static void a_run_that_went_on_for_nothing_is_told_how_long_would_do(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 20);
    for (int epoch = 0; epoch < 20; epoch++)
        epoch_of(&made, 1.6, epoch < 4 ? 2 - 0.1 * epoch : 1.701);
    assert_int_equal(told(&made), 0);
    assert_int_equal(end_as_validated(&made), ADVICE_IDLE);
    assert_non_null(strstr(tell(&made, ADVICE_IDLE)->fix, "--epochs 4,"));
    made.run.stopped = true; /* --patience has said so already */
    assert_int_equal(end_as_validated(&made), ADVICE_NONE);
}

static void a_rate_that_is_too_high_is_seen_by_training_loss(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 10);
    made.high = true;
    train(&made, 20 * EPOCH, 30);
    assert_int_equal(told(&made), 1);
    assert_int_equal(made.said[ADVICE_TOO_HIGH], 1);
    assert_int_equal(end(&made, NAN), ADVICE_TOO_HIGH);
    assert_non_null(
        strstr(tell(&made, ADVICE_TOO_HIGH)->found, "30, but a uniform guess has 4.159; 100 % of the steps clipped"));
    /* it may learn first, and then jump */
    begin(&made, 10);
    train(&made, EPOCH, 2);
    train(&made, ADVICE_BLOCK, 3); /* once is nothing */
    train(&made, EPOCH, 2);
    assert_int_equal(told(&made), 0);
    train(&made, EPOCH, 3);
    assert_int_equal(made.said[ADVICE_TOO_HIGH], 1);
    assert_non_null(strstr(tell(&made, ADVICE_TOO_HIGH)->found, "rose from 2 to 3"));
    /* a run of a few steps, whose only line is the end */
    begin(&made, 1);
    made.step = 20;
    struct advice_outcome outcome = {.step = 20, .train_loss = 12, .valid_loss = 40};
    assert_int_equal(advice_end(&made.run, &made.history, &outcome), ADVICE_TOO_HIGH);
}

/* Losses of validation alone, far above a uniform guess, are of overfitting. */
static void bad_validation_is_no_rate(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 20);
    for (int epoch = 0; epoch < 20; epoch++)
        epoch_of(&made, 2 - 0.09 * epoch, 3 + 0.4 * epoch);
    assert_int_equal(made.said[ADVICE_TOO_HIGH], 0);
    assert_int_equal(end_as_validated(&made), ADVICE_OVERFITTING);
}

static void skipped_steps_are_of_the_rate(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 4);
    train(&made, 4 * EPOCH, 2);
    struct advice_outcome outcome = {.step = made.step, .train_loss = 2, .valid_loss = NAN, .skipped = 4};
    assert_int_equal(advice_end(&made.run, &made.history, &outcome), ADVICE_NONE);
    outcome.skipped = 5;
    assert_int_equal(advice_end(&made.run, &made.history, &outcome), ADVICE_TOO_HIGH);
    assert_non_null(strstr(tell(&made, ADVICE_TOO_HIGH)->found, "5 of 400 steps were skipped"));
    /* a line whose steps were all skipped has no loss */
    begin(&made, 4);
    train(&made, EPOCH, NAN);
    assert_int_equal(told(&made), 0);
    assert_int_equal(made.history.blocks, 0);
}

static void rates_of_nothing(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 4);
    made.run.lr = 0;
    epoch_of(&made, 4.16, 4.16);
    assert_int_equal(made.said[ADVICE_ZERO], 1);
    assert_int_equal(told(&made), 1);
    assert_int_equal(end(&made, 4.16), ADVICE_ZERO);
    begin(&made, 4);
    made.run.lr = 1e-9;
    train(&made, 3 * EPOCH, 4.158);
    assert_int_equal(made.said[ADVICE_TOO_LOW], 1);
    assert_int_equal(end(&made, 4.158), ADVICE_TOO_LOW);
    /* not while it warms up; and classifiers begin slowly */
    begin(&made, 4);
    made.run.warmup = 2 * EPOCH;
    train(&made, 3 * EPOCH, 4.158);
    assert_int_equal(told(&made), 0);
    begin(&made, 20);
    made.run.classifies = true;
    made.run.uniform = log(2);
    train(&made, 5 * EPOCH, 0.693);
    assert_int_equal(told(&made), 0);
    train(&made, 5 * EPOCH, 0.693);
    assert_int_equal(made.said[ADVICE_TOO_LOW], 1);
}

static void a_rate_divided_to_nothing(void **state)
{
    (void)state;
    struct made_up made;
    double lr = 0.002;
    for (int schedule = 0; schedule < 2; schedule++) {
        begin(&made, 20);
        made.run.steps_down = schedule == 1;
        for (int epoch = 0; epoch < 20; epoch++, lr /= 2) {
            advice_train(&made.run, &made.history,
                         &(struct advice_train){.step = (epoch + 1) * EPOCH, .tokens = epoch + 1, .loss = 2, .lr = lr});
            look(&made);
        }
        assert_int_equal(made.said[ADVICE_VANISHED], schedule);
        lr = 0.002;
    }
}

/* The course is thinned out, and its end still compared with nine tenths of it. */
static void long_runs_are_judged_by_their_last_tenth(void **state)
{
    (void)state;
    for (int falls = 0; falls < 2; falls++) {
        struct made_up made;
        begin(&made, 5000);
        for (int epoch = 0; epoch < 5000; epoch++) {
            train(&made, 10, 1);
            made.step += EPOCH - 10;
            valid(&made, falls ? 3 - 0.0002 * epoch : epoch < 4000 ? 3 - 0.0002 * epoch : 2.2 - 1e-6 * epoch);
        }
        assert_true(made.history.points >= ADVICE_POINTS / 2 && made.history.points <= ADVICE_POINTS);
        for (int i = 1; i < made.history.points; i++)
            assert_int_equal(made.history.point[i].step - made.history.point[i - 1].step, made.history.point[0].step);
        assert_int_equal(end_as_validated(&made), falls ? ADVICE_UNFINISHED : ADVICE_NONE);
    }
}

/* Whatever numbers there are, each text fits a line of 80 columns, two of which are the margin. */
static void texts_fit_lines(void **state)
{
    (void)state;
    struct made_up made;
    begin(&made, 100000);
    made.high = true;
    epoch_of(&made, 1.234567, 1.234567);
    made.step = 999000;
    made.run.lr = 1.25e-05;
    made.run.dropout = 0.35;
    epoch_of(&made, 1.123456, 1.876543);
    for (int kind = ADVICE_NONE + 1; kind < ADVICE_KINDS; kind++) {
        const struct advice *advice = tell(&made, (enum advice_kind)kind);
        assert_in_range(strlen(advice->found), 20, 78);
        assert_in_range(strlen(advice->fix), 20, 78);
        assert_non_null(advice_name((enum advice_kind)kind));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_run_is_told_nothing),
        cmocka_unit_test(noise_is_told_nothing),
        cmocka_unit_test(overfitting_is_told_once),
        cmocka_unit_test(frequent_validations_do_not_make_it_overfitting),
        cmocka_unit_test(an_unfinished_run_should_be_longer),
        cmocka_unit_test(little_gain_is_no_gain),
        cmocka_unit_test(a_plateau_is_no_overfitting),
        cmocka_unit_test(without_validation_text_training_loss_counts),
        cmocka_unit_test(a_run_that_went_on_for_nothing_is_told_how_long_would_do),
        cmocka_unit_test(a_rate_that_is_too_high_is_seen_by_training_loss),
        cmocka_unit_test(bad_validation_is_no_rate),
        cmocka_unit_test(skipped_steps_are_of_the_rate),
        cmocka_unit_test(rates_of_nothing),
        cmocka_unit_test(a_rate_divided_to_nothing),
        cmocka_unit_test(long_runs_are_judged_by_their_last_tenth),
        cmocka_unit_test(texts_fit_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
