/* The matrix products of nn/gemm.h against the same sums in plain C, at shapes that fill no tile, panel or block:
 * every bit must be the same. Here the order of additions is written out once more, as slowly and obviously as can
 * be. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "selftest_private.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"

/* Numbers from -1 to 1. */
static void fill_random(float *to, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        struct rng_bits bits = rng_philox(seed, RNG_TEST, 0, 0, 0, (uint32_t)(i / 4));
        to[i] = 2 * rng_uniform_float(bits.word[i % 4]) - 1;
    }
}

/* ---- rows times panels ---- */

#define ROWS_MAX 31
#define K_MAX (2 * GEMM_KC + 5)
#define N_MAX (3 * GEMM_WIDE + 7)

struct product {
    struct gemm_operand operand;
    struct gemm_weights weights[2]; /* of its segments */
    int rows, k, n;
    const float *a; /* of row r and number i: a[r * lda + i] */
    int64_t lda, ldc;
};

/* Element (r, j): chains from zero over blocks of k within each segment, and each chain added to what was. */
static float plain_product(const struct product *product, int r, int j, bool accumulate, float start)
{
    const struct gemm_operand *operand = &product->operand;
    float sum = start;
    const float *a = product->a + r * product->lda;
    for (int s = 0; s < operand->segments; a += product->weights[s++].k)
        for (int begin = 0; begin < product->weights[s].k; begin += GEMM_KC) {
            const struct gemm_weights *w = &product->weights[s];
            float chain = 0;
            for (int i = begin; i < w->k && i < begin + GEMM_KC; i++)
                chain = fmaf(a[i], w->transposed ? w->w[j * w->ldw + i] : w->w[i * w->ldw + j], chain);
            sum = accumulate ? sum + chain : chain;
            accumulate = true;
        }
    return sum;
}

static void compare_product(const struct product *product, const char *what, const float *before, const float *c,
                            struct selftest_outcome *outcome)
{
    for (int r = 0; r < product->rows; r++)
        for (int j = 0; j < product->n; j++) {
            float start = before ? before[r * product->ldc + j] : 0;
            float should = plain_product(product, r, j, before, start), is = c[r * product->ldc + j];
            if (!selftest_same(is, should)) {
                selftest_wrong(outcome, what, "%s of %d x %d x %d: element %d, %d is %a, plain C gives %a", what,
                               product->rows, product->k, product->n, r, j, (double)is, (double)should);
                return;
            }
        }
    selftest_right(outcome);
}

struct product_room {
    float *a, *w, *c, *before, *packed;
    struct gemm gemm;
};

/* One shape as gemm_rows computes it: whole, or in two segments, packed on the way or beforehand. */
static void check_rows(struct product *product, int segments, bool packed, const struct product_room *room,
                       struct selftest_outcome *outcome)
{
    struct gemm_operand *operand = &product->operand;
    struct gemm_weights *weights = product->weights;
    int cut = segments == 2 ? product->k / 3 + 1 : product->k;
    operand->segments = segments;
    weights[1] = weights[0];
    weights[0].k = cut;
    weights[1].k = product->k - cut;
    weights[1].w += weights->transposed ? cut : cut * weights->ldw;
    char *panels = packed ? (char *)room->packed : NULL;
    for (int s = 0; s < segments; s++) {
        operand->segment[s].a = gemm_dense(&room->gemm, product->a + (s ? cut : 0), product->lda);
        operand->segment[s].w = &weights[s];
        weights[s].panels = panels;
        if (panels) {
            gemm_pack(&room->gemm, &weights[s]);
            panels += gemm_panels_bytes(&room->gemm, weights[s].k, weights[s].n);
        }
    }
    gemm_rows(&room->gemm, operand, product->rows, room->c, product->ldc);
    compare_product(product, packed ? "rows times packed weights" : "rows times weights", NULL, room->c, outcome);
}

/* One panel of it, added to what is there. */
static void check_panel(struct product *product, const struct product_room *room, struct selftest_outcome *outcome)
{
    struct product panel = *product;
    panel.n = product->n < GEMM_WIDE ? product->n : GEMM_WIDE;
    panel.operand.segments = 1;
    panel.weights[0].k = product->k;
    panel.weights[0].panels = room->packed;
    memcpy(room->c, room->before, sizeof *room->c * (size_t)(product->rows * product->ldc));
    gemm_pack_panel(&room->gemm, &panel.weights[0], 0);
    gemm_panel(&room->gemm, &panel.weights[0], 0, product->rows, gemm_dense(&room->gemm, product->a, product->lda),
               true, room->c, product->ldc);
    compare_product(&panel, "rows added by a panel", room->before, room->c, outcome);
}

static void check_products(const struct product_room *room, struct selftest_outcome *outcome)
{
    static const int rows[] = {1, 5, 12, 19, ROWS_MAX}, ks[] = {2, 37, GEMM_KC - 1, GEMM_KC + 1, K_MAX},
                     ns[] = {1, GEMM_WIDE / 2, GEMM_WIDE + 3, 2 * GEMM_WIDE, N_MAX};
    int turn = 0;
    for (int r = 0; r < 5; r++)
        for (int k = 0; k < 5; k++)
            for (int n = 0; n < 5; n++, turn++) { /* the other choices take turns */
                bool transposed = turn & 1;
                struct product product = {.rows = rows[r], .k = ks[k], .n = ns[n], .ldc = gemm_stride(N_MAX)};
                product.a = room->a;
                product.lda = K_MAX + 3;
                product.weights[0] =
                    (struct gemm_weights){room->w, transposed ? K_MAX + 3 : N_MAX + 2, transposed, ks[k], ns[n], NULL};
                check_rows(&product, ks[k] > 2 ? 1 + (turn >> 1 & 1) : 1, turn >> 2 & 1, room, outcome);
                check_panel(&product, room, outcome);
            }
}

enum status selftest_products(int threads, struct selftest_outcome *outcome, struct error *e)
{
    const char *what = "a self-test";
    size_t a = (size_t)ROWS_MAX * (K_MAX + 3), w = (size_t)(K_MAX + 3) * (N_MAX + 2),
           c = (size_t)(ROWS_MAX * gemm_stride(N_MAX));
    struct gemm gemm;
    enum status status = gemm_init(&gemm, gemm_kind(PRECISION_FLOAT32, BF16_TILE), threads, e);
    if (status)
        return status;
    gemm.scratch = mem_alloc(threads, gemm_scratch_bytes(&gemm), what, e);
    struct product_room room = {
        .a = mem_alloc(a, sizeof(float), what, e),
        .w = mem_alloc(w, sizeof(float), what, e),
        .c = mem_alloc(c, sizeof(float), what, e),
        .before = mem_alloc(c, sizeof(float), what, e),
        .packed = mem_alloc(1, gemm_panels_bytes(&gemm, K_MAX, N_MAX), what, e),
        .gemm = gemm,
    };
    bool complete = room.a && room.w && room.c && room.before && room.packed && gemm.scratch;
    if (complete) {
        fill_random(room.a, a, 1);
        fill_random(room.w, w, 2);
        fill_random(room.before, c, 3);
        check_products(&room, outcome);
    }
    mem_free(room.a);
    mem_free(room.w);
    mem_free(room.c);
    mem_free(room.before);
    mem_free(room.packed);
    mem_free(gemm.scratch);
    return complete ? STATUS_OK : STATUS_OS;
}

/* ---- weight gradients ---- */

#define GROUPS_MAX 5
#define LANES_MAX 13
#define T_MAX 300
#define M_MAX 45
#define N_SIDE_MAX 67

struct gradient {
    struct gemm_sum sum;
    struct gemm_lanes a, b;
    int m, n;
};

static float number_at(struct gemm_lanes rows, int t, int lane, int i)
{
    return ((const float *)((const char *)rows.base + t * rows.time_stride + lane * rows.lane_stride))[i];
}

/* Chains over blocks of GEMM_KC rows of the group, each added to those before: of products of two elements, or with
 * j < 0 of A's alone. */
static float plain_group(const struct gradient *gradient, int group, int i, int j)
{
    const struct gemm_sum *sum = &gradient->sum;
    float total = 0, chain = 0;
    int rows = 0;
    for (int t = 0; t < sum->T; t++)
        for (int lane = sum->group_lane[group]; lane < sum->group_lane[group + 1]; lane++) {
            float a = number_at(gradient->a, t, lane, i);
            if (rows > 0 && rows % GEMM_KC == 0) {
                total = rows == GEMM_KC ? chain : total + chain;
                chain = 0;
            }
            rows++;
            chain = j < 0 ? chain + a : fmaf(a, number_at(gradient->b, t, lane, j), chain);
        }
    return rows <= GEMM_KC ? chain : total + chain;
}

static float plain_node(const struct gradient *gradient, struct lane_node node, int i, int j)
{
    if (node.end - node.begin == 1)
        return plain_group(gradient, node.begin, i, j);
    int middle = lane_node_middle(node.begin, node.end);
    return plain_node(gradient, (struct lane_node){node.begin, middle}, i, j) +
           plain_node(gradient, (struct lane_node){middle, node.end}, i, j);
}

static void compare_gradient(const struct gradient *gradient, const float *before, const float *c, int64_t ldc,
                             const float *bias_before, const float *bias, struct selftest_outcome *outcome)
{
    for (int i = 0; i < gradient->m; i++)
        for (int j = -1; j < gradient->n; j++) { /* -1: the bias */
            float should = plain_node(gradient, gradient->sum.node, i, j), is = j < 0 ? bias[i] : c[i * ldc + j];
            if (before)
                should = (j < 0 ? bias_before[i] : before[i * ldc + j]) + should;
            if (!selftest_same(is, should)) {
                const char *what = j < 0 ? "bias gradient" : "weight gradient";
                selftest_wrong(outcome, what, "%s of %d x %d over %d rows in %d groups: %d, %d is %a, plain C gives %a",
                               what, gradient->m, gradient->n, gemm_sum_rows(&gradient->sum), gradient->sum.node.end, i,
                               j, (double)is, (double)should);
                return;
            }
        }
    selftest_right(outcome);
}

struct gradient_room {
    struct gemm gemm;
    float *a, *b, *packed, *c, *before;
    size_t c_size;
};

static void check_gradient(struct gradient *gradient, bool add, const struct gradient_room *room,
                           struct selftest_outcome *outcome)
{
    const int64_t ldc = N_SIDE_MAX + 3;
    float *bias = room->c + M_MAX * ldc, *bias_before = room->before + M_MAX * ldc;
    memcpy(room->c, room->before, sizeof *room->c * room->c_size);
    struct gemm_factor factor = {gradient->sum, gradient->b, gradient->m, gradient->n, room->packed};
    struct gemm_gradient product = {&factor, gradient->a, add, room->c, ldc, bias};
    gemm_factor_pack(&room->gemm, &factor);
    gemm_gradient(&room->gemm, &product);
    compare_gradient(gradient, add ? room->before : NULL, room->c, ldc, bias_before, bias, outcome);
}

static void check_gradients(const struct gradient_room *room, struct selftest_outcome *outcome)
{
    static const int ms[] = {1, 13, M_MAX}, ns[] = {1, 12, 33, N_SIDE_MAX}, Ts[] = {1, 7, T_MAX},
                     lanes[][GROUPS_MAX + 1] = {{0, 3}, {0, 1, 3, 4}, {0, 3, 5, 8, 10, LANES_MAX}};
    static const int groups[] = {1, 3, GROUPS_MAX};
    int turn = 0;
    for (int m = 0; m < 3; m++)
        for (int n = 0; n < 4; n++)
            for (int t = 0; t < 3; t++)
                for (int g = 0; g < 3; g++, turn++) {
                    struct gradient gradient = {
                        .sum = {{0, groups[g]}, 0, lanes[g], Ts[t], true},
                        .a = gemm_lanes(gemm_dense(&room->gemm, room->a, 48), LANES_MAX),
                        .b = gemm_lanes(gemm_dense(&room->gemm, room->b, 80), LANES_MAX),
                        .m = ms[m],
                        .n = ns[n],
                    };
                    check_gradient(&gradient, turn & 1, room, outcome);
                }
}

enum status selftest_gradients(int threads, struct selftest_outcome *outcome, struct error *e)
{
    const char *what = "a self-test";
    const int rows = LANES_MAX * T_MAX;
    struct gemm gemm;
    enum status status = gemm_init(&gemm, gemm_kind(PRECISION_FLOAT32, BF16_TILE), threads, e);
    if (status)
        return status;
    gemm.gradient_scratch = mem_alloc(threads, gemm_gradient_scratch_bytes(&gemm, GROUPS_MAX, rows), what, e);
    struct gradient_room room = {
        .gemm = gemm,
        .a = mem_alloc((size_t)rows * 48, sizeof(float), what, e),
        .b = mem_alloc((size_t)rows * 80, sizeof(float), what, e),
        .packed = mem_alloc(1, gemm_factor_bytes(&gemm, N_SIDE_MAX, GROUPS_MAX, rows), what, e),
        .c_size = (size_t)M_MAX * (N_SIDE_MAX + 3) + M_MAX,
    };
    room.c = mem_alloc(room.c_size, sizeof(float), what, e);
    room.before = mem_alloc(room.c_size, sizeof(float), what, e);
    bool complete = room.a && room.b && room.packed && gemm.gradient_scratch && room.c && room.before;
    if (complete) {
        fill_random(room.a, (size_t)rows * 48, 4);
        fill_random(room.b, (size_t)rows * 80, 5);
        fill_random(room.before, room.c_size, 6);
        check_gradients(&room, outcome);
    }
    mem_free(room.a);
    mem_free(room.b);
    mem_free(room.packed);
    mem_free(gemm.gradient_scratch);
    mem_free(room.c);
    mem_free(room.before);
    return complete ? STATUS_OK : STATUS_OS;
}
