/* Predictions of steps on many ranks: phases by the lanes, rows by hand, and which files they are made from. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/lane_share.h"
#include "unroll/sys/json_read.h"
#include "unroll/use/predict.h"

static struct error error;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.17g for %.17g", got, want);
}

static struct predict_measured measured_of(int lanes, double computing, double update)
{
    return (struct predict_measured){
        .lanes = lanes, .files = 1, .phase = {[BENCH_OUTPUT_LAYER] = computing, [BENCH_OPTIMIZER] = update}};
}

/* ---- phases ---- */

static void one_measurement_is_taken_in_proportion(void **state)
{
    (void)state;
    struct predict_config config = {.count = 1, .measured = {measured_of(8, 4, 3)}};
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 2), 1);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 80), 40);
    near(predict_phase(&config, BENCH_OPTIMIZER, 2), 3); /* as many weights as before */
    near(predict_phase(&config, BENCH_OPTIMIZER, 80), 3);
}

static void several_are_joined_by_lines(void **state)
{
    (void)state;
    struct predict_config config = {.count = 3,
                                    .measured = {measured_of(4, 3, 1), measured_of(8, 5, 1), measured_of(16, 13, 1)}};
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 4), 3);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 6), 4);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 8), 5);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 10), 7);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 16), 13);
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 24), 21); /* beyond: along the last line */
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 2), 2);   /* and the first: 1 + n/2 */
    near(predict_phase(&config, BENCH_OPTIMIZER, 100), 1);
}

static void noise_gives_no_nonsense(void **state)
{
    (void)state;
    /* steeper than in proportion: the line would reach zero at 2 lanes */
    struct predict_config config = {.count = 2, .measured = {measured_of(4, 1, 9), measured_of(8, 3, 1)}};
    near(predict_phase(&config, BENCH_OUTPUT_LAYER, 1), 0.25);
    near(predict_phase(&config, BENCH_OPTIMIZER, 1), 9);  /* falling with lanes: no longer for fewer */
    near(predict_phase(&config, BENCH_OPTIMIZER, 99), 1); /* and never below what was measured */
}

/* ---- rows ---- */

static struct predict_config config_of(int batch, int groups, int nodes, int ranks_per_node)
{
    return (struct predict_config){
        .batch = batch,
        .groups = groups,
        .nodes = nodes,
        .setting = {.model = {.cell = CELL_RNN_TANH, .layers = 1, .embedding = 16, .hidden = 16, .vocab = 32},
                    .bptt = 10,
                    .threads = 1},
        .count = 1,
        .measured = {measured_of(8, 0.8, 0.1)},
        .first_lanes = 8,
        .network = {.between = {1e-3, 3e-3, 1e6}, .inside = {1e-6, 3e-6, 1e9}, .ranks_per_node = ranks_per_node},
    };
}

static void strong_scaling_by_hand(void **state)
{
    (void)state;
    struct predict_config config = config_of(32, 16, 64, 1);
    struct predict_row rows[PREDICT_ROWS_MAX];
    int count = predict_rows(&config, true, rows);
    assert_int_equal(count, 5); /* 1, 2, 4, 8 and 16 ranks; 16 lane groups allow no more */
    size_t floats = 32 * 16 * 2 + 32 + 2 * 16 * 16 + 2 * 16;
    for (int i = 0; i < count; i++) {
        int ranks = 1 << i;
        assert_int_equal(rows[i].ranks, ranks);
        assert_int_equal(rows[i].nodes, ranks);
        assert_int_equal(rows[i].lanes, 32 / ranks);
        assert_int_equal(rows[i].batch, 32);
        near(rows[i].computing, 0.1 * 32 / ranks);
        near(rows[i].update, 0.1);
        near(rows[i].losses, i * 1e-3 + 8e-6 * (ranks - 1) * (1 + 16.0 / ranks));
        near(rows[i].sum, 2 * (i * 1e-3 + 4e-6 * (double)floats * (ranks - 1) / ranks));
        near(rows[i].step, rows[i].computing + rows[i].update + rows[i].losses + rows[i].sum);
        near(rows[i].tokens_per_second, 320 / rows[i].step);
        near(rows[i].efficiency, rows[0].step / (rows[i].step * ranks));
        assert_true(rows[i].bound <= rows[i].sum);
    }
}

static void weak_scaling_by_hand(void **state)
{
    (void)state;
    struct predict_config config = config_of(32, 16, 3000, 1);
    struct predict_row rows[PREDICT_ROWS_MAX];
    int count = predict_rows(&config, false, rows);
    assert_int_equal(count, 13); /* 1, 2, ... 2048 and 3000 ranks */
    assert_int_equal(rows[12].ranks, 3000);
    for (int i = 0; i < count; i++) {
        assert_int_equal(rows[i].lanes, 8);
        assert_int_equal(rows[i].batch, 8 * rows[i].ranks);
        near(rows[i].computing, 0.8);
        near(rows[i].efficiency, rows[0].step / rows[i].step);
    }
    assert_true(rows[12].sum > rows[11].sum); /* no power of two: slices */
}

/* A rank with more lanes than others is waited for. */
static void the_fullest_rank_decides(void **state)
{
    (void)state;
    struct predict_config config = config_of(12, 12, 5, 1);
    struct predict_row rows[PREDICT_ROWS_MAX];
    int count = predict_rows(&config, true, rows);
    assert_int_equal(count, 4);
    assert_int_equal(rows[3].ranks, 5);
    assert_int_equal(rows[3].lanes, 3);
    near(rows[3].computing, 0.3);
}

static void nodes_of_several_ranks(void **state)
{
    (void)state;
    struct predict_config config = config_of(64, 64, 5, 6);
    struct predict_row rows[PREDICT_ROWS_MAX];
    static const int ranks[] = {1, 2, 4, 6, 12, 24, 30}, nodes[] = {1, 1, 1, 1, 2, 4, 5};
    assert_int_equal(predict_rows(&config, true, rows), 7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(rows[i].ranks, ranks[i]);
        assert_int_equal(rows[i].nodes, nodes[i]);
    }
    assert_true(rows[3].sum < 1e-3); /* inside a node */
    assert_true(rows[4].sum > 1e-3);
    /* as far as can be predicted, in the most rows */
    config = config_of(64, 64, PREDICT_RANKS_MAX / 4095, 4095);
    assert_int_equal(predict_rows(&config, false, rows), 13 + 8);
    assert_int_equal(rows[20].ranks, 256 * 4095);
    config.first_lanes = 1 << 20;
    assert_int_equal(rows[predict_rows(&config, false, rows) - 1].ranks, 1 << 10);
}

/* ---- files ---- */

static char name[] = "/tmp/test_predict.XXXXXX";

static void write_file(const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

#define BEFORE_MODEL "\"added_floats_per_second\": 1e9, \"threads\": 2, "
#define PHASES                                                                                                         \
    "\"phases\": {\"input_projection\": 1, \"recurrent_forward\": 2, \"output_layer\": 3, \"recurrent_backward\": 4, " \
    "\"weight_gradients\": 5, \"reduction\": 6, \"optimizer\": 7, \"other\": 8}, "
#define MODEL(hidden, batch)                                                              \
    "\"model\": {\"cell\": \"gru\", \"layers\": 2, \"embedding\": 5, \"hidden\": " hidden \
    ", \"vocab_size\": 31, \"tied\": false, \"bptt\": 7, \"batch\": " batch               \
    ", \"optimizer\": \"sgd\", \"reduction\": \"exact\"}"
#define LINK(latency) "{\"latency\": " latency ", \"start_up\": 2e-3, \"bandwidth\": 3e6}"

static enum status reads(struct predict_config *config, const char *text)
{
    write_file(text);
    return predict_read(name, config, &error);
}

static void measurements_are_read(void **state)
{
    (void)state;
    struct predict_config config = {.count = 0};
    assert_int_equal(reads(&config, "{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("9", "16") "}"), STATUS_OK);
    assert_int_equal(reads(&config, "{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("9", "4") "}"), STATUS_OK);
    assert_int_equal(config.count, 2);
    assert_int_equal(config.first_lanes, 16);
    assert_int_equal(config.measured[0].lanes, 4);
    assert_int_equal(config.measured[1].lanes, 16);
    assert_int_equal(config.setting.model.cell, CELL_GRU);
    assert_int_equal(config.setting.model.hidden, 9);
    assert_int_equal(config.setting.model.vocab, 31);
    assert_int_equal(config.setting.bptt, 7);
    assert_int_equal(config.setting.threads, 2);
    assert_int_equal(config.setting.optimizer, OPTIMIZER_SGD);
    near(config.network.add_rate, 1e9);
    for (int phase = 0; phase < BENCH_PHASES; phase++)
        near(config.measured[0].phase[phase], phase + 1);
    assert_false(config.has_between || config.has_inside);

    /* the mean of two with as many lanes */
    assert_int_equal(reads(&config, "{\"ranks\": 1, \"added_floats_per_second\": 5e8, \"threads\": 2, \"phases\": "
                                    "{\"input_projection\": 2, \"recurrent_forward\": 2, \"output_layer\": 3, "
                                    "\"recurrent_backward\": 4, \"weight_gradients\": 5, \"reduction\": 6, "
                                    "\"optimizer\": 7, \"other\": 8}, " MODEL("9", "4") "}"),
                     STATUS_OK);
    assert_int_equal(config.count, 2);
    near(config.measured[0].phase[0], 1.5);
    near(config.network.add_rate, 5e8);

    /* links: of several ranks, whatever their model; the first that knows them counts */
    assert_int_equal(reads(&config,
                           "{\"ranks\": 4, \"added_floats_per_second\": 1, \"network\": {\"between_hosts\": null, "
                           "\"inside_hosts\": " LINK("4e-6") "}}"),
                     STATUS_OK);
    assert_true(config.has_inside && !config.has_between);
    assert_int_equal(
        reads(&config, "{\"ranks\": 4, \"added_floats_per_second\": 1, \"network\": {\"between_hosts\": " LINK(
                           "5e-6") ", \"inside_hosts\": " LINK("6e-6") "}}"),
        STATUS_OK);
    assert_true(config.has_between);
    near(config.network.inside.latency, 4e-6);
    near(config.network.between.latency, 5e-6);
    near(config.network.between.start_up, 2e-3);
    near(config.network.between.bandwidth, 3e6);
    near(config.network.add_rate, 5e8);
}

static void refused(const char *text, enum status status, const char *message)
{
    struct predict_config config = {.count = 0};
    assert_int_equal(reads(&config, "{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("9", "16") "}"), STATUS_OK);
    assert_int_equal(reads(&config, text), status);
    if (!strstr(error.text, message) || !strstr(error.text, name))
        fail_msg("'%s' does not say '%s'", error.text, message);
    assert_int_equal(config.count, 1);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    refused("", STATUS_DATA, "as JSON");
    refused("{\"ranks\": 1, \"ranks\": 1}", STATUS_DATA, "as JSON");
    refused("[1]", STATUS_DATA, "'ranks' is missing");
    refused("{\"ranks\": \"1\"}", STATUS_DATA, "'ranks' is no whole number");
    refused("{\"ranks\": 0}", STATUS_DATA, "'ranks' is out of range");
    refused("{\"ranks\": 1, \"added_floats_per_second\": true}", STATUS_DATA, "is no number");
    refused("{\"ranks\": 2, \"added_floats_per_second\": 1}", STATUS_CONFIG, "made by 2 ranks without --network");
    refused("{\"ranks\": 1, " BEFORE_MODEL MODEL("9", "4") "}", STATUS_DATA, "'phases.input_projection' is missing");
    refused("{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("8", "4") "}", STATUS_CONFIG, "another --hidden");
    refused("{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("-9", "4") "}", STATUS_DATA, "'model.hidden' is out of range");
    refused("{\"ranks\": 1, " BEFORE_MODEL PHASES MODEL("9", "\"4\"") "}", STATUS_DATA, "'model.batch'");
    refused("{\"ranks\": 1, \"added_floats_per_second\": 1, \"threads\": 1, \"model\": {\"cell\": \"tanh\"}}",
            STATUS_DATA, "'tanh' is no known 'model.cell'");
    refused("{\"ranks\": 2, \"added_floats_per_second\": 1, \"network\": {\"between_hosts\": {\"latency\": -1}}}",
            STATUS_DATA, "'network.between_hosts.latency' is out of range");
    struct predict_config config = {.count = 0};
    assert_int_equal(predict_read("/no/such/file.json", &config, &error), STATUS_NOINPUT);
    assert_int_equal(predict_read("/proc/self/mem", &config, &error), STATUS_IO);
    assert_int_equal(predict_read("/dev/zero", &config, &error), STATUS_DATA);
}

static int make_name(void **state)
{
    (void)state;
    int fd = mkstemp(name);
    return fd < 0 ? -1 : close(fd);
}

static int remove_name(void **state)
{
    (void)state;
    return unlink(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_measurement_is_taken_in_proportion),
        cmocka_unit_test(several_are_joined_by_lines),
        cmocka_unit_test(noise_gives_no_nonsense),
        cmocka_unit_test(strong_scaling_by_hand),
        cmocka_unit_test(weak_scaling_by_hand),
        cmocka_unit_test(the_fullest_rank_decides),
        cmocka_unit_test(nodes_of_several_ranks),
        cmocka_unit_test_setup_teardown(measurements_are_read, make_name, NULL),
        cmocka_unit_test_setup_teardown(other_files_are_refused, NULL, remove_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
