/* Philox's published answers, and that every coordinate of a number matters. The bits are part of the promise that a
 * run repeats: a change here changes everyone's results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"

/* kat_vectors of Random123, philox4x32 10: counters and key all 0, all ones, and the digits of pi. The counter is
 * {unit, what << 16 | time, lane, step}. */
static void test_known_answers(void **unused)
{
    (void)unused;
    const struct {
        uint64_t seed;
        uint32_t what, step, lane, time, unit, word[4];
    } known[] = {
        {0, 0, 0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {0xffffffffffffffff,
         0xffff,
         0xffffffff,
         0xffffffff,
         0xffff,
         0xffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x85a3,
         0x03707344,
         0x13198a2e,
         0x08d3,
         0x243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct rng_bits bits =
            rng_philox(known[i].seed, known[i].what, known[i].step, known[i].lane, known[i].time, known[i].unit);
        for (int w = 0; w < 4; w++)
            assert_int_equal(bits.word[w], known[i].word[w]);
    }
}

static void test_every_coordinate_matters(void **unused)
{
    (void)unused;
    const struct rng_bits bits[] = {
        rng_philox(1, 2, 3, 4, 5, 6), rng_philox(9, 2, 3, 4, 5, 6), rng_philox(1 + (1ull << 32), 2, 3, 4, 5, 6),
        rng_philox(1, 9, 3, 4, 5, 6), rng_philox(1, 2, 9, 4, 5, 6), rng_philox(1, 2, 3, 9, 5, 6),
        rng_philox(1, 2, 3, 4, 9, 6), rng_philox(1, 2, 3, 4, 5, 9), rng_philox(1, 3, 2, 4, 5, 6),
    };
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&bits[i], &bits[j], sizeof bits[i]);
}

static void test_uniform(void **unused)
{
    (void)unused;
    assert_true(rng_uniform_float(0) == 0);
    assert_true(rng_uniform_float(UINT32_MAX) == 1 - 0x1p-24f); /* the largest float below 1 */
    assert_true(rng_uniform_float(1u << 31) == 0.5f);
    assert_true(rng_uniform_double(0, 0) == 0);
    assert_true(rng_uniform_double(UINT32_MAX, UINT32_MAX) == 1 - 0x1p-53);
    assert_true(rng_uniform_double(1u << 31, 0) == 0.5);
    assert_true(rng_uniform_double(0, 1u << 11) == 0x1p-53);
}

/* Mean 1/2 with standard deviation sqrt(1/12 n): n = 40000 numbers lie within five of those of it. */
static void test_mean(void **unused)
{
    (void)unused;
    double sum = 0;
    for (uint32_t unit = 0; unit < 10000; unit++) {
        struct rng_bits bits = rng_philox(42, RNG_TEST, 0, 0, 0, unit);
        for (int w = 0; w < 4; w++)
            sum += rng_uniform_float(bits.word[w]);
    }
    const double mean = sum / 40000;
    assert_true(mean > 0.5 - 5 * 0.00144 && mean < 0.5 + 5 * 0.00144);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_every_coordinate_matters),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
