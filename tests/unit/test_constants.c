/* Constants of models: when ids are out of the order of their counts, and what is filled in, read and refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/nn/constants.h"
#include "unroll/nn/proposal.h"

enum { V = 7 };

static struct model_config config_of(enum proposal proposal, bool reordered)
{
    struct model_config config = {
        .cell = CELL_LSTM, .layers = 1, .embedding = 3, .hidden = 4, .vocab = V, .samples = 2};
    config.output_layer = choices_find(&output_layer_choices, "sampled");
    config.proposal = proposal;
    config.reordered = reordered;
    return config;
}

static float *values_of(const struct param_table *table)
{
    float *values = mem_alloc(table->total, sizeof *values, "test", NULL);
    assert_non_null(values);
    return values;
}

static void test_rule(void **unused)
{
    (void)unused;
    static const uint64_t falling[V] = {0, 90, 50, 50, 7, 7, 0}, specials[V] = {1, 2, 50, 9, 8, 7, 6},
                          rising[V] = {9, 9, 5, 5, 6, 1, 1}, none[V] = {0};
    assert_false(constants_reordered(V, falling));
    assert_false(constants_reordered(V, specials)); /* 0 and 1 stand first whatever their counts */
    assert_true(constants_reordered(V, rising));
    assert_false(constants_reordered(V, none));
    for (int few = 1; few <= 3; few++)
        assert_false(constants_reordered(few, rising));
}

static void test_settle(void **unused)
{
    (void)unused;
    static const uint64_t rising[V] = {9, 9, 5, 5, 6, 1, 1};
    for (int proposal = 0; proposal < proposal_choices.count; proposal++) {
        struct model_config config = config_of((enum proposal)proposal, false);
        config.samples = 0;
        assert_int_equal(output_settle(&config, rising, NULL), STATUS_OK);
        assert_int_equal(config.samples, V / 2);
        assert_int_equal(config.reordered, proposal == PROPOSAL_LOG_UNIFORM);
        assert_int_equal(output_settle(&config, NULL, NULL), STATUS_OK);
        assert_false(config.reordered);
        config.samples = 0;
        config.vocab = 1 << 20;
        assert_int_equal(output_settle(&config, NULL, NULL), STATUS_OK);
        assert_int_equal(config.samples, 1000);
        config.samples = 33;
        assert_int_equal(output_settle(&config, NULL, NULL), STATUS_OK);
        assert_int_equal(config.samples, 33);
    }
    struct model_config full = {.vocab = V};
    assert_int_equal(output_settle(&full, rising, NULL), STATUS_OK);
    assert_true(full.samples == 0 && !full.reordered);
}

static void test_fill_and_read(void **unused)
{
    (void)unused;
    static const uint64_t counts[V] = {3, 1, 2, 20, 2, 30, 20};
    static const float expected[V] = {0, 1, 5, 3, 6, 2, 4};
    struct model_config config = config_of(PROPOSAL_LOG_UNIFORM, true);
    struct param_table table;
    uint32_t order[V], rank[V];
    param_table_build(&config, &table);
    const struct param *last = &table.param[table.count - 1];
    assert_string_equal(last->name, CONSTANTS_ORDER);
    assert_true(last->role == PARAM_CONSTANT && last->offset == table.trained && table.trained < table.total);
    assert_int_equal(table.elements, V * 3 + 16 * (3 + 4) + 32 + V * 4 + V);
    float *values = values_of(&table);
    assert_int_equal(constants_fill(&config, &table, counts, values, NULL), STATUS_OK);
    assert_memory_equal(values + last->offset, expected, sizeof expected);
    assert_int_equal(constants_check(&config, &table, values, NULL), STATUS_OK);
    constants_order(&config, &table, values, order);
    constants_ranks(&config, &table, values, rank);
    for (uint32_t i = 0; i < V; i++) {
        assert_int_equal(order[i], (uint32_t)expected[i]);
        assert_int_equal(rank[order[i]], i);
    }
    static const float bad[] = {-1, V, 2.5f, 3, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e;
        values[last->offset + 2] = bad[i];
        assert_int_equal(constants_check(&config, &table, values, &e), STATUS_CHECKPOINT);
    }
    values[last->offset + 2] = 5;
    values[last->offset] = 1; /* a special that is not first */
    values[last->offset + 1] = 0;
    assert_int_equal(constants_check(&config, &table, values, NULL), STATUS_CHECKPOINT);
    mem_free(values);
}

static void test_counts(void **unused)
{
    (void)unused;
    static const uint64_t counts[V] = {0, 1, (1 << 24) + 1, 3, 4, 5, UINT64_MAX};
    struct model_config config = config_of(PROPOSAL_UNIGRAM, false);
    struct param_table table;
    param_table_build(&config, &table);
    const struct param *last = &table.param[table.count - 1];
    assert_string_equal(last->name, CONSTANTS_COUNTS);
    float *values = values_of(&table);
    assert_int_equal(constants_fill(&config, &table, counts, values, NULL), STATUS_OK);
    assert_int_equal(constants_check(&config, &table, values, NULL), STATUS_OK);
    for (int i = 0; i < V; i++)
        assert_true(values[last->offset + (size_t)i] == (float)counts[i]);
    static const float bad[] = {-1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        values[last->offset + 3] = bad[i];
        assert_int_equal(constants_check(&config, &table, values, NULL), STATUS_CHECKPOINT);
    }
    mem_free(values);
}

/* What param_init makes up is a valid order, and counts that fall by it. */
static void test_made_up(void **unused)
{
    (void)unused;
    for (int proposal = 0; proposal < proposal_choices.count; proposal++)
        for (int reordered = 0; reordered < 2; reordered++) {
            struct model_config config = config_of((enum proposal)proposal, reordered);
            struct param_table table;
            param_table_build(&config, &table);
            float *values = values_of(&table);
            assert_int_equal(param_init(&config, &table, INIT_AUTO, 1, values, NULL), STATUS_OK);
            assert_int_equal(constants_check(&config, &table, values, NULL), STATUS_OK);
            int counts = constants_find(&table, CONSTANTS_COUNTS);
            assert_int_equal(counts >= 0, proposal == PROPOSAL_UNIGRAM);
            assert_int_equal(constants_find(&table, CONSTANTS_ORDER) >= 0, reordered);
            uint32_t order[V];
            constants_order(&config, &table, values, order);
            for (int i = 1; i < V && counts >= 0; i++)
                assert_true(values[table.param[counts].offset + order[i]] <
                            values[table.param[counts].offset + order[i - 1]]);
            mem_free(values);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),   cmocka_unit_test(test_settle),  cmocka_unit_test(test_fill_and_read),
        cmocka_unit_test(test_counts), cmocka_unit_test(test_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
