/* What an update costs at V = 800,000 and rows of 256: of all rows (dense), of touched rows with exact and with lazy
 * updates, and what settling all rows costs in the end; milliseconds, one thread, and ratios to dense in the same run.
 * No test: `make build/tests/unit/bench_optimizer` builds it; bench_optimizer [V [WIDTH [UPDATES [DECAY]]]]. Each
 * update touches 1000 rows, drawn as by a log-uniform proposal, after a forward pass has read them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "unroll/base/clock.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/train/optimizer.h"

#define DRAWN 1000
#define DENSE_UPDATES 3

static struct param_table table;
static struct gradient_layout layout;
static int rows, updates;
static size_t width;
static float *grads; /* [DRAWN][width] */
static uint32_t row[DRAWN];
static const float *place[DRAWN];

static void *take(size_t count)
{
    struct error e;
    void *room = mem_alloc(count, sizeof(float), "a benchmark", &e);
    if (!room)
        exit(1);
    return room;
}

static void random_numbers(float factor, size_t count, float *x)
{
    for (size_t i = 0; i < count; i += 4) {
        struct rng_bits bits = rng_philox(5, RNG_TEST, 1, 0, 0, (uint32_t)(i / 4));
        for (size_t j = 0; j < 4 && i + j < count; j++)
            x[i + j] = factor * (rng_uniform_float(bits.word[j]) - 0.5f);
    }
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The rows of update t, each once; how many. */
static int64_t draw_rows(int t)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < DRAWN; i++) {
        double u = rng_philox(5, RNG_TEST, 2, 0, (uint32_t)t, i).word[0] * 0x1p-32;
        row[i] = (uint32_t)(exp(u * log(rows + 1.0)) - 1);
    }
    qsort(row, DRAWN, sizeof *row, ascending);
    for (int i = 0; i < DRAWN; i++)
        if (row[i] < (uint32_t)rows && (count == 0 || row[count - 1] != row[i]))
            row[count++] = row[i];
    return count;
}

static struct optimizer *create(const char *kind, double decay, enum sparse_update sparse, bool dense)
{
    struct error e;
    struct optimizer_config config = {.momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .alpha = 0.99};
    struct optimizer *optimizer;
    config.kind = optimizer_kind(kind);
    config.epsilon = optimizer_default_epsilon(config.kind);
    config.weight_decay = decay;
    config.sparse_update = sparse;
    if (optimizer_create(&config, &table, dense ? NULL : &layout, &optimizer, &e))
        exit(1);
    return optimizer;
}

static double dense_seconds(const char *kind, double decay, float *values, const float *all)
{
    struct optimizer *optimizer = create(kind, decay, SPARSE_EXACT, true);
    double least = INFINITY;
    for (int t = 0; t < DENSE_UPDATES; t++) {
        double start = clock_seconds();
        optimizer_update(optimizer, values, (struct param_gradient){NULL, all, NULL}, 1, 0.001, 1);
        least = fmin(least, clock_seconds() - start);
    }
    optimizer_free(optimizer);
    return least;
}

/* Seconds of one update; *settle: of settling in the end, for one update's share. */
static double sparse_seconds(const char *kind, double decay, enum sparse_update sparse, float *values, double *settle)
{
    struct optimizer *optimizer = create(kind, decay, sparse, false);
    struct gradient_rows touched = {0, row, place};
    double seconds = 0;
    for (int t = 0; t < updates; t++) {
        touched.count = draw_rows(t);
        double start = clock_seconds();
        optimizer_catch_up(optimizer, values, 0, &(struct touched_list){touched.count, row}, 1);
        optimizer_update(optimizer, values, (struct param_gradient){&layout, grads, &touched}, 1, 0.001, 1);
        seconds += clock_seconds() - start;
    }
    double start = clock_seconds();
    optimizer_settle(optimizer, values, 1);
    *settle = (clock_seconds() - start) / updates;
    optimizer_free(optimizer);
    return seconds / updates;
}

int main(int argc, char **argv)
{
    rows = argc > 1 ? atoi(argv[1]) : 800000;
    width = argc > 2 ? (size_t)atoi(argv[2]) : 256;
    updates = argc > 3 ? atoi(argv[3]) : 2000;
    double decay = argc > 4 ? atof(argv[4]) : 0;
    size_t total = ((size_t)rows * width + 15) / 16 * 16;
    table = (struct param_table){.count = 1, .trained = total, .total = total, .grad_total = total};
    table.param[0] = (struct param){.count = (size_t)rows * width, .alias = -1};
    layout = (struct gradient_layout){.lists = 1, .parts = 1, .width = {width}};
    layout.list[0] = (struct gradient_list){.rows = rows};
    layout.part[0] = (struct gradient_part){.width = width};
    float *values = take(total), *all = take(total);
    grads = take(DRAWN * width);
    random_numbers(0.2f, total, values);
    random_numbers(0.002f, DRAWN * width, grads);
    for (int i = 0; i < DRAWN; i++)
        place[i] = grads + (size_t)i * width;
    printf("%-10s %6s %10s | %10s %10s %10s %8s | %10s %8s\n", "optimizer", "decay", "dense ms", "exact ms",
           "settle ms", "together", "ratio", "lazy ms", "ratio");
    for (int kind = 0; kind < optimizer_choices.count; kind++) {
        const char *name = optimizer_name(kind);
        double settle, nothing, dense = dense_seconds(name, decay, values, all);
        double lazy = sparse_seconds(name, decay, SPARSE_LAZY, values, &nothing);
        double exact = sparse_seconds(name, decay, SPARSE_EXACT, values, &settle);
        printf("%-10s %6g %10.3f | %10.3f %10.3f %10.3f %8.4f | %10.3f %8.4f\n", name, decay, 1e3 * dense, 1e3 * exact,
               1e3 * settle, 1e3 * (exact + settle), (exact + settle) / dense, 1e3 * lazy, lazy / dense);
        fflush(stdout);
    }
    mem_free(values);
    mem_free(all);
    mem_free(grads);
    return 0;
}
