/* Averages of weights against PyTorch's ASGD and AveragedModel, over updates by our SGD; when an average begins,
 * against the rule of NT-ASGD written plainly; the state that a checkpoint may hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/train/average.h"
#include "unroll/train/optimizer.h"

static const struct model_config shape = {.cell = CELL_GRU, .layers = 1, .embedding = 30, .hidden = 40, .vocab = 200};

/* ---- how ---- */

#define WEIGHTS 6
#define UPDATES 40
#define EPOCH 7   /* updates */
#define BEFORE 16 /* updates before averaging */

/* The problem of tests/ref/make_averages.py, which says where the numbers below come from. */
static void set_gradient(const float *p, int t, float *grad)
{
    for (int i = 0; i < WEIGHTS; i++)
        grad[i] = (float)(i + 1) / 4 * (p[i] - 1 / (float)(i + 1)) + (float)((7 * t + 3 * i) % 11 - 5) / 8;
}

static void assert_average(const struct average_config *config, const float expected[WEIGHTS])
{
    struct error e;
    struct param_table table;
    struct average average;
    struct optimizer *optimizer;
    param_table_build(&shape, &table);
    float *values = mem_alloc(table.total, sizeof *values, "test", NULL);
    float *grad = mem_alloc(table.grad_total, sizeof *grad, "test", NULL);
    const struct optimizer_config sgd = {.kind = optimizer_kind("ntasgd")};
    assert_int_equal(optimizer_create(&sgd, &table, NULL, &optimizer, &e), STATUS_OK);
    assert_int_equal(average_create(config, &table, &average, &e), STATUS_OK);
    for (int i = 0; i < WEIGHTS; i++)
        values[i] = (float)(i - 2) / 4;
    for (int t = 1; t <= UPDATES; t++) {
        set_gradient(values, t, grad);
        optimizer_update(optimizer, values, (struct param_gradient){.dense = grad}, 1, 0.3, 2);
        if (average_is_due(&average, (t - 1) / EPOCH, true, t % EPOCH == 0))
            average_add(&average, values, t, 2);
        if (t == BEFORE && config->kind == AVERAGE_UPDATES) {
            assert_false(average_validated(&average, 1, t - 2));
            assert_false(average_validated(&average, 2, t - 1));
            assert_true(average_validated(&average, 3, t));
        }
    }
    for (int i = 0; i < WEIGHTS; i++)
        if (!(fabsf(average.values[i] - expected[i]) <= 1e-6f))
            fail_msg("%s, weight %d: %.9g instead of %.9g", average_name((int)config->kind), i, average.values[i],
                     expected[i]);
    for (size_t i = WEIGHTS; i < table.total; i++)
        assert_true(average.values[i] == 0);
    average_release(&average);
    optimizer_free(optimizer);
    mem_free(values);
    mem_free(grad);
}

static void test_pytorch(void **state)
{
    (void)state;
    assert_average(&(struct average_config){.kind = AVERAGE_EPOCHS, .from = 1},
                   (const float[]){0.538730741f, 0.417316258f, 0.296959877f, 0.300934076f, 0.178188071f, 0.168660372f});
    assert_average(&(struct average_config){.kind = AVERAGE_EMA, .from = 1, .decay = 0.75},
                   (const float[]){0.858423948f, 0.466602117f, 0.362952799f, 0.309001058f, 0.179768384f, 0.131793618f});
    assert_average(&(struct average_config){.kind = AVERAGE_UPDATES, .nonmono = 1},
                   (const float[]){0.782633901f, 0.484678626f, 0.340201139f, 0.257216871f, 0.190109566f, 0.163678885f});
}

/* More than a block of parameters, and a constant behind those that are trained. */
static void test_threads_change_nothing(void **state)
{
    (void)state;
    struct param_table table;
    struct average average[2];
    const struct average_config config = {.kind = AVERAGE_EMA, .from = 1, .decay = 0.9};
    param_table_build(&shape, &table);
    assert_true(table.trained > 2 * PARAM_BLOCK);
    float *values = mem_alloc(table.total, sizeof *values, "test", NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(average_create(&config, &table, &average[i], NULL), STATUS_OK);
    for (int t = 1; t <= 4; t++) {
        for (size_t i = 0; i < table.total; i++)
            values[i] = rng_uniform_float(rng_philox(3, RNG_TEST, (uint32_t)t, 0, 0, (uint32_t)i).word[0]) - 0.5f;
        average_add(&average[0], values, t, 1);
        average_add(&average[1], values, t, 3);
        assert_memory_equal(average[0].values, average[1].values, table.total * sizeof *values);
        if (t == 1)
            assert_memory_equal(average[0].values, values, table.total * sizeof *values);
    }
    assert_int_equal(average[0].state.began, 0);
    assert_int_equal(average[0].state.count, 4);
    mem_free(values);
    average_release(&average[0]);
    average_release(&average[1]);
}

/* ---- when ---- */

static void test_due(void **state)
{
    (void)state;
    struct average none = {.config.kind = AVERAGE_NONE}, epochs = {.config = {AVERAGE_EPOCHS, 0, 3, 0}},
                   ema = {.config = {AVERAGE_EMA, 0, 2, 0}};
    struct average updates = {.config = {AVERAGE_UPDATES, 0, 0, 5}, .state.began = -1};
    assert_false(average_is_due(&none, 5, true, true));
    assert_false(average_is_due(&epochs, 1, true, true));
    assert_false(average_is_due(&epochs, 2, true, false));
    assert_true(average_is_due(&epochs, 2, false, true)); /* its last step was skipped */
    assert_false(average_is_due(&ema, 0, true, true));
    assert_false(average_is_due(&ema, 1, false, true));
    assert_true(average_is_due(&ema, 1, true, false));
    assert_false(average_is_due(&updates, 9, true, true));
    updates.state.began = 70;
    assert_true(average_is_due(&updates, 0, true, false));
    assert_false(average_is_due(&updates, 0, false, false));
}

/* main.py of awd-lstm-lm: len(best_val_loss) > nonmono and val_loss > min(best_val_loss[:-nonmono]). */
static bool is_worse(const double *losses, int count, int nonmono)
{
    double least = INFINITY;
    for (int i = 0; i < count - nonmono; i++)
        least = losses[i] < least ? losses[i] : least;
    return count > nonmono && losses[count] > least;
}

static void test_begins_where_validation_stalls(void **state)
{
    (void)state;
    int begun = 0;
    for (uint32_t trial = 0; trial < 400; trial++) {
        struct param_table table;
        struct average average;
        const struct average_config config = {.kind = AVERAGE_UPDATES, .nonmono = 1 + trial % 7};
        double losses[40];
        param_table_build(&shape, &table);
        assert_int_equal(average_create(&config, &table, &average, NULL), STATUS_OK);
        int64_t expected = -1;
        for (int i = 0; i < 40 && expected < 0; i++) {
            float noise = rng_uniform_float(rng_philox(trial, RNG_TEST, 0, 0, 0, (uint32_t)i).word[0]);
            losses[i] = floor(20.0 / (1 + i) + 6 * noise); /* equal ones, too */
            if (is_worse(losses, i, (int)config.nonmono))
                expected = 10 * i;
            assert_int_equal(average_validated(&average, losses[i], 10 * i), expected >= 0);
            assert_int_equal(average.state.began, expected);
        }
        assert_false(average_validated(&average, 1e9, 1000) && expected >= 0); /* once */
        begun += expected >= 0;
        average_release(&average);
    }
    assert_true(begun > 200);
}

/* A loss that is no number is above all, and the lowest of none. */
static void test_losses_that_are_no_numbers(void **state)
{
    (void)state;
    struct average average = {.config = {.kind = AVERAGE_UPDATES, .nonmono = 1}};
    average.state = average_start(&average.config);
    assert_false(average_validated(&average, NAN, 1));
    assert_false(average_validated(&average, 5, 2));
    assert_false(average_validated(&average, 5, 3));
    assert_true(average_validated(&average, NAN, 4));
}

/* ---- checkpoints ---- */

static void test_states(void **state)
{
    (void)state;
    struct error e;
    const struct average_state good[] = {{.began = 0},
                                         {.kind = AVERAGE_EMA, .began = -1},
                                         {.kind = AVERAGE_EMA, .began = 0, .count = 3},
                                         {.kind = AVERAGE_UPDATES, .began = 70, .nonmono = 64, .validations = 9}};
    const struct average_state bad[] = {{.kind = -1},
                                        {.kind = AVERAGE_UPDATES + 1},
                                        {.count = 1},
                                        {.kind = AVERAGE_EMA, .began = -2},
                                        {.kind = AVERAGE_EMA, .began = 0, .count = -1},
                                        {.kind = AVERAGE_EMA, .began = -1, .count = 1},
                                        {.kind = AVERAGE_UPDATES, .began = -1, .nonmono = 0},
                                        {.kind = AVERAGE_UPDATES, .began = -1, .nonmono = 65},
                                        {.kind = AVERAGE_UPDATES, .began = -1, .nonmono = 5, .validations = -1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(average_check(&good[i], &e), STATUS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(average_check(&bad[i], &e), STATUS_CHECKPOINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_begins_where_validation_stalls),
        cmocka_unit_test(test_losses_that_are_no_numbers),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
