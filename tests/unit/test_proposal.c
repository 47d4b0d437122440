/* Samples of output layers: counts as TensorFlow's samplers have them, distributions against enumeration, and what is
 * at the edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/sort.h"
#include "unroll/nn/proposal.h"

struct fixture {
    struct proposal_law law;
    struct proposal_draw draw;
    uint32_t *order, *rank;
    float *counts;
};

static void *take(size_t count, size_t size)
{
    void *memory = mem_alloc(count, size, "test", NULL);
    assert_non_null(memory);
    return memory;
}

/* `turned`: the order of counts is that of falling ids. */
static struct fixture create(enum proposal kind, int V, int K, bool turned)
{
    struct fixture f = {.law = {.kind = kind, .V = V}, .draw = {.K = K}};
    size_t n = (size_t)V;
    f.order = take(n, sizeof *f.order);
    f.rank = take(n, sizeof *f.rank);
    f.counts = take(n, sizeof *f.counts);
    f.law.cumulative = take(n, sizeof *f.law.cumulative);
    f.draw.id = take((size_t)K, sizeof *f.draw.id);
    f.draw.work = take(1, proposal_work_bytes(K));
    for (int i = 0; i < V; i++) {
        f.order[i] = f.rank[i] = (uint32_t)(turned ? V - 1 - i : i);
        f.counts[i] = ceilf(1000.0f / (float)(i + 1));
    }
    if (turned) {
        f.law.order = f.order;
        f.law.rank = f.rank;
    }
    f.law.counts = f.counts;
    proposal_prepare(&f.law);
    return f;
}

static void release(struct fixture *f)
{
    mem_free(f->order);
    mem_free(f->rank);
    mem_free(f->counts);
    mem_free(f->law.cumulative);
    mem_free(f->draw.id);
    mem_free(f->draw.work);
}

/* Numbers of TensorFlow's formulas (range_sampler.cc: LogUniformSampler::Probability and ExpectedCountHelper), computed
 * by Python with math.log, math.log1p and math.expm1. */
static void test_counts_are_tensorflows(void **unused)
{
    (void)unused;
    const struct {
        int V, K, tries;
        uint32_t id;
        double count;
    } known[] = {
        {10000, 100, 153, 0, 0.99999367232890557},
        {10000, 100, 153, 5, 0.92440442466429262},
        {10000, 100, 100, 5, 1.6736515702328019},
        {10000, 100, 153, 9999, 0.0016597054859638395},
        {4194304, 8192, 9000, 4194303, 0.00014070316048604771},
        {4194304, 8192, 9000, 77, 0.99945875110721438},
        {30, 20, 61, 0, 0.99999893540134122},
        {30, 20, 61, 29, 0.44304132511893451},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct proposal_law law = {.kind = PROPOSAL_LOG_UNIFORM, .V = known[i].V};
        struct proposal_draw draw = {.K = known[i].K, .tries = known[i].tries};
        proposal_prepare(&law);
        double count = proposal_count(&law, &draw, known[i].id);
        assert_true(fabs(count / known[i].count - 1) < 1e-13);
        assert_true(fabs(proposal_log_count(&law, &draw, known[i].id) - log(known[i].count)) <
                    1e-7 * (1 + fabs(log(known[i].count))));
    }
}

static void test_probabilities_sum_to_one(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < proposal_choices.count; kind++)
        for (int turned = 0; turned < 2; turned++) {
            struct fixture f = create((enum proposal)kind, 1000, 1, turned);
            double sum = 0;
            for (uint32_t id = 0; id < 1000; id++) {
                double p = proposal_probability(&f.law, id), weight = pow(f.counts[id], 0.75) / f.law.scale;
                double rank = turned ? 999 - id : id;
                sum += p;
                assert_true(fabs(p / (kind == PROPOSAL_UNIGRAM ? weight : log((rank + 2) / (rank + 1)) / log(1001)) -
                                 1) < 1e-12);
            }
            assert_true(fabs(sum - 1) < 1e-12);
            release(&f);
        }
}

/* Adds to inclusion[id] the probability of each way to draw `left` more ids, given those of `drawn` (bits). Returns how
 * many tries are to be expected for them, times the chance of those that are drawn. */
static double enumerate(const double *p, int V, unsigned drawn, int left, double chance, double *inclusion)
{
    double rest = 0;
    for (int id = 0; id < V; id++)
        rest += drawn >> id & 1 ? 0 : p[id];
    double tries = left > 0 ? chance / rest : 0;
    for (int id = 0; left > 0 && id < V; id++)
        if (!(drawn >> id & 1)) {
            inclusion[id] += chance * p[id] / rest;
            tries += enumerate(p, V, drawn | 1u << id, left - 1, chance * p[id] / rest, inclusion);
        }
    return tries;
}

/* Ids are included as often as drawing one after another includes them, in as many tries: by tries (K up to V / 2) and
 * by clocks. Means of n draws are within five standard deviations, which for ids are sqrt(1 / 4 n) at most. */
static void test_distribution(void **unused)
{
    (void)unused;
    enum { V = 6, DRAWS = 40000 };
    for (int kind = 0; kind < proposal_choices.count; kind++)
        for (int K = 1; K < V; K++) {
            struct fixture f = create((enum proposal)kind, V, K, K % 2);
            double p[V], expected[V] = {0}, sum = 0, squares = 0;
            int drawn[V] = {0};
            for (int id = 0; id < V; id++)
                p[id] = proposal_probability(&f.law, (uint32_t)id);
            double tries = enumerate(p, V, 0, K, 1, expected);
            for (int step = 0; step < DRAWS; step++) {
                proposal_draw(&f.law, 7, step, &f.draw);
                for (int i = 0; i < K; i++) {
                    assert_true(f.draw.id[i] < V && (i == 0 || f.draw.id[i - 1] < f.draw.id[i]));
                    drawn[f.draw.id[i]]++;
                }
                sum += f.draw.tries / DRAWS;
                squares += f.draw.tries * f.draw.tries / DRAWS;
            }
            for (int id = 0; id < V; id++)
                assert_true(fabs((double)drawn[id] / DRAWS - expected[id]) < 5 * sqrt(0.25 / DRAWS));
            assert_true(fabs(sum - tries) < 1e-9 + 5 * sqrt(fmax(0, squares - sum * sum) / DRAWS));
            release(&f);
        }
}

static void test_sort(void **unused)
{
    (void)unused;
    for (uint32_t n = 0; n < 70; n++) {
        uint32_t ids[70], sum = 0, sorted = 0;
        for (uint32_t i = 0; i < n; i++) {
            ids[i] = rng_philox(1, RNG_TEST, n, 0, 0, i).word[0] % (n < 35 ? 10 : UINT32_MAX);
            sum += ids[i];
        }
        sort_ids(ids, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(i == 0 || ids[i - 1] <= ids[i]);
            sorted += ids[i];
        }
        assert_int_equal(sum, sorted);
    }
}

static void test_place(void **unused)
{
    (void)unused;
    struct fixture f = create(PROPOSAL_LOG_UNIFORM, 500, 90, true);
    proposal_draw(&f.law, 1, 2, &f.draw);
    int found = 0;
    for (uint32_t id = 0; id < 500; id++) {
        int place = proposal_place(&f.draw, id);
        assert_true(place < 0 || f.draw.id[place] == id);
        found += place >= 0;
    }
    assert_int_equal(found, 90);
    release(&f);
}

/* The bits of a draw: a change here changes everyone's results. */
static void test_known_draws(void **unused)
{
    (void)unused;
    const uint32_t known[2][2][8] = {
        {{2784, 3382, 3757, 4548, 5106, 24176, 58486, 76368}, {0, 1, 2, 3, 6, 7, 9, 10}},
        {{68051, 69786, 70724, 72428, 73460, 87332, 95214, 97594}, {0, 1, 2, 3, 6, 7, 9, 10}}};
    for (int kind = 0; kind < 2; kind++)
        for (int clocks = 0; clocks < 2; clocks++) {
            struct fixture f = create((enum proposal)kind, clocks ? 12 : 100000, 8, false);
            proposal_draw(&f.law, 3, 4, &f.draw);
            for (int i = 0; i < 8; i++)
                assert_int_equal(f.draw.id[i], known[kind][clocks][i]);
            release(&f);
        }
}

/* All ids: whatever the distribution, with counts of one. One less, of four million: in one pass. */
static void test_edges(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < proposal_choices.count; kind++) {
        struct fixture all = create((enum proposal)kind, 1234, 1234, false);
        proposal_draw(&all.law, 1, 1, &all.draw);
        for (uint32_t id = 0; id < 1234; id++) {
            assert_int_equal(all.draw.id[id], id);
            assert_true(proposal_log_count(&all.law, &all.draw, id) == 0);
        }
        release(&all);
        struct fixture one = create((enum proposal)kind, 1, 1, false);
        proposal_draw(&one.law, 1, 1, &one.draw);
        assert_int_equal(one.draw.id[0], 0);
        release(&one);
        struct fixture near = create((enum proposal)kind, 20000, 19999, false);
        proposal_draw(&near.law, 1, 1, &near.draw);
        for (int i = 1; i < 19999; i++)
            assert_true(near.draw.id[i - 1] < near.draw.id[i]);
        assert_true(near.draw.id[19998] < 20000 && near.draw.tries > 19999);
        release(&near);
        struct fixture large = create((enum proposal)kind, 1 << 22, 8192, false);
        proposal_draw(&large.law, 1, 1, &large.draw);
        for (int i = 1; i < 8192; i++)
            assert_true(large.draw.id[i - 1] < large.draw.id[i]);
        assert_true(large.draw.id[8191] < 1 << 22 && large.draw.id[8191] > 1 << 16);
        release(&large);
    }
}

/* One id has nearly all counts: tries alone would not end in a lifetime. */
static void test_skewed_counts(void **unused)
{
    (void)unused;
    struct fixture f = create(PROPOSAL_UNIGRAM, 100, 20, false);
    for (int id = 1; id < 100; id++)
        f.counts[id] = 0;
    f.counts[0] = 0x1p63f;
    proposal_prepare(&f.law);
    proposal_draw(&f.law, 1, 1, &f.draw);
    assert_int_equal(f.draw.id[0], 0);
    for (int i = 1; i < 20; i++)
        assert_true(f.draw.id[i - 1] < f.draw.id[i]);
    assert_true(f.draw.tries > 0x1p40);
    assert_true(isfinite(proposal_log_count(&f.law, &f.draw, 99)));
    release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_tensorflows),
        cmocka_unit_test(test_probabilities_sum_to_one),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_known_draws),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_skewed_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
