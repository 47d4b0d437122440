/* The loss of a split: against the double-precision reference run over whole lanes, for any window length, and the same
 * bits for any number of threads. Over ranks: tests/mpi/test_evaluator.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "make_corpus.h"

#include "unroll/nn/reference.h"
#include "unroll/train/evaluator.h"

#define V 17

static const int64_t lengths[SPLITS] = {1000, 2, 300};

struct fixture {
    char path[256];
    struct comm alone;
    struct corpus *corpus;
    struct model_config model;
    struct param_table table;
    float *values;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error e = {0};
    f->alone = COMM_ALONE;
    const char *folder = getenv("TMPDIR");
    snprintf(f->path, sizeof f->path, "%s/test_evaluator.%d.h5", folder ? folder : "/tmp", (int)getpid());
    assert_int_equal(make_corpus(f->path, V, lengths, &e), STATUS_OK);
    assert_int_equal(corpus_open(f->path, &f->corpus, &e), STATUS_OK);
    f->model = (struct model_config){.cell = CELL_LSTM, .layers = 2, .embedding = 6, .hidden = 10, .vocab = V};
    param_table_build(&f->model, &f->table);
    f->values = mem_alloc(f->table.total, sizeof *f->values, "test", &e);
    assert_int_equal(param_init(&f->model, &f->table, INIT_AUTO, 3, f->values, &e), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        f->values[i] *= 3;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    corpus_close(f->corpus);
    unlink(f->path);
    mem_free(f->values);
    free(f);
    return 0;
}

static void evaluate(const struct fixture *f, struct evaluator_config config, double *loss, int64_t *targets)
{
    struct evaluator *evaluator;
    struct error e = {0};
    config.model = f->model;
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_OK);
    assert_int_equal(evaluator_run(evaluator, loss, targets, &e), STATUS_OK);
    evaluator_free(evaluator);
}

/* Each lane's whole segment as one window, from zero. */
static double reference_loss(const struct fixture *f, enum split split, int lanes)
{
    int64_t positions = lengths[split] - 1;
    static uint32_t tokens[1001];
    double sum = 0;
    for (int64_t i = 0; i <= positions; i++)
        tokens[i] = made_token(V, split, i);
    for (int lane = 0; lane < lanes; lane++) {
        int64_t begin = lane * positions / lanes, end = (lane + 1) * positions / lanes;
        struct window window = {(int)(end - begin), 1, 0, true, tokens + begin, tokens + begin + 1};
        struct reference *reference;
        double loss;
        struct error e = {0};
        assert_int_equal(reference_create(&f->model, 0, 1, &reference, &e), STATUS_OK);
        for (size_t i = 0; i < f->table.total; i++)
            reference->values[i] = f->values[i];
        assert_int_equal(reference_window(reference, &window, -1, &loss, NULL, NULL, &e), STATUS_OK);
        reference_free(reference);
        sum += loss;
    }
    return sum;
}

static void loss_is_that_of_the_reference(void **state)
{
    const struct fixture *f = *state;
    static const int bptts[] = {1, 7, 50, 1000};
    for (int i = 0; i < 4; i++) {
        double loss, expected = reference_loss(f, SPLIT_TRAIN, 6);
        int64_t targets;
        evaluate(
            f, (struct evaluator_config){.split = SPLIT_TRAIN, .batch = 6, .bptt = bptts[i], .groups = 4, .threads = 1},
            &loss, &targets);
        assert_int_equal(targets, lengths[SPLIT_TRAIN] - 1);
        assert_true(fabs(loss - expected) <= 1e-6 * expected);
    }
}

/* Windows of all lanes one after another: loss, then values -= lr * mean gradient, in double precision. */
static double reference_dynamic_loss(const struct fixture *f, enum split split, int lanes, int bptt, double lr)
{
    int64_t positions = lengths[split] - 1, longest = (positions + lanes - 1) / lanes;
    struct reference *reference;
    struct error e = {0};
    double sum = 0, *grad = calloc(f->table.grad_total, sizeof *grad);
    assert_int_equal(reference_create(&f->model, 0, lanes, &reference, &e), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        reference->values[i] = f->values[i];
    for (int64_t start = 0; start < longest; start += bptt) {
        uint32_t input[50 * 10] = {0}, target[50 * 10];
        int T = longest - start < bptt ? (int)(longest - start) : bptt, targets = 0;
        for (int t = 0; t < T; t++)
            for (int lane = 0; lane < lanes; lane++) {
                int64_t at = lane * positions / lanes + start + t;
                bool inside = at < (lane + 1) * positions / lanes;
                input[t * lanes + lane] = inside ? made_token(V, split, at) : 0;
                target[t * lanes + lane] = inside ? made_token(V, split, at + 1) : WINDOW_NO_TARGET;
                targets += inside;
            }
        struct window window = {T, lanes, 0, start == 0, input, target};
        double loss;
        assert_int_equal(reference_window(reference, &window, -1, &loss, NULL, grad, &e), STATUS_OK);
        sum += loss;
        for (int i = 0; i < f->table.count; i++) {
            const struct param *param = &f->table.param[i];
            for (size_t k = 0; k < param->count; k++)
                reference->values[param->offset + k] -= lr * grad[param->grad_offset + k] / targets;
        }
    }
    reference_free(reference);
    free(grad);
    return sum;
}

static void dynamic_loss_is_that_of_the_reference(void **state)
{
    struct fixture *f = *state;
    static const int bptts[] = {1, 7, 50};
    f->model.dropout = 0.5; /* not applied */
    for (int i = 0; i < 3; i++) {
        struct evaluator_config config = {
            .split = SPLIT_TRAIN, .batch = 6, .bptt = bptts[i], .groups = 4, .threads = 1, .dynamic = true, .lr = 0.7};
        double loss, expected = reference_dynamic_loss(f, SPLIT_TRAIN, 6, bptts[i], config.lr), again, fixed;
        int64_t targets;
        evaluate(f, config, &loss, &targets);
        assert_int_equal(targets, lengths[SPLIT_TRAIN] - 1);
        assert_true(fabs(loss - expected) <= 1e-5 * expected);
        config.threads = 3;
        evaluate(f, config, &again, &targets);
        assert_memory_equal(&again, &loss, sizeof loss);
        config.lr = 0;
        evaluate(f, config, &again, &targets);
        config.dynamic = false;
        evaluate(f, config, &fixed, &targets);
        assert_memory_equal(&again, &fixed, sizeof fixed);
        assert_true(fabs(loss - fixed) > 1e-3 * fixed); /* it did learn */
    }
}

/* Learning from the model's own loss, a cache changes what is counted and not what is learned; with rate and decay 0,
 * or a share of 0, nothing changes. */
static void methods_add_up(void **state)
{
    struct fixture *f = *state;
    struct evaluator_config config = {.split = SPLIT_TRAIN,
                                      .batch = 6,
                                      .bptt = 7,
                                      .groups = 4,
                                      .threads = 1,
                                      .dynamic = true,
                                      .rms = true,
                                      .lr = 0.003};
    const struct cache_config cache = {.size = 30, .theta = 1, .lambda = 0.2};
    double plain, learned, nothing, cached, both;
    int64_t targets;
    config.statistics = (struct dynamic_config){.decay = 0.02, .epsilon = 1e-3, .batch = 6, .groups = 3};
    evaluate(f, config, &learned, &targets);
    config.cache = cache;
    evaluate(f, config, &both, &targets);
    config.cache.lambda = 0;
    evaluate(f, config, &nothing, &targets);
    assert_memory_equal(&nothing, &learned, sizeof learned);
    config.lr = config.statistics.decay = 0;
    evaluate(f, config, &nothing, &targets);
    config.dynamic = config.rms = false;
    evaluate(f, config, &plain, &targets);
    assert_memory_equal(&nothing, &plain, sizeof plain);
    config.cache = cache;
    evaluate(f, config, &cached, &targets);
    assert_true(learned != plain && cached != plain && both != learned && both != cached);
}

/* A split that is absent, or a classifier, is refused before anything is computed. */
static void methods_refuse(void **state)
{
    struct fixture *f = *state;
    struct evaluator *evaluator;
    struct error e = {0};
    struct evaluator_config config = {.split = SPLIT_TEST,
                                      .model = f->model,
                                      .batch = 2,
                                      .bptt = 7,
                                      .groups = 2,
                                      .threads = 1,
                                      .dynamic = true,
                                      .rms = true,
                                      .lr = 0.003};
    config.statistics = (struct dynamic_config){.decay = 0.02, .epsilon = 1e-3, .batch = 6, .groups = 3};
    f->corpus->tokens[SPLIT_TRAIN] = 0;
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_DATA);
    assert_non_null(strstr(e.text, "training split"));
    assert_null(evaluator);
}

static void short_splits_have_fewer_lanes(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(evaluator_lanes(2, 8), 1);
    assert_int_equal(evaluator_lanes(2 * EVALUATOR_LANE_MIN, 8), 1);
    assert_int_equal(evaluator_lanes(2 * EVALUATOR_LANE_MIN + 1, 8), 2);
    assert_int_equal(evaluator_lanes(8 * EVALUATOR_LANE_MIN, 8), 7);
    assert_int_equal(evaluator_lanes(8 * EVALUATOR_LANE_MIN + 1, 8), 8);
    assert_int_equal(evaluator_lanes((int64_t)1 << 40, 8), 8);
    assert_int_equal(evaluator_groups(3, 8), 3);
    assert_int_equal(evaluator_groups(8, 4), 4);
    for (int split = SPLIT_VALID; split <= SPLIT_TEST; split++) {
        double loss, expected = reference_loss(f, (enum split)split, evaluator_lanes(lengths[split], 8));
        int64_t targets;
        evaluate(
            f, (struct evaluator_config){.split = (enum split)split, .batch = 8, .bptt = 20, .groups = 8, .threads = 1},
            &loss, &targets);
        assert_int_equal(targets, lengths[split] - 1);
        assert_true(fabs(loss - expected) <= 1e-6 * expected);
    }
}

/* Lanes that were asked for are those that there are, in a short split too; behind a token the first one has a loss. */
static void lanes_asked_for_are_kept(void **state)
{
    const struct fixture *f = *state;
    struct evaluator_config config = {
        .split = SPLIT_TEST, .batch = 9, .bptt = 20, .groups = 4, .threads = 1, .exact_lanes = true};
    double loss, expected = reference_loss(f, SPLIT_TEST, 9), more;
    int64_t targets;
    evaluate(f, config, &loss, &targets);
    assert_int_equal(targets, lengths[SPLIT_TEST] - 1);
    assert_true(fabs(loss - expected) <= 1e-6 * expected);
    config.batch = 1;
    evaluate(f, config, &loss, &targets);
    config.before = 3;
    evaluate(f, config, &more, &targets);
    assert_int_equal(targets, lengths[SPLIT_TEST]);
    assert_true(more != loss);

    struct evaluator *evaluator;
    struct error e = {0};
    config = (struct evaluator_config){.split = SPLIT_VALID,
                                       .model = f->model,
                                       .batch = 2,
                                       .bptt = 20,
                                       .groups = 1,
                                       .threads = 1,
                                       .exact_lanes = true};
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, "--batch 1 to 1"));
    config.before = 3;
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_OK);
    assert_int_equal(evaluator_lane_count(evaluator), 2);
    evaluator_free(evaluator);
}

static void bits_do_not_depend_on_threads(void **state)
{
    const struct fixture *f = *state;
    struct evaluator_config config = {.split = SPLIT_TRAIN, .batch = 10, .bptt = 9, .groups = 5, .threads = 1};
    double first, loss;
    int64_t targets;
    evaluate(f, config, &first, &targets);
    for (config.threads = 2; config.threads <= 4; config.threads++) {
        evaluate(f, config, &loss, &targets);
        assert_memory_equal(&loss, &first, sizeof loss);
    }
}

static void count_beat(void *context)
{
    ++*(int *)context;
}

/* Every run starts from zero states and looks at the values as they are then. */
static void runs_are_independent(void **state)
{
    const struct fixture *f = *state;
    int beats = 0;
    struct evaluator_config config = {.split = SPLIT_TRAIN,
                                      .model = f->model,
                                      .batch = 6,
                                      .bptt = 10,
                                      .groups = 6,
                                      .threads = 1,
                                      .beat = count_beat,
                                      .beat_context = &beats};
    struct evaluator *evaluator;
    struct error e = {0};
    double first, changed, again;
    int64_t targets;
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_OK);
    assert_int_equal(evaluator_run(evaluator, &first, &targets, &e), STATUS_OK);
    assert_int_equal(beats, (999 + 5) / 6 / 10 + 1); /* windows: the longest lane has 167 positions */
    f->values[5] += 0.5f;
    assert_int_equal(evaluator_run(evaluator, &changed, &targets, &e), STATUS_OK);
    f->values[5] -= 0.5f;
    assert_true(changed != first);
    assert_int_equal(evaluator_run(evaluator, &again, &targets, &e), STATUS_OK);
    assert_memory_equal(&again, &first, sizeof again);
    assert_int_equal(targets, lengths[SPLIT_TRAIN] - 1);
    f->values[f->table.param[param_find(&f->table, "decoder.bias")].offset] = NAN;
    assert_int_equal(evaluator_run(evaluator, &again, &targets, &e), STATUS_OK);
    assert_true(isnan(again));
    evaluator_free(evaluator);
}

static void what_cannot_be_evaluated_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct evaluator_config config = {
        .split = SPLIT_VALID, .model = f->model, .batch = 6, .bptt = 10, .groups = 6, .threads = 1};
    struct evaluator *evaluator;
    struct error e = {0};
    config.model.vocab = V + 1;
    assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_DATA);
    assert_non_null(strstr(e.text, "vocabulary"));
    assert_null(evaluator);
    config.model.vocab = V;
    for (int64_t tokens = 0; tokens < 2; tokens++) {
        f->corpus->tokens[SPLIT_VALID] = tokens;
        assert_int_equal(evaluator_create(&f->alone, f->corpus, &config, f->values, &evaluator, &e), STATUS_DATA);
        assert_non_null(strstr(e.text, "valid split"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loss_is_that_of_the_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dynamic_loss_is_that_of_the_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(methods_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(methods_refuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_splits_have_fewer_lanes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_asked_for_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_are_independent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_evaluated_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
