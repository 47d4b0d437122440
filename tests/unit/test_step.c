/* A step is model, reducer and optimizer in their order: compared with the parts called by hand, plain SGD written
 * out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/train/step.h"

enum { T = 5, B = 6, GROUPS = 3, TARGETS = T * B, LARGE = 4001 };
#define LR 0.5

struct fixture {
    struct comm alone;
    struct model_config model;
    struct param_table table;
    float *values;
    struct step *step;
    uint32_t input[T * B], target[T * B];
    struct window window;
};

static void begin(struct fixture *f, int vocab, double clip, bool norm)
{
    struct error e;
    *f = (struct fixture){.alone = COMM_ALONE};
    f->model = (struct model_config){
        .cell = CELL_GRU, .layers = 2, .embedding = 9, .hidden = 17, .vocab = vocab, .dropout = 0.3};
    param_table_build(&f->model, &f->table);
    f->values = mem_alloc(f->table.total, sizeof(float), "test", &e);
    assert_int_equal(param_init(&f->model, &f->table, INIT_UNIFORM, 3, f->values, &e), STATUS_OK);
    const struct step_config config = {.model = f->model,
                                       .share = lane_share_whole(B, GROUPS),
                                       .bptt = T,
                                       .threads = 2,
                                       .optimizer = {.kind = OPTIMIZER_SGD},
                                       .reduction = REDUCTION_EXACT,
                                       .norm = norm,
                                       .clip = clip,
                                       .seed = 5};
    assert_int_equal(step_create(&f->alone, &config, &f->table, f->values, &f->step, &e), STATUS_OK);
    model_pack(f->step->model);
    for (int i = 0; i < T * B; i++) {
        const struct rng_bits bits = rng_philox(2, RNG_TEST, (uint32_t)i, 0, 0, 0);
        f->input[i] = bits.word[0] % (uint32_t)vocab;
        f->target[i] = bits.word[1] % (uint32_t)vocab;
    }
    f->window = (struct window){.T = T, .lanes = B, .reset = true, .input = f->input, .target = f->target};
}

static void end(struct fixture *f)
{
    step_free(f->step);
    mem_free(f->values);
}

/* The gradient that a model of its own finds for the values as they are. */
static float *gradient_by_hand(const struct fixture *f, int64_t number, double *loss_sum)
{
    struct error e;
    struct model *model;
    struct model_loss loss;
    const struct model_shape shape = {
        .bptt = T, .share = lane_share_whole(B, GROUPS), .threads = 1, .train = true, .exact = true, .seed = 5};
    float *grad = mem_alloc(f->table.grad_total, sizeof *grad, "test", &e);
    assert_int_equal(model_create(&f->model, f->values, &shape, &model, &e), STATUS_OK);
    model_pack(model);
    model_train(model, &f->window, number, &grad, &loss);
    *loss_sum = lane_tree_sum(loss.group, GROUPS);
    model_free(model);
    return grad;
}

static double norm_by_hand(const struct fixture *f, const float *grad)
{
    double sum = 0;
    for (size_t i = 0; i < f->table.total; i++)
        sum += (double)grad[i] * grad[i];
    return sqrt(sum) / TARGETS;
}

/* One step against the parts: gradient, norm and values. */
static void expect_step(struct fixture *f, int64_t number, double clip)
{
    double loss_sum;
    struct model_loss loss;
    float *grad = gradient_by_hand(f, number, &loss_sum),
          *before = mem_alloc(f->table.total, sizeof *before, "test", NULL);
    memcpy(before, f->values, f->table.total * sizeof *before);
    step_gradient(f->step, &f->window, number, &loss);
    assert_true(lane_tree_sum(loss.group, GROUPS) == loss_sum);
    const double norm = step_sum(f->step, TARGETS), expected = norm_by_hand(f, grad);
    float *summed = mem_alloc(f->table.trained, sizeof *summed, "test", NULL);
    gradient_lay_out(&f->step->gradient, &f->table, summed);
    assert_memory_equal(summed, grad, f->table.trained * sizeof *grad);
    mem_free(summed);
    assert_memory_equal(f->values, before, f->table.total * sizeof *before); /* no update yet */
    if (f->step->config.norm)
        assert_true(fabs(norm - expected) < 1e-12 * expected);
    else
        assert_true(isnan(norm));
    step_update(f->step, LR);
    const double scale = (clip > 0 && expected > clip ? clip / expected : 1) / TARGETS;
    bool moved = false;
    for (size_t i = 0; i < f->table.total; i++) {
        const double want = before[i] - LR * scale * grad[i];
        assert_true(fabs(f->values[i] - want) <= 1e-6 * (fabs((double)before[i]) + fabs(LR * scale * grad[i])));
        moved = moved || f->values[i] < before[i] || f->values[i] > before[i];
    }
    assert_true(moved);
    mem_free(grad);
    mem_free(before);
}

/* The second step's gradient is that of the values after the first: they were packed. Its dropout masks are others. */
static void test_steps_are_their_parts(void **unused)
{
    (void)unused;
    static const double clips[] = {0, 1e-3, 1e3};
    for (int i = 0; i < 3; i++)
        for (int large = 0; large < 2; large++) { /* of a large vocabulary only the window's rows are summed */
            struct fixture f;
            begin(&f, large ? LARGE : 11, clips[i], true);
            for (int64_t number = 0; number < 3; number++)
                expect_step(&f, number, clips[i]);
            assert_true((f.step->layout.parts > 0) == (large == 1));
            end(&f);
        }
}

/* Dynamic evaluation asks for no norm. */
static void test_steps_without_a_norm(void **unused)
{
    (void)unused;
    struct fixture f;
    begin(&f, 11, 1e-3, false);
    expect_step(&f, 0, 0); /* nothing is clipped */
    end(&f);
}

static void test_an_update_may_be_left_out(void **unused)
{
    (void)unused;
    struct fixture f;
    struct model_loss loss;
    begin(&f, LARGE, 0, true);
    f.values[f.table.param[1].offset] = NAN;
    model_pack(f.step->model);
    step_gradient(f.step, &f.window, 0, &loss);
    assert_false(isfinite(step_sum(f.step, TARGETS)));
    f.values[f.table.param[1].offset] = 0.25f;
    model_pack(f.step->model);
    expect_step(&f, 1, 0); /* nothing is left of the step before */
    end(&f);
}

static void test_seconds(void **unused)
{
    (void)unused;
    struct fixture f;
    struct step_seconds seconds;
    begin(&f, 11, 1, true);
    expect_step(&f, 0, 1);
    step_take_seconds(f.step, &seconds);
    assert_true(seconds.sum >= 0 && seconds.optimizer > 0 && seconds.optimizer < 60);
    step_take_seconds(f.step, &seconds);
    assert_true(seconds.sum == 0 && seconds.optimizer == 0);
    end(&f);
    step_free(NULL);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct fixture f;
    struct error e;
    struct step *step;
    begin(&f, 11, 0, true);
    struct step_config config = f.step->config;
    config.bptt = 0;
    assert_int_equal(step_create(&f.alone, &config, &f.table, f.values, &step, &e), STATUS_CONFIG);
    assert_null(step);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_their_parts),
        cmocka_unit_test(test_steps_without_a_norm),
        cmocka_unit_test(test_an_update_may_be_left_out),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
