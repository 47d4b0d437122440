/* Matrix products against plain chains of fused multiply-adds, bit for bit: blocks of GEMM_KC values of k, each a
 * chain from zero, added in order; lane groups up the lane tree. It is the whole of what bits depend on, on any
 * processor. And how exact biases are when a lane group has very many rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"

static float *draw(uint32_t what, size_t count, float least)
{
    struct error e;
    float *x = mem_alloc(count, sizeof *x, "a test", &e);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = least + (1 - least) * rng_uniform_float(rng_philox(2, RNG_TEST, what, 0, 0, (uint32_t)i).word[0]);
    return x;
}

static struct gemm gemm_here(int threads)
{
    struct error e;
    struct gemm gemm;
    assert_int_equal(gemm_init(&gemm, gemm_kind(PRECISION_FLOAT32, BF16_TILE), threads, &e), STATUS_OK);
    return gemm;
}

/* ---- rows times weights ---- */

static float block_sum(int k, const float *a, const float *w, int64_t ldw)
{
    float sum = 0;
    for (int begin = 0; begin < k; begin += GEMM_KC) {
        float chain = 0;
        for (int i = begin; i < k && i < begin + GEMM_KC; i++)
            chain = fmaf(a[i], w[i * ldw], chain);
        sum = begin ? sum + chain : chain;
    }
    return sum;
}

static void check_rows(int rows, int k, int n, bool packed, int threads)
{
    float *a = draw(1, (size_t)rows * k, -1), *w = draw(2, (size_t)k * n, -1);
    int ldc = gemm_stride(n);
    float *c = draw(3, (size_t)rows * ldc, -1);
    struct gemm gemm = gemm_here(threads);
    gemm.scratch = draw(5, threads * gemm_scratch_bytes(&gemm) / sizeof(float), 0);
    struct gemm_weights weights = {.w = w, .ldw = n, .k = k, .n = n};
    if (packed) {
        weights.panels = draw(4, gemm_panels_bytes(&gemm, k, n) / sizeof(float), 0);
        gemm_pack(&gemm, &weights);
    }
    struct gemm_operand operand = {.segments = 1, .segment = {{gemm_dense(&gemm, a, k), &weights}}};
    gemm_rows(&gemm, &operand, rows, c, ldc);
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < n; j++)
            assert_true(c[r * ldc + j] == block_sum(k, a + r * k, w + j, n));
    mem_free(a);
    mem_free(w);
    mem_free(c);
    mem_free(weights.panels);
    mem_free(gemm.scratch);
}

static void test_rows(void **unused)
{
    (void)unused;
    static const int rows[] = {1, 5, 13, 50}, ks[] = {1, 37, 384, 385, 1000}, ns[] = {1, 16, 33, 66};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 5; j++)
            for (int l = 0; l < 4; l++)
                check_rows(rows[i], ks[j], ns[l], (i + j + l) % 2, 1 + (i + l) % 3);
}

/* ---- weight gradients ---- */

#define LANES 7
#define GROUPS 3

static const int group_lane[GROUPS + 1] = {0, 2, 5, LANES};

/* The sum over one group of a[.][i] b[.][j], or of a[.][i] alone. */
static float group_sum(int g, int T, const float *a, int m, int i, const float *b, int n, int j)
{
    float sum = 0, chain = 0;
    int rows = 0;
    for (int t = 0; t < T; t++)
        for (int lane = group_lane[g]; lane < group_lane[g + 1]; lane++) {
            int64_t row = (int64_t)t * LANES + lane;
            chain = b ? fmaf(a[row * m + i], b[row * n + j], chain) : chain + a[row * m + i];
            if (++rows % GEMM_KC == 0) {
                sum += chain;
                chain = 0;
            }
        }
    return sum + chain;
}

/* Three groups: (0 + 1) + 2 or 0 + (1 + 2), as the lane tree has it. */
static float tree_sum(int T, const float *a, int m, int i, const float *b, int n, int j)
{
    float of[GROUPS];
    for (int g = 0; g < GROUPS; g++)
        of[g] = group_sum(g, T, a, m, i, b, n, j);
    return lane_node_middle(0, GROUPS) == 1 ? of[0] + (of[1] + of[2]) : (of[0] + of[1]) + of[2];
}

static void check_gradient(struct gemm gemm, int T, int m, int n, int threads)
{
    float *a = draw(6, (size_t)T * LANES * m, -1), *b = draw(7, (size_t)T * LANES * n, -1);
    struct gemm_sum sum = {{0, GROUPS}, 0, group_lane, T, true};
    int rows = gemm_sum_rows(&sum);
    assert_int_equal(rows, T * LANES);
    gemm.threads = threads;
    gemm.gradient_scratch = draw(9, threads * gemm_gradient_scratch_bytes(&gemm, GROUPS, rows) / sizeof(float), 0);
    float *c = draw(10, (size_t)m * n, 0), *bias = draw(11, (size_t)m, 0), *alone = draw(12, (size_t)m, 0);
    struct gemm_lanes at_a = gemm_lanes(gemm_dense(&gemm, a, m), LANES),
                      at_b = gemm_lanes(gemm_dense(&gemm, b, n), LANES);
    struct gemm_factor factor = {sum, at_b, m, n,
                                 draw(8, gemm_factor_bytes(&gemm, n, GROUPS, rows) / sizeof(float), 0)};
    gemm_factor_pack(&gemm, &factor);
    gemm_gradient(&gemm, &(struct gemm_gradient){.factor = &factor, .a = at_a, .c = c, .ldc = n, .bias = bias});
    gemm_gradient_bias(&gemm, &sum, at_a, m, alone);
    for (int i = 0; i < m; i++) {
        assert_true(bias[i] == tree_sum(T, a, m, i, NULL, 0, 0));
        assert_true(alone[i] == bias[i]);
        for (int j = 0; j < n; j++)
            assert_true(c[i * n + j] == tree_sum(T, a, m, i, b, n, j));
    }
    mem_free(a);
    mem_free(b);
    mem_free(factor.packed);
    mem_free(gemm.gradient_scratch);
    mem_free(c);
    mem_free(bias);
    mem_free(alone);
}

/* T = 200 makes groups of 400 and 600 rows: beyond a block, and no multiple of it. With both kernels: BLIS's, and
 * our own, which stands in for one that adds in another order. */
static void test_gradients(void **unused)
{
    (void)unused;
    struct gemm gemm = gemm_here(1);
    for (int own = 0; own < 2; own++) {
        if (own)
            blas_use_own(&gemm.tile);
        check_gradient(gemm, 1, 1, 1, 1);
        check_gradient(gemm, 9, 37, 20, 2);
        check_gradient(gemm, 200, 50, 33, 1);
        check_gradient(gemm, 200, 7, 130, 3);
    }
}

/* ---- biases of one large group ---- */

/* 131072 rows of numbers in [0, 1): in one chain the relative error would be some 4e-4. Blocks of 384 have chains of
 * 384 and 342 additions, each off by at most half an ulp of a running sum: n/2 * 2^-24 of the sum on average is
 * 1e-5, and the errors' signs differ. */
static void test_bias_of_many_rows(void **unused)
{
    (void)unused;
    const int T = 256, lanes = 512, m = 40;
    const int all[2] = {0, lanes};
    struct gemm gemm = gemm_here(1);
    struct gemm_sum sum = {{0, 1}, 0, all, T, true};
    float *a = draw(13, (size_t)T * lanes * m, 0), *b = draw(14, (size_t)T * lanes, 0);
    int rows = gemm_sum_rows(&sum);
    struct gemm_factor factor = {sum, gemm_lanes(gemm_dense(&gemm, b, 1), lanes), m, 1,
                                 draw(15, gemm_factor_bytes(&gemm, 1, 1, rows) / sizeof(float), 0)};
    gemm.gradient_scratch = draw(16, gemm_gradient_scratch_bytes(&gemm, 1, rows) / sizeof(float), 0);
    float c[40], bias[40];
    gemm_factor_pack(&gemm, &factor);
    struct gemm_gradient gradient = {
        .factor = &factor, .a = gemm_lanes(gemm_dense(&gemm, a, m), lanes), .c = c, .ldc = 1, .bias = bias};
    gemm_gradient(&gemm, &gradient);
    double worst = 0;
    for (int i = 0; i < m; i++) {
        double exact = 0;
        for (int64_t row = 0; row < (int64_t)T * lanes; row++)
            exact += a[row * m + i];
        double error = fabs(bias[i] / exact - 1);
        worst = error > worst ? error : worst;
    }
    print_message("relative error %.2g\n", worst);
    assert_true(worst < 5e-6);
    mem_free(a);
    mem_free(b);
    mem_free(factor.packed);
    mem_free(gemm.gradient_scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_bias_of_many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
