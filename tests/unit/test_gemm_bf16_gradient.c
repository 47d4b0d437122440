/* Weight gradients in bf16 against their definition (nn/precision.h), bit for bit, in both orders, by the processor's
 * units and by emulation: blocks and pairs counted from each group's first row, groups up the lane tree, subnormals
 * zero inside of products and kept in sums. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/bf16.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"

#include "../../src/nn/gemm_pairs.h"

#if GEMM_UNITS /* AMX's file once more, on a model of its registers */
#include "support/amx_model.h"
#define gemm_tiles_amx gemm_tiles_amx_model
#include "../../src/nn/gemm_tiles_amx.c"
#undef gemm_tiles_amx
#endif

#define GROUPS 3
#define LANES 7
#define T_MAX 350
#define M_MAX 101
#define N_MAX 70
#define STRIDE 160 /* of rows of floats, and of bf16 numbers */
#define LDC (N_MAX + 3)

static void *take(size_t bytes)
{
    struct error e;
    void *room = mem_alloc(1, bytes, "a test", &e);
    assert_non_null(room);
    return room;
}

/* ---- the definition ---- */

static float flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static float fused(float a, float b, float sum)
{
    return flush(fmaf(a, b, sum));
}

/* Rows (a, b) of a chain, zero from `rows` on. */
struct terms {
    int rows;
    float a[T_MAX * LANES + 32], b[T_MAX * LANES + 32];
};

static float chain_sum(struct terms *terms, enum precision precision, enum bf16_order order)
{
    float sum = 0, *a = terms->a, *b = terms->b;
    memset(a + terms->rows, 0, sizeof *a * 32);
    memset(b + terms->rows, 0, sizeof *b * 32);
    if (precision == PRECISION_FLOAT32)
        for (int row = 0; row < terms->rows; row++)
            sum = fmaf(a[row], b[row], sum);
    else if (order == BF16_PAIR)
        for (int row = 0; row < terms->rows; row += 2) {
            sum = fused(a[row + 1], b[row + 1], sum);
            sum = fused(a[row], b[row], sum);
        }
    else
        for (int row = 0; row < terms->rows; row += 32) {
            float even = 0, odd = 0;
            for (int i = row; i < row + 32; i += 2) {
                even = fused(a[i], b[i], even);
                odd = fused(a[i + 1], b[i + 1], odd);
            }
            sum = flush(sum + flush(even + odd));
        }
    return sum;
}

/* ---- a product ---- */

struct gradient {
    struct gemm gemm;
    enum bf16_order order;
    struct gemm_sum sum;
    int m, n;
    bool settled, add, bias;
    float *a, *b;   /* [T][LANES][STRIDE], rounded */
    uint8_t *clear; /* [T][LANES] rows of B, or NULL */
};

static void append(const struct gradient *of, struct terms *terms, int group, int i, int j)
{
    for (int t = 0; t < of->sum.T; t++)
        for (int lane = of->sum.group_lane[group]; lane < of->sum.group_lane[group + 1]; lane++) {
            int row = t * LANES + lane;
            bool zero = of->clear && of->clear[row];
            terms->a[terms->rows] = of->a[row * STRIDE + i];
            terms->b[terms->rows++] = zero ? 0 : of->b[row * STRIDE + j];
        }
}

static float node_sum(const struct gradient *of, struct lane_node node, int i, int j)
{
    static struct terms terms;
    terms.rows = 0;
    if (node.end - node.begin == 1 || !of->sum.exact) {
        for (int g = node.begin; g < node.end; g++)
            append(of, &terms, g, i, j);
        return chain_sum(&terms, PRECISION_BF16, of->order);
    }
    int middle = lane_node_middle(node.begin, node.end);
    float left = node_sum(of, (struct lane_node){node.begin, middle}, i, j);
    return left + node_sum(of, (struct lane_node){middle, node.end}, i, j);
}

/* The sum of A's rows of a group: blocks of GEMM_KC, as in float32. */
static float group_bias(const struct gradient *of, int group, int i)
{
    float total = 0, chain = 0;
    static struct terms terms;
    terms.rows = 0;
    append(of, &terms, group, i, 0);
    for (int row = 0; row < terms.rows; row++) {
        chain += terms.a[row];
        if ((row + 1) % GEMM_KC == 0)
            total += chain, chain = 0;
    }
    return total + chain;
}

static float node_bias(const struct gradient *of, struct lane_node node, int i)
{
    if (node.end - node.begin == 1)
        return group_bias(of, node.begin, i);
    int middle = lane_node_middle(node.begin, node.end);
    float left = node_bias(of, (struct lane_node){node.begin, middle}, i);
    return left + node_bias(of, (struct lane_node){middle, node.end}, i);
}

static void assert_same(float is, float should)
{
    uint32_t bits[2];
    memcpy(bits, &is, sizeof is);
    memcpy(bits + 1, &should, sizeof should);
    if (!isnan(should) || !isnan(is))
        assert_int_equal(bits[0], bits[1]);
}

/* Rows as products read them. Beyond a row's numbers stands what must not be read as one. */
static struct gemm_lanes rows_of(const struct gradient *of, const float *x, int width, bool settled, void *room)
{
    int rows = of->sum.T * LANES;
    memset(room, 0xff, sizeof(float) * (size_t)rows * STRIDE);
    for (int r = 0; r < rows; r++) {
        float *to = (float *)room + r * STRIDE;
        memcpy(to, x + r * STRIDE, sizeof *to * (size_t)width);
        if (settled)
            gemm_settle(&of->gemm, to, gemm_round(width));
        else
            gemm_store(&of->gemm, x + r * STRIDE, width, (uint16_t *)room + r * STRIDE);
    }
    return gemm_lanes(settled ? gemm_settled(&of->gemm, room, STRIDE) : gemm_dense(&of->gemm, room, STRIDE), LANES);
}

/* C, and behind it the biases. */
static float *compute(struct gradient *of)
{
    int groups = of->sum.node.end - of->sum.node.begin, rows = gemm_sum_rows(&of->sum);
    size_t room = sizeof(float) * T_MAX * LANES * STRIDE, c_size = (M_MAX + 2) * LDC;
    void *a = take(room), *b = take(room);
    float *c = take(sizeof *c * c_size);
    for (size_t i = 0; i < c_size; i++)
        c[i] = (float)i / 8;
    struct gemm_lanes at_a = rows_of(of, of->a, of->m, of->settled, a),
                      at_b = rows_of(of, of->b, of->n, !of->settled, b);
    struct gemm_factor factor = {of->sum, at_b, of->m, of->n, take(gemm_factor_bytes(&of->gemm, of->n, groups, rows))};
    of->gemm.gradient_scratch = take((size_t)of->gemm.threads * gemm_gradient_scratch_bytes(&of->gemm, groups, rows));
    gemm_factor_pack(&of->gemm, &factor);
    if (of->clear)
        gemm_factor_clear(&of->gemm, &factor, of->clear, LANES);
    gemm_gradient(&of->gemm, &(struct gemm_gradient){.factor = &factor,
                                                     .a = at_a,
                                                     .add = of->add,
                                                     .c = c,
                                                     .ldc = LDC,
                                                     .bias = of->bias ? c + M_MAX * LDC : NULL});
    mem_free(a);
    mem_free(b);
    mem_free(factor.packed);
    mem_free(of->gemm.gradient_scratch);
    return c;
}

static void check(struct gradient *of)
{
    float *c = compute(of);
    for (int i = 0; i < of->m; i++) {
        for (int j = 0; j < LDC; j++) {
            float before = (float)(i * LDC + j) / 8, sum = j < of->n ? node_sum(of, of->sum.node, i, j) : 0;
            assert_same(c[i * LDC + j], j >= of->n ? before : of->add ? before + sum : sum);
        }
        float before = (float)(M_MAX * LDC + i) / 8, sum = of->bias ? node_bias(of, of->sum.node, i) : 0;
        assert_same(c[M_MAX * LDC + i], !of->bias ? before : of->add ? before + sum : sum);
    }
    mem_free(c);
}

/* ---- kinds ---- */

enum computed_by { UNIT, EMULATION, AMX_MODEL };
struct kind {
    enum bf16_order order;
    enum computed_by by;
};
static const struct kind kinds[] = {
    {BF16_TILE, UNIT}, {BF16_TILE, EMULATION}, {BF16_PAIR, UNIT}, {BF16_PAIR, EMULATION}, {BF16_TILE, AMX_MODEL}};
#define EACH_KIND(k) for (int k = 0; k < 4 + GEMM_UNITS; k++)

static const struct gemm_kind *kind_of(struct kind kind)
{
    static struct gemm_kind with_model;
    with_model = gemm_tile_emulated;
#if GEMM_UNITS
    with_model.tiles = &gemm_tiles_amx_model;
#endif
    if (kind.by == AMX_MODEL)
        return &with_model;
    setenv("UNROLL_BF16", kind.by == UNIT ? "unit" : "emulate", 1);
    return gemm_kind(PRECISION_BF16, kind.order);
}

static const int group_lane[GROUPS + 1] = {0, 1, 5, LANES};

static struct gradient gradient_of(struct kind kind, int threads)
{
    struct error e;
    struct gradient of = {.order = kind.order, .sum = {{0, GROUPS}, 0, group_lane, 1, true}};
    size_t count = (size_t)T_MAX * LANES * STRIDE;
    assert_int_equal(gemm_init(&of.gemm, kind_of(kind), threads, &e), STATUS_OK);
    of.a = take(sizeof(float) * count);
    of.b = take(sizeof(float) * count);
    for (size_t i = 0; i < count; i++) {
        struct rng_bits bits = rng_philox(2, RNG_TEST, 17, 0, 0, (uint32_t)i);
        of.a[i] = bf16_expand(bf16_round(2 * rng_uniform_float(bits.word[0]) - 1));
        of.b[i] = bf16_expand(bf16_round(2 * rng_uniform_float(bits.word[1]) - 1));
    }
    return of;
}

static void drop(struct gradient *of)
{
    mem_free(of->a);
    mem_free(of->b);
}

/* ---- tests ---- */

/* Groups of T, 4 T and 2 T rows: 1 and 2, 31 to 33, 700 and 1400. All else takes turns. */
static void test_shapes(void **unused)
{
    (void)unused;
    static const int Ts[] = {1, 8, 31, 32, 33, T_MAX}, ms[] = {1, 12, 45, M_MAX}, ns[] = {1, 16, 33, N_MAX};
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        int turn = 0;
        for (int t = 0; t < 6; t++)
            for (int i = 0; i < 4; i++, turn++) {
                of.sum.T = Ts[t];
                of.m = ms[i];
                of.n = ns[(i + t) % 4];
                of.settled = turn & 1, of.add = turn >> 1 & 1, of.bias = (turn >> 2 & 1) || turn % 3;
                of.gemm.threads = 1 + turn % 3;
                check(&of);
            }
        drop(&of);
    }
}

static void test_one_chain(void **unused)
{
    (void)unused;
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 2);
        of.m = 40, of.n = 37, of.sum.T = 5;
        check(&of);
        of.sum.exact = false;
        check(&of);
        of.sum.T = 90;
        check(&of);
        drop(&of);
    }
}

/* A node in the middle of the tree, and one group alone. */
static void test_nodes(void **unused)
{
    (void)unused;
    static const int from_second[] = {1, 5, LANES};
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        of.m = 20, of.n = 19, of.sum.T = 9, of.bias = true;
        of.sum.node = (struct lane_node){1, 3};
        check(&of);
        of.sum.node = (struct lane_node){1, 2};
        check(&of);
        of.sum.node = (struct lane_node){0, 2};
        of.sum.group_lane = from_second;
        check(&of);
        drop(&of);
    }
}

static void test_cleared_rows(void **unused)
{
    (void)unused;
    uint8_t marks[40 * LANES];
    for (int i = 0; i < 40 * LANES; i++)
        marks[i] = i % 5 == 2 || i % 7 == 3;
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        of.sum.T = 40, of.clear = marks;
        of.m = 50, of.n = 70;
        check(&of);
        of.m = 70, of.n = 12; /* turned, where tiles have two sides */
        check(&of);
        of.sum.exact = false;
        check(&of);
        drop(&of);
    }
}

/* A NaN stays in its row or column; so does infinity. */
static void test_nan(void **unused)
{
    (void)unused;
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        of.sum.T = 10, of.m = 50, of.n = 40, of.bias = true;
        of.a[(3 * LANES + 2) * STRIDE + 17] = NAN;
        of.b[(6 * LANES + 1) * STRIDE + 33] = NAN;
        of.b[(6 * LANES + 1) * STRIDE + 5] = INFINITY;
        float *c = compute(&of);
        for (int i = 0; i < of.m; i++)
            for (int j = 0; j < of.n; j++)
                assert_true(isnan(c[i * LDC + j]) == (i == 17 || j == 33));
        assert_true(isinf(c[5]));
        mem_free(c);
        check(&of);
        drop(&of);
    }
}

/* Products and sums that are subnormal are zero; those that groups and the earlier C add up are not. */
static void test_subnormal(void **unused)
{
    (void)unused;
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        of.m = 13, of.n = 34;
        for (int i = 0; i < T_MAX * LANES * STRIDE; i++)
            of.a[i] *= 0x1p-63f, of.b[i] *= 0x1p-62f;
        for (of.sum.T = 1; of.sum.T < 40; of.sum.T += 12)
            check(&of);
        /* two groups whose sums differ by a subnormal */
        of.sum.T = 1, of.sum.node = (struct lane_node){0, 2}, of.n = 1;
        memset(of.b, 0, sizeof *of.b * LANES * STRIDE);
        of.a[0] = 0x1.8p-63f, of.b[0] = 0x1p-63f;
        of.a[STRIDE] = -0x1p-63f, of.b[STRIDE] = 0x1p-63f;
        float *c = compute(&of);
        assert_same(c[0], 0x1p-127f); /* its bits: where flags are left on, it equals zero */
        mem_free(c);
        drop(&of);
    }
}

/* A sum that is flushed to -0, and then a short block of which each product is -0: the zeros that fill the block make
 * it +0. */
static void test_filled_block(void **unused)
{
    (void)unused;
    static const float a[] = {0x1p-126f, -0x1.8p-126f, -0x1p-100f, -0x1p-100f}, b[] = {1, 1, 0x1p-100f, 0x1p-100f};
    static const int at[] = {0, 32, 64, 65};
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        of.m = 1, of.n = 1, of.sum.node = (struct lane_node){0, 1};
        memset(of.a, 0, sizeof *of.a * T_MAX * LANES * STRIDE);
        for (int i = 0; i < 4; i++)
            of.a[at[i] * LANES * STRIDE] = a[i], of.b[at[i] * LANES * STRIDE] = b[i];
        for (of.sum.T = 64; of.sum.T <= 66; of.sum.T++)
            check(&of);
        drop(&of);
    }
}

/* The first row of the result whose sum comes out otherwise in float32, in tiles and in pairs. */
static int row_that_differs(const struct gradient *of, float sum[3])
{
    struct terms *terms = take(sizeof *terms);
    int row = -1;
    do {
        row++;
        for (int i = 0; i < 3; i++) {
            terms->rows = 0;
            append(of, terms, 1, row, 0);
            sum[i] = chain_sum(terms, i == 2 ? PRECISION_FLOAT32 : PRECISION_BF16, i == 1 ? BF16_PAIR : BF16_TILE);
        }
    } while (row < M_MAX && (sum[0] == sum[1] || sum[0] == sum[2] || sum[1] == sum[2]));
    mem_free(terms);
    return row;
}

/* No path can pass for another. */
static void test_orders_differ(void **unused)
{
    (void)unused;
    EACH_KIND(k)
    {
        struct gradient of = gradient_of(kinds[k], 1);
        float sum[3];
        of.sum.T = 20, of.sum.node = (struct lane_node){1, 2};
        int row = row_that_differs(&of, sum);
        assert_true(row < M_MAX);
        of.m = row + 1, of.n = 1;
        float *c = compute(&of);
        assert_same(c[row * LDC], sum[of.order == BF16_PAIR]);
        mem_free(c);
        drop(&of);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),       cmocka_unit_test(test_one_chain),     cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_cleared_rows), cmocka_unit_test(test_nan),           cmocka_unit_test(test_subnormal),
        cmocka_unit_test(test_filled_block), cmocka_unit_test(test_orders_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
