/* Updates of touched rows alone against updates of all rows, bit for bit: every optimizer, with and without weight
 * decay, under rates that change, rows that rest for thousands of updates, numbers from subnormals to thousands and
 * zeros of both signs. Lazy updates against a dense update whose untouched rows are put back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/train/optimizer.h"

#define UPDATES 4500 /* several histories */
#define REST_MAX 3000

/* Parameters: dense, rows of 37, one number a row, one row that is the whole, and dense again. */
enum { FIRST, ROWS, NARROW, WHOLE, LAST, PARAMS };
static const size_t counts[PARAMS] = {20, 7 * 37, 39, 300, 33}, widths[PARAMS] = {0, 37, 1, 300, 0};

struct world {
    struct param_table table;
    struct gradient_layout layout;
    size_t total;
    struct optimizer *dense, *sparse;
    float *values[2];         /* of each */
    float *grad;              /* as if all were dense */
    float *dense_part;        /* of the other */
    int64_t next[PARAMS][64]; /* when a row is touched again */
    uint32_t row[PARAMS][64];
    const float *place[PARAMS][64];
    struct gradient_rows touched[PARAM_MAX];
    struct rng_bits random;
    uint32_t drawn;
};

static uint32_t draw(struct world *w)
{
    if (w->drawn % 4 == 0)
        w->random = rng_philox(18, RNG_TEST, 0, 0, 0, w->drawn / 4);
    return w->random.word[w->drawn++ % 4];
}

static double uniform(struct world *w, double from, double to)
{
    return from + (to - from) * draw(w) * 0x1p-32;
}

static float number(struct world *w, double from, double to)
{
    float x = (float)pow(10, uniform(w, from, to)), sign = draw(w) % 2 ? 1 : -1;
    return draw(w) % 12 == 0 ? 0 * sign : x * sign;
}

/* Of usual size, or of any. */
static void fill(struct world *w, double usual, size_t count, float *x)
{
    bool any = draw(w) % 4 == 0;
    for (size_t i = 0; i < count; i++)
        x[i] = any ? number(w, -44, 4) : number(w, usual - 2, usual);
}

static size_t padded(size_t count)
{
    return (count + 15) / 16 * 16;
}

static void build(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->table.count = PARAMS;
    for (int i = 0; i < PARAMS; i++) {
        struct param *param = &w->table.param[i];
        param->count = counts[i];
        param->alias = -1;
        param->offset = param->grad_offset = w->total;
        w->total += padded(counts[i]);
        w->layout.width[i] = widths[i];
        if (widths[i] > 0) {
            int part = w->layout.parts++;
            w->layout.list[part] = (struct gradient_list){.rows = (int64_t)(counts[i] / widths[i])};
            w->layout.part[part] = (struct gradient_part){.param = i, .list = part, .width = widths[i]};
        } else {
            w->layout.offset[i] = w->layout.dense;
            w->layout.dense += padded(counts[i]);
        }
    }
    w->table.trained = w->table.total = w->table.grad_total = w->total;
    w->layout.lists = w->layout.parts;
}

static void begin(struct world *w, const struct optimizer_config *config)
{
    struct error e;
    build(w);
    struct optimizer_config plain = *config;
    plain.sparse_update = SPARSE_EXACT;
    assert_int_equal(optimizer_create(&plain, &w->table, NULL, &w->dense, &e), STATUS_OK);
    assert_int_equal(optimizer_create(config, &w->table, &w->layout, &w->sparse, &e), STATUS_OK);
    for (int side = 0; side < 2; side++)
        w->values[side] = mem_alloc(w->total, sizeof(float), "test", &e);
    w->grad = mem_alloc(w->total, sizeof(float), "test", &e);
    w->dense_part = mem_alloc(w->layout.dense, sizeof(float), "test", &e);
    for (int i = 0; i < PARAMS; i++) {
        float *x = w->values[0] + w->table.param[i].offset;
        size_t width = widths[i] ? widths[i] : counts[i];
        for (size_t row = 0; row < counts[i] / width; row++)
            fill(w, 0, width, x + row * width);
    }
    memcpy(w->values[1], w->values[0], w->total * sizeof(float));
}

static void end(struct world *w)
{
    optimizer_free(w->dense);
    optimizer_free(w->sparse);
    for (int side = 0; side < 2; side++)
        mem_free(w->values[side]);
    mem_free(w->grad);
    mem_free(w->dense_part);
}

/* Which rows update t touches, and their gradients. */
static void touch(struct world *w, int64_t t)
{
    memset(w->grad, 0, w->total * sizeof(float));
    for (int i = 0; i < PARAMS; i++) {
        const struct param *param = &w->table.param[i];
        struct gradient_rows *touched = &w->touched[i];
        float *grad = w->grad + param->offset;
        if (widths[i] == 0) {
            fill(w, -2, counts[i], grad);
            memcpy(w->dense_part + w->layout.offset[i], grad, counts[i] * sizeof(float));
            continue;
        }
        *touched = (struct gradient_rows){0, w->row[i], w->place[i]};
        for (uint32_t row = 0; row < counts[i] / widths[i]; row++) {
            if (w->next[i][row] > t)
                continue;
            w->next[i][row] = t + (int64_t)pow(REST_MAX, uniform(w, 0, 1));
            if (t < 60 && row % 3 == 0)
                continue; /* some are touched late for the first time */
            fill(w, -2, widths[i], grad + row * widths[i]);
            w->row[i][touched->count] = row;
            w->place[i][touched->count++] = grad + row * widths[i];
        }
    }
}

static double rate(int schedule, double lr, int64_t t)
{
    switch (schedule) {
    case 0:
        return lr;
    case 1: /* warm-up, then down to nothing */
        return t < 100 ? lr * (double)t / 100 : lr * (double)(UPDATES - t) / UPDATES;
    default: /* leaps, also to zero and far up */
        return t % 1000 == 999 ? 100 * lr : t / 50 % 7 == 0 ? 0 : lr / (1 + (double)(t / 700));
    }
}

static void expect_same(const struct world *w, size_t from, size_t count, const char *what, int64_t t)
{
    const char *name = optimizer_name(w->sparse->config.kind);
    for (int array = -1; array < w->sparse->slots; array++) {
        const float *x = array < 0 ? w->values[0] : w->dense->slot[array];
        const float *y = array < 0 ? w->values[1] : w->sparse->slot[array];
        for (size_t i = from; i < from + count; i++)
            if (memcmp(x + i, y + i, sizeof *x) != 0)
                fail_msg("%s, %s, update %lld, array %d, number %zu: %a instead of %a", name, what, (long long)t, array,
                         i, y[i], x[i]);
    }
}

static void expect_all_same(const struct world *w, const char *what, int64_t t)
{
    for (int i = 0; i < PARAMS; i++)
        expect_same(w, w->table.param[i].offset, counts[i], what, t);
}

/* Rows of parameter i, some of them, are read. */
static void read_some(struct world *w, int i, int64_t t, int threads)
{
    uint32_t row[64];
    int64_t count = 0;
    for (uint32_t r = 0; r < counts[i] / widths[i]; r++)
        if (draw(w) % 5 == 0)
            row[count++] = r;
    optimizer_catch_up(w->sparse, w->values[1], i, &(struct touched_list){count, row}, threads);
    for (int64_t k = 0; k < count; k++)
        expect_same(w, w->table.param[i].offset + row[k] * widths[i], widths[i], "a row that is read", t);
}

static void update_both(struct world *w, int64_t t, double lr, int threads)
{
    const struct param_gradient all = {NULL, w->grad, NULL}, some = {&w->layout, w->dense_part, w->touched};
    touch(w, t);
    optimizer_update(w->dense, w->values[0], all, 0.125f, lr, 1);
    optimizer_update(w->sparse, w->values[1], some, 0.125f, lr, threads);
}

static void exact_equals_dense(const struct optimizer_config *config, int schedule)
{
    struct world w;
    begin(&w, config);
    for (int64_t t = 1; t <= UPDATES; t++) {
        update_both(&w, t, rate(schedule, optimizer_default_lr(config->kind), t), 1 + (int)(t % 3));
        if (draw(&w) % 40 == 0)
            read_some(&w, ROWS + (int)(draw(&w) % 3), t, 1 + (int)(t % 2));
        if ((schedule != 1 && draw(&w) % 2000 == 0) || t == UPDATES) {
            optimizer_settle(w.sparse, w.values[1], 2);
            expect_all_same(&w, "all rows", t);
        }
    }
    end(&w);
}

static void test_exact_equals_dense(void **state)
{
    (void)state;
    for (int kind = 0; kind < optimizer_choices.count; kind++)
        for (int decay = 0; decay < 3; decay++)
            for (int schedule = 0; schedule < 3; schedule++) {
                const double decays[] = {0, 0.01, 3};
                struct optimizer_config config = {.kind = kind,
                                                  .momentum = 0.9,
                                                  .beta1 = 0.9,
                                                  .beta2 = 0.999,
                                                  .alpha = 0.99,
                                                  .epsilon = optimizer_default_epsilon(kind),
                                                  .weight_decay = decays[decay]};
                exact_equals_dense(&config, schedule);
            }
}

/* Numbers for which the bound of `quiet` rows has other branches: a ratio that grows, an epsilon that is tiny or
 * large, means that vanish at once or slowly. */
static void test_other_numbers(void **state)
{
    (void)state;
    const struct {
        const char *kind;
        double keep1, keep2, epsilon;
    } cases[] = {
        {"adam", 0.95, 0.8, 1e-8},  {"adam", 0, 0.99, 1e-8},       {"adam", 0.3, 0.4, 1e-8},
        {"adam", 0.9, 0.999, 0.5},  {"adam", 0.9, 0.999, 1e-20},   {"adam", 0.99999999, 0.99999999, 1e-6},
        {"adamw", 0.95, 0.8, 1e-3}, {"adamw", 0.99, 0.9999, 1e-9}, {"rmsprop", 0.3, 0, 1e-30},
        {"momentum", 0, 0, 0},      {"momentum", 0.9999, 0, 0},    {"momentum", 0.2, 0, 0},
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        struct optimizer_config config = {.kind = optimizer_kind(cases[i].kind),
                                          .momentum = cases[i].keep1,
                                          .beta1 = cases[i].keep1,
                                          .beta2 = cases[i].keep2,
                                          .alpha = cases[i].keep1,
                                          .epsilon = cases[i].epsilon};
        if (strcmp(cases[i].kind, "adamw") == 0)
            config.weight_decay = 0.1;
        exact_equals_dense(&config, 1 + i % 2);
    }
}

/* Sizes of values, of the first and of the second array of state. */
static const double sizes[][3][2] = {
    {{-36, 5}, {-46, 6}, {-46, 6}},
    {{-36, 5}, {-45, -42}, {-46, 6}},
    {{-36, -28}, {-45, -43}, {-3, 0}},   /* a mean that stays at its last subnormal, while its square's falls */
    {{-2, 0}, {-30, -27}, {-44.5, -44}}, /* a mean square that vanishes */
};

/* States that training may not reach: of a row all numbers of one array are of about one size. */
static void fill_state(struct world *w, int size)
{
    for (int i = 0; i < PARAMS; i++)
        for (size_t row = 0; widths[i] > 1 && row < counts[i] / widths[i]; row++)
            for (int array = 0; array <= w->sparse->slots; array++) {
                float *x = array == 0 ? w->values[0] : w->dense->slot[array - 1];
                float *y = array == 0 ? w->values[1] : w->sparse->slot[array - 1];
                const size_t begin = w->table.param[i].offset + row * widths[i];
                double high = uniform(w, sizes[size][array][0], sizes[size][array][1]), low = high - uniform(w, 0, 2);
                bool squares = array > 0 && strstr(optimizer_slot_name(w->sparse->config.kind, array - 1), "sq");
                for (size_t k = begin; k < begin + widths[i]; k++) {
                    float one = number(w, low, high);
                    one = one == 0 && row % 4 ? (float)pow(10, high) : one;
                    x[k] = y[k] = squares ? fabsf(one) : one;
                }
            }
}

static void test_any_state(void **state)
{
    (void)state;
    const char *const kinds[] = {"momentum", "rmsprop", "adam", "adamw"};
    const double keeps1[] = {0.9, 0.95, 0.3, 0.99, 0.5}, keeps2[] = {0.999, 0.8, 0.4, 0.9, 0.2};
    const double epsilons[] = {1e-8, 1e-3, 1e-14, 1e-20, 1e-25}, decays[] = {0.01, 1, 30}, rates[] = {1e-6, 1e-3, 1};
    struct world w;
    begin(&w, &(struct optimizer_config){0});
    uint32_t drawn = w.drawn;
    end(&w);
    for (int i = 0; i < 3000; i++) {
        int kind = i % 4;
        struct optimizer_config config = {.kind = optimizer_kind(kinds[kind])};
        struct rng_bits bits = rng_philox(18, RNG_TEST, 1, 0, 0, (uint32_t)i);
        config.momentum = config.beta1 = config.alpha = keeps1[bits.word[0] % 5];
        config.beta2 = keeps2[bits.word[1] % 5];
        config.epsilon = epsilons[bits.word[2] % 5];
        double lr = kind == 3 ? 1 : rates[bits.word[3] % 3];
        config.weight_decay = kind == 3 ? decays[bits.word[3] / 3 % 3] / fmax(1, 40 * lr) : 0;
        begin(&w, &config);
        w.drawn = drawn;
        fill_state(&w, i / 4 % 4);
        int64_t updates = (int64_t)pow(1500, uniform(&w, 0, 1));
        memset(w.grad, 0, w.total * sizeof(float));
        for (int64_t t = 1; t <= updates; t++) {
            const struct param_gradient all = {NULL, w.grad, NULL}, none = {&w.layout, w.dense_part, w.touched};
            double now = t % 100 == 0 ? lr : lr / 10;
            optimizer_update(w.dense, w.values[0], all, 1, now, 1);
            optimizer_update(w.sparse, w.values[1], none, 1, now, 1);
        }
        optimizer_settle(w.sparse, w.values[1], 1);
        expect_all_same(&w, "any state", updates);
        drawn = w.drawn;
        end(&w);
    }
}

/* What a lazy update leaves alone, as it was. */
static void put_back(struct world *w, const float *before)
{
    for (int i = 0; i < PARAMS; i++) {
        const struct gradient_rows *touched = &w->touched[i];
        for (uint32_t row = 0; widths[i] > 0 && row < counts[i] / widths[i]; row++) {
            size_t at = w->table.param[i].offset + row * widths[i], bytes = widths[i] * sizeof(float);
            bool is_touched = false;
            for (int64_t k = 0; k < touched->count; k++)
                is_touched |= touched->row[k] == row;
            if (is_touched)
                continue;
            memcpy(w->values[0] + at, before + at, bytes);
            for (int slot = 0; slot < w->dense->slots; slot++)
                memcpy(w->dense->slot[slot] + at, before + (size_t)(slot + 1) * w->total + at, bytes);
        }
    }
}

static void test_lazy_leaves_rows_alone(void **state)
{
    (void)state;
    for (int kind = 0; kind < optimizer_choices.count; kind++)
        for (int decay = 0; decay < 2; decay++) {
            struct optimizer_config config = {kind, 0.9, 0.9, 0.999, 0.99, 1e-8, 0.1 * decay, SPARSE_LAZY};
            struct world w;
            begin(&w, &config);
            float *before = mem_alloc(3 * w.total, sizeof(float), "test", NULL);
            for (int64_t t = 1; t <= 400; t++) {
                memcpy(before, w.values[0], w.total * sizeof(float));
                for (int slot = 0; slot < w.dense->slots; slot++)
                    memcpy(before + (size_t)(slot + 1) * w.total, w.dense->slot[slot], w.total * sizeof(float));
                update_both(&w, t, rate(1, 0.01, t), 2);
                put_back(&w, before);
                read_some(&w, NARROW, t, 2);
                if (t % 100 == 0)
                    optimizer_settle(w.sparse, w.values[1], 2);
                expect_all_same(&w, "lazy", t);
            }
            mem_free(before);
            end(&w);
        }
}

/* The two differ, where they should: otherwise nothing was tested. */
static void test_lazy_is_not_exact(void **state)
{
    (void)state;
    for (int kind = 0; kind < optimizer_choices.count; kind++)
        for (int decay = 0; decay < 2; decay++) {
            struct optimizer_config config = {kind, 0.9, 0.9, 0.999, 0.99, 1e-8, 0.1 * decay, SPARSE_LAZY};
            const char *name = optimizer_name(kind);
            bool plain = strcmp(name, "sgd") == 0 || strcmp(name, "ntasgd") == 0 || strcmp(name, "adagrad") == 0;
            bool rests = decay == 0 && plain, same = true;
            struct world w;
            begin(&w, &config);
            for (int64_t t = 1; t <= 100; t++)
                update_both(&w, t, 0.01, 1);
            same &= memcmp(w.values[0], w.values[1], w.total * sizeof(float)) == 0;
            for (int slot = 0; slot < w.dense->slots; slot++)
                same &= memcmp(w.dense->slot[slot], w.sparse->slot[slot], w.total * sizeof(float)) == 0;
            assert_int_equal(same, rests);
            end(&w);
        }
}

/* Rows that are read or touched have values of now; others may be old, and cost nothing until then. */
static void test_rows_rest(void **state)
{
    (void)state;
    struct optimizer_config config = {optimizer_kind("adam"), 0, 0.9, 0.999, 0, 1e-8, 0, SPARSE_EXACT};
    struct world w;
    begin(&w, &config);
    for (int64_t t = 1; t <= 200; t++)
        update_both(&w, t, 0.01, 1);
    size_t begin = w.table.param[ROWS].offset;
    assert_memory_not_equal(w.values[0] + begin, w.values[1] + begin, counts[ROWS] * sizeof(float));
    optimizer_settle(w.sparse, w.values[1], 1);
    expect_all_same(&w, "all rows", 200);
    optimizer_settle(w.sparse, w.values[1], 1); /* nothing more to do */
    expect_all_same(&w, "all rows, again", 200);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_equals_dense), cmocka_unit_test(test_other_numbers),
        cmocka_unit_test(test_any_state),          cmocka_unit_test(test_lazy_leaves_rows_alone),
        cmocka_unit_test(test_lazy_is_not_exact),  cmocka_unit_test(test_rows_rest),
    };
    setenv("UNROLL_TEAM_SHARE", "1", 1); /* small work is shared out, too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
