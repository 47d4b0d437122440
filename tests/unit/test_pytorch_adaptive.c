/* The adaptive softmax against tests/ref/adaptive.h5 (layout and origin: tests/ref/make_adaptive.py), what PyTorch's
 * nn.AdaptiveLogSoftmaxWithLoss computes: the loss, every gradient, and the log-probabilities of all words, which sum
 * to one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/nn/reference.h"
#include "unroll/sys/h5.h"

#define FIXTURES "tests/ref/adaptive.h5" /* make runs the tests in the root of the source tree */

/* As in test_pytorch.c. */
#define DOUBLE_TOLERANCE 1e-9
#define FLOAT_TOLERANCE 1e-5

static const char *const cases[] = {"three", "one", "reordered", "blocks", "narrow"};
#define SEED 1 /* nothing is drawn */
#define STEP 0
#define CASES ((int)(sizeof cases / sizeof cases[0]))

struct fixture {
    struct h5 *file;
    const char *name;
    struct model_config config;
    struct param_table table;
    struct window window;
    uint32_t *input, *target;
    float *values;
};

#define EXPECT_OK(call)             \
    do {                            \
        struct error e = {0};       \
        if ((call) != STATUS_OK)    \
            fail_msg("%s", e.text); \
    } while (0)

static void *take(size_t count, size_t size)
{
    void *block = mem_alloc(count, size, "a test", NULL);
    assert_non_null(block);
    return block;
}

static int64_t attribute(const struct fixture *f, const char *name)
{
    char object[64];
    int64_t value = 0;
    snprintf(object, sizeof object, "/%s", f->name);
    EXPECT_OK(h5_attr_i64(f->file, object, name, &value, &e));
    return value;
}

static void read(const struct fixture *f, const char *name, enum h5_type type, int64_t count, void *data)
{
    char path[160];
    snprintf(path, sizeof path, "/%s/%s", f->name, name);
    EXPECT_OK(h5_read(f->file, path, type, 0, count, data, &e));
}

static void fixture_open(const char *name, struct fixture *f)
{
    char object[64], cutoffs[MODEL_FIELD_TEXT];
    *f = (struct fixture){.name = name, .config = {.cell = CELL_LSTM, .layers = 1}};
    EXPECT_OK(h5_open_plain(FIXTURES, STATUS_DATA, &f->file, &e));
    f->config.embedding = f->config.hidden = (int)attribute(f, "hidden");
    f->config.vocab = (int)attribute(f, "vocab");
    f->config.reordered = attribute(f, "reordered") != 0;
    EXPECT_OK(choices_parse(&output_layer_choices, "adaptive", &f->config.output_layer, &e));
    snprintf(object, sizeof object, "/%s", name);
    EXPECT_OK(h5_attr_string(f->file, object, "cutoffs", cutoffs, sizeof cutoffs, &e));
    EXPECT_OK(h5_attr_f64(f->file, object, "div", &f->config.div, &e));
    assert_int_equal(number_parse_list(cutoffs, OUTPUT_CUTOFFS_MAX, f->config.cutoffs), 0);
    EXPECT_OK(model_config_check(&f->config, &e));
    param_table_build(&f->config, &f->table);
    f->values = take(f->table.total, sizeof *f->values);
    for (int i = 0; i < f->table.count; i++) {
        char path[80];
        snprintf(path, sizeof path, "weights/%s", f->table.param[i].name);
        if (f->table.param[i].alias < 0)
            read(f, path, H5_F32, (int64_t)f->table.param[i].count, f->values + f->table.param[i].offset);
    }
    EXPECT_OK(constants_check(&f->config, &f->table, f->values, &e));
    int lanes = (int)attribute(f, "lanes"), bptt = (int)attribute(f, "bptt");
    f->input = take((size_t)(lanes * bptt), sizeof *f->input);
    f->target = take((size_t)(lanes * bptt), sizeof *f->target);
    read(f, "input", H5_U32, lanes * bptt, f->input);
    read(f, "target", H5_U32, lanes * bptt, f->target);
    f->window = (struct window){.T = bptt, .lanes = lanes, .reset = true, .input = f->input, .target = f->target};
}

static void fixture_close(struct fixture *f)
{
    mem_free(f->values);
    mem_free(f->input);
    mem_free(f->target);
    h5_close_read(f->file);
}

/* Relative to the largest; a NaN on either side fails. */
static void expect_close(const struct fixture *f, const char *what, size_t count, const double *got, double tolerance)
{
    double *expected = take(count, sizeof *expected), scale = 0;
    read(f, what, H5_F64, (int64_t)count, expected);
    for (size_t k = 0; k < count; k++)
        scale = fmax(scale, fabs(expected[k]));
    for (size_t k = 0; k < count; k++)
        if (!(fabs(got[k] - expected[k]) <= tolerance * scale))
            fail_msg("%s %s[%zu]: PyTorch has %.12g, we have %.12g", f->name, what, k, expected[k], got[k]);
    mem_free(expected);
}

static void expect_gradients(const struct fixture *f, const double *grad, double tolerance)
{
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        char path[80];
        snprintf(path, sizeof path, "grad/%s", p->name);
        if (p->alias < 0 && p->role != PARAM_CONSTANT)
            expect_close(f, path, p->count, grad + p->grad_offset, tolerance);
    }
}

static void test_reference(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        struct reference *reference = NULL;
        double loss;
        fixture_open(cases[i], &f);
        EXPECT_OK(reference_create(&f.config, SEED, f.window.lanes, &reference, &e));
        for (size_t k = 0; k < f.table.total; k++)
            reference->values[k] = f.values[k];
        double *grad = take(f.table.grad_total, sizeof *grad);
        EXPECT_OK(reference_window(reference, &f.window, STEP, &loss, NULL, grad, &e));
        expect_close(&f, "loss", 1, &loss, DOUBLE_TOLERANCE);
        expect_gradients(&f, grad, DOUBLE_TOLERANCE);
        mem_free(grad);
        reference_free(reference);
        fixture_close(&f);
    }
}

static void fast_matches(const char *name, int groups, int threads, bool sparse)
{
    struct fixture f;
    struct model *model = NULL;
    struct gradient_layout layout;
    struct model_loss loss;
    fixture_open(name, &f);
    const struct model_shape shape = {.bptt = f.window.T,
                                      .share = lane_share_whole(f.window.lanes, groups),
                                      .threads = threads,
                                      .train = true,
                                      .exact = true,
                                      .sparse = sparse,
                                      .seed = SEED};
    EXPECT_OK(model_create(&f.config, f.values, &shape, &model, &e));
    gradient_layout_build(&f.config, &f.table, f.window.lanes, f.window.T, sparse, &layout);
    float *parts = take(layout.total, sizeof *parts), *grad = take(f.table.grad_total, sizeof *grad);
    double *wide = take(f.table.grad_total, sizeof *wide), sum = 0;
    model_pack(model);
    const struct touched *touched = model_touch(model, &f.window, STEP);
    model_train(model, &f.window, STEP, (float *const[]){parts}, &loss);
    gradient_expand(&layout, &f.table, touched, parts, grad);
    for (int g = 0; g < groups; g++)
        sum += loss.group[g];
    expect_close(&f, "loss", 1, &sum, FLOAT_TOLERANCE);
    for (size_t k = 0; k < f.table.grad_total; k++)
        wide[k] = grad[k];
    expect_gradients(&f, wide, FLOAT_TOLERANCE);
    mem_free(parts);
    mem_free(grad);
    mem_free(wide);
    model_free(model);
    fixture_close(&f);
}

static void test_fast(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        fast_matches(cases[i], 1, 1, false);
        fast_matches(cases[i], 3, 2, true);
    }
}

/* As samplers compute them, after each lane's last step. */
static void test_log_probabilities(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        struct model *model = NULL;
        struct model_loss loss;
        int stride = 0;
        fixture_open(cases[i], &f);
        const struct model_shape shape = {
            .bptt = f.window.T, .share = lane_share_whole(f.window.lanes, 1), .threads = 1 + i % 2, .resident = true};
        EXPECT_OK(model_create(&f.config, f.values, &shape, &model, &e));
        model_pack(model);
        model_forward(model, &f.window, -1, &loss);
        const float *logits = model_logits(model, &stride);
        size_t V = (size_t)f.config.vocab, lanes = (size_t)f.window.lanes;
        double *got = take(lanes * V, sizeof *got);
        for (size_t lane = 0; lane < lanes; lane++) {
            double sum = 0;
            for (size_t v = 0; v < V; v++) {
                got[lane * V + v] = logits[lane * (size_t)stride + v];
                sum += exp(got[lane * V + v]);
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        expect_close(&f, "log_prob", lanes * V, got, FLOAT_TOLERANCE);
        mem_free(got);
        model_free(model);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_log_probabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
