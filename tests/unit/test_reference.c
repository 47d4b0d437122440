/* The oracle itself. Its gradients are checked against central differences; its loss, masks, truncation and carried
 * state against formulas worked out here. (PyTorch's numbers are matched in test_pytorch.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/dropout.h"
#include "unroll/nn/reference.h"
#include "unroll/use/gradcheck.h"

#define NONE WINDOW_NO_TARGET

static struct reference *make(const struct model_config *config, int lanes)
{
    struct reference *reference = NULL;
    struct error e = {0};
    if (reference_create(config, 9, lanes, &reference, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    for (int i = 0; i < reference->table.count; i++) {
        const struct param *p = &reference->table.param[i];
        for (size_t k = 0; p->alias < 0 && k < p->count; k++)
            reference->values[p->offset + k] = sin(1.0 + (double)(7 * i) + 2.3 * (double)k); /* anything but regular */
    }
    return reference;
}

static double *tensor(struct reference *reference, const char *name)
{
    return reference->values + reference->table.param[param_find(&reference->table, name)].offset;
}

static double run(struct reference *reference, const struct window *window, int64_t step, double *row, double *grad)
{
    struct error e = {0};
    double loss = NAN;
    if (reference_window(reference, window, step, &loss, row, grad, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return loss;
}

static void expect_gradients(const struct gradcheck_config *config)
{
    const struct model_config *model = &config->model;
    struct gradcheck_worst worst;
    struct error e = {0};
    if (gradcheck_reference(config, &worst, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    if (!gradcheck_holds(&worst))
        fail_msg("%s, %d layers, tied %d, ar %g, tar %g, dropout %g, reset token %u: '%s'[%lld] of window %d is %.12g, "
                 "differences give %.12g",
                 cell_name(model->cell), model->layers, model->tied, model->ar, model->tar, model->dropout,
                 model->reset_token, worst.tensor, (long long)worst.element, worst.window, worst.got, worst.expected);
}

/* Every cell, 1 to 3 layers, tied and not, with and without dropout and resets, over windows with carried state. */
static void test_central_differences(void **unused)
{
    (void)unused;
    for (int i = 0; i < CELLS * 3 * 2 * 2 * 2; i++) {
        const struct gradcheck_config config = {.model = {.cell = (enum cell)(i % CELLS),
                                                          .mogrify = model_usual_rounds((enum cell)(i % CELLS)),
                                                          .layers = 1 + i / CELLS % 3,
                                                          .tied = i / CELLS / 3 % 2,
                                                          .dropout = i / CELLS / 6 % 2 ? 0.4 : 0,
                                                          .reset_token = i / CELLS / 12,
                                                          .embedding = i / CELLS / 3 % 2 ? 3 : 4,
                                                          .hidden = 3,
                                                          .vocab = 6},
                                                .bptt = 4,
                                                .batch = 2,
                                                .seed = 5};
        expect_gradients(&config);
    }
}

/* The penalties: their gradients, by which a window's losses are told apart from what is trained. */
static void test_penalties(void **unused)
{
    (void)unused;
    for (int i = 0; i < CELLS * 3 * 2 * 2; i++) {
        const struct gradcheck_config config = {.model = {.cell = (enum cell)(i % CELLS),
                                                          .mogrify = model_usual_rounds((enum cell)(i % CELLS)),
                                                          .layers = 1 + i % 2,
                                                          .ar = i / CELLS % 3 == 1 ? 0 : 2.5,
                                                          .tar = i / CELLS % 3 == 2 ? 0 : 1.5,
                                                          .dropout = i / CELLS / 3 % 2 ? 0.4 : 0,
                                                          .reset_token = i / CELLS / 6,
                                                          .embedding = 4,
                                                          .hidden = 3,
                                                          .vocab = 6},
                                                .bptt = 4,
                                                .batch = 2,
                                                .seed = 5};
        expect_gradients(&config);
    }
}

/* One unit everywhere and two words: the network as a formula. Dropout with p = 1/2 doubles or drops the embedding
 * (site 0) and the hidden unit (site 1), which tells the sites, steps, lanes and times of the masks apart. */
static void test_smallest_network_by_hand(void **unused)
{
    (void)unused;
    const struct model_config config = {
        .cell = CELL_RNN_TANH, .layers = 1, .embedding = 1, .hidden = 1, .vocab = 2, .dropout = 0.5};
    struct reference *r = make(&config, 1);
    const double *enc = tensor(r, "encoder.weight"), *dec = tensor(r, "decoder.weight");
    const double *bias = tensor(r, "decoder.bias");
    const double wih = *tensor(r, "rnn.weight_ih_l0"), whh = *tensor(r, "rnn.weight_hh_l0");
    const double b = *tensor(r, "rnn.bias_ih_l0") + *tensor(r, "rnn.bias_hh_l0");
    enum { T = 20, LANE = 6, STEP = 31 };
    uint32_t input[T], target[T];
    for (int t = 0; t < T; t++) {
        input[t] = (uint32_t)t / 3 % 2;
        target[t] = (uint32_t)t % 2;
    }
    r->state[0] = 0.4;
    const struct window window = {.T = T, .lanes = 1, .lane0 = LANE, .input = input, .target = target};
    double row[T], h = 0.4, sum = 0;
    const double loss = run(r, &window, STEP, row, NULL);
    for (int t = 0; t < T; t++) {
        float in, out;
        dropout_mask(9, 0, STEP, LANE, (uint32_t)t, 1, 32768, &in);
        dropout_mask(9, 1, STEP, LANE, (uint32_t)t, 1, 32768, &out);
        h = tanh(wih * enc[input[t]] * in + whh * h + b);
        const double y[2] = {dec[0] * h * out + bias[0], dec[1] * h * out + bias[1]};
        const double expected = log(1 + exp(y[1 - target[t]] - y[target[t]]));
        assert_true(fabs(row[t] - expected) < 1e-13);
        sum += expected;
    }
    assert_true(fabs(loss - sum) < 1e-12);
    assert_true(fabs(r->state[0] - h) < 1e-14);
    reference_free(r);
}

static struct model_config small(enum cell cell)
{
    return (struct model_config){
        .cell = cell, .mogrify = model_usual_rounds(cell), .layers = 2, .embedding = 3, .hidden = 4, .vocab = 5};
}

/* Two windows with carried state are one long window, going forward: the same numbers, bit for bit. Going back they are
 * not: the gradient of the second stops at its start. With a reset between them the two are strangers. */
static void test_carried_state_and_truncation(void **unused)
{
    (void)unused;
    static const uint32_t input[6] = {1, 2, 3, 4, 0, 2}, target[6] = {2, 3, 4, 0, 2, 1};
    static const uint32_t last_only[6] = {NONE, NONE, NONE, NONE, NONE, 1};
    for (int c = 0; c < CELLS; c++) {
        const struct model_config config = small((enum cell)c);
        struct reference *one = make(&config, 1), *two = make(&config, 1);
        const size_t states = model_state_total(&config), grads = one->table.grad_total;
        double *g1 = mem_alloc(grads, sizeof *g1, "a test", NULL), *g2 = mem_alloc(grads, sizeof *g2, "a test", NULL);
        double row1[6], row2[6];
        const struct window whole = {.T = 6, .lanes = 1, .reset = true, .input = input, .target = target};
        struct window head = whole, tail = whole;
        head.T = tail.T = 3;
        tail.reset = false;
        tail.input += 3;
        tail.target += 3;
        run(one, &whole, -1, row1, NULL);
        run(two, &head, -1, row2, NULL);
        run(two, &tail, -1, row2 + 3, NULL);
        assert_memory_equal(row1, row2, sizeof row1);
        assert_memory_equal(one->state, two->state, states * sizeof(double));

        /* The last loss alone: through the whole window it reaches the encoder's row of the first input, 1. */
        const size_t first_row = 1 * 3;
        struct window whole_last = whole, tail_last = tail;
        whole_last.target = last_only;
        tail_last.target = last_only + 3;
        run(one, &whole_last, -1, NULL, g1);
        run(two, &head, -1, NULL, NULL);
        run(two, &tail_last, -1, NULL, g2);
        assert_true(g1[first_row] != 0);
        assert_true(g2[first_row] == 0);

        tail.reset = true;
        run(two, &head, -1, row2, NULL);
        run(two, &tail, -1, row2 + 3, NULL);
        assert_true(row2[3] != row1[3]);
        mem_free(g1);
        mem_free(g2);
        reference_free(one);
        reference_free(two);
    }
}

/* A lane is the same whether other lanes are there or not, masks included; sums over lanes are sums of single lanes. */
static void test_lanes_are_independent(void **unused)
{
    (void)unused;
    enum { T = 4, B = 3 };
    static const uint32_t input[T * B] = {1, 2, 3, 4, 0, 2, 1, 1, 0, 3, 2, 4};
    static const uint32_t target[T * B] = {4, 0, 2, 1, NONE, 0, 3, 2, 4, NONE, 1, NONE};
    for (int c = 0; c < CELLS; c++) {
        struct model_config config = small((enum cell)c);
        config.dropout = 0.3;
        struct reference *all = make(&config, B);
        const size_t grads = all->table.grad_total;
        double *grad = mem_alloc(grads, sizeof *grad, "a test", NULL);
        double *sum = mem_alloc(grads, sizeof *sum, "a test", NULL);
        double *single = mem_alloc(grads, sizeof *single, "a test", NULL);
        double row[T * B], loss_sum = 0;
        const struct window window = {.T = T, .lanes = B, .lane0 = 10, .reset = true, .input = input, .target = target};
        const double loss = run(all, &window, 2, row, grad);
        for (int b = 0; b < B; b++) {
            struct reference *alone = make(&config, 1);
            uint32_t in[T], out[T];
            double row_alone[T];
            for (int t = 0; t < T; t++) {
                in[t] = input[t * B + b];
                out[t] = target[t * B + b];
            }
            const struct window lane = {.T = T, .lanes = 1, .lane0 = 10 + b, .reset = true, .input = in, .target = out};
            loss_sum += run(alone, &lane, 2, row_alone, single);
            for (int t = 0; t < T; t++) {
                assert_true(row_alone[t] == row[t * B + b]);
                assert_true((row_alone[t] == 0) == (out[t] == NONE));
            }
            const size_t width = (size_t)model_state_width(&config, 0);
            assert_memory_equal(alone->state, all->state + (size_t)b * width, width * sizeof(double));
            for (size_t k = 0; k < grads; k++)
                sum[k] += single[k];
            reference_free(alone);
        }
        assert_true(fabs(loss - loss_sum) < 1e-12);
        for (size_t k = 0; k < grads; k++)
            assert_true(fabs(grad[k] - sum[k]) < 1e-12);
        mem_free(single);
        mem_free(sum);
        mem_free(grad);
        reference_free(all);
    }
}

/* step < 0 is evaluation: no mask, whatever the configured dropout. */
static void test_evaluation_drops_nothing(void **unused)
{
    (void)unused;
    static const uint32_t tokens[5] = {1, 2, 3, 4, 0};
    struct model_config config = small(CELL_GRU);
    struct reference *without = make(&config, 1);
    config.dropout = 0.5;
    struct reference *with = make(&config, 1);
    const struct window window = {.T = 5, .lanes = 1, .reset = true, .input = tokens, .target = tokens};
    const double loss = run(without, &window, 0, NULL, NULL);
    assert_true(run(with, &window, -1, NULL, NULL) == loss);
    assert_true(run(with, &window, 0, NULL, NULL) != loss);
    reference_free(with);
    reference_free(without);
}

/* Logits of some hundred do not overflow: log(sum exp) is taken relative to the largest. */
static void test_large_logits(void **unused)
{
    (void)unused;
    static const uint32_t tokens[1] = {1};
    const struct model_config config = small(CELL_LSTM);
    struct reference *r = make(&config, 1);
    double *bias = tensor(r, "decoder.bias");
    memset(tensor(r, "decoder.weight"), 0, 20 * sizeof(double));
    for (int v = 0; v < 5; v++)
        bias[v] = v == 1 ? 1000 : 3000;
    const struct window window = {.T = 1, .lanes = 1, .reset = true, .input = tokens, .target = tokens};
    assert_true(fabs(run(r, &window, -1, NULL, NULL) - (2000 + log(4))) < 1e-9);
    reference_free(r);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct model_config config = small(CELL_LSTM);
    config.layers = 0;
    struct reference *r = NULL;
    struct error e = {0};
    assert_int_equal(reference_create(&config, 1, 1, &r, &e), STATUS_CONFIG);
    assert_null(r);
    reference_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_smallest_network_by_hand),
        cmocka_unit_test(test_carried_state_and_truncation),
        cmocka_unit_test(test_lanes_are_independent),
        cmocka_unit_test(test_evaluation_drops_nothing),
        cmocka_unit_test(test_large_logits),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
