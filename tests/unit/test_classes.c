/* Losses and gradients over many classes (src/nn/classes.h): against the formulas in double precision, for numbers of
 * classes around a block; and that bits depend neither on threads nor on how lane groups are shared out among ranks,
 * also where groups have no rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/nn/classes.h"
#include "unroll/base/bf16.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"

#define BATCH 24 /* lanes, of one step: at most so many rows */
#define GROUPS 4
#define CASES ((int)(sizeof cases / sizeof cases[0]))

/* Rows of each group. */
static const int group_rows[][GROUPS] = {{6, 6, 6, 6}, {5, 0, 0, 3}, {0, 0, 7, 0}, {0, 11, 0, 1}, {0, 0, 0, 0}};
#define SPREADS ((int)(sizeof group_rows / sizeof group_rows[0]))

static const struct {
    int n, k;
    enum classes_loss kind;
    bool own, bias;
} cases[] = {
    {1, 3, CLASSES_SOFTMAX, false, true},    {7, 33, CLASSES_SOFTMAX, false, false},
    {1000, 16, CLASSES_SOFTMAX, true, true}, {1024, 40, CLASSES_SOFTMAX, false, true},
    {1025, 9, CLASSES_SOFTMAX, true, false}, {2500, 20, CLASSES_SOFTMAX, false, true},
    {2049, 17, CLASSES_SOFTMAX, true, true}, {5, 8, CLASSES_NOISE, true, true},
    {1024, 31, CLASSES_NOISE, true, false},  {1500, 70, CLASSES_NOISE, true, true},
    {300, 27, CLASSES_SOFTMAX, false, true}, {1300, 32, CLASSES_NOISE, true, false},
};

static float random_of(int what, int64_t i)
{
    return 2 * rng_uniform_float(rng_philox(5, RNG_TEST, (uint32_t)what, (uint32_t)(i >> 32), 0, (uint32_t)i).word[0]) -
           1;
}

static void *take(size_t count, size_t size)
{
    void *block = mem_alloc(count, size, "a test", NULL);
    assert_non_null(block);
    return block;
}

/* What one rank has, and finds. */
struct share {
    struct common common;
    struct classes classes;
    struct classes_decoder decoder;
    struct classes_rows rows;
    struct classes_result result;
    int n, k, stride, group_row[GROUPS + 1], first;
    float *y, *w, *bias, *weight_grad, *bias_grad; /* gradients of nodes, one behind the other */
    float *node_weight[LANE_NODES_MAX], *node_bias[LANE_NODES_MAX];
    void *dense;
    int32_t *target, *left_out;
    float *own;
};

static void make_decoder(struct share *share, bool bias)
{
    int n = share->n, k = share->k;
    share->w = take((size_t)n * (size_t)k, sizeof(float));
    share->bias = take((size_t)gemm_round(n), sizeof(float));
    for (int64_t i = 0; i < (int64_t)n * k; i++)
        share->w[i] = 2 * random_of(1, i);
    for (int j = 0; j < n; j++)
        share->bias[j] = random_of(2, j);
    share->decoder = (struct classes_decoder){.weights = {.w = share->w, .ldw = k, .transposed = true, .k = k, .n = n},
                                              .bias = bias ? share->bias : NULL};
}

/* Row r of all ranks. */
static void make_row(struct share *share, int c, int64_t all, int row)
{
    int n = share->n;
    float *y = share->y + (int64_t)row * share->stride;
    for (int u = 0; u < share->k; u++)
        y[u] = random_of(3, all * share->k + u);
    gemm_store(&share->common.gemm, y, share->k,
               (char *)share->dense + (size_t)row * (size_t)share->stride * gemm_number_bytes(&share->common.gemm));
    share->target[row] = (int32_t)(all * 7 % n);
    share->left_out[row] = -1;
    if (cases[c].own) {
        share->own[row] = 2 * random_of(4, all);
        if (cases[c].kind == CLASSES_NOISE || all % 3)
            share->target[row] = CLASSES_OWN;
        if (share->target[row] == CLASSES_OWN && all % 2)
            share->left_out[row] = (int32_t)(all * 331 % n);
    }
    if (all % 5 == 3)
        share->target[row] = CLASSES_NONE;
}

static void make_results(struct share *share, bool gradient)
{
    size_t rows = BATCH, n = (size_t)share->n, k = (size_t)share->k;
    share->result.loss = take(rows, sizeof(float));
    share->result.log_sum = take(rows, sizeof(float));
    if (!gradient)
        return;
    share->result.dy = take(rows * (size_t)share->stride, sizeof(float));
    share->result.d_own = take(rows, sizeof(float));
    share->weight_grad = take((size_t)share->common.nodes * n * k, sizeof(float));
    share->bias_grad = take((size_t)share->common.nodes * n, sizeof(float));
    for (int i = 0; i < share->common.nodes; i++) {
        share->node_weight[i] = share->weight_grad + (size_t)i * n * k;
        share->node_bias[i] = share->bias_grad + (size_t)i * n;
    }
    share->result.weight = share->node_weight;
    share->result.bias = share->node_bias;
}

#define THIRDS 3 /* ranks, of which the one in the middle has two groups, and the others one */

struct where {
    int ranks, rank, threads, spread;
    enum precision precision;
    enum bf16_order order;
    bool gradient;
};

static struct share *compute(int c, struct where where)
{
    static const struct window window = {.T = 1};
    struct share *share = take(1, sizeof *share);
    struct common *common = &share->common;
    struct error e = {0};
    share->n = cases[c].n;
    share->k = cases[c].k;
    share->stride = gemm_stride(share->k);
    common->config = (struct model_config){.cell = CELL_LSTM,
                                           .layers = 1,
                                           .embedding = share->k,
                                           .hidden = share->k,
                                           .vocab = 3,
                                           .precision = (int)where.precision,
                                           .bf16_order = (int)where.order};
    common->shape = (struct model_shape){.bptt = 1,
                                         .share = lane_share_of(BATCH, GROUPS, where.ranks, where.rank),
                                         .threads = where.threads,
                                         .train = true,
                                         .exact = true};
    if (where.ranks == THIRDS) {
        struct lane_share *own = &common->shape.share;
        own->group_begin = where.rank ? 2 * where.rank - 1 : 0;
        own->group_end = where.rank == 2 ? GROUPS : 2 * where.rank + 1;
        own->lane_begin = lane_share_group_lane(own, own->group_begin);
        own->lane_end = lane_share_group_lane(own, own->group_end);
    }
    assert_int_equal(common_create(common, &e), STATUS_OK);
    common_create_scratch(common, share->stride, share->k);
    classes_create(common, &share->classes, common->lanes, share->n);
    common->window = &window;
    make_decoder(share, cases[c].bias);
    share->y = take((size_t)BATCH * (size_t)share->stride, sizeof(float));
    share->dense = take((size_t)BATCH * (size_t)share->stride, sizeof(float));
    share->target = take(BATCH, sizeof *share->target);
    share->left_out = take(BATCH, sizeof *share->left_out);
    share->own = take(BATCH, sizeof *share->own);
    for (int g = 0, all = 0; g < GROUPS; all += group_rows[where.spread][g], g++) {
        int local = g - common->group0;
        if (local < 0 || local >= common->groups)
            continue;
        if (local == 0)
            share->first = all;
        for (int r = 0; r < group_rows[where.spread][g]; r++)
            make_row(share, c, all + r, share->group_row[local] + r);
        share->group_row[local + 1] = share->group_row[local] + group_rows[where.spread][g];
    }
    share->rows = (struct classes_rows){.count = share->group_row[common->groups],
                                        .group_row = share->group_row,
                                        .y = gemm_dense(&common->gemm, share->dense, share->stride),
                                        .target = share->target,
                                        .own = cases[c].own ? share->own : NULL,
                                        .left_out = cases[c].own ? share->left_out : NULL};
    make_results(share, where.gradient);
    classes_window(common, &share->classes, cases[c].kind, &share->decoder, &share->rows, &share->result);
    return share;
}

static void drop(struct share *share)
{
    void *blocks[] = {share->w,           share->bias,           share->y,
                      share->dense,       share->target,         share->left_out,
                      share->own,         share->weight_grad,    share->bias_grad,
                      share->result.loss, share->result.log_sum, share->result.dy,
                      share->result.d_own};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        mem_free(blocks[i]);
    store_free(&share->common.store);
    mem_free(share);
}

/* ---- the formulas ---- */

static double number(const struct share *share, float x)
{
    return share->common.config.precision == PRECISION_BF16 ? bf16_expand(bf16_round(x)) : x;
}

static void expect_near(const char *what, int c, int i, double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("case %d: %s %d is %.9g, should be %.9g", c, what, i, got, expected);
}

/* A sum and that of its terms' sizes, with which its error grows: gradients of logits are rounded (bf16: by 2^-8). */
struct sum {
    double value, size;
};

static void add_term(struct sum *sum, double term)
{
    sum->value += term;
    sum->size += fabs(term);
}

static void expect_sum(const char *what, const struct share *share, int c, int i, float got, const struct sum *sum)
{
    double each = share->common.config.precision == PRECISION_BF16 ? 0x1.02p-8 : 2e-6;
    expect_near(what, c, i, got, sum->value, each * sum->size + 1e-6);
}

/* Loss, log of the sum and the gradient of each logit of a row; d[n] is that of its own logit. */
static double row_reference(const struct share *share, int c, int row, double *d, double *log_sum)
{
    int n = share->n, k = share->k, target = share->target[row];
    bool own = cases[c].own;
    double largest = -INFINITY, sum = 0, loss = 0;
    for (int j = 0; j <= n; j++) {
        d[j] = j == n ? (own ? share->own[row] : -INFINITY) : 0;
        for (int u = 0; j < n && u < k; u++)
            d[j] +=
                number(share, share->y[(int64_t)row * share->stride + u]) * number(share, share->w[(int64_t)j * k + u]);
        if (j < n && cases[c].bias)
            d[j] += share->bias[j];
        if (own && j == share->left_out[row])
            d[j] = -INFINITY;
        largest = d[j] > largest ? d[j] : largest;
    }
    int at = target == CLASSES_OWN ? n : target;
    double of_target = d[at];
    for (int j = 0; j <= n; j++)
        sum += exp(d[j] - largest);
    *log_sum = largest + log(sum);
    for (int j = 0; j <= n; j++)
        if (cases[c].kind == CLASSES_NOISE) {
            loss += log1p(exp(j == n ? -d[j] : d[j]));
            d[j] = 1 / (1 + exp(-d[j])) - (j == n);
        } else {
            d[j] = exp(d[j] - *log_sum) - (j == at);
        }
    return cases[c].kind == CLASSES_NOISE ? loss : *log_sum - of_target;
}

static void expect_formulas(const struct share *share, int c)
{
    int n = share->n, k = share->k;
    double *d = take((size_t)n + 1, sizeof *d);
    struct sum *dw = take((size_t)n * (size_t)k, sizeof *dw), *db = take((size_t)n, sizeof *db);
    for (int row = 0; row < share->rows.count; row++) {
        double log_sum = 0, loss = 0;
        const float *y = share->y + (int64_t)row * share->stride;
        memset(d, 0, sizeof *d * (size_t)(n + 1));
        if (share->target[row] != CLASSES_NONE)
            loss = row_reference(share, c, row, d, &log_sum);
        expect_near("loss", c, row, share->result.loss[row], loss, 3e-6 * (1 + loss));
        if (cases[c].kind == CLASSES_SOFTMAX)
            expect_near("log of the sum", c, row, share->result.log_sum[row], log_sum, 3e-6 * (1 + fabs(log_sum)));
        if (cases[c].own)
            expect_near("own gradient", c, row, share->result.d_own[row], d[n], 1e-5);
        for (int u = 0; u < k; u++) {
            struct sum dy = {0};
            for (int j = 0; j < n; j++) {
                add_term(&dy, d[j] * number(share, share->w[(int64_t)j * k + u]));
                add_term(&dw[(int64_t)j * k + u], d[j] * number(share, y[u]));
            }
            expect_sum("row gradient", share, c, row, share->result.dy[(int64_t)row * share->stride + u], &dy);
        }
        for (int j = 0; j < n; j++)
            add_term(&db[j], d[j]);
    }
    assert_int_equal(share->common.nodes, 1);
    for (int i = 0; i < n * k; i++)
        expect_sum("weight gradient", share, c, i, share->weight_grad[i], &dw[i]);
    for (int j = 0; j < n; j++)
        expect_sum("bias gradient", share, c, j, share->bias_grad[j], &db[j]);
    mem_free(d);
    mem_free(dw);
    mem_free(db);
}

static void test_formulas(void **unused)
{
    (void)unused;
    for (int c = 0; c < CASES; c++)
        for (int spread = 0; spread < SPREADS; spread++)
            for (int kind = 0; kind < 3; kind++) {
                struct where where = {
                    1,   0, 1, spread, kind ? PRECISION_BF16 : PRECISION_FLOAT32, kind == 2 ? BF16_PAIR : BF16_TILE,
                    true};
                struct share *share = compute(c, where);
                expect_formulas(share, c);
                drop(share);
            }
}

/* ---- bits ---- */

static void expect_same(const char *what, int c, const float *a, const float *b, size_t count)
{
    if (count > 0 && memcmp(a, b, sizeof *a * count) != 0)
        fail_msg("case %d: bits of %s differ", c, what);
}

static void expect_same_rows(int c, const struct share *all, const struct share *part)
{
    size_t first = (size_t)part->first, count = (size_t)part->rows.count, stride = (size_t)part->stride;
    expect_same("losses", c, all->result.loss + first, part->result.loss, count);
    expect_same("log sums", c, all->result.log_sum + first, part->result.log_sum, count);
    if (!part->result.dy)
        return;
    for (size_t row = 0; row < count; row++)
        expect_same("row gradients", c, all->result.dy + (first + row) * stride, part->result.dy + row * stride,
                    (size_t)part->k);
    expect_same("own gradients", c, all->result.d_own + first, part->result.d_own, count);
}

/* Two ranks of two groups each: the root of the lane tree adds their nodes. */
static void test_ranks(void **unused)
{
    (void)unused;
    for (int c = 0; c < CASES; c++)
        for (int spread = 0; spread < SPREADS; spread++)
            for (int kind = 0; kind < 3; kind++) {
                struct where where = {
                    1,   0, 1, spread, kind ? PRECISION_BF16 : PRECISION_FLOAT32, kind == 2 ? BF16_PAIR : BF16_TILE,
                    true};
                struct share *all = compute(c, where), *half[2];
                where.ranks = 2;
                where.threads = 3;
                for (where.rank = 0; where.rank < 2; where.rank++) {
                    half[where.rank] = compute(c, where);
                    expect_same_rows(c, all, half[where.rank]);
                }
                size_t count = (size_t)all->n * (size_t)all->k;
                for (size_t i = 0; i < count; i++)
                    half[0]->weight_grad[i] += half[1]->weight_grad[i];
                for (int j = 0; j < all->n; j++)
                    half[0]->bias_grad[j] += half[1]->bias_grad[j];
                expect_same("weight gradients", c, all->weight_grad, half[0]->weight_grad, count);
                expect_same("bias gradients", c, all->bias_grad, half[0]->bias_grad, (size_t)all->n);
                drop(half[0]);
                drop(half[1]);
                drop(all);
            }
}

/* Adds up the ranks' gradients along the lane tree; the sum over `node` ends where its first leaf's was. */
static float *add_nodes(struct share **share, bool bias, size_t count, struct lane_node node)
{
    for (int rank = 0; rank < THIRDS; rank++)
        for (int i = 0; i < share[rank]->common.nodes; i++) {
            struct lane_node own = share[rank]->common.node[i];
            if (own.begin == node.begin && own.end == node.end)
                return (bias ? share[rank]->bias_grad : share[rank]->weight_grad) + (size_t)i * count;
        }
    assert_true(node.end - node.begin > 1);
    int middle = lane_node_middle(node.begin, node.end);
    float *left = add_nodes(share, bias, count, (struct lane_node){node.begin, middle});
    const float *right = add_nodes(share, bias, count, (struct lane_node){middle, node.end});
    for (size_t i = 0; i < count; i++)
        left[i] += right[i];
    return left;
}

/* Three ranks: the one in the middle has two nodes, whose factors lie one behind the other. */
static void test_several_nodes(void **unused)
{
    (void)unused;
    for (int c = 0; c < CASES; c++)
        for (int kind = 0; kind < 3; kind++) {
            struct where where = {
                1, 0, 1, 0, kind ? PRECISION_BF16 : PRECISION_FLOAT32, kind == 2 ? BF16_PAIR : BF16_TILE, true};
            struct share *all = compute(c, where), *third[THIRDS];
            int most = 0;
            where.ranks = THIRDS;
            for (where.rank = 0; where.rank < THIRDS; where.rank++) {
                third[where.rank] = compute(c, where);
                most = third[where.rank]->common.nodes > most ? third[where.rank]->common.nodes : most;
            }
            assert_int_equal(most, 2);
            size_t n = (size_t)all->n, count = n * (size_t)all->k;
            struct lane_node root = {0, GROUPS};
            expect_same("weight gradients", c, all->weight_grad, add_nodes(third, false, count, root), count);
            expect_same("bias gradients", c, all->bias_grad, add_nodes(third, true, n, root), n);
            for (int rank = 0; rank < THIRDS; rank++)
                drop(third[rank]);
            drop(all);
        }
}

/* Losses alone, with weights packed ahead too. */
static void test_losses_alone(void **unused)
{
    (void)unused;
    for (int c = 0; c < CASES; c++) {
        struct where where = {1, 0, 1, 0, PRECISION_FLOAT32, BF16_TILE, true};
        struct share *all = compute(c, where);
        where.gradient = false;
        where.threads = 2;
        struct share *alone = compute(c, where);
        expect_same_rows(c, all, alone);
        struct gemm *gemm = &alone->common.gemm;
        alone->decoder.weights.panels = take(1, gemm_panels_bytes(gemm, alone->k, alone->n));
        gemm_pack(gemm, &alone->decoder.weights);
        classes_window(&alone->common, &alone->classes, cases[c].kind, &alone->decoder, &alone->rows, &alone->result);
        expect_same_rows(c, all, alone);
        mem_free(alone->decoder.weights.panels);
        drop(alone);
        drop(all);
    }
}

/* What cannot be computed is seen in the loss. */
static void test_not_finite(void **unused)
{
    (void)unused;
    static const float bad[] = {NAN, INFINITY};
    for (int c = 0; c < CASES; c++)
        for (int b = 0; b < 2; b++) {
            struct share *share = compute(c, (struct where){1, 0, 1, 0, PRECISION_FLOAT32, BF16_TILE, false});
            float *of_class = share->bias + share->n / 2;
            share->decoder.bias = share->bias;
            *of_class = bad[b];
            classes_window(&share->common, &share->classes, cases[c].kind, &share->decoder, &share->rows,
                           &share->result);
            for (int row = 0; row < share->rows.count; row++)
                if (share->target[row] != CLASSES_NONE && share->left_out[row] != share->n / 2)
                    assert_false(isfinite(share->result.loss[row]));
            drop(share);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_ranks),
                                       cmocka_unit_test(test_several_nodes), cmocka_unit_test(test_losses_alone),
                                       cmocka_unit_test(test_not_finite)};
    setenv("UNROLL_TEAM_SHARE", "1000", 1); /* small work is shared out too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
