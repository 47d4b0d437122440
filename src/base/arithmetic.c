/* Elementary functions in pairs of doubles: Dekker (1971), "A floating-point technique for extending the available
 * precision", with the product's error by fused multiply-add. A pair is the unevaluated sum high + low, |low| <=
 * ulp(high) / 2: about 106 bits, so that series need no tricks and results are nearly always the correctly rounded
 * ones. */
#include "unroll/base/arithmetic.h"

#include <math.h>
#include <stdbool.h>

struct pair {
    double high, low;
};

static const struct pair ln2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
static const struct pair two_pi = {0x1.921fb54442d18p+2, 0x1.1a62633145c07p-52};

/* |a| >= |b|, or a = 0 */
static struct pair sum_ordered(double a, double b)
{
    double sum = a + b;
    return (struct pair){sum, b - (sum - a)};
}

static struct pair sum_of(double a, double b)
{
    double sum = a + b, part = sum - a;
    return (struct pair){sum, (a - (sum - part)) + (b - part)};
}

static struct pair add(struct pair a, struct pair b)
{
    struct pair sum = sum_of(a.high, b.high);
    return sum_ordered(sum.high, sum.low + (a.low + b.low));
}

static struct pair multiply(struct pair a, struct pair b)
{
    double product = a.high * b.high;
    double low = fma(a.high, b.high, -product) + (a.high * b.low + a.low * b.high);
    return sum_ordered(product, low);
}

static struct pair divide(struct pair a, struct pair b)
{
    double quotient = a.high / b.high;
    double rest = fma(-quotient, b.high, a.high) + a.low - quotient * b.low;
    return sum_ordered(quotient, rest / b.high);
}

static struct pair number(double x)
{
    return (struct pair){x, 0};
}

/* exp(x) = 2^k exp(r), |r| <= ln2 / 2, by Taylor's series to degree 20: r^n / n! as 1 + r (1 + r/2 (1 + r/3 (...))).
 * The terms after the eighth are below 2^-32 of the whole: doubles are enough for them. */
static double exp_of(struct pair x)
{
    if (!(x.high > -746 && x.high < 710))
        return x.high != x.high ? x.high : x.high < 0 ? 0 : HUGE_VAL;
    double k = rint(x.high / ln2.high);
    struct pair r = add(x, multiply(number(-k), ln2));
    double tail = 1;
    for (int n = 20; n > 8; n--)
        tail = 1 + r.high / n * tail;
    struct pair sum = number(tail);
    for (int n = 8; n > 0; n--)
        sum = add(number(1), multiply(divide(r, number(n)), sum));
    return ldexp(sum.high + sum.low, (int)k);
}

/* log(x) = k ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), sqrt(1/2) <= m < sqrt(2): the series s + s^3/3 + s^5/5 + ...,
 * whose terms after s^13 are below 2^-35 of the whole: doubles are enough for them. */
static struct pair log_of(struct pair x)
{
    if (!(x.high > 0 && x.high < HUGE_VAL))
        return number(x.high == 0 ? -HUGE_VAL : x.high > 0 ? x.high : NAN);
    int k;
    if (frexp(x.high, &k) < M_SQRT1_2)
        k--;
    struct pair m = {ldexp(x.high, -k), ldexp(x.low, -k)};
    struct pair s = divide(add(m, number(-1)), add(m, number(1))), square = multiply(s, s);
    double tail = 0;
    for (int n = 33; n > 13; n -= 2)
        tail = 1.0 / n + square.high * tail;
    struct pair sum = number(tail);
    for (int n = 13; n > 0; n -= 2)
        sum = add(divide(number(1), number(n)), multiply(square, sum));
    sum = multiply(s, sum);
    return add(multiply(number(k), ln2), (struct pair){2 * sum.high, 2 * sum.low});
}

double arithmetic_exp(double x)
{
    return exp_of(number(x));
}

double arithmetic_log(double x)
{
    struct pair log = log_of(number(x));
    return log.high + log.low;
}

double arithmetic_log1p(double x)
{
    struct pair log = log_of(sum_of(1, x));
    return log.high + log.low;
}

double arithmetic_pow(double x, double y)
{
    if (y == 0)
        return 1;
    struct pair log = log_of(number(x));
    if (!(log.high > -HUGE_VAL && log.high < HUGE_VAL))
        return exp_of(number(log.high * y));
    return exp_of(multiply(log, number(y)));
}

/* On [-pi/4, pi/4], x = high + low: Taylor's series to x^19 and x^20. */
static double sine_of(struct pair x)
{
    double square = x.high * x.high, series = 0;
    for (int n = 18; n > 0; n -= 2)
        series = (1 + series) * -square / (n * (n + 1));
    return x.high + (x.low + x.high * series);
}

static double cosine_of(struct pair x)
{
    double square = x.high * x.high, series = 0;
    for (int n = 19; n > 2; n -= 2)
        series = (1 + series) * -square / (n * (n + 1));
    double half = square / 2, head = 1 - half; /* 1 - x^2/2 (1 + series) */
    double lost = (1 - head) - half + fma(x.high, x.high, -square) / -2;
    return head + (lost - x.high * x.low - half * series);
}

void arithmetic_sincos(double turns, double *sine, double *cosine)
{
    double rest = turns - rint(turns), quarter = rint(4 * rest);
    struct pair x = multiply(number(rest - quarter / 4), two_pi);
    double s = sine_of(x), c = cosine_of(x);
    bool swapped = quarter == 1 || quarter == -1;
    *sine = swapped ? quarter * c : quarter == 0 ? s : -s;
    *cosine = swapped ? -quarter * s : quarter == 0 ? c : -c;
}

float arithmetic_logf(float x)
{
    if (!(x > 0 && x < HUGE_VALF))
        return x == 0 ? -HUGE_VALF : x > 0 ? x : NAN;
    int k;
    if (frexpf(x, &k) < M_SQRT1_2)
        k--;
    double m = ldexp(x, -k), s = (m - 1) / (m + 1), square = s * s, series = 0;
    for (int n = 19; n > 0; n -= 2)
        series = fma(square, series, 1.0 / n);
    return (float)fma(k, ln2.high, 2 * s * series);
}

double arithmetic_dot(int n, const double *a, const double *b)
{
    double chain[8] = {0};
    int whole = n / 8 * 8;
    for (int k = 0; k < whole; k += 8)
        for (int j = 0; j < 8; j++)
            chain[j] = fma(a[k + j], b[k + j], chain[j]);
    for (int k = whole; k < n; k++)
        chain[k - whole] = fma(a[k], b[k], chain[k - whole]);
    return ((chain[0] + chain[1]) + (chain[2] + chain[3])) + ((chain[4] + chain[5]) + (chain[6] + chain[7]));
}
