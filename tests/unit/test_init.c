/* How weights start: the documented ranges, orthogonality, and that numbers depend on (config, init, seed) alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/nn/param.h"
#include "unroll/nn/reference.h"

static struct model_config config_of(enum cell cell)
{
    return (struct model_config){
        .cell = cell, .mogrify = model_usual_rounds(cell), .layers = 2, .embedding = 40, .hidden = 70, .vocab = 90};
}

struct weights {
    struct param_table table;
    float *values;
};

static struct weights init(const struct model_config *config, enum init how, uint64_t seed)
{
    struct weights w;
    struct error e = {0};
    param_table_build(config, &w.table);
    w.values = mem_alloc(w.table.total, sizeof *w.values, "a test", &e);
    assert_non_null(w.values);
    memset(w.values, 0xff, sizeof *w.values * w.table.total); /* NaN: everything must be written */
    assert_int_equal(param_init(config, &w.table, how, seed, w.values, &e), STATUS_OK);
    return w;
}

static const float *tensor(const struct weights *w, const char *name, size_t *count)
{
    const int i = param_find(&w->table, name);
    assert_true(i >= 0);
    if (count)
        *count = w->table.param[i].count;
    return w->values + w->table.param[i].offset;
}

/* Uniform in +-bound: inside, close to both ends, and of standard deviation bound / sqrt(3). With n elements the
 * largest misses the end by about 2 bound / n, and the variance of the square gives a relative error of
 * sqrt(0.8 / n). */
static void expect_uniform(const struct weights *w, const char *name, double bound)
{
    size_t n;
    const float *x = tensor(w, name, &n);
    double least = 0, most = 0, squares = 0;
    for (size_t k = 0; k < n; k++) {
        least = fmin(least, x[k]);
        most = fmax(most, x[k]);
        squares += (double)x[k] * x[k];
    }
    const double end = bound * (1 - 20.0 / (double)n), rms = sqrt(squares / (double)n) * sqrt(3) / bound;
    if (!(most <= bound * (1 + 1e-6) && least >= -bound * (1 + 1e-6) && most >= end && least <= -end &&
          fabs(rms - 1) < 5 * sqrt(0.8 / (double)n)))
        fail_msg("%s: in [%g, %g], rms %g of what +-%g has", name, least, most, rms, bound);
}

static void expect_constant(const struct weights *w, const char *name, size_t begin, size_t end, float value)
{
    const float *x = tensor(w, name, NULL);
    for (size_t k = begin; k < end; k++)
        if (x[k] != value)
            fail_msg("%s[%zu] is %g, not %g", name, k, x[k], value);
}

/* Of AUTO. */
static bool has_own_rule(enum cell cell)
{
    return cell == CELL_RNN_RELU || cell == CELL_SRU;
}

static void test_auto_and_uniform(void **unused)
{
    (void)unused;
    for (int i = 0; i < CELLS; i++)
        for (int how = INIT_AUTO; how <= INIT_UNIFORM; how++) {
            const struct model_config config = config_of((enum cell)i);
            struct weights w = init(&config, (enum init)how, 7);
            expect_uniform(&w, "encoder.weight", 0.1);
            expect_uniform(&w, "decoder.weight", 0.1);
            expect_constant(&w, "decoder.bias", 0, 90, 0);
            if (how == INIT_UNIFORM || !has_own_rule((enum cell)i)) {
                expect_uniform(&w, "rnn.weight_ih_l0", 1 / sqrt(70));
                expect_uniform(&w, "rnn.bias_ih_l0", 1 / sqrt(70));
            }
            if ((how == INIT_UNIFORM || !has_own_rule((enum cell)i)) && cell_kind((enum cell)i)->recurrent_gates > 0) {
                expect_uniform(&w, "rnn.weight_hh_l1", 1 / sqrt(70));
                expect_uniform(&w, "rnn.bias_hh_l1", 1 / sqrt(70));
            }
            mem_free(w.values);
        }
}

/* Blocks of W_ih of variance 1, 1/2, 1/2 and 3 over the inputs, v of variance 1/2: c, the gates' sums and the output
 * are of the input's size. */
static void test_sru_keeps_variance(void **unused)
{
    (void)unused;
    static const double variance[4] = {1, 0.5, 0.5, 3};
    const struct model_config config = config_of(CELL_SRU);
    struct weights w = init(&config, INIT_AUTO, 7);
    for (int l = 0; l < 2; l++) {
        const int inputs = l ? 70 : 40;
        const float *weight = tensor(&w, l ? "rnn.weight_ih_l1" : "rnn.weight_ih_l0", NULL);
        for (int block = 0; block < 4; block++) {
            double squares = 0;
            for (int k = 0; k < 70 * inputs; k++)
                squares += pow(weight[block * 70 * inputs + k], 2);
            assert_true(fabs(squares / 70 / variance[block] - 1) < 5 * sqrt(0.8 / (70 * inputs)));
        }
        expect_uniform(&w, l ? "rnn.weight_c_l1" : "rnn.weight_c_l0", sqrt(1.5));
        expect_constant(&w, l ? "rnn.bias_ih_l1" : "rnn.bias_ih_l0", 0, 280, 0);
    }
    mem_free(w.values);
}

/* W_hh = a I with 0 < a < 1, and with a constant input the state neither fades nor grows, over any number of steps and
 * in the last of eight layers. */
static void test_relu_stays_bounded(void **unused)
{
    (void)unused;
    struct model_config config = config_of(CELL_RNN_RELU);
    config.layers = 8;
    struct weights w = init(&config, INIT_AUTO, 7);
    const float *whh = tensor(&w, "rnn.weight_hh_l3", NULL);
    for (int i = 0; i < 70; i++)
        for (int j = 0; j < 70; j++)
            assert_true(i == j ? whh[i * 70 + j] == whh[0] && whh[0] > 0.5 && whh[0] < 1 : whh[i * 70 + j] == 0);
    expect_constant(&w, "rnn.bias_ih_l3", 0, 70, 0);
    expect_constant(&w, "rnn.bias_hh_l3", 0, 70, 0);

    struct reference *reference = NULL;
    struct error e = {0};
    assert_int_equal(reference_create(&config, 1, 1, &reference, &e), STATUS_OK);
    for (size_t k = 0; k < w.table.total; k++)
        reference->values[k] = w.values[k];
    enum { STEPS = 2000 };
    uint32_t tokens[STEPS];
    for (int t = 0; t < STEPS; t++)
        tokens[t] = 5;
    const struct window window = {.T = STEPS, .lanes = 1, .reset = true, .input = tokens, .target = tokens};
    double loss, x = 0, h = 0;
    assert_int_equal(reference_window(reference, &window, -1, &loss, NULL, NULL, &e), STATUS_OK);
    for (int u = 0; u < 40; u++)
        x += reference->values[5 * 40 + u] * reference->values[5 * 40 + u] / 40;
    for (int u = 0; u < 70; u++)
        h += reference->state[7 * 70 + u] * reference->state[7 * 70 + u] / 70;
    assert_true(h > x / 16 && h < x * 16); /* eight random layers: each within some ten percent */
    reference_free(reference);
    mem_free(w.values);
}

/* Rows of every gate's block are orthonormal to float rounding: products of 70 terms of size 1/70. */
static void test_orthogonal(void **unused)
{
    (void)unused;
    for (int c = 0; c < CELLS; c++) {
        const struct cell_kind *kind = cell_kind((enum cell)c);
        const struct model_config config = config_of((enum cell)c);
        struct weights w = init(&config, INIT_ORTHOGONAL, 7);
        const bool recurs = kind->recurrent_gates > 0,
                   forgets = c == CELL_LSTM || c == CELL_MOGRIFIER || c == CELL_QRNN;
        const float *whh = recurs ? tensor(&w, "rnn.weight_hh_l1", NULL) : NULL;
        for (int g = 0; g < kind->recurrent_gates; g++)
            for (int i = 0; i < 70; i++)
                for (int j = 0; j <= i; j++) {
                    double dot = 0;
                    for (int k = 0; k < 70; k++)
                        dot += (double)whh[(g * 70 + i) * 70 + k] * whh[(g * 70 + j) * 70 + k];
                    if (!(fabs(dot - (i == j)) < 1e-6))
                        fail_msg("%s gate %d rows %d and %d: %g", kind->name, g, i, j, dot);
                }
        if (recurs)
            assert_memory_not_equal(whh, tensor(&w, "rnn.weight_hh_l0", NULL), 70 * 70 * sizeof *whh);
        if (kind->recurrent_gates > 1)
            assert_memory_not_equal(whh, whh + 70 * 70, 70 * 70 * sizeof *whh);
        expect_constant(&w, "rnn.bias_ih_l1", 0, 70, 0);
        expect_constant(&w, "rnn.bias_ih_l1", 70, forgets ? 140 : 70, 1);
        expect_constant(&w, "rnn.bias_ih_l1", forgets ? 140 : 70, 70 * (size_t)kind->gates, 0);
        if (recurs)
            expect_constant(&w, "rnn.bias_hh_l1", 0, 70 * (size_t)kind->recurrent_gates, 0);
        expect_uniform(&w, "encoder.weight", 0.1);
        mem_free(w.values);
    }
}

static void test_pure_function(void **unused)
{
    (void)unused;
    for (int how = INIT_AUTO; how <= INIT_ORTHOGONAL; how++) {
        const struct model_config config = config_of(CELL_LSTM);
        team_set_usual(1);
        struct weights a = init(&config, (enum init)how, 7);
        team_set_usual(3);
        struct weights b = init(&config, (enum init)how, 7), other = init(&config, (enum init)how, 8);
        assert_memory_equal(a.values, b.values, a.table.total * sizeof *a.values);
        assert_memory_not_equal(a.values, other.values, 90 * 40 * sizeof *a.values);
        mem_free(a.values);
        mem_free(b.values);
        mem_free(other.values);
    }
}

/* No two tensors start with the same numbers, tails that do not fill a block are filled, and padding is zero. */
static void test_tensors_differ_and_padding_is_zero(void **unused)
{
    (void)unused;
    const struct model_config config = {.cell = CELL_GRU, .layers = 2, .embedding = 5, .hidden = 7, .vocab = 9};
    for (int how = INIT_AUTO; how <= INIT_ORTHOGONAL; how++) {
        struct weights w = init(&config, (enum init)how, 1);
        size_t next = 0;
        for (int i = 0; i < w.table.count; i++) {
            const struct param *p = &w.table.param[i];
            for (; next < p->offset; next++)
                assert_true(w.values[next] == 0);
            for (size_t k = 0; k < p->count; k++)
                assert_true(isfinite(w.values[p->offset + k]));
            next = p->offset + p->count;
            for (int j = 0; p->rank == 2 && j < i; j++)
                if (w.table.param[j].rank == 2)
                    assert_memory_not_equal(w.values + p->offset, w.values + w.table.param[j].offset,
                                            8 * sizeof(float));
        }
        for (; next < w.table.total; next++)
            assert_true(w.values[next] == 0);
        mem_free(w.values);
    }
}

static void test_names(void **unused)
{
    (void)unused;
    for (int how = INIT_AUTO; how <= INIT_ORTHOGONAL; how++) {
        int parsed = INIT_AUTO;
        struct error e = {0};
        assert_int_equal(choices_parse(&init_choices, init_choices.name(how), &parsed, &e), STATUS_OK);
        assert_int_equal(parsed, how);
        assert_int_equal(choices_parse(&init_choices, "xavier", &parsed, &e), STATUS_CONFIG);
        assert_non_null(strstr(e.text, "'xavier'"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auto_and_uniform),
        cmocka_unit_test(test_sru_keeps_variance),
        cmocka_unit_test(test_relu_stays_bounded),
        cmocka_unit_test(test_orthogonal),
        cmocka_unit_test(test_pure_function),
        cmocka_unit_test(test_tensors_differ_and_padding_is_zero),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
