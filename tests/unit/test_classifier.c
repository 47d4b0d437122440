/* The head of --task classify: reference against differences and PyTorch, fast code against both and the same bits
 * on any ranges and threads; and that padding means nothing. */
#include "support/fixture.h"
#include "unroll/base/rng.h"
#include "unroll/use/gradcheck.h"

static const enum pool every_pool[] = {POOL_LAST, POOL_MEAN, POOL_MAX};

static void expect_holds(const struct gradcheck_config *c, const char *what, const struct gradcheck_worst *worst)
{
    if (!gradcheck_holds(worst))
        fail_msg("%s: %s, pool %s, %d layers, E %d, H %d, labels %d, dropout %g, T %d, B %d, groups %d: '%s'[%lld] of "
                 "window %d is %.9g instead of %.9g (error %.2g, allowed %.2g)",
                 what, cell_name(c->model.cell), pool_name(c->model.pool), c->model.layers, c->model.embedding,
                 c->model.hidden, c->model.labels, c->model.dropout, c->bptt, c->batch, c->groups, worst->tensor,
                 (long long)worst->element, worst->window, worst->got, worst->expected, worst->error, worst->tolerance);
}

static void test_central_differences(void **unused)
{
    (void)unused;
    for (int i = 0; i < CELLS * 3 * 2 * 2; i++) {
        const struct gradcheck_config config = {.model = {.cell = (enum cell)(i % CELLS),
                                                          .mogrify = model_usual_rounds((enum cell)(i % CELLS)),
                                                          .pool = every_pool[i / CELLS % 3],
                                                          .layers = 1 + i / CELLS / 3 % 2,
                                                          .dropout = i / CELLS / 6 ? 0.4 : 0,
                                                          .embedding = 4,
                                                          .hidden = 3,
                                                          .vocab = 6,
                                                          .task = TASK_CLASSIFY,
                                                          .labels = 2 + i % 3},
                                                .bptt = 4,
                                                .batch = 3,
                                                .seed = 5};
        struct gradcheck_worst worst;
        struct error e = {0};
        if (gradcheck_reference(&config, &worst, &e) != STATUS_OK)
            fail_msg("%s", e.text);
        expect_holds(&config, "gradient of the reference", &worst);
    }
}

/* Few labels and more than fit a register or a panel; lanes without texts; groups and ranges that do not come out
 * even. */
static void test_fast_path(void **unused)
{
    (void)unused;
    static const struct {
        int E, H, V, labels, T, B, groups, ranks, threads;
    } sizes[] = {
        {1, 1, 2, 2, 1, 1, 1, 1, 1},        {9, 7, 11, 3, 5, 3, 3, 2, 2},        {20, 33, 101, 45, 6, 5, 4, 3, 3},
        {70, 130, 101, 33, 7, 13, 7, 4, 2}, {16, 48, 3000, 100, 9, 20, 6, 5, 1},
    };
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int c = 0; c < CELLS; c++)
            for (int p = 0; p < 3; p++) {
                const int variant = (int)s + c + p;
                const struct gradcheck_config config = {.model = {.cell = (enum cell)c,
                                                                  .mogrify = model_usual_rounds((enum cell)c),
                                                                  .pool = every_pool[p],
                                                                  .layers = 1 + variant % 2,
                                                                  .embedding = sizes[s].E,
                                                                  .hidden = sizes[s].H,
                                                                  .vocab = sizes[s].V,
                                                                  .dropout = variant % 3 ? 0 : 0.3,
                                                                  .task = TASK_CLASSIFY,
                                                                  .labels = sizes[s].labels},
                                                        .bptt = sizes[s].T,
                                                        .batch = sizes[s].B,
                                                        .groups = sizes[s].groups,
                                                        .ranks = sizes[s].ranks,
                                                        .threads = sizes[s].threads,
                                                        .seed = 11};
                struct gradcheck_fast fast;
                struct error e = {0};
                if (gradcheck_fast(&config, &fast, &e) != STATUS_OK)
                    fail_msg("%s", e.text);
                expect_holds(&config, "loss", &fast.loss);
                expect_holds(&config, "gradient", &fast.gradient);
                assert_true(fast.same_bits);
            }
}

enum { V = 17, LABELS = 3, STEPS = 12, LANES = 4 };

/* Runs texts of 3, 12, 1 and no tokens, with `padding` in the places behind them. */
static void run_padded(const struct model_config *config, const float *values, int steps, uint32_t padding,
                       float *const *grads, double loss[LANES], float p[LANES][LABELS])
{
    static const int lengths[LANES] = {3, 12, 1, 0};
    uint32_t input[STEPS * LANES], target[STEPS * LANES];
    const struct model_shape shape = {
        .bptt = STEPS, .share = lane_share_whole(LANES, LANES), .threads = 1, .exact = true, .train = true, .seed = 1};
    struct model *model;
    struct model_loss losses;
    assert_int_equal(model_create(config, values, &shape, &model, NULL), STATUS_OK);
    model_pack(model);
    for (int t = 0; t < steps; t++)
        for (int b = 0; b < LANES; b++) {
            bool inside = t < lengths[b];
            input[t * LANES + b] =
                inside ? rng_philox(2, RNG_TEST, (uint32_t)t, (uint32_t)b, 0, 0).word[0] % V : padding;
            target[t * LANES + b] = t == lengths[b] - 1 ? (uint32_t)b % LABELS : WINDOW_NO_TARGET;
        }
    const struct window window = {.T = steps, .lanes = LANES, .reset = true, .input = input, .target = target};
    model_train(model, &window, 5, grads, &losses);
    int64_t correct = 0, targets = 0;
    for (int b = 0; b < LANES; b++) {
        loss[b] = losses.group[b];
        correct += losses.correct[b];
        targets += losses.targets[b];
    }
    assert_int_equal(targets, steps == STEPS ? 3 : 2);
    assert_true(correct >= 0 && correct <= targets);
    model_forward(model, &window, -1, &losses);
    int stride;
    const float *row = model_probabilities(model, &stride);
    for (int b = 0; b < LANES; b++) {
        float sum = 0;
        for (int j = 0; j < LABELS; j++)
            sum += p[b][j] = row[b * stride + j];
        assert_true(lengths[b] > 0 && lengths[b] <= steps ? fabsf(sum - 1) < 1e-6f : sum == 0);
    }
    model_free(model);
}

/* What stands behind a text's end, and whether anything does, changes no bit of losses, probabilities and gradients. */
static void test_padding_means_nothing(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++)
        for (int p = 0; p < 3; p++) {
            const struct model_config config = {.cell = (enum cell)c,
                                                .mogrify = model_usual_rounds((enum cell)c),
                                                .pool = every_pool[p],
                                                .layers = 2,
                                                .embedding = 9,
                                                .hidden = 20,
                                                .vocab = V,
                                                .dropout = 0.25,
                                                .task = TASK_CLASSIFY,
                                                .labels = LABELS};
            struct param_table table;
            param_table_build(&config, &table);
            float *values = mem_alloc(table.total, sizeof *values, "test", NULL);
            float *grad[2] = {mem_alloc(table.grad_total, sizeof(float), "test", NULL),
                              mem_alloc(table.grad_total, sizeof(float), "test", NULL)};
            double loss[3][LANES];
            float probability[3][LANES][LABELS];
            assert_int_equal(param_init(&config, &table, INIT_UNIFORM, 2, values, NULL), STATUS_OK);
            run_padded(&config, values, STEPS, 0, &grad[0], loss[0], probability[0]);
            run_padded(&config, values, STEPS, V - 1, &grad[1], loss[1], probability[1]);
            assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
            assert_memory_equal(probability[0], probability[1], sizeof probability[0]);
            for (size_t k = 0; k < table.grad_total; k++)
                assert_true(grad[0][k] == grad[1][k]);                            /* a zero may have another sign */
            run_padded(&config, values, 3, 0, &grad[1], loss[2], probability[2]); /* no padding in the first lane */
            assert_true(loss[2][0] == loss[0][0] && loss[2][2] == loss[0][2]);
            assert_memory_equal(probability[0][0], probability[2][0], sizeof probability[0][0]);
            mem_free(values);
            mem_free(grad[0]);
            mem_free(grad[1]);
        }
}

/* ---- PyTorch, from tests/ref/fixtures.h5 (layout and origin: tests/ref/make_fixtures.py) ---- */

/* Loss, probabilities and gradients; double precision must agree to rounding, and float to what float leaves. */
static void expect_pytorch(enum cell cell, enum pool pool)
{
    char name[64];
    struct fixture f;
    snprintf(name, sizeof name, "classify-%s-%s", cell_name(cell), pool_name(pool));
    fixture_open("tests/ref/fixtures.h5", name, &f);
    fixture_tokens(&f, "", 1);
    const struct window window = fixture_window(&f, 0, true);
    const size_t labels = (size_t)f.config.labels, lanes = (size_t)f.lanes;
    double *exact = take(f.table.grad_total, sizeof *exact), *probability = take(lanes * labels, sizeof *probability);
    float *grad = take(f.table.grad_total, sizeof *grad);
    struct reference *reference = fixture_reference(&f);
    double loss = fixture_reference_gradient(&f, reference, &window, exact) / f.lanes; /* each lane has a label */
    for (size_t k = 0; k < f.table.grad_total; k++)
        exact[k] /= f.lanes;
    fixture_expect(&f, "loss", 1, &loss, DOUBLE_TOLERANCE);
    fixture_expect_tensors(&f, "grad", exact, DOUBLE_TOLERANCE);

    struct model *model = fixture_model(&f, 1, 1, false);
    struct model_loss losses;
    int stride;
    loss = fixture_fast_gradient(&f, model, 1, false, &window, grad) / f.lanes;
    for (size_t k = 0; k < f.table.grad_total; k++)
        grad[k] /= (float)f.lanes;
    fixture_expect(&f, "loss", 1, &loss, FLOAT_TOLERANCE);
    fixture_expect_float_tensors(&f, "grad", grad, FLOAT_TOLERANCE);
    model_forward(model, &window, -1, &losses);
    const float *p = model_probabilities(model, &stride);
    for (size_t k = 0; k < lanes * labels; k++)
        probability[k] = p[k / labels * (size_t)stride + k % labels];
    fixture_expect(&f, "probability", lanes * labels, probability, FLOAT_TOLERANCE);
    model_free(model);
    reference_free(reference);
    mem_free(grad);
    mem_free(exact);
    mem_free(probability);
    fixture_close(&f);
}

static void test_pytorch(void **unused)
{
    (void)unused;
    for (int p = 0; p < 3; p++) {
        expect_pytorch(CELL_LSTM, every_pool[p]);
        expect_pytorch(CELL_GRU, every_pool[p]);
        expect_pytorch(CELL_MINGRU, every_pool[p]);
    }
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct error e;
    struct model_config config = {
        .cell = CELL_LSTM, .layers = 1, .embedding = 4, .hidden = 4, .vocab = 5, .task = TASK_CLASSIFY, .labels = 2};
    assert_int_equal(model_config_check(&config, &e), STATUS_OK);
    config.labels = 1;
    assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
    config.labels = 2;
    config.tied = true;
    assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, "--tied"));
    config.tied = false;
    config.reset_token = 1;
    assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, "--reset-at"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_fast_path),
        cmocka_unit_test(test_padding_means_nothing),
        cmocka_unit_test(test_pytorch),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
