/* Log-probabilities of texts: against the double-precision reference, and the same bits for any batching, any order,
 * any number of threads, and in pieces. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/reference.h"
#include "unroll/use/scorer.h"

#define V 23
#define TEXTS 150
#define LONGEST (3 * SCORER_WINDOW + 5)

struct fixture {
    struct model_config config;
    struct param_table table;
    float *values;
    struct score_pool *pool;
    struct comm alone;
    struct cache_config cache; /* size 0: none */
};

static uint32_t random_below(uint32_t number, uint32_t limit)
{
    return rng_philox(19, RNG_TEST, number, 0, 0, 0).word[0] % limit;
}

/* Texts of all lengths from empty to several windows. */
static void fill(struct score_pool *pool)
{
    pool->texts = TEXTS;
    pool->offset[0] = 0;
    for (int text = 0; text < TEXTS; text++) {
        int64_t length = text < 4 ? text : (int64_t)random_below((uint32_t)text, text % 10 ? 30 : LONGEST + 1);
        pool->offset[text + 1] = pool->offset[text] + length;
        for (int64_t i = 0; i < length; i++)
            pool->tokens[pool->offset[text] + i] = random_below((uint32_t)(1000 * text + i + 1), V);
    }
    for (int i = 0; i < SCORER_POOL_TOKENS; i++)
        pool->logp[i] = 77;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->alone = COMM_ALONE;
    f->config = (struct model_config){.cell = CELL_LSTM, .layers = 2, .embedding = 6, .hidden = 11, .vocab = V};
    param_table_build(&f->config, &f->table);
    f->values = mem_alloc(f->table.total, sizeof *f->values, "test", NULL);
    assert_int_equal(param_init(&f->config, &f->table, INIT_AUTO, 3, f->values, NULL), STATUS_OK);
    for (size_t i = 0; i < f->table.total; i++)
        f->values[i] *= 3;
    assert_int_equal(score_pool_create(&f->pool, NULL), STATUS_OK);
    fill(f->pool);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    score_pool_free(f->pool);
    mem_free(f->values);
    free(f);
    return 0;
}

static struct scorer *create(const struct fixture *f, int lanes, int threads)
{
    struct scorer *scorer = NULL;
    struct error e = {0};
    assert_int_equal(scorer_create(&f->config, f->values, lanes, threads, &scorer, &e), STATUS_OK);
    if (f->cache.size > 0)
        scorer_use_cache(scorer, &f->cache);
    return scorer;
}

static void run(struct fixture *f, int lanes, int threads)
{
    struct scorer *scorer = create(f, lanes, threads);
    struct error e = {0};
    assert_int_equal(scorer_run(scorer, &f->alone, f->pool, &e), STATUS_OK);
    scorer_free(scorer);
}

static void scores_are_those_of_the_reference(void **state)
{
    struct fixture *f = *state;
    const struct score_pool *pool = f->pool;
    run(f, SCORER_LANES, 1);
    for (int text = 0; text < TEXTS; text++) {
        int64_t begin = pool->offset[text], length = pool->offset[text + 1] - begin;
        if (length == 0)
            continue;
        assert_true(pool->logp[begin] == 0); /* context only */
        if (length == 1)
            continue;
        struct reference *reference;
        double loss, row[LONGEST];
        struct error e = {0};
        assert_int_equal(reference_create(&f->config, 0, 1, &reference, &e), STATUS_OK);
        for (size_t i = 0; i < f->table.total; i++)
            reference->values[i] = f->values[i];
        struct window window = {(int)length - 1, 1, 0, true, pool->tokens + begin, pool->tokens + begin + 1};
        assert_int_equal(reference_window(reference, &window, -1, &loss, row, NULL, &e), STATUS_OK);
        for (int64_t i = 0; i < length - 1; i++)
            assert_true(fabs(pool->logp[begin + 1 + i] + row[i]) <= 1e-5 * (1 + row[i]));
        reference_free(reference);
    }
    assert_true(pool->logp[pool->offset[TEXTS]] == 77); /* nothing written behind the texts */
}

static void probabilities_of_all_continuations_sum_to_one(void **state)
{
    struct fixture *f = *state;
    struct score_pool *pool = f->pool;
    enum { PREFIX = SCORER_WINDOW }; /* the last prediction is the first of a window with carried state */
    pool->texts = V;
    for (int v = 0; v < V; v++) {
        for (int i = 0; i <= PREFIX; i++)
            pool->tokens[v * (PREFIX + 2) + i] = random_below((uint32_t)i, V);
        pool->tokens[v * (PREFIX + 2) + PREFIX + 1] = (uint32_t)v;
        pool->offset[v + 1] = (v + 1) * (PREFIX + 2);
    }
    run(f, 5, 1);
    double sum = 0;
    for (int v = 0; v < V; v++)
        sum += exp(pool->logp[v * (PREFIX + 2) + PREFIX + 1]);
    assert_true(fabs(sum - 1) < 1e-5);
}

static void bits_do_not_depend_on_lanes_or_threads(void **state)
{
    struct fixture *f = *state;
    size_t tokens = (size_t)f->pool->offset[TEXTS];
    float *first = calloc(tokens, sizeof *first);
    run(f, SCORER_LANES, 1);
    memcpy(first, f->pool->logp, tokens * sizeof *first);
    static const int shapes[][2] = {{1, 1}, {7, 1}, {SCORER_LANES, 2}, {13, 3}};
    for (int i = 0; i < 4; i++) {
        fill(f->pool);
        run(f, shapes[i][0], shapes[i][1]);
        assert_memory_equal(first, f->pool->logp, tokens * sizeof *first);
    }
    free(first);
}

/* Text `text` alone, and in a pool of other company, gives the bits it had among all. */
static void bits_do_not_depend_on_company(void **state)
{
    struct fixture *f = *state;
    struct score_pool *other;
    struct scorer *scorer;
    struct error e = {0};
    run(f, SCORER_LANES, 1);
    assert_int_equal(score_pool_create(&other, &e), STATUS_OK);
    scorer = create(f, 4, 1);
    int turn = 0;
    for (int text = TEXTS - 1; text >= 0; text -= 7) { /* each pool: this text behind one of its own reversed */
        int64_t begin = f->pool->offset[text], length = f->pool->offset[text + 1] - begin;
        if (turn++ == TEXTS / 14) { /* few texts for many lanes: one by one */
            scorer_free(scorer);
            scorer = create(f, SCORER_LANES, 1);
        }
        other->texts = 2;
        other->offset[1] = length;
        other->offset[2] = 2 * length;
        for (int64_t i = 0; i < length; i++) {
            other->tokens[i] = f->pool->tokens[begin + length - 1 - i];
            other->tokens[length + i] = f->pool->tokens[begin + i];
        }
        assert_int_equal(scorer_run(scorer, &f->alone, other, &e), STATUS_OK);
        assert_memory_equal(other->logp + length, f->pool->logp + begin, (size_t)length * sizeof(float));
    }
    scorer_free(scorer);
    score_pool_free(other);
}

static void a_text_in_pieces_gives_the_same_bits(void **state)
{
    struct fixture *f = *state;
    struct score_pool *pool = f->pool;
    struct scorer *scorer;
    struct error e = {0};
    const int64_t length = 1000;
    float logp[1000];
    pool->texts = 1;
    pool->offset[1] = length;
    for (int64_t i = 0; i < length; i++)
        pool->tokens[i] = random_below((uint32_t)i, V);
    scorer = create(f, 1, 1);
    assert_int_equal(scorer_run(scorer, &f->alone, pool, &e), STATUS_OK);
    static const int64_t pieces[] = {1000, 32, 33, 100, 2};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (int64_t at = 0; at + 1 < length; at += pieces[i] - 1) {
            int64_t count = length - at < pieces[i] ? length - at : pieces[i];
            float piece[1000];
            assert_int_equal(scorer_continue(scorer, at == 0, pool->tokens + at, count, piece, &e), STATUS_OK);
            memcpy(logp + at + 1, piece + 1, (size_t)(count - 1) * sizeof *piece);
        }
        assert_memory_equal(logp + 1, pool->logp + 1, (size_t)(length - 1) * sizeof *logp);
    }
    scorer_free(scorer);
}

/* A text behind another has the numbers that both have as one, in every lane. */
static void texts_behind_another_text(void **state)
{
    struct fixture *f = *state;
    struct score_pool *pool = f->pool;
    struct error e = {0};
    struct scorer *scorer;
    uint32_t text[50 + LONGEST];
    float logp[50 + LONGEST];
    for (uint32_t i = 0; i < 50; i++)
        text[i] = random_below(77000 + i, V);
    scorer = create(f, 32, 2);
    assert_int_equal(scorer_continue(scorer, true, text, 50, logp, &e), STATUS_OK);
    for (int i = 0; i < pool->texts; i++) /* each begins with what the text before ended with */
        if (pool->offset[i + 1] > pool->offset[i])
            pool->tokens[pool->offset[i]] = text[49];
    assert_int_equal(scorer_begin_here(scorer, &f->alone, &e), STATUS_OK);
    assert_int_equal(scorer_run(scorer, &f->alone, pool, &e), STATUS_OK);
    scorer_free(scorer);
    scorer = create(f, 1, 1);
    for (int i = 0; i < pool->texts; i++) {
        int64_t begin = pool->offset[i], length = pool->offset[i + 1] - begin;
        if (length < 2)
            continue;
        memcpy(text + 49, pool->tokens + begin, (size_t)length * sizeof *text);
        assert_int_equal(scorer_continue(scorer, true, text, 49 + length, logp, &e), STATUS_OK);
        assert_memory_equal(logp + 50, pool->logp + begin + 1, (size_t)(length - 1) * sizeof *logp);
    }
    scorer_free(scorer);
}

/* All that holds of the model holds of the mixture, and a long cache's lanes stay few. */
static void with_a_cache_it_is_the_same(void **state)
{
    struct fixture *f = *state;
    static const struct cache_config caches[] = {{9, 1, 0.3}, {300000, 0.5, 0.1}};
    size_t tokens = (size_t)f->pool->offset[TEXTS];
    float *plain = calloc(tokens, sizeof *plain);
    run(f, SCORER_LANES, 1);
    memcpy(plain, f->pool->logp, tokens * sizeof *plain);
    for (int i = 0; i < 2; i++) {
        f->cache = caches[i];
        fill(f->pool);
        run(f, SCORER_LANES, 1);
        assert_true(memcmp(plain, f->pool->logp, tokens * sizeof *plain) != 0);
        probabilities_of_all_continuations_sum_to_one(state);
        fill(f->pool);
        bits_do_not_depend_on_lanes_or_threads(state);
    }
    f->cache = caches[0];
    bits_do_not_depend_on_company(state);
    texts_behind_another_text(state);
    a_text_in_pieces_gives_the_same_bits(state);
    f->cache.lambda = 0;
    fill(f->pool);
    run(f, SCORER_LANES, 1);
    assert_memory_equal(plain, f->pool->logp, tokens * sizeof *plain);
    free(plain);
}

static void an_empty_pool_is_fine(void **state)
{
    struct fixture *f = *state;
    f->pool->texts = 0;
    run(f, 3, 1);
    assert_true(f->pool->logp[0] == 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_are_those_of_the_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(probabilities_of_all_continuations_sum_to_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_lanes_or_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_company, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_in_pieces_gives_the_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_behind_another_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_a_cache_it_is_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_pool_is_fine, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
