/* The vector functions against GNU MPFR, at one ulp; their special values; and the digest of many results, which is
 * one on every processor, with every compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/mpfr.h"
#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/base/vmath.h"

#define STRIDE 8191 /* of all floats, every so-manieth: 524,000 */

static vfloat call(vfloat (*function)(vfloat), const float *x)
{
    vfloat v;
    memcpy(&v, x, sizeof v);
    return function(v);
}

static float of_one(vfloat (*function)(vfloat), float x)
{
    return function(vset(x))[VLEN - 1];
}

static vfloat vexp_of(vfloat x)
{
    return vexp(x);
}

static vfloat vsigmoid_of(vfloat x)
{
    return vsigmoid(x);
}

static vfloat vtanh_of(vfloat x)
{
    return vtanh(x);
}

static void exp_exactly(mpfr_t y, const mpfr_t x)
{
    mpfr_exp(y, x, MPFR_RNDN);
}

static void sigmoid_exactly(mpfr_t y, const mpfr_t x)
{
    mpfr_neg(y, x, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_add_ui(y, y, 1, MPFR_RNDN);
    mpfr_ui_div(y, 1, y, MPFR_RNDN);
}

static void tanh_exactly(mpfr_t y, const mpfr_t x)
{
    mpfr_tanh(y, x, MPFR_RNDN);
}

static void check(const char *name, vfloat (*function)(vfloat), void (*exactly)(mpfr_t, const mpfr_t), float least,
                  float most)
{
    mpfr_t x, y;
    mpfr_inits2(MPFR_BITS, x, y, (mpfr_ptr)0);
    double worst = 0;
    float at = 0;
    for (int64_t bits = 0; bits <= UINT32_MAX; bits += (int64_t)STRIDE * VLEN) {
        float in[VLEN];
        for (int i = 0; i < VLEN; i++) {
            uint32_t pattern = (uint32_t)(bits + (int64_t)STRIDE * i);
            memcpy(&in[i], &pattern, sizeof pattern);
        }
        vfloat out = call(function, in);
        for (int i = 0; i < VLEN; i++) {
            if (!(in[i] >= least && in[i] <= most))
                continue;
            mpfr_set_d(x, in[i], MPFR_RNDN);
            exactly(y, x);
            double ulps = mpfr_ulps(out[i], y, 24, -125);
            if (ulps > worst)
                worst = ulps, at = in[i];
        }
    }
    mpfr_clears(x, y, (mpfr_ptr)0);
    print_message("%-8s %.4f ulp at %.9g\n", name, worst, at);
    assert_true(worst <= 1);
}

static void test_exp(void **unused)
{
    (void)unused;
    check("exp", vexp_of, exp_exactly, -87, 88);
    assert_true(of_one(vexp_of, 0) == 1 && of_one(vexp_of, -INFINITY) == 0 && of_one(vexp_of, -88) == 0);
    assert_true(of_one(vexp_of, INFINITY) > 1.6e38f && isnan(of_one(vexp_of, NAN)));
}

static void test_sigmoid(void **unused)
{
    (void)unused;
    check("sigmoid", vsigmoid_of, sigmoid_exactly, -86, INFINITY);
    assert_true(of_one(vsigmoid_of, 0) == 0.5f && of_one(vsigmoid_of, INFINITY) == 1);
    assert_true(of_one(vsigmoid_of, -INFINITY) < 1e-38f && isnan(of_one(vsigmoid_of, NAN)));
}

static void test_tanh(void **unused)
{
    (void)unused;
    check("tanh", vtanh_of, tanh_exactly, -INFINITY, INFINITY);
    assert_true(of_one(vtanh_of, INFINITY) == 1 && of_one(vtanh_of, -INFINITY) == -1 && isnan(of_one(vtanh_of, NAN)));
    for (float x = 1e-30f; x < 20; x *= 1.01f)
        assert_true(of_one(vtanh_of, -x) == -of_one(vtanh_of, x));
    assert_true(signbit(of_one(vtanh_of, -0.0f)) && !signbit(of_one(vtanh_of, 0.0f)));
}

static void test_double_exp(void **unused)
{
    (void)unused;
    mpfr_t x, y;
    mpfr_inits2(MPFR_BITS, x, y, (mpfr_ptr)0);
    double worst = 0;
    for (int i = 0; i < 400000; i += VDOUBLES) {
        vdouble in, out;
        for (int j = 0; j < VDOUBLES; j++)
            in[j] = -(i + j) * 0x1.cf1p-10;
        out = vdouble_exp(in);
        for (int j = 0; j < VDOUBLES; j++) {
            mpfr_set_d(x, in[j], MPFR_RNDN);
            mpfr_exp(y, x, MPFR_RNDN);
            double ulps = in[j] < -708 ? out[j] != 0 : mpfr_ulps(out[j], y, 53, -1021);
            worst = ulps > worst ? ulps : worst;
        }
    }
    mpfr_clears(x, y, (mpfr_ptr)0);
    print_message("exp of eight doubles %.4f ulp\n", worst);
    assert_true(worst <= 1);
}

/* NaN in either argument gives the second, zeros too: what classifiers' and softmax's maxima rest on. */
static void test_min_max(void **unused)
{
    (void)unused;
    vfloat one = vset(1), two = vset(2), nan = vset(NAN);
    assert_true(vmax(one, two)[0] == 2 && vmax(two, one)[0] == 2 && vmin(one, two)[0] == 1 && vmin(two, one)[0] == 1);
    assert_true(vmax(nan, one)[0] == 1 && isnan(vmax(one, nan)[0]) && vmin(nan, one)[0] == 1 &&
                isnan(vmin(one, nan)[0]));
    assert_true(signbit(vmax(vset(0.0f), vset(-0.0f))[0]) && signbit(vmin(vset(0.0f), vset(-0.0f))[0]));
}

static void test_bits(void **unused)
{
    (void)unused;
    struct error e;
    const int count = 3 * 262144;
    float *results = mem_alloc((size_t)count, sizeof *results, "results", &e);
    assert_non_null(results);
    for (int i = 0; i < 262144; i += VLEN)
        for (int j = 0; j < VLEN; j++) {
            float x = (float)(i + j - 131072) * 0x1.3p-11f;
            results[3 * (i + j)] = of_one(vexp_of, x);
            results[3 * (i + j) + 1] = of_one(vsigmoid_of, x);
            results[3 * (i + j) + 2] = of_one(vtanh_of, x / 8);
        }
    char hex[DIGEST_TEXT];
    digest_of(results, (size_t)count * sizeof *results, hex);
    mem_free(results);
    assert_string_equal(hex, "d8076cdf13ae8b53a4d093e2ed32ef1b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),        cmocka_unit_test(test_sigmoid), cmocka_unit_test(test_tanh),
        cmocka_unit_test(test_double_exp), cmocka_unit_test(test_min_max), cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
