/* Rows times weights in bf16, by each unit and by emulation, against the orders of nn/precision.h written out one
 * number after another: bit for bit, with numbers that underflow, infinities and NaN. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/nn/gemm_pairs.h"
#include "unroll/base/bf16.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"

/* ---- kinds ---- */

#if GEMM_UNITS /* AMX's file once more, on a model of its registers */
#include "support/amx_model.h"
#define gemm_tile_amx tile_by_model
#define amx_permitted model_permitted
#include "../../src/nn/gemm_amx.c"
#undef gemm_tile_amx
#undef amx_permitted
#endif

/* Emulation once more as for processors that do not flush as x86 does. */
#define GEMM_FLUSH_BY_HAND
#define gemm_tile_emulated tile_by_hand
#define gemm_pair_emulated pair_by_hand
#include "../../src/nn/gemm_emulated.c"
#undef gemm_tile_emulated
#undef gemm_pair_emulated

/* Emulation in both ways, the unit if this processor has it, and the model where its panels can be packed. */
static int kinds_of(enum bf16_order order, const struct gemm_kind *kinds[4])
{
    int count = gemm_kinds(order, kinds);
    kinds[count++] = order == BF16_TILE ? &tile_by_hand : &pair_by_hand;
#if GEMM_UNITS
    const struct gemm_kind *pairs[2];
    if (order == BF16_TILE && gemm_kinds(BF16_PAIR, pairs) > 1)
        kinds[count++] = &tile_by_model;
#endif
    return count;
}

/* ---- the definition ---- */

static float flushed(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

/* Whether a result is subnormal is decided after rounding to 24 bits, as if exponents had no end: so 2^64 further up.
 * Of two factors the smaller has room for it. */
static float fused(float a, float b, float c)
{
    a = flushed(a), b = flushed(b), c = flushed(c);
    float small = fabsf(a) < fabsf(b) ? a : b, large = fabsf(a) < fabsf(b) ? b : a;
    float sum = fmaf(a, b, c);
    if (fabsf(sum) <= 0x1p-126f && fabsf(fmaf(small * 0x1p64f, large, c * 0x1p64f)) < 0x1p-62f)
        return copysignf(0, sum);
    return sum;
}

static float added(float a, float b)
{
    return flushed(flushed(a) + flushed(b));
}

/* Numbers `at` and on of a row and of a column; those from k on are zero. */
struct factors {
    const float *a, *w;
    int k;
};

static float next(const struct factors *of, int i, float sum)
{
    return i < of->k ? fused(of->a[i], of->w[i], sum) : fused(0, 0, sum);
}

static float plain_sum(enum bf16_order order, const struct factors *of, float sum)
{
    if (order == BF16_PAIR)
        for (int i = 0; i < of->k; i += 2)
            sum = next(of, i, next(of, i + 1, sum));
    else
        for (int i = 0; i < of->k; i += 32) {
            float even = 0, odd = 0;
            for (int j = i; j < i + 32; j += 2)
                even = next(of, j, even), odd = next(of, j + 1, odd);
            sum = added(sum, added(even, odd));
        }
    return sum;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fc00000u : bits;
}

/* ---- one product ---- */

#define ROWS_MAX 70
#define K_MAX (2 * GEMM_KC + 5)
#define N_MAX (3 * GEMM_WIDE + 7)

struct shape {
    int rows, k, n;
    bool transposed, settled, packed, accumulate;
    int cut; /* of k, into two segments; 0: none */
};

struct numbers {
    float *a, *w, *before; /* [rows][K_MAX rounded], [k][n] or transposed, [rows][N_MAX rounded] */
};

static void *room(size_t bytes)
{
    struct error e;
    void *place = mem_alloc(bytes, 1, "a test", &e);
    assert_non_null(place);
    return place;
}

#define LDA (gemm_round(K_MAX) + GEMM_WIDE)
#define LDW (N_MAX > K_MAX ? N_MAX : K_MAX)

static float weight(const struct shape *shape, const struct numbers *numbers, int i, int j)
{
    return shape->transposed ? numbers->w[j * LDW + i] : numbers->w[i * LDW + j];
}

static void expect(enum bf16_order order, const struct shape *shape, const struct numbers *numbers, const float *c)
{
    int64_t ldc = gemm_round(N_MAX);
    float a[K_MAX], w[K_MAX];
    for (int r = 0; r < shape->rows; r++)
        for (int j = 0; j < shape->n; j++) {
            float sum = shape->accumulate ? numbers->before[r * ldc + j] : 0;
            for (int begin = 0, end = shape->cut ? shape->cut : shape->k; begin < shape->k;
                 begin = end, end = shape->k) {
                for (int i = begin; i < end; i++) {
                    a[i] = bf16_expand(bf16_round(numbers->a[r * LDA + i]));
                    w[i] = bf16_expand(bf16_round(weight(shape, numbers, i, j)));
                }
                struct factors of = {a + begin, w + begin, end - begin};
                sum = plain_sum(order, &of, sum);
            }
            if (bits_of(c[r * ldc + j]) != bits_of(sum))
                fail_msg("%d x %d x %d: element %d, %d is %a, should be %a", shape->rows, shape->k, shape->n, r, j,
                         (double)c[r * ldc + j], (double)sum);
        }
}

/* A's rows as products read them; what follows a row's end is NaN. */
static struct gemm_view view_of(const struct gemm *gemm, const struct shape *shape, const struct numbers *numbers,
                                int begin, int end, float *stored)
{
    const int stride = gemm_round(K_MAX);
    memset(stored, 0xff, sizeof *stored * ROWS_MAX * (size_t)stride);
    for (int r = 0; r < shape->rows; r++) {
        float row[K_MAX + GEMM_WIDE];
        for (int i = 0; i < K_MAX + GEMM_WIDE; i++)
            row[i] = i < end - begin ? numbers->a[r * LDA + begin + i] : NAN;
        if (shape->settled) {
            memcpy(stored + r * stride, row, sizeof *row * (size_t)stride);
            gemm_settle(gemm, stored + r * stride, stride);
        } else {
            gemm_store(gemm, row, stride, (uint16_t *)stored + r * stride);
        }
    }
    return shape->settled ? gemm_settled(gemm, stored, stride) : gemm_dense(gemm, stored, stride);
}

static void compute(const struct gemm *gemm, const struct shape *shape, const struct numbers *numbers, float *c)
{
    const int64_t ldc = gemm_round(N_MAX);
    struct gemm_weights weights[2];
    struct gemm_operand operand = {.segments = shape->cut ? 2 : 1};
    void *stored[2], *panels[2];
    for (int s = 0; s < operand.segments; s++) {
        int begin = s ? shape->cut : 0, end = shape->cut && !s ? shape->cut : shape->k;
        stored[s] = room(sizeof(float) * ROWS_MAX * (size_t)gemm_round(K_MAX));
        panels[s] = room(gemm_panels_bytes(gemm, end - begin, shape->n));
        memset(panels[s], 0xff, gemm_panels_bytes(gemm, end - begin, shape->n));
        weights[s] = (struct gemm_weights){numbers->w + (shape->transposed ? begin : begin * LDW),
                                           LDW,
                                           shape->transposed,
                                           end - begin,
                                           shape->n,
                                           panels[s]};
        if (shape->packed)
            gemm_pack(gemm, &weights[s]);
        else
            weights[s].panels = NULL;
        operand.segment[s].a = view_of(gemm, shape, numbers, begin, end, stored[s]);
        operand.segment[s].w = &weights[s];
    }
    if (shape->accumulate) {
        memcpy(c, numbers->before, sizeof *c * (size_t)(shape->rows * ldc));
        for (int panel = 0; panel * GEMM_WIDE < shape->n; panel++)
            gemm_panel(gemm, &weights[0], panel, shape->rows, operand.segment[0].a, true, c + panel * GEMM_WIDE, ldc);
    } else {
        gemm_rows(gemm, &operand, shape->rows, c, ldc);
    }
    for (int s = 0; s < operand.segments; s++) {
        mem_free(stored[s]);
        mem_free(panels[s]);
    }
}

static void check_shape(const struct shape *shape, const struct numbers *numbers)
{
    for (enum bf16_order order = BF16_TILE; order <= BF16_PAIR; order++) {
        const struct gemm_kind *kinds[4];
        for (int i = kinds_of(order, kinds) - 1; i >= 0; i--) {
            struct error e;
            struct gemm gemm;
            assert_int_equal(gemm_init(&gemm, kinds[i], 1 + shape->rows % 2, &e), STATUS_OK);
            gemm.scratch = room(2 * gemm_scratch_bytes(&gemm));
            float *c = room(sizeof *c * ROWS_MAX * (size_t)gemm_round(N_MAX));
            compute(&gemm, shape, numbers, c);
            expect(order, shape, numbers, c);
            mem_free(c);
            mem_free(gemm.scratch);
        }
    }
}

static float uniform(uint32_t what, size_t i)
{
    return 2 * rng_uniform_float(rng_philox(3, RNG_TEST, what, 0, 0, (uint32_t)i).word[0]) - 1;
}

static struct numbers draw(float a_scale, float w_scale)
{
    size_t a = (size_t)ROWS_MAX * LDA, w = (size_t)LDW * LDW, before = (size_t)ROWS_MAX * gemm_round(N_MAX);
    struct numbers numbers = {room(sizeof(float) * a), room(sizeof(float) * w), room(sizeof(float) * before)};
    for (size_t i = 0; i < a; i++)
        numbers.a[i] = a_scale * uniform(1, i);
    for (size_t i = 0; i < w; i++)
        numbers.w[i] = w_scale * uniform(2, i);
    for (size_t i = 0; i < before; i++)
        numbers.before[i] = a_scale * w_scale * uniform(3, i);
    return numbers;
}

static void discard(struct numbers *numbers)
{
    mem_free(numbers->a);
    mem_free(numbers->w);
    mem_free(numbers->before);
}

static void test_shapes(void **unused)
{
    (void)unused;
    static const int rows[] = {1, 5, 12, 19, 31, ROWS_MAX}, ks[] = {1, 2, 37, 64, GEMM_KC - 1, GEMM_KC + 1, K_MAX},
                     ns[] = {1, GEMM_WIDE / 2, GEMM_WIDE + 3, N_MAX};
    struct numbers numbers = draw(1, 1);
    int turn = 0;
    for (int r = 0; r < 6; r++)
        for (int k = 0; k < 7; k++)
            for (int n = 0; n < 4; n++, turn++) { /* the other choices take turns */
                struct shape shape = {.rows = rows[r], .k = ks[k], .n = ns[n]};
                shape.transposed = turn & 1;
                shape.settled = turn >> 1 & 1;
                shape.packed = turn >> 2 & 1;
                shape.cut = ks[k] > 2 && turn % 3 == 1 ? ks[k] / 3 : 0;
                shape.accumulate = shape.packed && !shape.cut && turn % 3 == 0;
                check_shape(&shape, &numbers);
            }
    discard(&numbers);
}

/* ---- numbers that are not ordinary ---- */

static const struct shape odd_shapes[] = {
    {.rows = 19, .k = 71, .n = GEMM_WIDE + 3, .packed = true, .accumulate = true},
    {.rows = 34, .k = 64, .n = GEMM_WIDE / 2, .packed = true},
    {.rows = 50, .k = GEMM_KC + 33, .n = 2 * GEMM_WIDE, .transposed = true, .settled = true},
};

static void check_odd_shapes(const struct numbers *numbers)
{
    for (int i = 0; i < 3; i++)
        check_shape(&odd_shapes[i], numbers);
}

/* Products between 2^-132 and 2^-122, and sums of C as small. */
static void test_underflow(void **unused)
{
    (void)unused;
    struct numbers numbers = draw(0x1p-62f, 0x1p-63f);
    for (size_t i = 0; i < (size_t)ROWS_MAX * LDA; i++)
        numbers.a[i] = ldexpf(numbers.a[i], (int)(i % 11) - 5);
    check_odd_shapes(&numbers);
    discard(&numbers);
}

static void test_infinity_and_nan(void **unused)
{
    (void)unused;
    struct numbers numbers = draw(1, 1);
    numbers.a[3 * LDA + 20] = INFINITY;
    numbers.a[4 * LDA + 63] = -INFINITY;
    numbers.a[4 * LDA + 5] = INFINITY;
    numbers.a[7 * LDA + 33] = NAN;
    numbers.a[18 * LDA + 70] = NAN;
    numbers.a[30 * LDA] = 0x1.fep127f; /* overflows */
    numbers.a[30 * LDA + 2] = 0x1.fep127f;
    check_odd_shapes(&numbers); /* that NaN stays in its row is part of what is expected */
    numbers.w[13 * LDW + 2] = INFINITY;
    numbers.w[60 * LDW + 1] = NAN;
    check_odd_shapes(&numbers);
    discard(&numbers);
}

/* One row of numbers given as bf16, times one column, by every kind. */
static void check_dot(int k, const uint16_t *a, const float *w, float before, float tile, float pair)
{
    for (enum bf16_order order = BF16_TILE; order <= BF16_PAIR; order++) {
        const struct gemm_kind *kinds[4];
        for (int i = kinds_of(order, kinds) - 1; i >= 0; i--) {
            uint16_t row[GEMM_WIDE] = {0};
            float c[GEMM_WIDE] __attribute__((aligned(64))) = {before};
            unsigned char panel[32 * GEMM_WIDE * sizeof(float)] __attribute__((aligned(64)));
            memcpy(row, a, sizeof *a * (size_t)k);
            struct gemm_weights weights = {w, 1, false, k, 1, NULL};
            kinds[i]->pack(&weights, 0, k, 0, panel);
            kinds[i]->multiply(1, k, (struct gemm_view){row, 64, 64}, panel, 0, 1, true, c, GEMM_WIDE);
            if (bits_of(c[0]) != bits_of(order == BF16_TILE ? tile : pair))
                fail_msg("%s, order %d: %a", kinds[i]->unit, (int)order, (double)c[0]);
        }
    }
}

/* Whether a result is subnormal is decided after rounding to 24 bits. */
static void test_edge_of_underflow(void **unused)
{
    (void)unused;
    const float w[] = {-0x1p-75f, 0x1p-126f};
    /* in pairs: 2^-126 - 2^-151 lies halfway to 2^-126, which is even; in tiles the small product is lost */
    check_dot(2, (const uint16_t[]){0x1980, 0x3f80}, w, 0, 0x1p-126f, 0x1p-126f);
    /* 2^-126 - 2^-150 has 24 bits, and what lies a little above is rounded to it: both are subnormal */
    check_dot(2, (const uint16_t[]){0x1a00, 0x3f80}, w, 0, 0x1p-126f, 0);
    check_dot(2, (const uint16_t[]){0x19c0, 0x3f80}, w, 0, 0x1p-126f, 0);
    /* subnormal inputs are zero, with their sign; so is an earlier C */
    check_dot(1, (const uint16_t[]){0x007f}, (const float[]){0x1p100f}, 1, 1, 1);
    check_dot(1, (const uint16_t[]){0x3f80}, (const float[]){0x1p-127f}, 1, 1, 1);
    check_dot(1, (const uint16_t[]){0x3f80}, w + 1, 0x1p-127f, 0x1p-126f, 0x1p-126f);
}

#if defined __SSE__
static void test_mxcsr_restored(void **unused)
{
    (void)unused;
    struct numbers numbers = draw(1, 1);
    unsigned before = _mm_getcsr();
    check_odd_shapes(&numbers);
    assert_int_equal((before ^ _mm_getcsr()) & ~0x3fu, 0); /* but for what has happened */
    volatile float small = 0x1p-126f;
    assert_true(small / 2 > 0);
    discard(&numbers);
}
#else
#define test_mxcsr_restored test_shapes
#endif

/* A's last row ends where the next page may not be read. */
static void test_nothing_read_beyond(void **unused)
{
    (void)unused;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    struct numbers numbers = draw(1, 1);
    for (int k = 1; k <= 70; k += 3)
        for (enum bf16_order order = BF16_TILE; order <= BF16_PAIR; order++) {
            const struct gemm_kind *kinds[4];
            for (int i = kinds_of(order, kinds) - 1; i >= 0; i--) {
                float c[GEMM_ROWS * GEMM_WIDE] __attribute__((aligned(64)));
                unsigned char panel[96 * GEMM_WIDE * sizeof(float)] __attribute__((aligned(64)));
                struct gemm_weights weights = {numbers.w, LDW, false, k, GEMM_WIDE, NULL};
                kinds[i]->pack(&weights, 0, k, 0, panel);
                for (int rows = 1; rows <= GEMM_ROWS && rows * k * 2 <= (int)page; rows += 5)
                    kinds[i]->multiply(rows, k, (struct gemm_view){pages + page - rows * k * 2, k * 2, GEMM_WIDE * 2},
                                       panel, 0, GEMM_WIDE, false, c, GEMM_WIDE);
            }
        }
    munmap(pages, 2 * page);
    discard(&numbers);
}

/* What an instruction on tiles costs does not depend on rows, and a configuration costs more. */
static void test_tiles_of_rows(void **unused)
{
    (void)unused;
#if GEMM_UNITS
    struct numbers numbers = draw(1, 1);
    struct shape shape = {.rows = 50, .k = 96, .n = N_MAX, .packed = true}; /* 25 + 25 */
    const struct gemm_kind *kinds[4];
    if (kinds_of(BF16_TILE, kinds) > 1 && kinds[kinds_of(BF16_TILE, kinds) - 1] == &tile_by_model) {
        amx_configure(16, 1);
        int before = model.configured;
        check_shape(&shape, &numbers);
        assert_in_range(model.configured, before + 1, before + 1);
        assert_int_equal(model_rows(0), 16);
        assert_int_equal(model_rows(2), 9);
    }
    discard(&numbers);
#endif
}

/* ---- no kind can pass for another ---- */

/* Sums of one product in which float32, tile and pair all differ. */
static int differing(const struct shape *shape, const struct numbers *numbers)
{
    const int64_t ldc = gemm_round(N_MAX);
    const enum precision precisions[3] = {PRECISION_FLOAT32, PRECISION_BF16, PRECISION_BF16};
    float *c[3];
    for (int i = 0; i < 3; i++) {
        struct error e;
        struct gemm gemm;
        assert_int_equal(gemm_init(&gemm, gemm_kind(precisions[i], i == 1 ? BF16_TILE : BF16_PAIR), 1, &e), STATUS_OK);
        gemm.scratch = room(gemm_scratch_bytes(&gemm));
        c[i] = room(sizeof(float) * ROWS_MAX * (size_t)ldc);
        compute(&gemm, shape, numbers, c[i]);
        mem_free(gemm.scratch);
    }
    int count = 0;
    for (int r = 0; r < shape->rows; r++)
        for (int j = 0; j < shape->n; j++) {
            const float *at[3] = {c[0] + r * ldc + j, c[1] + r * ldc + j, c[2] + r * ldc + j};
            count += *at[0] != *at[1] && *at[1] != *at[2] && *at[0] != *at[2];
        }
    for (int i = 0; i < 3; i++)
        mem_free(c[i]);
    return count;
}

/* The products of inputs, of the recurrence and of outputs, forward and backward, as their layers ask for them; all
 * numbers are bf16 before, so that only orders differ. Gradients of weights: test_gemm_bf16_gradient.c. */
static void test_kinds_differ(void **unused)
{
    (void)unused;
    static const struct shape products[6] = {
        {.rows = 40, .k = 64, .n = 48, .transposed = true},                                    /* inputs */
        {.rows = 40, .k = 96, .n = 50, .settled = true},                                       /* back */
        {.rows = 5, .k = 64, .n = 50, .transposed = true, .packed = true, .accumulate = true}, /* recurrence */
        {.rows = 5, .k = 64, .n = 50, .settled = true, .packed = true, .accumulate = true},    /* back */
        {.rows = 40, .k = 64, .n = 51, .transposed = true},                                    /* outputs */
        {.rows = 40, .k = 65, .n = 50, .settled = true},                                       /* back */
    };
    struct numbers numbers = draw(1, 1);
    for (size_t i = 0; i < (size_t)ROWS_MAX * LDA; i++)
        numbers.a[i] = bf16_expand(bf16_round(numbers.a[i]));
    for (size_t i = 0; i < (size_t)LDW * LDW; i++)
        numbers.w[i] = bf16_expand(bf16_round(numbers.w[i]));
    for (int i = 0; i < 6; i++)
        assert_in_range(differing(&products[i], &numbers), 10, ROWS_MAX * N_MAX);
    discard(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),           cmocka_unit_test(test_underflow),
        cmocka_unit_test(test_infinity_and_nan), cmocka_unit_test(test_edge_of_underflow),
        cmocka_unit_test(test_mxcsr_restored),   cmocka_unit_test(test_nothing_read_beyond),
        cmocka_unit_test(test_tiles_of_rows),    cmocka_unit_test(test_kinds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
