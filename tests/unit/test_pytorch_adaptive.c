/* The adaptive softmax against tests/ref/adaptive.h5 (layout and origin: tests/ref/make_adaptive.py), what PyTorch's
 * nn.AdaptiveLogSoftmaxWithLoss computes: the loss, every gradient, and the log-probabilities of all words, which sum
 * to one. */
#include "support/fixture.h"

#define FIXTURES "tests/ref/adaptive.h5" /* make runs the tests in the root of the source tree */

static const char *const cases[] = {"three", "one", "reordered", "blocks", "narrow"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

static void test_reference(void **unused)
{
    (void)unused;
    fixtures_reference_match(FIXTURES, cases, CASES);
}

static void test_fast(void **unused)
{
    (void)unused;
    fixtures_fast_match(FIXTURES, cases, CASES, true);
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
        fixture_open(FIXTURES, cases[i], &f);
        fixture_tokens(&f, "", 1);
        const struct window window = fixture_window(&f, 0, true);
        const struct model_shape shape = {
            .bptt = f.bptt, .share = lane_share_whole(f.lanes, 1), .threads = 1 + i % 2, .resident = true};
        EXPECT_OK(model_create(&f.config, f.values, &shape, &model, &e));
        model_pack(model);
        model_forward(model, &window, -1, &loss);
        const float *logits = model_logits(model, &stride);
        size_t V = (size_t)f.config.vocab, lanes = (size_t)f.lanes;
        double *got = take(lanes * V, sizeof *got);
        for (size_t lane = 0; lane < lanes; lane++) {
            double sum = 0;
            for (size_t v = 0; v < V; v++) {
                got[lane * V + v] = logits[lane * (size_t)stride + v];
                sum += exp(got[lane * V + v]);
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        fixture_expect(&f, "log_prob", lanes * V, got, FLOAT_TOLERANCE);
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
