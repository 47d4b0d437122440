/* Clusters of the adaptive softmax: which ranks are where, and which are chosen (src/nn/clusters.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/nn/clusters.h"
#include "unroll/base/mem.h"

static struct model_config config_of(int V, int H)
{
    struct model_config config = {
        .cell = CELL_LSTM, .layers = 1, .embedding = H, .hidden = H, .vocab = V, .output_layer = 1, .div = 4};
    assert_ptr_equal(output_kind(&config), &output_kind_adaptive);
    return config;
}

static void expect_cutoffs(const struct model_config *config, const char *expected)
{
    char text[MODEL_FIELD_TEXT];
    assert_string_equal(number_format_list(config->cutoffs, OUTPUT_CUTOFFS_MAX, text, sizeof text), expected);
}

static void test_places(void **unused)
{
    (void)unused;
    struct model_config config = config_of(100, 33);
    config.cutoffs[0] = 10;
    config.cutoffs[1] = 25;
    config.cutoffs[2] = 99;
    config.div = 2.5;
    const struct clusters clusters = clusters_of(&config);
    assert_int_equal(clusters.count, 3);
    assert_int_equal(clusters.head, 10);
    static const struct cluster expected[] = {{10, 15, 13}, {25, 74, 5}, {99, 1, 2}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(clusters.cluster[i].first, expected[i].first);
        assert_int_equal(clusters.cluster[i].size, expected[i].size);
        assert_int_equal(clusters.cluster[i].width, expected[i].width);
    }
    for (uint32_t rank = 0; rank < 100; rank++)
        assert_int_equal(clusters_find(&clusters, rank), rank < 10 ? -1 : rank < 25 ? 0 : rank < 99 ? 1 : 2);
}

/* Of made-up counts: the same on every machine. A vocabulary of so few words has none. */
static void test_made_up(void **unused)
{
    (void)unused;
    struct error e = {0};
    struct model_config few = config_of(30, 8), large = config_of(44000, 256), huge = config_of(793471, 256);
    assert_int_equal(output_settle(&few, NULL, &e), STATUS_OK);
    assert_int_equal(few.cutoffs[0], 0);
    assert_int_equal(model_config_check(&few, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, "a vocabulary of 30"));
    assert_int_equal(output_settle(&large, NULL, &e), STATUS_OK);
    expect_cutoffs(&large, "1500,2500,7000,20000");
    assert_int_equal(output_settle(&huge, NULL, &e), STATUS_OK);
    expect_cutoffs(&huge, "12000,30000,120000,350000");
    assert_int_equal(model_config_check(&huge, &e), STATUS_OK);
}

/* What options name is kept; other output layers have none. */
static void test_named(void **unused)
{
    (void)unused;
    struct model_config config = config_of(44000, 256);
    config.cutoffs[0] = 77;
    assert_int_equal(output_settle(&config, NULL, NULL), STATUS_OK);
    expect_cutoffs(&config, "77");
    config.output_layer = 0;
    assert_int_equal(output_settle(&config, NULL, NULL), STATUS_OK);
    assert_true(config.cutoffs[0] == 0 && config.div == 0);
}

/* Counts decide, not which ids have them: behind the two specials. */
static void test_counts(void **unused)
{
    (void)unused;
    enum { V = 20000 };
    uint64_t *counts = mem_alloc(V, sizeof *counts, "a test", NULL),
             *turned = mem_alloc(V, sizeof *turned, "a test", NULL);
    struct model_config ordered = config_of(V, 128), other = ordered, steep = ordered;
    for (int id = 0; id < V; id++)
        counts[id] = (uint64_t)(10000000 / (id + 1));
    memcpy(turned, counts, 2 * sizeof *turned);
    for (int id = 2; id < V; id++)
        turned[id] = counts[V + 1 - id];
    assert_int_equal(output_settle(&ordered, counts, NULL), STATUS_OK);
    assert_int_equal(output_settle(&other, turned, NULL), STATUS_OK);
    assert_true(!ordered.reordered && other.reordered && ordered.cutoffs[0] > 0);
    assert_memory_equal(ordered.cutoffs, other.cutoffs, sizeof ordered.cutoffs);
    for (int id = 100; id < V; id++) /* next to nothing is left for the tails */
        counts[id] = 1;
    assert_int_equal(output_settle(&steep, counts, NULL), STATUS_OK);
    assert_true(steep.cutoffs[0] < ordered.cutoffs[0]);
    mem_free(counts);
    mem_free(turned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_made_up),
                                       cmocka_unit_test(test_named), cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
