/* The elementary functions in double against GNU MPFR, at the bounds that base/arithmetic.h states; their special
 * values; and the digest of many results, which is one on every processor, with every compiler. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/mpfr.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/digest.h"
#include "unroll/base/rng.h"

#define TRIALS 40000

/* Uniform in [0, 1). */
static double draw(uint32_t trial, uint32_t which)
{
    struct rng_bits bits = rng_philox(1, RNG_TEST, trial, which, 0, 0);
    return rng_uniform_double(bits.word[0], bits.word[1]);
}

/* A sign and a size from 2^-60 to 2^`most`. */
static double draw_any_size(uint32_t trial, uint32_t which, int most)
{
    double size = ldexp(1 + draw(trial, which), (int)((60 + most) * draw(trial, which + 1)) - 60);
    return draw(trial, which + 2) < 0.5 ? -size : size;
}

struct bench {
    mpfr_t x, y, result;
    double worst, at, at2;
};

static void start(struct bench *b)
{
    mpfr_inits2(MPFR_BITS, b->x, b->y, b->result, (mpfr_ptr)0);
    b->worst = 0;
}

static void compare(struct bench *b, double got, double x, double y)
{
    double ulps = mpfr_ulps(got, b->result, 53, -1021);
    if (ulps > b->worst) {
        b->worst = ulps;
        b->at = x;
        b->at2 = y;
    }
}

static void finish(struct bench *b, const char *name, double bound)
{
    print_message("%-8s %.4f ulp at %.17g %.17g\n", name, b->worst, b->at, b->at2);
    mpfr_clears(b->x, b->y, b->result, (mpfr_ptr)0);
    assert_true(b->worst <= bound);
}

static void test_exp(void **unused)
{
    (void)unused;
    struct bench b;
    start(&b);
    for (uint32_t i = 0; i < TRIALS; i++) {
        double x = i % 2 ? 1417 * draw(i, 0) - 708 : draw_any_size(i, 1, 3);
        mpfr_set_d(b.x, x, MPFR_RNDN);
        mpfr_exp(b.result, b.x, MPFR_RNDN);
        compare(&b, arithmetic_exp(x), x, 0);
    }
    finish(&b, "exp", 0.51);
    assert_true(arithmetic_exp(0) == 1 && arithmetic_exp(-INFINITY) == 0 && arithmetic_exp(INFINITY) == INFINITY);
    assert_true(arithmetic_exp(-1000) == 0 && arithmetic_exp(1000) == INFINITY && isnan(arithmetic_exp(NAN)));
    assert_true(fabs(arithmetic_exp(-740) - exp(-740)) <= 0x1p-1074);
}

static void test_log(void **unused)
{
    (void)unused;
    struct bench b;
    start(&b);
    for (uint32_t i = 0; i < TRIALS; i++) {
        double x = i % 2 ? fabs(draw_any_size(i, 0, 60)) : 1 + draw_any_size(i, 0, -1);
        if (x == 1 || !(x > 0))
            continue;
        mpfr_set_d(b.x, x, MPFR_RNDN);
        mpfr_log(b.result, b.x, MPFR_RNDN);
        compare(&b, arithmetic_log(x), x, 0);
    }
    finish(&b, "log", 0.51);
    assert_true(arithmetic_log(1) == 0 && arithmetic_log(0) == -INFINITY && arithmetic_log(INFINITY) == INFINITY);
    assert_true(isnan(arithmetic_log(-1)) && isnan(arithmetic_log(NAN)));
    assert_true(fabs(arithmetic_log(0x1p-1074) + 1074 * M_LN2) < 1e-12);
}

static void test_log1p(void **unused)
{
    (void)unused;
    struct bench b;
    start(&b);
    for (uint32_t i = 0; i < TRIALS; i++) {
        double x = draw_any_size(i, 0, -1);
        mpfr_set_d(b.x, x, MPFR_RNDN);
        mpfr_log1p(b.result, b.x, MPFR_RNDN);
        compare(&b, arithmetic_log1p(x), x, 0);
    }
    finish(&b, "log1p", 0.51);
    assert_true(arithmetic_log1p(0) == 0 && arithmetic_log1p(-1) == -INFINITY && isnan(arithmetic_log1p(-2)));
}

/* Adam's beta^t, the step schedule's decay^n, beam search's length^alpha. */
static void test_pow(void **unused)
{
    (void)unused;
    struct bench b;
    start(&b);
    for (uint32_t i = 0; i < TRIALS; i++) {
        double x = i % 3 == 0 ? 1 - 0.01 * draw(i, 0) : i % 3 == 1 ? 1 + 9 * draw(i, 0) : floor(1 + 1000 * draw(i, 0));
        double y = i % 3 == 0 ? floor(1e4 * draw(i, 1)) : i % 3 == 1 ? floor(300 * draw(i, 1)) : 4 * draw(i, 1) - 2;
        mpfr_set_d(b.x, x, MPFR_RNDN);
        mpfr_set_d(b.y, y, MPFR_RNDN);
        mpfr_pow(b.result, b.x, b.y, MPFR_RNDN);
        compare(&b, arithmetic_pow(x, y), x, y);
    }
    finish(&b, "pow", 0.51);
    assert_true(arithmetic_pow(0.9, 0) == 1 && arithmetic_pow(0, 3) == 0 && arithmetic_pow(0, 0) == 1);
    assert_true(arithmetic_pow(0.9, 1e9) == 0 && arithmetic_pow(2, 10) == 1024 && arithmetic_pow(1, 1e9) == 1);
    assert_true(isnan(arithmetic_pow(-1, 3)) && isnan(arithmetic_pow(NAN, 2)));
}

static void test_sincos(void **unused)
{
    (void)unused;
    struct bench sines, cosines;
    start(&sines);
    start(&cosines);
    for (uint32_t i = 0; i < TRIALS; i++) {
        double turns = i % 2 ? draw(i, 0) : draw_any_size(i, 1, 10), sine, cosine;
        arithmetic_sincos(turns, &sine, &cosine);
        mpfr_const_pi(sines.x, MPFR_RNDN);
        mpfr_mul_d(sines.x, sines.x, 2, MPFR_RNDN);
        mpfr_mul_d(sines.x, sines.x, turns, MPFR_RNDN);
        mpfr_sin_cos(sines.result, cosines.result, sines.x, MPFR_RNDN);
        compare(&sines, sine, turns, 0);
        compare(&cosines, cosine, turns, 0);
    }
    finish(&sines, "sin", 1);
    finish(&cosines, "cos", 1);
    for (int quarter = -6; quarter <= 6; quarter++) {
        static const int exact[] = {0, 1, 0, -1};
        double sine, cosine;
        arithmetic_sincos(quarter / 4.0, &sine, &cosine);
        assert_true(sine == exact[(quarter + 8) % 4] && cosine == exact[(quarter + 9) % 4]);
    }
}

static void test_logf(void **unused)
{
    (void)unused;
    struct bench b;
    start(&b);
    for (uint32_t bits = 1; bits < 0x7f800000; bits += 65521) {
        float x;
        memcpy(&x, &bits, sizeof x);
        mpfr_set_d(b.x, x, MPFR_RNDN);
        mpfr_log(b.result, b.x, MPFR_RNDN);
        double ulps = mpfr_ulps(arithmetic_logf(x), b.result, 24, -125);
        if (ulps > b.worst)
            b.worst = ulps, b.at = x, b.at2 = 0;
    }
    finish(&b, "logf", 0.501);
    assert_true(arithmetic_logf(1) == 0 && arithmetic_logf(0) == -INFINITY && isnan(arithmetic_logf(-1)));
    assert_true(arithmetic_logf(INFINITY) == INFINITY && isnan(arithmetic_logf(NAN)));
}

/* Eight chains, of elements 0, 8, 16, ..., 1, 9, ...; then a tree. */
static void test_dot(void **unused)
{
    (void)unused;
    double a[29], b[29];
    for (uint32_t i = 0; i < 29; i++) {
        a[i] = draw(i, 0) - 0.5;
        b[i] = draw(i, 1);
    }
    for (int n = 0; n <= 29; n++) {
        double chain[8] = {0};
        for (int i = 0; i < n; i++)
            chain[i % 8] = fma(a[i], b[i], chain[i % 8]);
        double sum = ((chain[0] + chain[1]) + (chain[2] + chain[3])) + ((chain[4] + chain[5]) + (chain[6] + chain[7]));
        assert_true(arithmetic_dot(n, a, b) == sum);
    }
}

static void test_bits(void **unused)
{
    (void)unused;
    static double results[7 * 4000];
    for (uint32_t i = 0; i < 4000; i++) {
        double *r = results + 7 * i, u = draw(i, 0);
        r[0] = arithmetic_exp(100 * u - 90);
        r[1] = arithmetic_log(u + 1e-9);
        r[2] = arithmetic_log1p(-u);
        r[3] = arithmetic_pow(1 - 1e-3 * u, i);
        arithmetic_sincos(u, &r[4], &r[5]);
        r[6] = arithmetic_logf((float)(1000 * u));
    }
    char hex[DIGEST_TEXT];
    digest_of(results, sizeof results, hex);
    assert_string_equal(hex, "8646ece7a74cea674435dc996506023e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp), cmocka_unit_test(test_log),    cmocka_unit_test(test_log1p),
        cmocka_unit_test(test_pow), cmocka_unit_test(test_sincos), cmocka_unit_test(test_logf),
        cmocka_unit_test(test_dot), cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
