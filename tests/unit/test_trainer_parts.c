/* The trainer's parts, each alone: what a start has cost and what it tells of the rest, where rank 0 tells, what it
 * is advised, and signs of life. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/train/trainer_adviser.h"
#include "../../src/train/trainer_costs.h"
#include "../../src/train/trainer_heartbeat.h"
#include "../../src/train/trainer_reporter.h"

static FILE *stream;
static struct terminal terminal;
static struct reporter reporter;

/* A reporter that writes into a file. */
static int begin(void **state)
{
    (void)state;
    stream = tmpfile();
    terminal_init(&terminal, stream);
    reporter = (struct reporter){.log = &terminal};
    return stream ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return fclose(stream);
}

/* What was told since it was asked last. */
static const char *told(void)
{
    static char text[4000];
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    rewind(stream);
    assert_int_equal(ftruncate(fileno(stream), 0), 0);
    return text;
}

/* ---- costs ---- */

static void test_steps_cost(void **state)
{
    struct costs costs;
    (void)state;
    costs_begin(&costs);
    costs_add_step(&costs, 9, 100);
    assert_true(costs.steps == 9 && costs.tokens == 100);
    assert_true(costs.recent_steps == 0); /* the first tells nothing of others */
    costs_add_step(&costs, 2, 100);
    costs_add_step(&costs, 4, 200);
    assert_true(costs.steps == 15 && costs.tokens == 400);
    assert_true(costs.recent == 6 && costs.recent_steps == 2 && costs.recent_tokens == 300);
    costs_add_step(&costs, 1000, 100); /* what is older counts half */
    assert_true(costs.recent == 503 && costs.recent_steps == 1 && costs.recent_tokens == 200);
    assert_true(costs.steps == 1015 && costs.tokens == 500);
}

static void test_files_cost(void **state)
{
    struct costs costs;
    (void)state;
    costs_begin(&costs);
    assert_true(costs_of_writing(&costs, false, 400000000) == 2); /* none has been written: by their length */
    costs_add_save(&costs, 3, false);
    costs_add_save(&costs, 5, false);
    costs_add_save(&costs, 1, true);
    assert_true(costs_of_writing(&costs, false, 400000000) == 4);
    assert_true(costs_of_writing(&costs, true, 400000000) == 1);
    assert_true(costs.saves == 8 && costs.bests == 1);
}

static void test_a_run_has_earlier_starts(void **state)
{
    struct costs costs;
    (void)state;
    costs_begin(&costs);
    costs.before = 1e6;
    double first = costs_elapsed(&costs), second = costs_of_run(&costs);
    assert_true(first >= 0 && first < 1000);
    assert_true(second >= 1e6 + first && second < 1e6 + 1000);
}

/* ---- what is told ---- */

static void test_messages(void **state)
{
    (void)state;
    reporter_tell(&reporter, "step %d", 7);
    assert_string_equal(told(), "step 7\n");
    assert_true(reporter.covered);
    reporter.covered = false;
    reporter_warn(&reporter, "%s", "100 %");
    assert_string_equal(told(), "unroll: warning: 100 %\n");
    assert_true(reporter.covered);
    struct reporter silent = {.log = NULL};
    reporter_tell(&silent, "nothing");
    assert_false(silent.covered);
}

static enum status ours(void *context, struct error *e)
{
    (void)context;
    (void)e;
    return STATUS_OK;
}

static void test_files_of_a_run(void **state)
{
    struct rundir rundir = {.guard = {.check = ours}};
    char path[FILE_PATH_MAX], text[200];
    struct error e;
    struct json json;
    (void)state;
    const char *folder = getenv("TMPDIR");
    snprintf(rundir.path, sizeof rundir.path, "%s/unroll-parts-XXXXXX", folder ? folder : "/tmp");
    assert_non_null(mkdtemp(rundir.path));
    assert_int_equal(reporter_open(&reporter, &rundir, 0, &e), STATUS_OK);
    assert_string_equal(told(), "");
    metrics_begin_line(&json, "skip");
    json_put_int(&json, "step", 3);
    metrics_end_line(reporter.metrics, &json);
    assert_int_equal(metrics_sync(reporter.metrics, &e), STATUS_OK);
    reporter_close(&reporter);
    assert_null(reporter.metrics);
    rundir_file(&rundir, "metrics.jsonl", path);
    assert_int_equal(file_read_text(path, text, sizeof text, &e), STATUS_OK);
    assert_string_equal(text, "{\"type\": \"skip\", \"step\": 3}\n");

    assert_int_equal(reporter_open(&reporter, &rundir, 1000, &e), STATUS_OK);
    assert_non_null(strstr(told(), "lines are missing"));
    reporter_close(&reporter);
    unlink(path);
    rundir_file(&rundir, "timing.jsonl", path);
    unlink(path);
    assert_int_equal(rmdir(rundir.path), 0);
}

/* ---- advice ---- */

static const struct advice_run run = {.uniform = 4, .lr = 0, .epoch = 100, .total = 1000};

static void test_advice_is_given_once(void **state)
{
    struct adviser adviser;
    const struct advice_train line = {.step = 10, .tokens = 100, .loss = 4};
    (void)state;
    adviser_begin(&adviser, &run, "/no such file");
    adviser_train(&adviser, &reporter, &line);
    assert_string_equal(told(), "unroll: warning: the learning rate is 0: nothing is learnt\n");
    adviser_train(&adviser, &reporter, &line);
    adviser_valid(&adviser, &reporter, 10, 1, 4);
    assert_string_equal(told(), "");
}

static void test_an_earlier_start_has_said_it(void **state)
{
    struct adviser adviser;
    char path[] = "/tmp/unroll-parts-XXXXXX";
    const char *text = "{\"type\": \"train\", \"step\": 10, \"tokens\": 100, \"loss\": 4.0}\n";
    (void)state;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    adviser_begin(&adviser, &run, path);
    unlink(path);
    assert_true(adviser.history.lines == 1 && adviser.history.step == 10);
    adviser_train(&adviser, &reporter, &(struct advice_train){.step = 20, .tokens = 200, .loss = 4});
    assert_string_equal(told(), "");
}

static void test_the_conclusion(void **state)
{
    struct adviser adviser;
    struct json json;
    const char *text;
    struct error e;
    (void)state;
    adviser_begin(&adviser, &run, "/no such file");
    adviser_tell(&adviser, &reporter);
    assert_string_equal(told(), "");
    adviser_conclude(&adviser, true, &(struct advice_outcome){.step = 20, .train_loss = 4, .valid_loss = NAN});
    assert_true(adviser.run.stopped);
    adviser_tell(&adviser, &reporter);
    assert_string_equal(told(), "advice:\n  the learning rate is 0: nothing is learnt\n"
                                "  what helps: a new run with --lr above 0, or without --lr\n");
    json_init(&json);
    json_object_begin(&json, NULL);
    adviser_put(&adviser, &json);
    json_object_end(&json);
    assert_int_equal(json_text(&json, &text, &e), STATUS_OK);
    assert_non_null(strstr(text, "\"kind\": \"rate zero\""));
    json_release(&json);
}

/* ---- signs of life ---- */

static void test_heartbeat_without_watchdog_and_lock(void **state)
{
    struct heartbeat heartbeat;
    struct error e;
    int64_t step = 3;
    (void)state;
    assert_int_equal(heartbeat_start(&heartbeat, 0, 0, &step, &e), STATUS_OK);
    assert_null(heartbeat.watchdog);
    heartbeat_beat(&heartbeat, "a test");
    heartbeat_bytes(&heartbeat, "a test", 1 << 30);
    assert_false(heartbeat.lost);
    heartbeat_stop(&heartbeat);
}

/* The folder of a run is gone: another job has it, or nobody. */
static void test_heartbeat_sees_that_the_lock_is_lost(void **state)
{
    struct heartbeat heartbeat;
    struct rundir *rundir;
    struct error e;
    char path[FILE_PATH_MAX], notice[ERROR_TEXT], lock[FILE_PATH_MAX];
    int64_t step = 3;
    (void)state;
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/unroll-parts-XXXXXX", folder ? folder : "/tmp");
    assert_non_null(mkdtemp(path));
    assert_int_equal(rundir_open(path, &rundir, notice, &e), STATUS_OK);
    assert_int_equal(heartbeat_start(&heartbeat, 30, 0, &step, &e), STATUS_OK);
    heartbeat.lock = &rundir->lock;
    heartbeat_beat(&heartbeat, "a test");
    assert_false(heartbeat.lost);
    rundir_file(rundir, "lock", lock);
    assert_int_equal(unlink(lock), 0);
    heartbeat_beat(&heartbeat, "a test");
    assert_false(heartbeat.lost); /* it looks twice a minute */
    heartbeat.renewed -= 31;
    heartbeat_beat(&heartbeat, "a test");
    assert_true(heartbeat.lost);
    heartbeat_stop(&heartbeat);
    rundir_close(rundir);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_cost),
        cmocka_unit_test(test_files_cost),
        cmocka_unit_test(test_a_run_has_earlier_starts),
        cmocka_unit_test_setup_teardown(test_messages, begin, end),
        cmocka_unit_test_setup_teardown(test_files_of_a_run, begin, end),
        cmocka_unit_test_setup_teardown(test_advice_is_given_once, begin, end),
        cmocka_unit_test_setup_teardown(test_an_earlier_start_has_said_it, begin, end),
        cmocka_unit_test_setup_teardown(test_the_conclusion, begin, end),
        cmocka_unit_test(test_heartbeat_without_watchdog_and_lock),
        cmocka_unit_test(test_heartbeat_sees_that_the_lock_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
