/* Elementary functions: against the C library's in double precision, within the bounds that are stated where they
 * are defined, and alone in a vector as among others. Their bits, and those of the schedules, are compared by
 * digests. */
#include <math.h>

#include "selftest_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/vmath.h"
#include "unroll/train/schedule.h"

#define VALUES (1 << 14) /* arguments of a function on vectors */
#define DOUBLES 4096     /* ... and in double precision */

struct vector_function {
    const char *name;
    vfloat (*vector)(vfloat x);
    double (*real)(double x);
    double ulps; /* the largest error */
    float edge;  /* arguments are from -edge to edge */
};

static vfloat vector_exp(vfloat x)
{
    return vexp(x);
}

static vfloat vector_sigmoid(vfloat x)
{
    return vsigmoid(x);
}

static vfloat vector_tanh(vfloat x)
{
    return vtanh(x);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static const struct vector_function vector_functions[] = {
    {"exp", vector_exp, exp, 1, 87},
    {"sigmoid", vector_sigmoid, sigmoid, 1, 87},
    {"tanh", vector_tanh, tanh, 1, 12},
};

/* Half of the arguments over the whole range, half near zero; the first are places where something changes, some of
 * them beyond the range. */
static float test_argument(const struct vector_function *function, int i)
{
    static const float corners[] = {0, -0.0F, 0.25F, -0.25F, 0x1.fffffep-3F, 1e-20F, 88.72283F, -87.33654F, 200, -200};
    struct rng_bits bits = rng_philox(7, RNG_TEST, 0, 0, 0, (uint32_t)i);
    float u = 2 * rng_uniform_float(bits.word[0]) - 1;
    if (i < (int)(sizeof corners / sizeof *corners))
        return corners[i];
    return i % 2 ? u * function->edge : u;
}

static bool is_near(float is, double should, double ulps)
{
    int exponent;
    (void)frexp(should, &exponent);
    return fabs(is - should) <= ulps * ldexp(1, exponent > -125 ? exponent - 24 : -149);
}

static void check_vectors(const struct vector_function *function, struct selftest_outcome *outcome)
{
    for (int i = 0; i < VALUES; i += VLEN) {
        vfloat x, turned;
        for (int j = 0; j < VLEN; j++) {
            x[j] = test_argument(function, i + j);
            turned[(j + 5) % VLEN] = x[j];
        }
        vfloat y = function->vector(x), z = function->vector(turned);
        for (int j = 0; j < VLEN; j++) {
            float one = y[j], other = z[(j + 5) % VLEN];
            double should = function->real(x[j]);
            bool near = fabsf(x[j]) > function->edge || is_near(one, should, function->ulps);
            if (!near || !selftest_same(one, other)) {
                selftest_wrong(outcome, function->name, "%s of %a is %a, elsewhere in the vector %a; it should be %a",
                               function->name, (double)x[j], (double)one, (double)other, should);
                return;
            }
        }
    }
    selftest_right(outcome);
}

/* A NaN stays one; which one is no promise. */
static void check_nans(struct selftest_outcome *outcome)
{
    for (int f = 0; f < 3; f++) {
        vfloat y = vector_functions[f].vector(vset(NAN));
        if (isnan(y[0]))
            selftest_right(outcome);
        else
            selftest_wrong(outcome, vector_functions[f].name, "%s of NaN is %a", vector_functions[f].name,
                           (double)y[0]);
    }
}

static double sine(double turns)
{
    double s, c;
    arithmetic_sincos(turns, &s, &c);
    return s;
}

static double cosine(double turns)
{
    double s, c;
    arithmetic_sincos(turns, &s, &c);
    return c;
}

static double square_root(double x)
{
    return arithmetic_pow(x, 0.5);
}

static double thousandth_power(double x)
{
    return arithmetic_pow(x, 1000);
}

static double float_log(double x)
{
    return arithmetic_logf((float)x);
}

/* Those of base/arithmetic.h: the right values to the last bit, from 300 bits of precision. */
static void check_doubles(struct selftest_outcome *outcome)
{
    static const struct {
        const char *name;
        double (*function)(double x);
        double x, value;
    } known[] = {
        {"exp", arithmetic_exp, 1, 0x1.5bf0a8b145769p+1},
        {"exp", arithmetic_exp, -0.001, 0x1.ff7cfe56f1a9ep-1},
        {"exp", arithmetic_exp, 700, 0x1.d945df4f8ec8ep+1009},
        {"exp", arithmetic_exp, -1e9, 0},
        {"log", arithmetic_log, 1, 0},
        {"log", arithmetic_log, 2, 0x1.62e42fefa39efp-1},
        {"log", arithmetic_log, 0x1.0000000000001p0, 0x1.fffffffffffffp-53},
        {"log", arithmetic_log, 1e-300, -0x1.5963447f87fb5p+9},
        {"log1p", arithmetic_log1p, 1e-10, 0x1.b7cdfd9d1d693p-34},
        {"log1p", arithmetic_log1p, -0.5, -0x1.62e42fefa39efp-1},
        {"x^0.5", square_root, 2, 0x1.6a09e667f3bcdp+0},
        {"x^1000", thousandth_power, 0.999, 0x1.788526411ed72p-2},
        {"sin", sine, 0.1, 0x1.2cf2304755a5ep-1},
        {"sin", sine, 0.5, 0},
        {"sin", sine, 0.7, -0x1.e6f0e134454ffp-1},
        {"cos", cosine, 0.1, 0x1.9e3779b97f4a8p-1},
        {"cos", cosine, 0.25, 0},
        {"cos", cosine, 0.7, -0x1.3c6ef372fe954p-2},
        {"logf", float_log, 3, 0x1.193ea8p+0},
        {"logf", float_log, 0x1.99999ap-4, -0x1.26bb1cp+1},
    };
    for (int i = 0; i < (int)(sizeof known / sizeof *known); i++) {
        double is = known[i].function(known[i].x);
        if (is == known[i].value)
            selftest_right(outcome);
        else
            selftest_wrong(outcome, known[i].name, "%s of %a is %a; it should be %a", known[i].name, known[i].x, is,
                           known[i].value);
    }
}

enum status selftest_functions(int threads, struct selftest_outcome *outcome, struct error *e)
{
    (void)threads;
    (void)e;
    for (int f = 0; f < 3; f++)
        check_vectors(&vector_functions[f], outcome);
    check_nans(outcome);
    check_doubles(outcome);
    return STATUS_OK;
}

/* ---- digests ---- */

static enum status digest_vectors(const struct vector_function *function, char hex[DIGEST_TEXT], struct error *e)
{
    float *all = mem_alloc(VALUES, sizeof *all, "a self-test", e);
    if (!all)
        return STATUS_OS;
    for (int i = 0; i < VALUES; i += VLEN) {
        vfloat x;
        for (int j = 0; j < VLEN; j++)
            x[j] = test_argument(function, i + j);
        vstore(all + i, function->vector(x));
    }
    digest_of(all, VALUES * sizeof *all, hex);
    mem_free(all);
    return STATUS_OK;
}

static enum status digest_exp(char hex[DIGEST_TEXT], struct error *e)
{
    return digest_vectors(&vector_functions[0], hex, e);
}

static enum status digest_sigmoid(char hex[DIGEST_TEXT], struct error *e)
{
    return digest_vectors(&vector_functions[1], hex, e);
}

static enum status digest_tanh(char hex[DIGEST_TEXT], struct error *e)
{
    return digest_vectors(&vector_functions[2], hex, e);
}

/* Over the ranges that training and evaluation have, with a logarithmic stretch for logarithms and powers. */
static enum status digest_doubles(char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    for (uint32_t i = 0; i < DOUBLES; i++) {
        struct rng_bits bits = rng_philox(8, RNG_TEST, 0, 0, 0, i);
        double u = rng_uniform_double(bits.word[0], bits.word[1]), v = rng_uniform_double(bits.word[2], bits.word[3]);
        double positive = ldexp(1 + u, (int)(120 * v) - 60);
        const double values[] = {
            arithmetic_exp(1400 * u - 700),
            arithmetic_exp(2 * v - 1),
            arithmetic_log(positive),
            arithmetic_log(0.9 + 0.2 * u),
            arithmetic_log1p(u - v / 2),
            arithmetic_pow(positive, 8 * v - 4),
            arithmetic_pow(0.999, i),
            arithmetic_logf((float)u),
            sine(4 * u - 2),
            cosine(4 * u - 2),
        };
        digest_add(digest, values, sizeof values);
    }
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

static enum status digest_schedules(char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_COSINE; kind++) {
        const struct schedule_config config = {.kind = (enum schedule_kind)kind,
                                               .lr = 0.3,
                                               .decay = 1.7,
                                               .every = 2,
                                               .patience = 1,
                                               .minimum = 0.001,
                                               .warmup = 7};
        for (int step = 0; step < 200; step++) {
            const struct schedule_point point = {
                .step = step, .epoch = step / 10, .total = 200, .factor = 1.0 / (1 + step / 50)};
            double lr = schedule_lr(&config, &point);
            digest_add(digest, &lr, sizeof lr);
        }
    }
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}

const struct selftest_function selftest_function_table[] = {
    {"functions", "exp", digest_exp},
    {"functions", "sigmoid", digest_sigmoid},
    {"functions", "tanh", digest_tanh},
    {"functions", "double precision", digest_doubles},
    {"schedules", "schedules", digest_schedules},
};
const int selftest_function_count = sizeof selftest_function_table / sizeof *selftest_function_table;
