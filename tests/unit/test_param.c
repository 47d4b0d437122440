/* The parameter table: PyTorch's names, shapes and order; places that do not overlap; tied weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "unroll/base/mem.h"
#include "unroll/nn/param.h"

static const struct model_config lstm = {.cell = CELL_LSTM, .layers = 2, .embedding = 5, .hidden = 7, .vocab = 11};
static const struct model_config tied = {
    .cell = CELL_GRU, .layers = 1, .embedding = 7, .hidden = 7, .vocab = 11, .tied = true};

static void test_names_and_shapes(void **unused)
{
    (void)unused;
    const struct {
        const char *name;
        int rank;
        int64_t rows, columns;
    } expected[] = {
        {"encoder.weight", 2, 11, 5},   {"rnn.weight_ih_l0", 2, 28, 5}, {"rnn.weight_hh_l0", 2, 28, 7},
        {"rnn.bias_ih_l0", 1, 28, 1},   {"rnn.bias_hh_l0", 1, 28, 1},   {"rnn.weight_ih_l1", 2, 28, 7},
        {"rnn.weight_hh_l1", 2, 28, 7}, {"rnn.bias_ih_l1", 1, 28, 1},   {"rnn.bias_hh_l1", 1, 28, 1},
        {"decoder.weight", 2, 11, 7},   {"decoder.bias", 1, 11, 1},
    };
    const int count = (int)(sizeof expected / sizeof expected[0]);
    struct param_table table;
    param_table_build(&lstm, &table);
    assert_int_equal(table.count, count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(table.param[i].name, expected[i].name);
        assert_int_equal(table.param[i].rank, expected[i].rank);
        assert_int_equal(table.param[i].shape[0], expected[i].rows);
        assert_int_equal(table.param[i].shape[1], expected[i].columns);
        assert_int_equal(param_find(&table, expected[i].name), i);
    }
    assert_int_equal(param_find(&table, "rnn.weight_ih_l2"), -1);
}

/* Own tensors follow each other on 64-byte boundaries; an alias shares values but has a gradient of its own behind. */
static void expect_layout(const struct model_config *config)
{
    struct param_table table;
    param_table_build(config, &table);
    size_t next = 0, elements = 0, behind = table.total;
    for (int i = 0; i < table.count; i++) {
        const struct param *p = &table.param[i];
        assert_int_equal(p->count, p->shape[0] * p->shape[1]);
        assert_int_equal(p->offset % 16, 0);
        assert_int_equal(p->grad_offset % 16, 0);
        if (p->alias >= 0) {
            assert_int_equal(p->offset, table.param[p->alias].offset);
            assert_int_equal(p->count, table.param[p->alias].count);
            assert_int_equal(p->grad_offset, behind);
            behind += (p->count + 15) / 16 * 16;
        } else {
            assert_int_equal(p->offset, next);
            assert_int_equal(p->grad_offset, p->offset);
            next += (p->count + 15) / 16 * 16;
            elements += p->count;
        }
    }
    assert_int_equal(table.total, next);
    assert_int_equal(table.grad_total, behind);
    assert_int_equal(table.elements, elements);
}

static void test_layout(void **unused)
{
    (void)unused;
    expect_layout(&lstm);
    expect_layout(&tied);
    struct model_config deep = lstm;
    deep.layers = MODEL_LAYERS_MAX;
    expect_layout(&deep);
    /* Nothing wraps at the largest model that is allowed. */
    const struct model_config largest = {.cell = CELL_LSTM,
                                         .layers = MODEL_LAYERS_MAX,
                                         .embedding = MODEL_WIDTH_MAX,
                                         .hidden = MODEL_WIDTH_MAX,
                                         .vocab = VOCAB_MAX};
    struct param_table table;
    param_table_build(&largest, &table);
    const size_t W = MODEL_WIDTH_MAX, V = VOCAB_MAX;
    assert_true(table.elements == 2 * V * W + V + MODEL_LAYERS_MAX * (8 * W * W + 8 * W));
}

static void test_tied(void **unused)
{
    (void)unused;
    struct param_table table;
    param_table_build(&tied, &table);
    const struct param *encoder = &table.param[param_find(&table, "encoder.weight")];
    const struct param *decoder = &table.param[param_find(&table, "decoder.weight")];
    assert_int_equal(decoder->alias, 0);
    assert_int_equal(encoder->alias, -1);
    float *grad = mem_alloc(table.grad_total, sizeof *grad, "a test", NULL);
    for (size_t k = 0; k < table.grad_total; k++)
        grad[k] = (float)k;
    param_fold_aliases(&table, grad);
    for (size_t k = 0; k < table.grad_total; k++) {
        const size_t folded = k < encoder->count ? k + decoder->grad_offset : 0;
        assert_true(grad[k] == (float)k + (float)folded);
    }
    mem_free(grad);
    param_table_build(&lstm, &table);
    float untouched = 3;
    param_fold_aliases(&table, &untouched); /* no alias: nothing is read or written */
    assert_true(untouched == 3);
}

/* The documented digest: XXH3-128 over the values of all parameters, one after another, without padding. */
static void expect_digest(const struct model_config *config)
{
    struct param_table table;
    param_table_build(config, &table);
    float *values = mem_alloc(table.total, sizeof *values, "a test", NULL);
    float *packed = mem_alloc(2 * table.total, sizeof *packed, "a test", NULL);
    for (size_t k = 0; k < table.total; k++)
        values[k] = (float)k * 0.25f;
    size_t count = 0;
    for (int i = 0; i < table.count; i++) {
        memcpy(packed + count, values + table.param[i].offset, table.param[i].count * sizeof *values);
        count += table.param[i].count;
    }
    const XXH128_hash_t hash = XXH3_128bits(packed, count * sizeof *packed);
    char expected[33], digest[33], other[33];
    snprintf(expected, sizeof expected, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    param_digest(&table, values, digest);
    assert_string_equal(digest, expected);

    const struct param *last = &table.param[table.count - 1];
    values[last->offset + last->count] = 1; /* padding does not count */
    param_digest(&table, values, other);
    assert_string_equal(other, digest);
    values[last->offset + last->count - 1] += 1; /* the last element does */
    param_digest(&table, values, other);
    assert_string_not_equal(other, digest);
    mem_free(packed);
    mem_free(values);
}

static void test_digest(void **unused)
{
    (void)unused;
    expect_digest(&lstm);
    expect_digest(&tied);
}

static void expect_refused(struct model_config config, const char *option)
{
    struct error e = {0};
    assert_int_equal(model_config_check(&config, &e), STATUS_CONFIG);
    if (!strstr(e.text, option))
        fail_msg("no '%s' in: %s", option, e.text);
    assert_non_null(strchr(e.text, ';')); /* the fix */
}

static void test_check(void **unused)
{
    (void)unused;
    struct error e = {0};
    assert_int_equal(model_config_check(&lstm, &e), STATUS_OK);
    assert_int_equal(model_config_check(&tied, &e), STATUS_OK);
    struct model_config c = lstm;
#define REFUSED(field, value, option) (c = lstm, c.field = (value), expect_refused(c, option))
    REFUSED(layers, 0, "--layers");
    REFUSED(layers, MODEL_LAYERS_MAX + 1, "--layers");
    REFUSED(embedding, 0, "--embedding");
    REFUSED(embedding, MODEL_WIDTH_MAX + 1, "--embedding");
    REFUSED(hidden, -1, "--hidden");
    REFUSED(hidden, MODEL_WIDTH_MAX + 1, "--hidden");
    REFUSED(vocab, 0, "vocabulary");
    REFUSED(vocab, VOCAB_MAX + 1, "vocabulary");
    REFUSED(dropout, 1, "--dropout");
    REFUSED(dropout, -0.1, "--dropout");
    REFUSED(dropout, __builtin_nan(""), "--dropout");
    REFUSED(tied, true, "--tied"); /* E != H */
    REFUSED(cell, (enum cell)CELLS, "cell");
    REFUSED(cell, (enum cell) - 1, "cell");
}

static void test_cell_names(void **unused)
{
    (void)unused;
    static const char *const names[] = {"rnn-tanh", "rnn-relu", "lstm", "gru"};
    static const int gates[] = {1, 1, 4, 3};
    for (int i = 0; i < 4; i++) {
        enum cell cell = (enum cell)(3 - i);
        struct error e = {0};
        assert_int_equal(cell_parse(names[i], &cell, &e), STATUS_OK);
        assert_int_equal(cell, i);
        assert_string_equal(cell_name(cell), names[i]);
        assert_int_equal(cell_gates(cell), gates[i]);
    }
    enum cell cell;
    struct error e = {0};
    assert_int_equal(cell_parse("LSTM", &cell, &e), STATUS_CONFIG);
    assert_non_null(strstr(e.text, "'LSTM'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_shapes), cmocka_unit_test(test_layout), cmocka_unit_test(test_tied),
        cmocka_unit_test(test_digest),           cmocka_unit_test(test_check),  cmocka_unit_test(test_cell_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
