/* Widths by layer and what regularises an AWD-LSTM against tests/ref/awd.h5 (layout and origin: tests/ref/make_awd.py):
 * each alone and all together, the loss, the penalty and every gradient. The masks of both sides are drawn from the
 * same definition (nn/dropout.h), by code that shares nothing. */
#include "support/fixture.h"

#define FIXTURES "tests/ref/awd.h5" /* make runs the tests in the root of the source tree */

static const char *const cases[] = {
    "widths",        "dropout",       "input",       "hidden",    "output",        "locked",    "locked-input",
    "locked-hidden", "locked-output", "embedding",   "state",     "weight",        "ar",        "tar",
    "ar-dropped",    "all",           "all-element", "all-reset", "gru-embedding", "gru-state", "gru-weight",
    "gru-all",       "gru-equal"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

static void test_reference(void **unused)
{
    (void)unused;
    fixtures_reference_match(FIXTURES, cases, CASES);
}

/* What is trained beside the losses, which are told without it; evaluation has none. */
static void test_penalty(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        double loss;
        fixture_open(FIXTURES, cases[i], &f);
        fixture_tokens(&f, "", 1);
        struct reference *reference = fixture_reference(&f);
        const struct window window = fixture_window(&f, 0, true);
        EXPECT_OK(reference_window(reference, &window, f.step, &loss, NULL, NULL, &e));
        fixture_expect(&f, "penalty", 1, &reference->penalty, DOUBLE_TOLERANCE);
        EXPECT_OK(reference_window(reference, &window, -1, &loss, NULL, NULL, &e));
        assert_true(reference->penalty == 0);
        reference_free(reference);
        fixture_close(&f);
    }
}

static void test_fast(void **unused)
{
    (void)unused;
    fixtures_fast_match(FIXTURES, cases, CASES, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
