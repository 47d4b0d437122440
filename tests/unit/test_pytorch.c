/* Parity with PyTorch, from tests/ref/fixtures.h5 (layout and origin: tests/ref/make_fixtures.py). The fixtures are in
 * double precision, so the reference must match them to rounding, and the float path to what float leaves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/model.h"
#include "unroll/nn/param.h"
#include "unroll/nn/reference.h"
#include "unroll/sys/h5.h"
#include "unroll/train/optimizer.h"

#define FIXTURES "tests/ref/fixtures.h5" /* make runs the tests in the root of the source tree */

/* Both sides are double precision; the sums have some hundred terms of size one: 1e-12 is rounding, 1e-9 a mistake. */
#define DOUBLE_TOLERANCE 1e-9
/* Float32 with the same sums: some 1e-6. */
#define FLOAT_TOLERANCE 1e-5

static const char *const cases[] = {"rnn-tanh", "rnn-relu", "lstm", "gru", "lstm-tied", "mingru"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

struct fixture {
    struct h5 *file;
    const char *name; /* of the case */
    struct model_config config;
    struct param_table table;
    int lanes, bptt;
    float *values; /* [table.total] */
};

#define EXPECT_OK(call)             \
    do {                            \
        struct error e = {0};       \
        if ((call) != STATUS_OK)    \
            fail_msg("%s", e.text); \
    } while (0)

static void *take(size_t count, size_t size)
{
    struct error e;
    void *block = mem_alloc(count, size, "a test", &e);
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

/* The path of a thing in the case; four buffers take turns. */
static const char *path_of(const struct fixture *f, const char *group, const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/%s/%s/%s", f->name, group, name);
    return path;
}

static void read_doubles(const struct fixture *f, const char *group, const char *name, int64_t count, double *data)
{
    EXPECT_OK(h5_read(f->file, path_of(f, group, name), H5_F64, 0, count, data, &e));
}

static void fixture_open(const char *name, struct fixture *f)
{
    *f = (struct fixture){.name = name};
    EXPECT_OK(h5_open_plain(FIXTURES, STATUS_DATA, &f->file, &e));
    char object[64], cell[32];
    snprintf(object, sizeof object, "/%s", name);
    EXPECT_OK(h5_attr_string(f->file, object, "cell", cell, sizeof cell, &e));
    EXPECT_OK(cell_parse(cell, &f->config.cell, &e));
    f->config.layers = (int)attribute(f, "layers");
    f->config.embedding = (int)attribute(f, "embedding");
    f->config.hidden = (int)attribute(f, "hidden");
    f->config.vocab = (int)attribute(f, "vocab");
    f->config.tied = attribute(f, "tied") != 0;
    f->lanes = (int)attribute(f, "lanes");
    f->bptt = (int)attribute(f, "bptt");
    EXPECT_OK(model_config_check(&f->config, &e));
    param_table_build(&f->config, &f->table);
    f->values = take(f->table.total, sizeof *f->values);
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        if (p->alias < 0)
            EXPECT_OK(h5_read(f->file, path_of(f, "weights", p->name), H5_F32, 0, (int64_t)p->count,
                              f->values + p->offset, &e));
    }
}

static void fixture_close(struct fixture *f)
{
    mem_free(f->values);
    h5_close_read(f->file);
}

/* Windows 0 .. windows - 1 of `group`, [windows * T][B] each. */
struct tokens {
    uint32_t *input, *target;
};

static struct tokens tokens_read(const struct fixture *f, const char *group, int windows)
{
    const int64_t count = (int64_t)windows * f->bptt * f->lanes;
    struct tokens tokens = {take((size_t)count, sizeof(uint32_t)), take((size_t)count, sizeof(uint32_t))};
    EXPECT_OK(h5_read(f->file, path_of(f, group, "input"), H5_U32, 0, count, tokens.input, &e));
    EXPECT_OK(h5_read(f->file, path_of(f, group, "target"), H5_U32, 0, count, tokens.target, &e));
    return tokens;
}

static void tokens_release(struct tokens *tokens)
{
    mem_free(tokens->input);
    mem_free(tokens->target);
}

static struct window window_of(const struct fixture *f, const struct tokens *tokens, int index, bool reset)
{
    const size_t start = (size_t)index * (size_t)(f->bptt * f->lanes);
    return (struct window){.T = f->bptt,
                           .lanes = f->lanes,
                           .reset = reset,
                           .input = tokens->input + start,
                           .target = tokens->target + start};
}

static int64_t count_targets(const struct window *window)
{
    int64_t count = 0;
    for (int k = 0; k < window->T * window->lanes; k++)
        count += window->target[k] != WINDOW_NO_TARGET;
    return count;
}

/* A NaN on either side fails. */
static void expect_close(const struct fixture *f, const char *group, const char *name, int64_t count,
                         const double *expected, const double *got, double tolerance)
{
    double scale = 0; /* relative to the largest, so that sums that cancel are not held to their own tiny size */
    for (int64_t k = 0; k < count; k++)
        scale = fmax(scale, fabs(expected[k]));
    for (int64_t k = 0; k < count; k++)
        if (!(fabs(got[k] - expected[k]) <= tolerance * scale))
            fail_msg("%s %s %s[%lld]: PyTorch has %.12g, we have %.12g", f->name, group, name, (long long)k,
                     expected[k], got[k]);
}

static void expect_tensors(const struct fixture *f, const char *group, const char *kind, const double *got,
                           double tolerance)
{
    for (int i = 0; i < f->table.count; i++) {
        const struct param *p = &f->table.param[i];
        if (p->alias >= 0)
            continue;
        char name[80];
        snprintf(name, sizeof name, "%s/%s", kind, p->name);
        double *expected = take(p->count, sizeof *expected);
        read_doubles(f, group, name, (int64_t)p->count, expected);
        expect_close(f, group, name, (int64_t)p->count, expected, got + p->offset, tolerance);
        mem_free(expected);
    }
}

static void expect_state(const struct fixture *f, const char *group, int index, const double *got, double tolerance)
{
    const int64_t count = (int64_t)f->lanes * f->config.hidden;
    double *expected = take((size_t)count, sizeof *expected);
    char state[16], name[32];
    snprintf(name, sizeof name, "state/%s", model_state_name(&f->config, index, state));
    read_doubles(f, group, name, count, expected);
    expect_close(f, group, name, count, expected, got, tolerance);
    mem_free(expected);
}

/* ---- two windows: loss, every gradient, carried state ---- */

static void fold_aliases(const struct param_table *table, double *grad)
{
    for (int i = 0; i < table->count; i++)
        for (size_t k = 0; table->param[i].alias >= 0 && k < table->param[i].count; k++)
            grad[table->param[table->param[i].alias].grad_offset + k] += grad[table->param[i].grad_offset + k];
}

static void reference_matches(const char *name)
{
    struct fixture f;
    fixture_open(name, &f);
    struct reference *reference = NULL;
    EXPECT_OK(reference_create(&f.config, 1, f.lanes, &reference, &e));
    for (size_t k = 0; k < f.table.total; k++)
        reference->values[k] = f.values[k];
    double *grad = take(f.table.grad_total, sizeof *grad);
    for (int index = 0; index < 2; index++) {
        const char *group = index ? "window1" : "window0";
        struct tokens tokens = tokens_read(&f, group, 1);
        struct window window = window_of(&f, &tokens, 0, index == 0);
        const double targets = (double)count_targets(&window);
        double loss, expected;
        EXPECT_OK(reference_window(reference, &window, -1, &loss, NULL, grad, &e));
        loss /= targets;
        read_doubles(&f, group, "loss", 1, &expected);
        expect_close(&f, group, "loss", 1, &expected, &loss, DOUBLE_TOLERANCE);
        fold_aliases(&f.table, grad);
        for (size_t k = 0; k < f.table.grad_total; k++)
            grad[k] /= targets;
        expect_tensors(&f, group, "grad", grad, DOUBLE_TOLERANCE);
        for (int s = 0; s < model_state_count(&f.config); s++)
            expect_state(&f, group, s, reference->state + (size_t)s * (size_t)(f.lanes * f.config.hidden),
                         DOUBLE_TOLERANCE);
        tokens_release(&tokens);
    }
    mem_free(grad);
    reference_free(reference);
    fixture_close(&f);
}

static struct model *model_of(const struct fixture *f, int groups, int threads)
{
    struct model *model = NULL;
    const struct model_shape shape = {.bptt = f->bptt,
                                      .share = lane_share_whole(f->lanes, groups),
                                      .threads = threads,
                                      .train = true,
                                      .exact = true,
                                      .seed = 1};
    EXPECT_OK(model_create(&f->config, f->values, &shape, &model, &e));
    model_pack(model);
    return model;
}

/* One training step without the update: mean loss, and the gradient of the mean, aliases folded in. */
static double mean_gradient(const struct fixture *f, struct model *model, int groups, const struct window *window,
                            int64_t step, float *grad)
{
    struct model_loss loss;
    model_train(model, window, step, (float *const[]){grad}, &loss);
    param_fold_aliases(&f->table, grad);
    double sum = 0;
    int64_t targets = 0;
    for (int g = 0; g < groups; g++) {
        sum += loss.group[g];
        targets += loss.targets[g];
    }
    assert_int_equal(targets, count_targets(window));
    for (size_t k = 0; k < f->table.grad_total; k++)
        grad[k] /= (float)targets;
    return sum / (double)targets;
}

static void fast_matches(const char *name, int groups, int threads)
{
    struct fixture f;
    fixture_open(name, &f);
    struct model *model = model_of(&f, groups, threads);
    const size_t state_count = (size_t)(f.lanes * f.config.hidden);
    float *grad = take(f.table.grad_total, sizeof *grad), *state = take(state_count, sizeof *state);
    double *wide = take(f.table.grad_total + state_count, sizeof *wide);
    for (int index = 0; index < 2; index++) {
        const char *group = index ? "window1" : "window0";
        struct tokens tokens = tokens_read(&f, group, 1);
        struct window window = window_of(&f, &tokens, 0, index == 0);
        double expected, loss = mean_gradient(&f, model, groups, &window, 0, grad);
        read_doubles(&f, group, "loss", 1, &expected);
        expect_close(&f, group, "loss", 1, &expected, &loss, FLOAT_TOLERANCE);
        for (size_t k = 0; k < f.table.grad_total; k++)
            wide[k] = grad[k];
        expect_tensors(&f, group, "grad", wide, FLOAT_TOLERANCE);
        for (int s = 0; s < model_state_count(&f.config); s++) {
            model_state_get(model, s, state);
            for (size_t k = 0; k < state_count; k++)
                wide[k] = state[k];
            expect_state(&f, group, s, wide, FLOAT_TOLERANCE);
        }
        tokens_release(&tokens);
    }
    mem_free(wide);
    mem_free(state);
    mem_free(grad);
    model_free(model);
    fixture_close(&f);
}

/* ---- training: losses of every step and the last parameters ---- */

static double setting(const struct fixture *f, const char *optimizer, const char *name)
{
    char object[96];
    double value = 0;
    struct error e;
    snprintf(object, sizeof object, "/%s/%s", f->name, optimizer);
    return h5_attr_f64(f->file, object, name, &value, &e) == STATUS_OK ? value : 0; /* not all have all settings */
}

static struct optimizer_config optimizer_settings(const struct fixture *f, const char *name)
{
    struct optimizer_config config = {.momentum = setting(f, name, "momentum"),
                                      .beta1 = setting(f, name, "beta1"),
                                      .beta2 = setting(f, name, "beta2"),
                                      .alpha = setting(f, name, "alpha"),
                                      .epsilon = setting(f, name, "epsilon"),
                                      .weight_decay = setting(f, name, "weight_decay")};
    EXPECT_OK(choices_parse(&optimizer_choices, name, &config.kind, &e));
    return config;
}

/* torch.nn.utils.clip_grad_norm_: min(1, clip / (norm + 1e-6)) */
static double clip_factor(const struct param_table *table, const float *grad, double clip, double *norm)
{
    double squares = 0;
    for (size_t k = 0; k < table->total; k++)
        squares += (double)grad[k] * grad[k];
    *norm = sqrt(squares);
    return fmin(1, clip / (*norm + 1e-6));
}

/* Where the gradients of a training come from. */
struct source {
    struct model *model;         /* the fast path, or */
    struct reference *reference; /* the reference */
    double *grad;                /* [grad_total] the reference's */
};

static void source_create(const struct fixture *f, bool fast, struct source *source)
{
    *source = (struct source){0};
    if (fast) {
        source->model = model_of(f, 1, 1);
        return;
    }
    EXPECT_OK(reference_create(&f->config, 1, f->lanes, &source->reference, &e));
    source->grad = take(f->table.grad_total, sizeof *source->grad);
}

static void source_release(struct source *source)
{
    model_free(source->model);
    reference_free(source->reference);
    mem_free(source->grad);
}

static double source_gradient(const struct fixture *f, struct source *source, const struct window *window, int step,
                              float *grad)
{
    if (source->model) {
        model_pack(source->model);
        return mean_gradient(f, source->model, 1, window, step, grad);
    }
    double loss;
    const double targets = (double)count_targets(window);
    for (size_t k = 0; k < f->table.total; k++)
        source->reference->values[k] = f->values[k];
    EXPECT_OK(reference_window(source->reference, window, -1, &loss, NULL, source->grad, &e));
    fold_aliases(&f->table, source->grad);
    for (size_t k = 0; k < f->table.grad_total; k++)
        grad[k] = (float)(source->grad[k] / targets);
    return loss / targets;
}

/* With gradients of the reference the last parameters must match too. With those of the fast path they need not: adam
 * and its kind divide by the root of the gradient's own mean square, so where a gradient is as small as float's error
 * the update is that error, at full length. The losses hardly feel these few elements. */
static void training_matches(const char *name, const char *optimizer_kind, bool fast)
{
    struct fixture f;
    struct source source;
    fixture_open(name, &f);
    source_create(&f, fast, &source);
    char object[96];
    int64_t steps = 0;
    snprintf(object, sizeof object, "/%s/%s", f.name, optimizer_kind);
    EXPECT_OK(h5_attr_i64(f.file, object, "steps", &steps, &e));
    const struct optimizer_config config = optimizer_settings(&f, optimizer_kind);
    const double lr = setting(&f, optimizer_kind, "lr"), clip = setting(&f, optimizer_kind, "clip");
    struct optimizer *optimizer = NULL;
    EXPECT_OK(optimizer_create(&config, &f.table, NULL, &optimizer, &e));
    struct tokens tokens = tokens_read(&f, optimizer_kind, (int)steps);
    float *grad = take(f.table.grad_total, sizeof *grad);
    double *losses = take((size_t)steps, sizeof *losses), *norms = take((size_t)steps, sizeof *norms);
    double *wide = take(f.table.total, sizeof *wide);
    for (int step = 0; step < steps; step++) {
        struct window window = window_of(&f, &tokens, step, step == 0);
        losses[step] = source_gradient(&f, &source, &window, step, grad);
        double factor = clip_factor(&f.table, grad, clip, &norms[step]);
        optimizer_update(optimizer, f.values, (struct param_gradient){.dense = grad}, (float)factor, lr, 1);
    }
    double *expected = take((size_t)steps, sizeof *expected);
    read_doubles(&f, optimizer_kind, "loss", steps, expected);
    expect_close(&f, optimizer_kind, "loss", steps, expected, losses, FLOAT_TOLERANCE);
    read_doubles(&f, optimizer_kind, "norm", steps, expected);
    expect_close(&f, optimizer_kind, "norm", steps, expected, norms, FLOAT_TOLERANCE);
    for (size_t k = 0; k < f.table.total; k++)
        wide[k] = f.values[k];
    if (!fast)
        expect_tensors(&f, optimizer_kind, "final", wide, FLOAT_TOLERANCE);
    mem_free(expected);
    mem_free(wide);
    mem_free(norms);
    mem_free(losses);
    mem_free(grad);
    tokens_release(&tokens);
    source_release(&source);
    optimizer_free(optimizer);
    fixture_close(&f);
}

static void test_reference(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++)
        reference_matches(cases[i]);
}

static void test_fast(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        fast_matches(cases[i], 1, 1);
        fast_matches(cases[i], 3, 2);
    }
}

static void test_ten_steps_of_adam(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++)
        for (int fast = 0; fast <= 1; fast++)
            training_matches(cases[i], "adam", fast);
}

static void test_other_optimizers(void **unused)
{
    (void)unused;
    static const char *const kinds[] = {"sgd", "momentum", "adagrad", "rmsprop", "adamw"};
    for (int i = 0; i < (int)(sizeof kinds / sizeof kinds[0]); i++)
        for (int fast = 0; fast <= 1; fast++)
            training_matches("lstm", kinds[i], fast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_ten_steps_of_adam),
        cmocka_unit_test(test_other_optimizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
