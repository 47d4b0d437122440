/* Sampled output layers: gradients against differences and the fast path against the reference, for every proposal, K
 * and precision; and what they have in common with the full softmax. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/model.h"
#include "unroll/nn/proposal.h"
#include "unroll/nn/reference.h"
#include "unroll/use/gradcheck.h"

static int layer_of(const char *name)
{
    int layer = choices_find(&output_layer_choices, name);
    assert_true(layer >= 0);
    return layer;
}

struct variant {
    enum proposal proposal;
    int samples, vocab;
    bool reordered, tied;
    double dropout;
    enum precision precision;
};

static struct gradcheck_config config_of(const char *layer, const struct variant *v, int hidden)
{
    return (struct gradcheck_config){.model = {.cell = CELL_LSTM,
                                               .layers = 1,
                                               .embedding = v->tied ? hidden : hidden - 2,
                                               .hidden = hidden,
                                               .vocab = v->vocab,
                                               .tied = v->tied,
                                               .dropout = v->dropout,
                                               .output_layer = layer_of(layer),
                                               .samples = v->samples,
                                               .proposal = v->proposal,
                                               .reordered = v->reordered,
                                               .precision = v->precision},
                                     .bptt = 5,
                                     .batch = 7,
                                     .groups = 5,
                                     .ranks = 3,
                                     .threads = 2,
                                     .seed = 5};
}

static const struct variant variants[] = {
    {PROPOSAL_LOG_UNIFORM, 4, 11, false, false, 0, PRECISION_FLOAT32},
    {PROPOSAL_LOG_UNIFORM, 9, 11, true, false, 0.3, PRECISION_FLOAT32},
    {PROPOSAL_LOG_UNIFORM, 11, 11, false, true, 0, PRECISION_FLOAT32},
    {PROPOSAL_UNIGRAM, 3, 11, false, true, 0.3, PRECISION_FLOAT32},
    {PROPOSAL_UNIGRAM, 1, 11, false, false, 0, PRECISION_FLOAT32},
    {PROPOSAL_LOG_UNIFORM, 4, 11, true, true, 0, PRECISION_BF16},
    {PROPOSAL_UNIGRAM, 5, 11, false, false, 0.3, PRECISION_BF16},
};
#define VARIANTS (sizeof variants / sizeof *variants)

static void explain(const char *what, const struct gradcheck_worst *worst, size_t variant)
{
    if (!gradcheck_holds(worst))
        fail_msg("variant %zu, %s: '%s'[%lld] of window %d is %.9g, expected %.9g (error %.2g, allowed %.2g)", variant,
                 what, worst->tensor, (long long)worst->element, worst->window, worst->got, worst->expected,
                 worst->error, worst->tolerance);
}

static void check_kind(const char *layer)
{
    for (size_t i = 0; i < VARIANTS; i++) {
        struct gradcheck_config config = config_of(layer, &variants[i], 6);
        struct gradcheck_worst worst;
        struct gradcheck_fast fast;
        struct error e;
        if (variants[i].precision == PRECISION_FLOAT32) {
            if (gradcheck_reference(&config, &worst, &e))
                fail_msg("%s", e.text);
            explain("differences", &worst, i);
        }
        config = config_of(layer, &variants[i], 37);
        if (gradcheck_fast(&config, &fast, &e))
            fail_msg("%s", e.text);
        explain("loss", &fast.loss, i);
        explain("state", &fast.state, i);
        explain("gradient", &fast.gradient, i);
        assert_true(fast.same_bits);
    }
}

static void test_sampled(void **unused)
{
    (void)unused;
    check_kind("sampled");
}

static void test_nce(void **unused)
{
    (void)unused;
    check_kind("nce");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_nce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
