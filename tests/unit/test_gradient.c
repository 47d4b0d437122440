/* Lists of touched rows, and where gradients lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"
#include "unroll/nn/gradient.h"

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Against qsort: few and many ids, small and large ones, all equal, in order and against it. */
static void test_ids_are_sorted_and_each_left_once(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static const uint32_t ranges[] = {1, 2, 3, 50, 4096, 800000, UINT32_MAX};
    for (int r = 0; r < 7; r++)
        for (int count = 0; count <= MOST; count = count < 5 ? count + 1 : 5 * count)
            for (int kind = 0; kind < 3; kind++) {
                uint32_t ids[MOST], expected[MOST];
                int64_t distinct = 0;
                for (int i = 0; i < count; i++)
                    ids[i] = rng_philox(1, RNG_TEST, (uint32_t)r, (uint32_t)i, 0, 0).word[0] % ranges[r];
                if (kind)
                    qsort(ids, (size_t)count, sizeof *ids, compare);
                for (int i = 0; kind == 2 && i < count / 2; i++) {
                    uint32_t id = ids[i];
                    ids[i] = ids[count - 1 - i];
                    ids[count - 1 - i] = id;
                }
                memcpy(expected, ids, sizeof ids);
                qsort(expected, (size_t)count, sizeof *expected, compare);
                for (int i = 0; i < count; i++)
                    if (i == 0 || expected[i] != expected[i - 1])
                        expected[distinct++] = expected[i];
                assert_int_equal(touched_sort(ids, count), distinct);
                assert_memory_equal(ids, expected, (size_t)distinct * sizeof *ids);
                const struct touched_list list = {distinct, ids};
                for (int64_t i = 0; i < distinct; i++)
                    assert_int_equal(touched_place(&list, ids[i]), i);
            }
}

static struct model_config config_of(int vocab, bool tied)
{
    return (struct model_config){
        .cell = CELL_LSTM, .layers = 2, .embedding = 20, .hidden = 20, .vocab = vocab, .tied = tied};
}

/* Where all is dense, gradients lie as the table says. */
static void test_a_dense_layout_is_the_tables(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct model_config config = config_of(1000, tied);
        struct param_table table;
        struct gradient_layout layout;
        param_table_build(&config, &table);
        gradient_layout_build(&config, &table, 4, 5, false, &layout);
        assert_int_equal(layout.parts, 0);
        assert_int_equal(layout.inputs, -1);
        assert_int_equal(layout.total, table.grad_total);
        for (int i = 0; i < table.count; i++)
            assert_int_equal(layout.offset[i], table.param[i].grad_offset);
    }
}

/* A large embedding takes the room of the rows that a step can touch; a small or a tied one is dense. */
static void test_rows_of_a_large_embedding_are_a_part(void **state)
{
    (void)state;
    static const int vocabs[] = {39, 40, 1000, 800000};
    for (int v = 0; v < 4; v++)
        for (int tied = 0; tied < 2; tied++) {
            struct model_config config = config_of(vocabs[v], tied);
            struct param_table table;
            struct gradient_layout layout;
            param_table_build(&config, &table);
            gradient_layout_build(&config, &table, 4, 5, true, &layout);
            bool part = !tied && vocabs[v] >= 40;
            assert_int_equal(layout.parts, part);
            assert_int_equal(layout.width[table.encoder], part ? 20 : 0);
            if (!part)
                continue;
            assert_int_equal(layout.list[layout.inputs].most, 20);
            assert_int_equal(layout.dense, table.grad_total - table.param[table.encoder].count / 16 * 16 -
                                               (table.param[table.encoder].count % 16 ? 16 : 0));
            assert_int_equal(layout.total, layout.dense + 20 * 20);
        }
}

/* Parts of one parameter add up, and rows without a place stay zero. */
static void test_an_array_is_laid_out(void **state)
{
    (void)state;
    struct model_config config = config_of(100, false);
    struct param_table table;
    struct gradient_layout layout;
    param_table_build(&config, &table);
    gradient_layout_build(&config, &table, 4, 5, true, &layout);
    uint32_t rows[] = {3, 7, 99};
    struct touched touched = {.list[0] = {3, rows}};
    float *array = calloc(layout.total, sizeof *array), *dense = calloc(table.grad_total, sizeof *dense);
    for (size_t i = 0; i < layout.total; i++)
        array[i] = (float)i + 1;
    gradient_expand(&layout, &table, &touched, array, dense);
    for (size_t row = 0; row < 100; row++) {
        int place = row == 3 ? 0 : row == 7 ? 1 : row == 99 ? 2 : -1;
        for (size_t k = 0; k < 20; k++)
            assert_true(dense[row * 20 + k] == (place < 0 ? 0 : array[layout.part[0].offset + (size_t)place * 20 + k]));
    }
    int bias = param_find(&table, "decoder.bias");
    assert_memory_equal(dense + table.param[bias].grad_offset, array + layout.offset[bias], 100 * sizeof *dense);
    free(array);
    free(dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_sorted_and_each_left_once),
        cmocka_unit_test(test_a_dense_layout_is_the_tables),
        cmocka_unit_test(test_rows_of_a_large_embedding_are_a_part),
        cmocka_unit_test(test_an_array_is_laid_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
