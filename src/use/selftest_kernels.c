/* The matrix products of nn/gemm.h against the same sums in plain C, at shapes that fill no tile, panel or block:
 * every bit must be the same. Here the orders of additions are written out once more, as slowly and obviously as can
 * be. bf16 is computed by all that this processor has for it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "selftest_private.h"
#include "unroll/base/bf16.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"

#define GROUPS_MAX 5
#define LANES_MAX 13
#define T_MAX 300
#define TERMS_MAX (LANES_MAX * T_MAX) /* of a sum: rows of a gradient */

/* What computes, and the order that it should add in. */
struct computed {
    const struct gemm_kind *kind;
    enum precision precision;
    enum bf16_order order;
    char name[40];
};

/* Numbers from -1 to 1. */
static void fill_random(float *to, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        struct rng_bits bits = rng_philox(seed, RNG_TEST, 0, 0, 0, (uint32_t)(i / 4));
        to[i] = 2 * rng_uniform_float(bits.word[i % 4]) - 1;
    }
}

/* Numbers as products read them. */
static float operand(const struct computed *by, float x)
{
    return by->precision == PRECISION_BF16 ? bf16_expand(bf16_round(x)) : x;
}

#define BLOCK 32

/* The operands of a sum. */
struct terms {
    int count;
    float a[TERMS_MAX + BLOCK], b[TERMS_MAX + BLOCK];
};

static void append(const struct computed *by, struct terms *terms, float a, float b)
{
    terms->a[terms->count] = operand(by, a);
    terms->b[terms->count++] = operand(by, b);
}

static float chain_of(const struct terms *terms, int begin, int end, int step)
{
    float chain = 0;
    for (int i = begin; i < end; i += step)
        chain = fmaf(terms->a[i], terms->b[i], chain);
    return chain;
}

/* Blocks of GEMM_KC terms, each a chain that is added to `sum`, or with `first` the first one is the sum. */
static float add_blocks(const struct terms *terms, bool first, float sum)
{
    for (int i = 0; i < terms->count; i += GEMM_KC) {
        float chain = chain_of(terms, i, i + GEMM_KC < terms->count ? i + GEMM_KC : terms->count, 1);
        sum = first && i == 0 ? chain : sum + chain;
    }
    return sum;
}

/* sum, or with `first` zero, and all terms. No number here is small enough to become subnormal. */
static float add_terms(const struct computed *by, struct terms *terms, bool first, float sum)
{
    if (by->precision == PRECISION_FLOAT32)
        return add_blocks(terms, first, sum);
    sum = first ? 0 : sum;
    for (int i = 0; i < BLOCK; i++)
        terms->a[terms->count + i] = terms->b[terms->count + i] = 0;
    if (by->order == BF16_TILE)
        for (int i = 0; i < terms->count; i += BLOCK)
            sum += chain_of(terms, i, i + BLOCK, 2) + chain_of(terms, i + 1, i + BLOCK, 2);
    else
        for (int i = 0; i < terms->count; i += 2)
            sum = fmaf(terms->a[i], terms->b[i], fmaf(terms->a[i + 1], terms->b[i + 1], sum));
    return sum;
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

/* Element (r, j): each segment is added to what was. */
static float plain_product(const struct computed *by, const struct product *product, int r, int j, bool accumulate,
                           float sum)
{
    struct terms terms;
    const struct gemm_operand *operand = &product->operand;
    const float *a = product->a + r * product->lda;
    for (int s = 0; s < operand->segments; a += product->weights[s++].k) {
        const struct gemm_weights *w = &product->weights[s];
        terms.count = 0;
        for (int i = 0; i < w->k; i++)
            append(by, &terms, a[i], w->transposed ? w->w[j * w->ldw + i] : w->w[i * w->ldw + j]);
        sum = add_terms(by, &terms, !accumulate && s == 0, sum);
    }
    return sum;
}

static void compare_product(const struct computed *by, const struct product *product, const char *what,
                            const float *before, const float *c, struct selftest_outcome *outcome)
{
    for (int r = 0; r < product->rows; r++)
        for (int j = 0; j < product->n; j++) {
            float start = before ? before[r * product->ldc + j] : 0;
            float should = plain_product(by, product, r, j, before, start), is = c[r * product->ldc + j];
            if (!selftest_same(is, should)) {
                selftest_wrong(outcome, what, "%s, %s, of %d x %d x %d: element %d, %d is %a, plain C gives %a", what,
                               by->name, product->rows, product->k, product->n, r, j, (double)is, (double)should);
                return;
            }
        }
    selftest_right(outcome);
}

struct product_room {
    const struct computed *by;
    float *a, *w, *c, *before;
    char *stored, *packed; /* stored: A as products read it */
    struct gemm gemm;
};

static struct gemm_view stored_view(const struct product *product, const struct product_room *room, int first)
{
    return gemm_dense(&room->gemm, room->stored + (size_t)first * gemm_number_bytes(&room->gemm), product->lda);
}

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
    char *panels = packed ? room->packed : NULL;
    for (int s = 0; s < segments; s++) {
        operand->segment[s].a = stored_view(product, room, s ? cut : 0);
        operand->segment[s].w = &weights[s];
        weights[s].panels = panels;
        if (panels) {
            gemm_pack(&room->gemm, &weights[s]);
            panels += gemm_panels_bytes(&room->gemm, weights[s].k, weights[s].n);
        }
    }
    gemm_rows(&room->gemm, operand, product->rows, room->c, product->ldc);
    compare_product(room->by, product, packed ? "rows times packed weights" : "rows times weights", NULL, room->c,
                    outcome);
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
    gemm_panel(&room->gemm, &panel.weights[0], 0, product->rows, stored_view(product, room, 0), true, room->c,
               product->ldc);
    compare_product(room->by, &panel, "rows added by a panel", room->before, room->c, outcome);
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

static enum status products(const struct computed *by, int threads, struct selftest_outcome *outcome, struct error *e)
{
    const char *what = "a self-test";
    size_t a = (size_t)ROWS_MAX * (K_MAX + 3), w = (size_t)(K_MAX + 3) * (N_MAX + 2),
           c = (size_t)(ROWS_MAX * gemm_stride(N_MAX));
    struct gemm gemm;
    enum status status = gemm_init(&gemm, by->kind, threads, e);
    if (status)
        return status;
    gemm.scratch = mem_alloc(threads, gemm_scratch_bytes(&gemm), what, e);
    struct product_room room = {
        .by = by,
        .a = mem_alloc(a, sizeof(float), what, e),
        .w = mem_alloc(w, sizeof(float), what, e),
        .c = mem_alloc(c, sizeof(float), what, e),
        .before = mem_alloc(c, sizeof(float), what, e),
        .stored = mem_alloc(a, sizeof(float), what, e),
        .packed = mem_alloc(2, gemm_panels_bytes(&gemm, K_MAX, N_MAX), what, e), /* of either segment */
        .gemm = gemm,
    };
    bool complete = room.a && room.w && room.c && room.before && room.stored && room.packed && gemm.scratch;
    if (complete) {
        fill_random(room.a, a, 1);
        fill_random(room.w, w, 2);
        fill_random(room.before, c, 3);
        gemm_store(&gemm, room.a, (int)a, room.stored);
        check_products(&room, outcome);
    }
    mem_free(room.a);
    mem_free(room.w);
    mem_free(room.c);
    mem_free(room.before);
    mem_free(room.stored);
    mem_free(room.packed);
    mem_free(gemm.scratch);
    return complete ? STATUS_OK : STATUS_OS;
}

/* ---- weight gradients ---- */

#define M_MAX 45
#define N_SIDE_MAX 67

#define A_STRIDE 48
#define B_STRIDE 80

struct gradient {
    struct gemm_sum sum;
    const float *a, *b; /* [T][LANES_MAX][A_STRIDE], [B_STRIDE] */
    int m, n;
};

/* The rows of a group: of products of two elements, or with j < 0 of A's alone. */
static float plain_group(const struct computed *by, const struct gradient *gradient, int group, int i, int j)
{
    const struct gemm_sum *sum = &gradient->sum;
    struct terms terms;
    terms.count = 0;
    for (int t = 0; t < sum->T; t++)
        for (int lane = sum->group_lane[group]; lane < sum->group_lane[group + 1]; lane++) {
            int row = t * LANES_MAX + lane;
            append(by, &terms, gradient->a[row * A_STRIDE + i], j < 0 ? 1 : gradient->b[row * B_STRIDE + j]);
        }
    return j < 0 ? add_blocks(&terms, true, 0) : add_terms(by, &terms, true, 0);
}

static float plain_node(const struct computed *by, const struct gradient *gradient, struct lane_node node, int i, int j)
{
    if (node.end - node.begin == 1)
        return plain_group(by, gradient, node.begin, i, j);
    int middle = lane_node_middle(node.begin, node.end);
    return plain_node(by, gradient, (struct lane_node){node.begin, middle}, i, j) +
           plain_node(by, gradient, (struct lane_node){middle, node.end}, i, j);
}

static void compare_gradient(const struct computed *by, const struct gradient *gradient, const float *before,
                             const float *c, int64_t ldc, const float *bias_before, const float *bias,
                             struct selftest_outcome *outcome)
{
    for (int i = 0; i < gradient->m; i++)
        for (int j = -1; j < gradient->n; j++) { /* -1: the bias */
            float should = plain_node(by, gradient, gradient->sum.node, i, j), is = j < 0 ? bias[i] : c[i * ldc + j];
            if (before)
                should = (j < 0 ? bias_before[i] : before[i * ldc + j]) + should;
            if (!selftest_same(is, should)) {
                const char *what = j < 0 ? "bias gradient" : "weight gradient";
                selftest_wrong(outcome, what,
                               "%s, %s, of %d x %d over %d rows in %d groups: %d, %d is %a, plain C gives %a", what,
                               by->name, gradient->m, gradient->n, gemm_sum_rows(&gradient->sum),
                               gradient->sum.node.end, i, j, (double)is, (double)should);
                return;
            }
        }
    selftest_right(outcome);
}

struct gradient_room {
    const struct computed *by;
    struct gemm gemm;
    float *a, *b, *c, *before;
    void *stored_a, *stored_b, *packed; /* stored: as products read them */
    size_t c_size;
};

static void check_gradient(struct gradient *gradient, bool add, const struct gradient_room *room,
                           struct selftest_outcome *outcome)
{
    const int64_t ldc = N_SIDE_MAX + 3;
    float *bias = room->c + M_MAX * ldc, *bias_before = room->before + M_MAX * ldc;
    memcpy(room->c, room->before, sizeof *room->c * room->c_size);
    struct gemm_lanes a = gemm_lanes(gemm_dense(&room->gemm, room->stored_a, A_STRIDE), LANES_MAX),
                      b = gemm_lanes(gemm_dense(&room->gemm, room->stored_b, B_STRIDE), LANES_MAX);
    struct gemm_factor factor = {gradient->sum, b, gradient->m, gradient->n, room->packed};
    struct gemm_gradient product = {&factor, a, add, room->c, ldc, bias};
    gemm_factor_pack(&room->gemm, &factor);
    gemm_gradient(&room->gemm, &product);
    compare_gradient(room->by, gradient, add ? room->before : NULL, room->c, ldc, bias_before, bias, outcome);
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
                        .a = room->a,
                        .b = room->b,
                        .m = ms[m],
                        .n = ns[n],
                    };
                    check_gradient(&gradient, turn & 1, room, outcome);
                }
}

static enum status gradients(const struct computed *by, int threads, struct selftest_outcome *outcome, struct error *e)
{
    const char *what = "a self-test";
    const int rows = LANES_MAX * T_MAX;
    const size_t a = (size_t)rows * A_STRIDE, b = (size_t)rows * B_STRIDE;
    struct gemm gemm;
    enum status status = gemm_init(&gemm, by->kind, threads, e);
    if (status)
        return status;
    gemm.gradient_scratch = mem_alloc(threads, gemm_gradient_scratch_bytes(&gemm, GROUPS_MAX, rows), what, e);
    struct gradient_room room = {
        .by = by,
        .gemm = gemm,
        .a = mem_alloc(a, sizeof(float), what, e),
        .b = mem_alloc(b, sizeof(float), what, e),
        .stored_a = mem_alloc(a, sizeof(float), what, e),
        .stored_b = mem_alloc(b, sizeof(float), what, e),
        .packed = mem_alloc(1, gemm_factor_bytes(&gemm, N_SIDE_MAX, GROUPS_MAX, rows), what, e),
        .c_size = (size_t)M_MAX * (N_SIDE_MAX + 3) + M_MAX,
    };
    room.c = mem_alloc(room.c_size, sizeof(float), what, e);
    room.before = mem_alloc(room.c_size, sizeof(float), what, e);
    bool complete = room.a && room.b && room.stored_a && room.stored_b && room.packed && gemm.gradient_scratch &&
                    room.c && room.before;
    if (complete) {
        fill_random(room.a, a, 4);
        fill_random(room.b, b, 5);
        fill_random(room.before, room.c_size, 6);
        gemm_store(&gemm, room.a, (int)a, room.stored_a);
        gemm_store(&gemm, room.b, (int)b, room.stored_b);
        check_gradients(&room, outcome);
    }
    mem_free(room.a);
    mem_free(room.b);
    mem_free(room.stored_a);
    mem_free(room.stored_b);
    mem_free(room.packed);
    mem_free(gemm.gradient_scratch);
    mem_free(room.c);
    mem_free(room.before);
    return complete ? STATUS_OK : STATUS_OS;
}

/* ---- all that computes ---- */

static struct computed in_float32(void)
{
    return (struct computed){gemm_kind(PRECISION_FLOAT32, BF16_TILE), PRECISION_FLOAT32, BF16_TILE, "float32"};
}

enum status selftest_products(int threads, struct selftest_outcome *outcome, struct error *e)
{
    struct computed by = in_float32();
    return products(&by, threads, outcome, e);
}

enum status selftest_gradients(int threads, struct selftest_outcome *outcome, struct error *e)
{
    struct computed by = in_float32();
    return gradients(&by, threads, outcome, e);
}

enum status selftest_bf16(int threads, struct selftest_outcome *outcome, struct error *e)
{
    const struct gemm_kind *kinds[2];
    enum status status = STATUS_OK;
    for (int order = BF16_TILE; order <= BF16_PAIR; order++)
        for (int i = 0, count = gemm_kinds((enum bf16_order)order, kinds); i < count && !status; i++) {
            struct computed by = {kinds[i], PRECISION_BF16, (enum bf16_order)order, ""};
            snprintf(by.name, sizeof by.name, "bf16 %s by %s", bf16_order_choices.name(order), gemm_unit(kinds[i]));
            status = products(&by, threads, outcome, e);
            if (!status)
                status = gradients(&by, threads, outcome, e);
        }
    return status;
}
