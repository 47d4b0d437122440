/* How fast rows times weights are here, one thread: GFLOP/s of float32, and of every kind for bf16 the ratio to it in
 * the same run, least times of interleaved repetitions. No test: `make build/tests/unit/bench_gemm` builds it. For each
 * shape: panels packed ahead, as in the recurrence; packed on the way, as for inputs and outputs; and packing alone,
 * whose first number is GB/s of weights read. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "unroll/base/clock.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"

#define KINDS_MAX 5
#define REPETITIONS 9
#define LEAST_FLOPS 3e7 /* of what is timed at once */

struct kind {
    struct gemm gemm;
    struct gemm_weights weights;
    struct gemm_view a;
    double seconds[3];
};

static void *take(size_t bytes)
{
    struct error e;
    void *room = mem_alloc(bytes, 1, "a benchmark", &e);
    if (!room)
        exit(1);
    return room;
}

static float *draw(uint32_t what, size_t count)
{
    float *x = take(sizeof *x * count);
    for (size_t i = 0; i < count; i++)
        x[i] = 2 * rng_uniform_float(rng_philox(5, RNG_TEST, what, 0, 0, (uint32_t)i).word[0]) - 1;
    return x;
}

static void ahead(const struct kind *kind, int rows, float *c)
{
    for (int p = 0; p * GEMM_WIDE < kind->weights.n; p++)
        gemm_panel(&kind->gemm, &kind->weights, p, rows, kind->a, false, c + p * GEMM_WIDE,
                   gemm_stride(kind->weights.n));
}

static void on_the_way(const struct kind *kind, int rows, float *c)
{
    struct gemm_weights weights = kind->weights;
    weights.panels = NULL;
    struct gemm_operand operand = {.segments = 1, .segment = {{kind->a, &weights}}};
    gemm_rows(&kind->gemm, &operand, rows, c, gemm_stride(weights.n));
}

static void packing(const struct kind *kind, int rows, float *c)
{
    (void)rows, (void)c;
    gemm_pack(&kind->gemm, &kind->weights);
}

typedef void work(const struct kind *kind, int rows, float *c);
static work *const works[3] = {ahead, on_the_way, packing};

static void measure(struct kind *kinds, int count, int rows, float *c)
{
    double n = kinds->weights.n;
    int times = 1 + (int)(LEAST_FLOPS / (2 * rows * n * n));
    for (int w = 0; w < 3; w++)
        for (int repetition = 0; repetition < REPETITIONS; repetition++)
            for (int i = 0; i < count; i++) {
                double start = clock_seconds();
                for (int j = 0; j < times; j++)
                    works[w](&kinds[i], rows, c);
                kinds[i].seconds[w] = fmin(kinds[i].seconds[w], (clock_seconds() - start) / times);
            }
}

static void report(const struct kind *kinds, int count, int rows)
{
    double n = kinds->weights.n, flops = 2 * rows * n * n;
    printf("%4d x %4.0f x %4.0f", rows, n, n);
    for (int w = 0; w < 3; w++) {
        printf(" | %6.1f", 1e-9 * (w < 2 ? flops : 4 * n * n) / kinds->seconds[w]);
        for (int i = 1; i < count; i++)
            printf(" %5.2f", kinds->seconds[w] / kinds[i].seconds[w]);
    }
    printf("\n");
}

static void bench(const struct gemm_kind *const *of, int count, int rows, int n)
{
    int stride = gemm_stride(n);
    float *a = draw(1, (size_t)rows * stride), *w = draw(2, (size_t)n * n), *c = draw(3, (size_t)rows * stride);
    struct kind kinds[KINDS_MAX];
    for (int i = 0; i < count; i++) {
        struct kind *kind = &kinds[i];
        struct error e;
        *kind = (struct kind){.seconds = {INFINITY, INFINITY, INFINITY}};
        if (gemm_init(&kind->gemm, of[i], 1, &e))
            exit(1);
        kind->gemm.scratch = take(gemm_scratch_bytes(&kind->gemm));
        void *stored = take(sizeof(float) * (size_t)rows * stride);
        gemm_store(&kind->gemm, a, rows * stride, stored);
        kind->a = gemm_dense(&kind->gemm, stored, stride);
        kind->weights = (struct gemm_weights){w, n, true, n, n, take(gemm_panels_bytes(&kind->gemm, n, n))};
        gemm_pack(&kind->gemm, &kind->weights);
    }
    measure(kinds, count, rows, c);
    report(kinds, count, rows);
    for (int i = 0; i < count; i++) {
        mem_free((void *)kinds[i].a.base);
        mem_free(kinds[i].weights.panels);
        mem_free(kinds[i].gemm.scratch);
    }
    mem_free(a);
    mem_free(w);
    mem_free(c);
}

int main(void)
{
    static const int rows[] = {1, 20, 50, 64, 700}, ns[] = {128, 512, 650, 1500};
    const struct gemm_kind *kinds[KINDS_MAX] = {gemm_kind(PRECISION_FLOAT32, BF16_TILE)};
    int tile = 1 + gemm_kinds(BF16_TILE, kinds + 1), count = tile + gemm_kinds(BF16_PAIR, kinds + tile);
    printf("rows x k x n; GFLOP/s of float32, then ratios:");
    for (int i = 1; i < count; i++)
        printf(" %s %s", i < tile ? "tile" : "pair", gemm_unit(kinds[i]));
    printf("; ahead | on the way | packing, GB/s\n");
    for (int r = 0; r < 5; r++)
        for (int n = 0; n < 4; n++)
            bench(kinds, count, rows[r], ns[n]);
    return 0;
}
