/* Gradients by time lag: model_flow against central differences of the double-precision reference's loss in the
 * states, and its promise about bits.
 *
 * Central differences of step d have an error of d^2/6 times the third derivative, about 1e-10 here, and one of the
 * loss's rounding over d, 1e-16 * 5 / 1e-5; the fast path rounds to 2^-24 in each of some hundred additions: 1e-4 of
 * the largest derivative of the state leaves room for both. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/flow.h"
#include "unroll/nn/reference.h"

#define STEPS 7
#define LANES 3
#define WORDS 11
#define DIFFERENCE 1e-5
#define TOLERANCE 1e-4
#define KINK 1e-2 /* no nudge of DIFFERENCE may push the input of a ReLU over zero */

static void *take(size_t count, size_t size)
{
    struct error e;
    void *block = mem_alloc(count, size, "a test", &e);
    assert_non_null(block);
    return block;
}

struct set_up {
    struct model_config config;
    struct param_table table;
    float *values;
    uint32_t input[STEPS * LANES], target[STEPS * LANES];
    struct window window;
};

/* The lane in the middle has no target in the last step. */
static void draw(struct set_up *s, const struct model_config *config, uint64_t seed)
{
    struct error e;
    s->config = *config;
    param_table_build(config, &s->table);
    if (!s->values)
        s->values = take(s->table.total, sizeof *s->values);
    assert_int_equal(param_init(config, &s->table, INIT_UNIFORM, seed, s->values, &e), STATUS_OK);
    for (size_t i = 0; i < s->table.total; i++)
        s->values[i] *= 2; /* gradients that are still there after STEPS steps */
    for (int i = 0; i < STEPS * LANES; i++) {
        s->input[i] = rng_philox(seed, RNG_TEST, (uint32_t)i, 0, 0, 0).word[0] % WORDS;
        s->target[i] = rng_philox(seed, RNG_TEST, (uint32_t)i, 1, 0, 0).word[0] % WORDS;
    }
    s->target[(STEPS - 1) * LANES + 1] = WINDOW_NO_TARGET;
    s->window = (struct window){.T = STEPS, .lanes = LANES, .reset = true, .input = s->input, .target = s->target};
}

static struct model *make_model(const struct set_up *s, int groups, int ranks, int rank, int threads)
{
    struct error e;
    struct model *model;
    struct model_shape shape = {.bptt = STEPS + 2,
                                .share = lane_share_of(LANES, groups, ranks, rank),
                                .threads = threads,
                                .train = true,
                                .exact = true};
    assert_int_equal(model_create(&s->config, s->values, &shape, &model, &e), STATUS_OK);
    model_pack(model);
    return model;
}

/* d loss of the last step of each lane, by central difference. */
static void difference(struct reference *r, const struct window *window, const struct reference_nudge *nudge,
                       double slope[LANES])
{
    static double row[2][STEPS * LANES];
    double loss;
    struct error e;
    for (int side = 0; side < 2; side++) {
        r->nudge = *nudge;
        r->nudge.amount = side ? DIFFERENCE : -DIFFERENCE;
        assert_int_equal(reference_window(r, window, -1, &loss, row[side], NULL, &e), STATUS_OK);
    }
    for (int b = 0; b < LANES; b++)
        slope[b] = (row[1][(STEPS - 1) * LANES + b] - row[0][(STEPS - 1) * LANES + b]) / (2 * DIFFERENCE);
}

static void expect_differences(const struct model_config *config, uint64_t seed)
{
    struct set_up s = {.values = NULL};
    struct reference *r;
    struct error e;
    double loss;
    assert_int_equal(reference_create(config, 0, LANES, &r, &e), STATUS_OK);
    do { /* derivatives of ReLU jump at zero */
        draw(&s, config, seed++);
        for (size_t i = 0; i < s.table.total; i++)
            r->values[i] = s.values[i];
        assert_int_equal(reference_window(r, &s.window, -1, &loss, NULL, NULL, &e), STATUS_OK);
    } while (r->nearest_kink < KINK * 0.1);

    struct model *model = make_model(&s, LANES, 1, 0, 1);
    int states = model_state_count(config);
    double *norms = take((size_t)states * STEPS * LANES, sizeof *norms), largest = 0;
    model_flow(model, &s.window, norms);
    for (int i = 0; i < states * STEPS * LANES; i++)
        largest = fmax(largest, norms[i]);
    assert_true(largest > 0.1);
    for (int state = 0; state < states; state++)
        for (int t = 0; t < STEPS; t++) {
            double square[LANES] = {0};
            for (int unit = 0; unit < model_state_width(config, state); unit++) {
                double slope[LANES];
                struct reference_nudge nudge = {
                    .state = state / config->layers, .layer = state % config->layers, .time = t, .unit = unit};
                difference(r, &s.window, &nudge, slope);
                for (int b = 0; b < LANES; b++)
                    square[b] += slope[b] * slope[b];
            }
            for (int b = 0; b < LANES; b++) {
                double got = norms[(state * STEPS + t) * LANES + b], expected = sqrt(square[b]);
                if (!(fabs(got - expected) <= TOLERANCE * largest))
                    fail_msg("%s, state %d, step %d, lane %d: %.9g, differences give %.9g", cell_name(config->cell),
                             state, t, b, got, expected);
                if (b == 1)
                    assert_true(got == 0);
            }
        }
    model_free(model);
    reference_free(r);
    mem_free(norms);
    mem_free(s.values);
}

static void test_differences(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++)
        for (int layers = 1; layers <= 3; layers++) {
            /* not a full vector, and more than one panel; with dropout, which must not be applied */
            struct model_config config = {.cell = (enum cell)c,
                                          .mogrify = model_usual_rounds((enum cell)c),
                                          .layers = layers,
                                          .embedding = 6,
                                          .hidden = layers == 2 ? 35 : 5,
                                          .vocab = WORDS,
                                          .dropout = layers == 3 ? 0.5 : 0};
            expect_differences(&config, 40 + (uint64_t)c);
        }
}

/* Ranges of groups and numbers of threads change no bit; neither does a training step between two measurements, and a
 * measurement changes nothing about the step after it but the carried state, which the caller puts back. */
static void test_bits(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        struct model_config config = {.cell = (enum cell)c,
                                      .mogrify = model_usual_rounds((enum cell)c),
                                      .layers = 2,
                                      .embedding = 20,
                                      .hidden = 70,
                                      .vocab = WORDS,
                                      .dropout = 0.3};
        struct set_up s = {.values = NULL};
        draw(&s, &config, 5);
        int states = model_state_count(&config);
        size_t count = (size_t)states * STEPS * LANES;
        double *norms = take(count, sizeof *norms), *again = take(count, sizeof *again);
        float *grad[2] = {take(s.table.grad_total, sizeof(float)), take(s.table.grad_total, sizeof(float))};
        struct model_loss loss;
        struct model *model = make_model(&s, 1, 1, 0, 1);
        model_train(model, &s.window, 3, &grad[0], &loss);
        model_flow(model, &s.window, norms);
        model_train(model, &s.window, 3, &grad[1], &loss);
        assert_memory_equal(grad[0], grad[1], sizeof(float) * s.table.grad_total);
        model_free(model);
        for (int lane = 0; lane < LANES; lane++) { /* each alone, on three threads */
            struct set_up one = s;
            for (int t = 0; t < STEPS; t++) {
                one.input[t] = s.input[t * LANES + lane];
                one.target[t] = s.target[t * LANES + lane];
            }
            one.window.lanes = 1;
            one.window.lane0 = lane;
            one.window.input = one.input;
            one.window.target = one.target;
            model = make_model(&one, LANES, LANES, lane, 3);
            model_flow(model, &one.window, again);
            for (int i = 0; i < states * STEPS; i++)
                assert_memory_equal(&again[i], &norms[i * LANES + lane], sizeof *norms);
            model_free(model);
        }
        mem_free(norms);
        mem_free(again);
        mem_free(grad[0]);
        mem_free(grad[1]);
        mem_free(s.values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences), cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
