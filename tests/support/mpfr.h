/* How far a result is from what GNU MPFR says, in units in the last place of a float or a double; for unit tests. */
#ifndef TESTS_SUPPORT_MPFR_H
#define TESTS_SUPPORT_MPFR_H

#include <math.h>
#include <mpfr.h>

#define MPFR_BITS 200

/* `digits` is 24 or 53, `least` the exponent below which numbers are subnormal. */
static double mpfr_ulps(double got, mpfr_t want, int digits, int least)
{
    mpfr_t difference;
    mpfr_init2(difference, MPFR_BITS);
    mpfr_sub_d(difference, want, got, MPFR_RNDN);
    int exponent = mpfr_zero_p(want) ? least : (int)mpfr_get_exp(want);
    double ulps = fabs(mpfr_get_d(difference, MPFR_RNDN)) / ldexp(1, (exponent < least ? least : exponent) - digits);
    mpfr_clear(difference);
    return isnan(got) ? HUGE_VAL : ulps;
}

#endif
