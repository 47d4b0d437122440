/* Cells that PyTorch lacks against tests/ref/cells.h5 (layout and origin: tests/ref/make_cells.py): over windows with
 * carried state, with resets, tied, of several widths, and of classifiers, in both the reference and the fast path. */
#include "support/fixture.h"

#define FIXTURES "tests/ref/cells.h5" /* make runs the tests in the root of the source tree */
#define WINDOWS 2

static const char *const cases[] = {"qrnn",
                                    "qrnn-tied",
                                    "qrnn-eos",
                                    "qrnn-widths",
                                    "qrnn-classify-last",
                                    "qrnn-classify-mean",
                                    "qrnn-classify-max",
                                    "sru",
                                    "sru-tied",
                                    "sru-eos",
                                    "sru-widths",
                                    "sru-classify-last",
                                    "sru-classify-mean",
                                    "sru-classify-max",
                                    "mogrifier",
                                    "mogrifier-tied",
                                    "mogrifier-one-eos",
                                    "mogrifier-eos",
                                    "mogrifier-widths",
                                    "mogrifier-classify-last"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

static const char *part_of(int window, const char *what, char part[64])
{
    snprintf(part, 64, "window%d/%s", window, what);
    return part;
}

/* Calls each(f, index, window, context) for the case's windows in turn. */
static void each_window(struct fixture *f, void (*each)(struct fixture *, int, const struct window *, void *),
                        void *context)
{
    for (int index = 0; index < (f->config.task == TASK_CLASSIFY ? 1 : WINDOWS); index++) {
        char group[16];
        snprintf(group, sizeof group, "window%d", index);
        fixture_tokens(f, group, 1);
        const struct window window = fixture_window(f, 0, index == 0);
        each(f, index, &window, context);
    }
}

/* States [lanes][width], one after the other. */
static void expect_states(const struct fixture *f, int index, const double *states, double tolerance)
{
    for (int s = 0; s < model_state_count(&f->config); s++) {
        char name[16], what[32], part[64];
        snprintf(what, sizeof what, "state/%s", model_state_name(&f->config, s, name));
        fixture_expect(f, part_of(index, what, part), (size_t)(f->lanes * model_state_width(&f->config, s)),
                       states + (size_t)f->lanes * model_state_offset(&f->config, s), tolerance);
    }
}

static void reference_window_matches(struct fixture *f, int index, const struct window *window, void *context)
{
    char part[64];
    struct reference *reference = context;
    double *grad = take(f->table.grad_total, sizeof *grad);
    const double loss = fixture_reference_gradient(f, reference, window, grad);
    fixture_expect(f, part_of(index, "loss", part), 1, &loss, DOUBLE_TOLERANCE);
    fixture_expect_tensors(f, part_of(index, "grad", part), grad, DOUBLE_TOLERANCE);
    expect_states(f, index, reference->state, DOUBLE_TOLERANCE);
    mem_free(grad);
}

static void test_reference(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        fixture_open(FIXTURES, cases[i], &f);
        struct reference *reference = fixture_reference(&f);
        each_window(&f, reference_window_matches, reference);
        reference_free(reference);
        fixture_close(&f);
    }
}

struct fast {
    struct model *model;
    int groups;
    bool sparse;
};

static void fast_window_matches(struct fixture *f, int index, const struct window *window, void *context)
{
    char part[64];
    const struct fast *fast = context;
    const size_t count = (size_t)f->lanes * model_state_total(&f->config);
    float *grad = take(f->table.grad_total, sizeof *grad), *state = take(count + 1, sizeof *state);
    double *states = take(count + 1, sizeof *states);
    const double loss = fixture_fast_gradient(f, fast->model, fast->groups, fast->sparse, window, grad);
    fixture_expect(f, part_of(index, "loss", part), 1, &loss, FLOAT_TOLERANCE);
    fixture_expect_float_tensors(f, part_of(index, "grad", part), grad, FLOAT_TOLERANCE);
    for (int s = 0; s < model_state_count(&f->config); s++)
        model_state_get(fast->model, s, state + (size_t)f->lanes * model_state_offset(&f->config, s));
    for (size_t k = 0; k < count; k++)
        states[k] = state[k];
    expect_states(f, index, states, FLOAT_TOLERANCE);
    mem_free(states);
    mem_free(state);
    mem_free(grad);
}

static void test_fast(void **unused)
{
    (void)unused;
    for (int i = 0; i < 2 * CASES; i++) {
        struct fixture f;
        fixture_open(FIXTURES, cases[i / 2], &f);
        struct fast fast = {.groups = i % 2 ? 3 : 1, .sparse = i % 2};
        fast.model = fixture_model(&f, fast.groups, 1 + i % 2, fast.sparse);
        each_window(&f, fast_window_matches, &fast);
        model_free(fast.model);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
