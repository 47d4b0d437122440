/* Parity with PyTorch, from tests/ref/fixtures.h5 (layout and origin: tests/ref/make_fixtures.py). The fixtures are in
 * double precision, so the reference must match them to rounding, and the float path to what float leaves. */
#include "support/fixture.h"
#include "unroll/train/optimizer.h"

#define FIXTURES "tests/ref/fixtures.h5" /* make runs the tests in the root of the source tree */

static const char *const cases[] = {"rnn-tanh", "rnn-relu", "lstm", "gru", "lstm-tied", "mingru"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

/* What a window comes to, as the mean over its targets. */
static void expect_window(const struct fixture *f, const char *group, double loss, const double *grad, double tolerance)
{
    char part[32];
    snprintf(part, sizeof part, "%s/loss", group);
    fixture_expect(f, part, 1, &loss, tolerance);
    snprintf(part, sizeof part, "%s/grad", group);
    fixture_expect_tensors(f, part, grad, tolerance);
}

static const char *state_part(const struct fixture *f, const char *group, int index, char part[48])
{
    char state[16];
    snprintf(part, 48, "%s/state/%s", group, model_state_name(&f->config, index, state));
    return part;
}

/* ---- two windows: loss, every gradient, carried state ---- */

static void reference_matches(const char *name)
{
    struct fixture f;
    fixture_open(FIXTURES, name, &f);
    struct reference *reference = fixture_reference(&f);
    const size_t state_count = (size_t)(f.lanes * f.config.hidden);
    double *grad = take(f.table.grad_total, sizeof *grad);
    for (int index = 0; index < 2; index++) {
        const char *group = index ? "window1" : "window0";
        char part[48];
        fixture_tokens(&f, group, 1);
        const struct window window = fixture_window(&f, 0, index == 0);
        const double targets = (double)count_targets(&window);
        const double loss = fixture_reference_gradient(&f, reference, &window, grad) / targets;
        for (size_t k = 0; k < f.table.grad_total; k++)
            grad[k] /= targets;
        expect_window(&f, group, loss, grad, DOUBLE_TOLERANCE);
        for (int s = 0; s < model_state_count(&f.config); s++)
            fixture_expect(&f, state_part(&f, group, s, part), state_count, reference->state + (size_t)s * state_count,
                           DOUBLE_TOLERANCE);
    }
    mem_free(grad);
    reference_free(reference);
    fixture_close(&f);
}

/* One training step without the update: mean loss, and the gradient of the mean, aliases folded in. */
static double mean_gradient(const struct fixture *f, struct model *model, int groups, const struct window *window,
                            float *grad)
{
    const int64_t targets = count_targets(window);
    const double sum = fixture_fast_gradient(f, model, groups, false, window, grad);
    for (size_t k = 0; k < f->table.grad_total; k++)
        grad[k] /= (float)targets;
    return sum / (double)targets;
}

static void fast_matches(const char *name, int groups, int threads)
{
    struct fixture f;
    fixture_open(FIXTURES, name, &f);
    struct model *model = fixture_model(&f, groups, threads, false);
    const size_t state_count = (size_t)(f.lanes * f.config.hidden);
    float *grad = take(f.table.grad_total, sizeof *grad), *state = take(state_count, sizeof *state);
    double *wide = take(f.table.grad_total, sizeof *wide);
    for (int index = 0; index < 2; index++) {
        const char *group = index ? "window1" : "window0";
        char part[48];
        fixture_tokens(&f, group, 1);
        const struct window window = fixture_window(&f, 0, index == 0);
        const double loss = mean_gradient(&f, model, groups, &window, grad);
        for (size_t k = 0; k < f.table.grad_total; k++)
            wide[k] = grad[k];
        expect_window(&f, group, loss, wide, FLOAT_TOLERANCE);
        for (int s = 0; s < model_state_count(&f.config); s++) {
            model_state_get(model, s, state);
            fixture_expect_floats(&f, state_part(&f, group, s, part), state_count, state, FLOAT_TOLERANCE);
        }
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
        source->model = fixture_model(f, 1, 1, false);
        return;
    }
    source->reference = fixture_reference(f);
    source->grad = take(f->table.grad_total, sizeof *source->grad);
}

static void source_release(struct source *source)
{
    model_free(source->model);
    reference_free(source->reference);
    mem_free(source->grad);
}

static double source_gradient(const struct fixture *f, struct source *source, const struct window *window, float *grad)
{
    if (source->model) {
        model_pack(source->model);
        return mean_gradient(f, source->model, 1, window, grad);
    }
    const double targets = (double)count_targets(window);
    for (size_t k = 0; k < f->table.total; k++)
        source->reference->values[k] = f->values[k];
    const double loss = fixture_reference_gradient(f, source->reference, window, source->grad);
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
    fixture_open(FIXTURES, name, &f);
    source_create(&f, fast, &source);
    char object[96], part[32];
    int64_t steps = 0;
    snprintf(object, sizeof object, "/%s/%s", f.name, optimizer_kind);
    EXPECT_OK(h5_attr_i64(f.file, object, "steps", &steps, &e));
    const struct optimizer_config config = optimizer_settings(&f, optimizer_kind);
    const double lr = setting(&f, optimizer_kind, "lr"), clip = setting(&f, optimizer_kind, "clip");
    struct optimizer *optimizer = NULL;
    EXPECT_OK(optimizer_create(&config, &f.table, NULL, &optimizer, &e));
    fixture_tokens(&f, optimizer_kind, (int)steps);
    float *grad = take(f.table.grad_total, sizeof *grad);
    double *losses = take((size_t)steps, sizeof *losses), *norms = take((size_t)steps, sizeof *norms);
    double *wide = take(f.table.total, sizeof *wide);
    for (int step = 0; step < steps; step++) {
        const struct window window = fixture_window(&f, step, step == 0);
        losses[step] = source_gradient(&f, &source, &window, grad);
        double factor = clip_factor(&f.table, grad, clip, &norms[step]);
        optimizer_update(optimizer, f.values, (struct param_gradient){.dense = grad}, (float)factor, lr, 1);
    }
    snprintf(part, sizeof part, "%s/loss", optimizer_kind);
    fixture_expect(&f, part, (size_t)steps, losses, FLOAT_TOLERANCE);
    snprintf(part, sizeof part, "%s/norm", optimizer_kind);
    fixture_expect(&f, part, (size_t)steps, norms, FLOAT_TOLERANCE);
    for (size_t k = 0; k < f.table.total; k++)
        wide[k] = f.values[k];
    snprintf(part, sizeof part, "%s/final", optimizer_kind);
    if (!fast)
        fixture_expect_tensors(&f, part, wide, FLOAT_TOLERANCE);
    mem_free(wide);
    mem_free(norms);
    mem_free(losses);
    mem_free(grad);
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
