/* Sampled output layers against tests/ref/sampled.h5 (layout and origin: tests/ref/make_sampled.py): the samples drawn,
 * their expected counts, the loss and every gradient. */
#include "support/fixture.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/proposal.h"

#define FIXTURES "tests/ref/sampled.h5" /* make runs the tests in the root of the source tree */

static const char *const cases[] = {"sampled", "sampled-tied", "sampled-most", "sampled-all",
                                    "nce",     "nce-ordered",  "nce-most"};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

static void test_samples(void **unused)
{
    (void)unused;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        fixture_open(FIXTURES, cases[i], &f);
        size_t V = (size_t)f.config.vocab, K = (size_t)f.config.samples;
        uint32_t *order = take(V, sizeof *order), *rank = take(V, sizeof *rank);
        uint32_t *id = take(K, sizeof *id), *expected = take(K, sizeof *expected);
        double *cumulative = take(V, sizeof *cumulative), *count = take(V, sizeof *count), tries;
        int counts = constants_find(&f.table, CONSTANTS_COUNTS);
        constants_order(&f.config, &f.table, f.values, order);
        constants_ranks(&f.config, &f.table, f.values, rank);
        struct proposal_law law = {.kind = (enum proposal)f.config.proposal,
                                   .V = f.config.vocab,
                                   .order = order,
                                   .rank = rank,
                                   .counts = counts < 0 ? NULL : f.values + f.table.param[counts].offset,
                                   .cumulative = cumulative};
        struct proposal_draw draw = {.K = (int)K, .id = id, .work = take(1, proposal_work_bytes((int)K))};
        proposal_prepare(&law);
        proposal_draw(&law, f.seed, f.step, &draw);
        fixture_read(&f, "id", H5_U32, (int64_t)K, expected);
        assert_memory_equal(id, expected, K * sizeof *id);
        fixture_read(&f, "tries", H5_F64, 1, &tries);
        assert_true(draw.tries == tries);
        for (size_t v = 0; v < V; v++)
            count[v] = proposal_count(&law, &draw, (uint32_t)v);
        fixture_expect(&f, "count", V, count, 1e-13);
        mem_free(draw.work);
        mem_free(order);
        mem_free(rank);
        mem_free(id);
        mem_free(expected);
        mem_free(cumulative);
        mem_free(count);
        fixture_close(&f);
    }
}

static void test_reference(void **unused)
{
    (void)unused;
    fixtures_reference_match(FIXTURES, cases, CASES);
}

static void test_fast(void **unused)
{
    (void)unused;
    fixtures_fast_match(FIXTURES, cases, CASES, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
