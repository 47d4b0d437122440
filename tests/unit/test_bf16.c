/* Rounding to bfloat16: rows and single numbers against the definition, which looks for the nearest of all bf16 numbers
 * by comparing distances, and against VCVTNEPS2BF16 where the processor has it. All 2^16 upper halves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/bf16.h"
#include "unroll/base/vmath.h"

static const uint16_t lower_halves[] = {0,      1,      0x3fff, 0x4000, 0x7ffe, 0x7fff, 0x8000,
                                        0x8001, 0xbfff, 0xc000, 0xfffe, 0xffff, 0x1234};
#define LOWER ((int)(sizeof lower_halves / sizeof *lower_halves))
#define UPPER 0x10000

static float number(uint32_t upper, int lower)
{
    uint32_t bits = upper << 16 | lower_halves[lower];
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Between `upper`, towards zero, and its neighbour; the infinite one counts as 2^128. */
static uint16_t nearest(uint32_t upper, int lower)
{
    double x = fabs((double)number(upper, lower)), below = fabs((double)bf16_expand((uint16_t)upper));
    double above = fabs((double)bf16_expand((uint16_t)(upper + 1)));
    if (isinf(above))
        above = 0x1p128;
    bool up = above - x < x - below || (above - x == x - below && upper & 1);
    return (uint16_t)(upper + up);
}

static uint16_t defined(uint32_t upper, int lower)
{
    float x = number(upper, lower);
    if (isnan(x))
        return (uint16_t)(upper | 0x40);
    if (fabsf(x) < 0x1p-126f)
        return signbit(x) ? 0x8000 : 0;
    return isinf(x) ? (uint16_t)upper : nearest(upper, lower);
}

static void test_rounding(void **unused)
{
    (void)unused;
    for (uint32_t upper = 0; upper < UPPER; upper++) {
        float row[LOWER];
        uint16_t rounded[LOWER];
        for (int i = 0; i < LOWER; i++)
            row[i] = number(upper, i);
        bf16_round_row(row, LOWER, rounded);
        for (int i = 0; i < LOWER; i++) {
            assert_int_equal(bf16_round(row[i]), defined(upper, i));
            assert_int_equal(rounded[i], defined(upper, i));
        }
    }
}

/* Rows long enough for vectors and a rest; and rounded where they stand. */
static void test_rows(void **unused)
{
    (void)unused;
    enum { N = 3 * VLEN + 5 };
    for (uint32_t upper = 0; upper < UPPER; upper += 7)
        for (int n = N - 6; n <= N; n += 3) {
            float row[N];
            uint16_t rounded[N + 1];
            for (int i = 0; i < N; i++)
                row[i] = number((upper + (uint32_t)i * 257) % UPPER, i % LOWER);
            rounded[n] = 0x1111;
            bf16_round_row(row, n, rounded);
            assert_int_equal(rounded[n], 0x1111);
            for (int i = 0; i < n; i++)
                assert_int_equal(rounded[i], bf16_round(row[i]));
            for (int i = 0; i < n; i++)
                assert_int_equal(bf16_round(bf16_expand(rounded[i])), rounded[i]);
            bf16_round_row(row, n, (uint16_t *)row);
            assert_memory_equal(row, rounded, sizeof *rounded * (size_t)n);
        }
}

static void test_added_rows(void **unused)
{
    (void)unused;
    enum { N = VLEN + 3 };
    uint16_t row[N];
    float sum[N];
    for (int i = 0; i < N; i++) {
        row[i] = bf16_round((float)i - 3.5f);
        sum[i] = 0x1p-130f * (float)i;
    }
    bf16_add_row(row, N, sum);
    for (int i = 0; i < N; i++)
        assert_true(sum[i] == bf16_expand(row[i]) + 0x1p-130f * (float)i);
}

#if defined __x86_64__
__attribute__((target("avx512f,avx512bf16"))) static void round_by_unit(const float *from, uint16_t *to)
{
    __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from));
    memcpy(to, &rounded, sizeof rounded);
}

static void test_unit(void **unused)
{
    (void)unused;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16"))
        skip();
    for (uint32_t upper = 0; upper < UPPER; upper++) {
        float row[16] = {0};
        uint16_t rounded[16];
        for (int i = 0; i < LOWER; i++)
            row[i] = number(upper, i);
        round_by_unit(row, rounded);
        for (int i = 0; i < LOWER; i++)
            assert_int_equal(rounded[i], bf16_round(row[i]));
    }
}
#else
static void test_unit(void **unused)
{
    (void)unused;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_added_rows),
        cmocka_unit_test(test_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
