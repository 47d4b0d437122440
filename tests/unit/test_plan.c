/* Plans: formulas by hand, what is refused, splits of cores; and bench: its tokens, and that its numbers belong
 * together. That planned memory is what is taken is tested in tests/mpi/test_plan.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/lane_share.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/use/bench.h"
#include "unroll/use/plan.h"

static struct error error;
static struct plan plan;

static struct plan_config config_of(enum cell cell, int layers, int E, int H, int V, bool tied)
{
    return (struct plan_config){
        .step.model = {.cell = cell, .layers = layers, .embedding = E, .hidden = H, .vocab = V, .tied = tied},
        .batch = 20,
        .step.bptt = 35,
        .groups = 10,
        .ranks = 1,
        .step.threads = 1,
        .step.optimizer.kind = optimizer_kind("adam"),
        .run = true,
    };
}

static void build(const struct plan_config *config)
{
    if (plan_build(config, &plan, &error) != STATUS_OK)
        fail_msg("refused: %s", error.text);
}

/* 6 for each weight of a product: W_ih, W_hh and the decoder; neither biases nor the embedding. */
static void flops_count_each_product(void **state)
{
    (void)state;
    struct plan_config config = config_of(CELL_LSTM, 2, 100, 50, 1000, false);
    build(&config);
    assert_true(plan.flops_per_token == 6.0 * (4 * 50 * (100 + 50) + 4 * 50 * (50 + 50) + 1000 * 50));
    assert_int_equal(plan.tokens_per_step, 700);
    config = config_of(CELL_GRU, 1, 64, 64, 1000, true);
    build(&config);
    assert_true(plan.flops_per_token == 6.0 * (3 * 64 * 128 + 1000 * 64)); /* a tied decoder multiplies, too */
    config = config_of(CELL_RNN_TANH, 1, 7, 9, 11, false);
    build(&config);
    assert_true(plan.flops_per_token == 6.0 * (9 * 16 + 11 * 9));
    /* of samples, and of clusters, those that a token takes: of bench's tokens a share log(1 + r / 0.1) is below r */
    config = config_of(CELL_RNN_TANH, 1, 64, 64, 1000, false);
    config.step.model.output_layer = choices_find(&output_layer_choices, "sampled");
    config.step.model.samples = 50;
    build(&config);
    assert_true(plan.flops_per_token == 6.0 * (64 * 128 + 51 * 64));
    config.step.model.samples = 0;
    config.step.model.output_layer = choices_find(&output_layer_choices, "adaptive");
    config.step.model.cutoffs[0] = 100;
    config.step.model.div = 4;
    build(&config);
    double share = (log(10001) - log(1001)) / log(10001);
    assert_true(fabs(plan.flops_per_token - 6 * (64 * 128 + 101 * 64 + share * 16 * (64 + 900))) < 1);
}

static void memory_by_hand(void **state)
{
    (void)state;
    struct plan_config config = config_of(CELL_LSTM, 1, 64, 64, 1024, false);
    size_t elements = 2 * 1024 * 64 + 4 * 64 * 128 + 2 * 4 * 64 + 1024; /* multiples of 16: no padding */
    build(&config);
    const struct plan_memory *first = &plan.first;
    assert_int_equal(plan.table.elements, elements);
    assert_int_equal(first->parameters, 4 * elements);
    assert_int_equal(first->gradients, 4 * elements);
    assert_int_equal(first->optimizer, 8 * elements);
    assert_int_equal(first->checkpoint, 2 * 20 * 64 * 4); /* h and c of the lanes, gathered; no copy of the rest */
    assert_int_equal(plan.most.total, 0);
    assert_int_equal(first->total, first->parameters + first->gradients + first->optimizer + first->workspace +
                                       first->reducer + first->streams + first->evaluator + first->checkpoint +
                                       first->process);
    struct model_shape shape = {
        .bptt = 35, .share = lane_share_whole(20, 10), .threads = 1, .train = true, .exact = true};
    assert_int_equal(first->workspace, model_bytes(&config.step.model, &shape));
    shape.train = false;
    assert_int_equal(first->evaluator, model_bytes(&config.step.model, &shape));

    /* three ranks of ten groups: none has a single node of the tree */
    config.ranks = 3;
    config.step.optimizer.kind = OPTIMIZER_SGD;
    build(&config);
    assert_int_equal(first->optimizer, 0);
    assert_true(first->gradients >= 2 * 4 * elements);
    assert_int_equal(plan.most.checkpoint, 0);
    assert_true(plan.most.total > 0 && plan.most.total < first->total);
    assert_int_equal(plan.lanes_max, 8);

    /* with tied weights the decoder's gradient has room of its own */
    config = config_of(CELL_LSTM, 1, 64, 64, 1024, true);
    config.step.optimizer.kind = optimizer_kind("momentum");
    build(&config);
    elements -= 1024 * 64;
    assert_int_equal(first->parameters, 4 * elements);
    assert_int_equal(first->gradients, 4 * (elements + 1024 * 64));
    assert_int_equal(first->checkpoint, 2 * 20 * 64 * 4);

    /* steps alone, as in bench */
    config.run = false;
    build(&config);
    assert_int_equal(first->evaluator + first->streams + first->checkpoint, 0);
}

/* What a rank sends: all but its own slice of each node, and its slice of the sum to all others. */
static void bytes_on_the_wire(void **state)
{
    (void)state;
    struct plan_config config = config_of(CELL_LSTM, 1, 64, 64, 1024, false);
    build(&config);
    assert_int_equal(plan.wire_bytes, 0);
    size_t gradient = 4 * plan.table.grad_total;
    config.ranks = 2;
    build(&config);
    assert_int_equal(plan.wire_bytes, gradient);
    config.ranks = 5; /* two groups each */
    build(&config);
    struct lane_node nodes[LANE_NODES_MAX];
    int most = 0;
    for (int rank = 0; rank < 5; rank++) {
        struct lane_share share = lane_share_of(20, 10, 5, rank);
        int count = lane_share_nodes(&share, nodes);
        most = count > most ? count : most;
    }
    assert_true(most > 1);
    assert_true(fabs((double)plan.wire_bytes - (most + 1) * (double)gradient * 4 / 5) < 8);
    config.step.reduction = REDUCTION_FAST;
    build(&config);
    assert_true(fabs((double)plan.wire_bytes - 2 * (double)gradient * 4 / 5) < 8);
}

static void refused(const struct plan_config *config, enum status status, const char *message)
{
    struct error e = {0};
    assert_int_equal(plan_build(config, &plan, &e), status);
    if (!strstr(e.text, message))
        fail_msg("'%s' does not say '%s'", e.text, message);
}

static void impossible_runs_are_refused(void **state)
{
    (void)state;
    const struct plan_config good = config_of(CELL_LSTM, 2, 64, 64, 1024, false);
    struct plan_config config = good;
    config.ranks = 11;
    refused(&config, STATUS_CONFIG, "use at most 10 ranks, or --lane-groups 11");
    config.ranks = 21;
    refused(&config, STATUS_CONFIG, "'20' lanes among '21' ranks; use at most 10 ranks");
    config.ranks = 10;
    build(&config);
    config = good;
    config.groups = 21;
    refused(&config, STATUS_CONFIG, "--lane-groups 1 to 20");
    config = good;
    config.step.model.layers = 9;
    refused(&config, STATUS_CONFIG, "--layers");
    config = good;
    config.step.model.tied = true;
    config.step.model.embedding = 32;
    refused(&config, STATUS_CONFIG, "--tied");
    config = good;
    config.batch = 1 << 20;
    config.groups = 4;
    config.step.bptt = 2048;
    refused(&config, STATUS_CONFIG, "use more ranks");
}

static void splits_use_all_cores(void **state)
{
    (void)state;
    struct plan_config config = config_of(CELL_LSTM, 1, 64, 4 * GEMM_WIDE, 1024, false);
    struct plan_split splits[PLAN_SPLITS_MAX];
    int best;
    config.batch = 12;
    config.groups = 12;
    int count = plan_splits(&config, 4, 4, splits, &best);
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++) {
        assert_int_equal(splits[i].ranks * splits[i].threads, 4);
        assert_true(splits[i].busy == 1); /* 12 lanes and 4 blocks of units come out even */
    }
    assert_int_equal(best, 0); /* equally busy: the fewest ranks */
    assert_true(splits[2].wire_bytes > splits[1].wire_bytes && splits[0].wire_bytes == 0);

    assert_int_equal(plan_splits(&config, 4, 2, splits, &best), 2); /* no host with more than 2 cores */
    assert_int_equal(splits[0].ranks, 2);
    assert_int_equal(plan_splits(&config, 24, 1, splits, &best), 0); /* 24 ranks are too many */

    config.step.model.hidden = 3 * GEMM_WIDE; /* 4 threads on 3 blocks; 2 on 3 */
    count = plan_splits(&config, 4, 4, splits, &best);
    assert_int_equal(count, 3);
    assert_true(splits[0].busy == 0.75 && splits[1].busy == 0.75 && splits[2].busy == 1);
    assert_int_equal(best, 2);
    config.batch = config.groups = 5; /* 2 lanes on one rank, 1 on the others */
    assert_int_equal(plan_splits(&config, 4, 1, splits, &best), 1);
    assert_true(splits[0].busy == 5.0 / 8);
}

/* ---- bench ---- */

static void tokens_follow_zipf(void **state)
{
    (void)state;
    enum { V = 1000, N = 20000 };
    static int counts[V];
    for (uint32_t position = 0; position < N; position++) {
        uint32_t token = bench_token(V, 7, position, 3);
        assert_true(token < V);
        assert_int_equal(token, bench_token(V, 7, position, 3));
        counts[token]++;
    }
    /* p(first half decade) = ln((v + 0.1) / 0.1) / ln(1 + V / 0.1); four standard deviations of a count of N */
    double all = log(1 + V / 0.1), below_10 = 0;
    for (int v = 0; v < 10; v++)
        below_10 += counts[v];
    double expected = N * log(1 + 10 / 0.1) / all;
    assert_true(fabs(below_10 - expected) < 4 * sqrt(N * 0.25));
    assert_true(bench_token(V, 7, 0, 3) != bench_token(V, 8, 0, 3) ||
                bench_token(V, 7, 1, 3) != bench_token(V, 8, 1, 3));
    for (uint32_t position = 0; position < 100; position++)
        assert_int_equal(bench_token(1, 1, position, 0), 0);
}

static void numbers_belong_together(void **state)
{
    (void)state;
    const struct comm alone = COMM_ALONE;
    struct bench_config config = {
        .step.model = {.cell = CELL_GRU, .layers = 2, .embedding = 20, .hidden = 33, .vocab = 101, .dropout = 0.1},
        .step.seed = 1,
        .batch = 6,
        .step.bptt = 5,
        .groups = 3,
        .step.threads = 2,
        .step.optimizer = {.kind = OPTIMIZER_SGD},
        .lr = 0.1,
        .step.clip = 5,
        .steps = 4,
    };
    struct bench_result result;
    assert_int_equal(bench_run(&alone, &config, &result, &error), STATUS_OK);
    assert_int_equal(result.steps, 4);
    assert_int_equal(result.repetitions, 3);
    assert_int_equal(result.allocations, 0);
    double sum = 0;
    for (int phase = 0; phase < BENCH_PHASES; phase++) {
        assert_true(result.phase[phase] >= 0);
        sum += result.phase[phase];
    }
    assert_true(fabs(sum - result.step_seconds) <= 1e-9 * result.step_seconds);
    assert_true(result.phase[BENCH_RECURRENT_FORWARD] > 0 && result.phase[BENCH_RECURRENT_BACKWARD] > 0 &&
                result.phase[BENCH_OUTPUT_LAYER] > 0 && result.phase[BENCH_WEIGHT_GRADIENTS] > 0 &&
                result.phase[BENCH_OPTIMIZER] > 0);
    assert_true(fabs(result.tokens_per_second * result.step_seconds - 30) < 1e-6);
    assert_true(result.step_seconds_min <= result.step_seconds && result.step_seconds <= result.step_seconds_max);
    assert_true(result.fraction_of_sgemm == result.flops / result.sgemm_flops);
    assert_true(result.peak_rss_bytes > 1 << 20 && result.planned_bytes > 1 << 20);
    assert_true(fabs(result.loss_first - log(101)) < 0.5); /* nothing learnt yet: nearly uniform */

    config.lr = 1e38; /* the next logits overflow */
    config.step.clip = 0;
    assert_int_equal(bench_run(&alone, &config, &result, &error), STATUS_DIVERGED);
    config.lr = 0.1;
    config.groups = 7;
    assert_int_equal(bench_run(&alone, &config, &result, &error), STATUS_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flops_count_each_product), cmocka_unit_test(memory_by_hand),
        cmocka_unit_test(bytes_on_the_wire),        cmocka_unit_test(impossible_runs_are_refused),
        cmocka_unit_test(splits_use_all_cores),     cmocka_unit_test(tokens_follow_zipf),
        cmocka_unit_test(numbers_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
