/* Dropout masks: the documented function of (seed, site, step, lane, time, unit), their rate and scale. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"
#include "unroll/nn/dropout.h"

#define UNITS_MAX 1100

/* Word by word from dropout.h: unit u is half u%2 of word (u%8)/2 of block u/8, the low half first. */
static float mask_of_unit(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int u,
                          uint32_t threshold)
{
    const struct rng_bits bits = rng_philox(seed, RNG_DROPOUT + (uint32_t)site, step, lane, time, (uint32_t)u / 8);
    const uint32_t half = bits.word[u % 8 / 2] >> (16 * (u % 2)) & 0xffff;
    return half < threshold ? 0 : dropout_scale(threshold);
}

static void test_definition(void **unused)
{
    (void)unused;
    static const int units[] = {1, 2, 7, 8, 9, 127, 128, 129, 650, UNITS_MAX};
    float mask[UNITS_MAX + 1];
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        for (uint32_t round = 0; round < 4; round++) {
            const uint64_t seed = 0x123456789abcdefull * (round + 1);
            const uint32_t step = 1u << (8 * round), lane = 5 + round, time = 65535 - round, threshold = 20000;
            mask[units[i]] = -7;
            dropout_mask(seed, (int)round, step, lane, time, units[i], threshold, mask);
            for (int u = 0; u < units[i]; u++)
                if (mask[u] != mask_of_unit(seed, (int)round, step, lane, time, u, threshold))
                    fail_msg("unit %d of %d: %g", u, units[i], mask[u]);
            assert_true(mask[units[i]] == -7); /* nothing is written behind */
        }
}

enum { T = 3, LANES = 5, UNITS = 20, STRIDE = 24, TO_STRIDE = 32, THREADS = 3 };

static float masks[THREADS * 2 * UNITS];

static struct dropout window_dropout(int threads)
{
    return (struct dropout){.seed = 9,
                            .site = {0, 0, 20000},
                            .step = 4,
                            .lanes = LANES,
                            .lane0 = 7,
                            .threads = threads,
                            .mask = masks,
                            .mask_stride = UNITS};
}

static void fill_rows(float *from, int rows)
{
    for (int i = 0; i < rows * STRIDE; i++)
        from[i] = (float)(i % 17 - 8);
}

/* Rows go through the mask of their lane, counted from the window's first, and of their time unless all times have
 * the same, by any number of threads. */
static void test_rows(void **unused)
{
    (void)unused;
    float from[T * LANES * STRIDE], to[T * LANES * TO_STRIDE], mask[UNITS];
    fill_rows(from, T * LANES);
    for (int variant = 0; variant < 2 * THREADS; variant++) {
        struct dropout dropout = window_dropout(variant / 2 + 1);
        dropout.locked = variant % 2;
        assert_true(dropout_active(&dropout, 2));
        assert_false(dropout_active(&dropout, 1));
        dropout_rows(
            &dropout, 2,
            (struct dropout_copy){
                .T = T, .units = UNITS, .from = from, .from_stride = STRIDE, .to = to, .to_stride = TO_STRIDE});
        for (int row = 0; row < T * LANES; row++) {
            float *alone = from + row * STRIDE;
            const uint32_t time = dropout.locked ? 0 : (uint32_t)row / LANES;
            dropout_mask(9, 2, 4, 7 + (uint32_t)row % LANES, time, UNITS, 20000, mask);
            for (int u = 0; u < UNITS; u++)
                assert_true(to[row * TO_STRIDE + u] == alone[u] * mask[u]);
        }
        float one[UNITS];
        memcpy(one, from + STRIDE, sizeof one);
        dropout_row(&dropout, 2, 1, 0, 0, UNITS, one);
        assert_memory_equal(one, to + TO_STRIDE, sizeof one);
        dropout.step = -1;
        assert_false(dropout_active(&dropout, 2));
    }
}

/* draw() of dropout.h for the vector of a token. */
static float mask_of_word(uint64_t seed, uint32_t step, uint32_t token, uint32_t threshold)
{
    const struct rng_bits bits = rng_philox(seed, RNG_DROPPED_WORD, step, 0, 0, token / 8);
    const uint32_t half = bits.word[token % 8 / 2] >> (16 * (token % 2)) & 0xffff;
    return half < threshold ? 0 : dropout_scale(threshold);
}

/* A word is dropped wherever it stands, and by itself: one of 200, at every place, in all lanes. */
static void test_words(void **unused)
{
    (void)unused;
    enum { WORDS = 200 };
    float table[WORDS * STRIDE], to[T * LANES * TO_STRIDE], places[T * LANES * STRIDE], mask[UNITS];
    uint32_t token[T * LANES];
    fill_rows(table, WORDS);
    for (int i = 0; i < T * LANES; i++)
        token[i] = (uint32_t)(i * i * 7 % 11 * 19);
    for (int threads = 1; threads <= THREADS; threads++) {
        struct dropout dropout = window_dropout(threads);
        dropout.words = 30000;
        const struct dropout_vectors vectors = {.rows = T * LANES,
                                                .units = UNITS,
                                                .token = token,
                                                .from = table,
                                                .indexed = true,
                                                .from_stride = STRIDE,
                                                .to = to,
                                                .to_stride = TO_STRIDE};
        dropout_words(&dropout, vectors);
        for (int i = 0; i < T * LANES; i++)
            for (int u = 0; u < UNITS; u++)
                assert_true(to[i * TO_STRIDE + u] ==
                            table[token[i] * STRIDE + u] * mask_of_word(9, 4, token[i], 30000));
        /* the way back: rows stand at their places; and both, with the dropout of units */
        fill_rows(places, T * LANES);
        struct dropout_vectors back = vectors;
        back.from = places;
        back.indexed = false;
        dropout_words(&dropout, back);
        for (int i = 0; i < T * LANES; i++)
            for (int u = 0; u < UNITS; u++)
                assert_true(to[i * TO_STRIDE + u] == places[i * STRIDE + u] * mask_of_word(9, 4, token[i], 30000));
        dropout_rows(&dropout, 2,
                     (struct dropout_copy){.T = T,
                                           .units = UNITS,
                                           .from = table,
                                           .index = token,
                                           .token = token,
                                           .from_stride = STRIDE,
                                           .to = to,
                                           .to_stride = TO_STRIDE});
        for (int i = 0; i < T * LANES; i++) {
            dropout_mask(9, 2, 4, 7 + (uint32_t)i % LANES, (uint32_t)i / LANES, UNITS, 20000, mask);
            for (int u = 0; u < UNITS; u++)
                assert_true(to[i * TO_STRIDE + u] ==
                            table[token[i] * STRIDE + u] * (mask[u] * mask_of_word(9, 4, token[i], 30000)));
        }
        dropout.step = -1;
        assert_false(dropout_active_words(&dropout));
    }
}

/* draw() and keep() of dropout.h for the masks of states and of recurrent weights. */
static void test_recurrent(void **unused)
{
    (void)unused;
    enum { COUNT = 300 };
    float mask[COUNT];
    const uint64_t seed = 0xfedcba9876543210u;
    for (int layer = 0; layer < MODEL_LAYERS_MAX; layer++)
        for (uint32_t which = 0; which < 5; which++)
            for (int weights = 0; weights < 2; weights++) {
                const uint32_t what = (uint32_t)(weights ? RNG_DROPPED_WEIGHT : RNG_DROPPED_STATE) + (uint32_t)layer;
                const uint32_t place = which * 70001;
                (weights ? dropout_weight_mask : dropout_state_mask)(seed, layer, 77, place, COUNT, 20000, mask);
                for (int u = 0; u < COUNT; u++) {
                    const struct rng_bits bits = rng_philox(seed, what, 77, place, 0, (uint32_t)u / 8);
                    const uint32_t half = bits.word[u % 8 / 2] >> (16 * (u % 2)) & 0xffff;
                    assert_true(mask[u] == (half < 20000 ? 0 : dropout_scale(20000)));
                }
            }
}

/* A share p, and of the kept and dropped ones no more pairs side by side, or one above the other, than by chance. */
static void test_rate_of_recurrent(void **unused)
{
    (void)unused;
    enum { ROWS = 400, COLUMNS = 500 };
    static float rows[ROWS][COLUMNS];
    const double p = 0.4, n = ROWS * COLUMNS, allowed = 5 * sqrt(p * p * (1 + 2 * p - 3 * p * p) / n) + 1.0 / 65536;
    for (int weights = 0; weights < 2; weights++) {
        int dropped = 0, beside = 0, above = 0;
        for (uint32_t row = 0; row < ROWS; row++)
            (weights ? dropout_weight_mask : dropout_state_mask)(5, 1, 3, row, COLUMNS, dropout_threshold(p),
                                                                 rows[row]);
        for (int row = 0; row < ROWS; row++)
            for (int u = 0; u < COLUMNS; u++) {
                dropped += rows[row][u] == 0;
                beside += rows[row][u] == 0 && rows[row][(u + 1) % COLUMNS] == 0;
                above += rows[row][u] == 0 && rows[(row + 1) % ROWS][u] == 0;
            }
        assert_true(fabs(dropped / n - p) < 5 * sqrt(p * (1 - p) / n) + 1.0 / 65536);
        assert_true(fabs(beside / n - p * p) < allowed && fabs(above / n - p * p) < allowed);
    }
}

/* Probabilities by places, where they are given and where not. */
static void test_places(void **unused)
{
    (void)unused;
    struct model_config config = {.layers = 3, .dropout = 0.25};
    struct dropout dropout = dropout_of(&config);
    for (int site = 0; site <= 3; site++)
        assert_int_equal(dropout.site[site], 16384);
    assert_false(dropout.locked || dropout.words);
    config.dropout_input = model_dropout_held(&config, 0);
    config.dropout_hidden = model_dropout_held(&config, 0.5);
    config.dropout_output = model_dropout_held(&config, 0.25);
    config.dropout_kind = DROPOUT_LOCKED;
    config.dropout_embedding = 0.125;
    assert_true(config.dropout_output == 0);
    dropout = dropout_of(&config);
    assert_true(dropout.site[0] == 0 && dropout.site[1] == 32768 && dropout.site[2] == 32768 &&
                dropout.site[3] == 16384 && dropout.words == 8192 && dropout.locked && dropout.step < 0);
    assert_true(dropout_needs_masks(&dropout));
    model_config_evaluated(&config);
    dropout = dropout_of(&config);
    assert_false(dropout_needs_masks(&dropout));
    config.dropout_embedding = 0.1;
    dropout = dropout_of(&config);
    assert_true(dropout_needs_masks(&dropout));
    config = (struct model_config){.cell = CELL_GRU, .dropout_state = 0.5, .weight_drop = 0.25};
    dropout = dropout_of(&config);
    assert_true(dropout.states == 32768 && dropout.weights == 16384 && dropout_needs_masks(&dropout));
    config.cell = CELL_MINGRU; /* it has no recurrent weights */
    dropout = dropout_of(&config);
    assert_false(dropout.states || dropout.weights || dropout_needs_masks(&dropout));
}

/* A unit is dropped if its bits are below the threshold, and kept if they are equal to it. */
static void test_boundary(void **unused)
{
    (void)unused;
    const struct rng_bits bits = rng_philox(1, RNG_DROPOUT, 0, 0, 0, 0);
    for (int u = 0; u < 8; u++) {
        const uint32_t half = bits.word[u / 2] >> (16 * (u % 2)) & 0xffff;
        float mask[8];
        dropout_mask(1, 0, 0, 0, 0, 8, half, mask);
        assert_true(mask[u] != 0);
        dropout_mask(1, 0, 0, 0, 0, 8, half + 1, mask);
        assert_true(mask[u] == 0);
    }
}

static void test_threshold_and_scale(void **unused)
{
    (void)unused;
    assert_int_equal(dropout_threshold(0), 0);
    assert_int_equal(dropout_threshold(0.5), 32768);
    assert_int_equal(dropout_threshold(0.25), 16384);
    assert_int_equal(dropout_threshold(0.2), 13107); /* 13107.2 */
    assert_int_equal(dropout_threshold(1 - 1e-12), 65535);
    assert_true(dropout_scale(0) == 1);
    assert_true(dropout_scale(32768) == 2);
    for (uint32_t threshold = 0; threshold < 65536; threshold++) {
        const double kept = 1 - threshold / 65536.0;
        assert_true(fabs(dropout_scale(threshold) * kept - 1) < 2 * 0x1p-24); /* the expectation is kept */
    }
}

/* A share p of n units is dropped, with standard deviation sqrt(p (1-p) / n). */
static void test_rate(void **unused)
{
    (void)unused;
    static const double rates[] = {0.01, 0.2, 0.5, 0.9};
    float mask[1000];
    for (int i = 0; i < 4; i++) {
        const uint32_t threshold = dropout_threshold(rates[i]);
        int dropped = 0;
        for (uint32_t step = 0; step < 200; step++) {
            dropout_mask(3, 1, step, 2, 4, 1000, threshold, mask);
            for (int u = 0; u < 1000; u++) {
                assert_true(mask[u] == 0 || mask[u] == dropout_scale(threshold));
                dropped += mask[u] == 0;
            }
        }
        assert_true(fabs(dropped / 200000.0 - rates[i]) < 5 * sqrt(rates[i] * (1 - rates[i]) / 200000) + 1.0 / 65536);
    }
}

/* The same of words, and neighbours are dropped by chance as all are: two of them p p times. */
static void test_rate_of_words(void **unused)
{
    (void)unused;
    enum { WORDS = 1000, STEPS = 400 };
    const double p = 0.3, n = WORDS * STEPS;
    const uint32_t threshold = dropout_threshold(p);
    int dropped = 0, both = 0;
    for (uint32_t step = 0; step < STEPS; step++)
        for (uint32_t token = 0; token < WORDS; token++) {
            dropped += dropout_word(3, step, token, threshold) == 0;
            both += dropout_word(3, step, token, threshold) == 0 && dropout_word(3, step, token + 1, threshold) == 0;
        }
    assert_true(fabs(dropped / n - p) < 5 * sqrt(p * (1 - p) / n) + 1.0 / 65536);
    assert_true(fabs(both / n - p * p) < 5 * sqrt(p * p * (1 + 2 * p - 3 * p * p) / n) + 1.0 / 65536);
}

static void test_nothing_dropped(void **unused)
{
    (void)unused;
    float mask[300];
    dropout_mask(1, 0, 0, 0, 0, 300, 0, mask);
    for (int u = 0; u < 300; u++)
        assert_true(mask[u] == 1);
}

static void test_every_coordinate_matters(void **unused)
{
    (void)unused;
    float a[256], b[6][256];
    dropout_mask(1, 1, 1, 1, 1, 256, 32768, a);
    dropout_mask(2, 1, 1, 1, 1, 256, 32768, b[0]);
    dropout_mask(1, 2, 1, 1, 1, 256, 32768, b[1]);
    dropout_mask(1, 1, 2, 1, 1, 256, 32768, b[2]);
    dropout_mask(1, 1, 1, 2, 1, 256, 32768, b[3]);
    dropout_mask(1, 1, 1, 1, 2, 256, 32768, b[4]);
    dropout_mask(1 + (1ull << 40), 1, 1, 1, 1, 256, 32768, b[5]);
    for (int i = 0; i < 6; i++) {
        assert_memory_not_equal(a, b[i], sizeof a);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(b[j], b[i], sizeof a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_recurrent),
        cmocka_unit_test(test_rate_of_recurrent),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_boundary),
        cmocka_unit_test(test_threshold_and_scale),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_of_words),
        cmocka_unit_test(test_nothing_dropped),
        cmocka_unit_test(test_every_coordinate_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
