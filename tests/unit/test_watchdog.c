/* The watchdog ends a process that stands still, and no other. It is watched from outside: each case is a process of
 * its own. Nothing here depends on being fast, only on not being ended too early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/train/watchdog.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs `body` in a process of its own; its exit status, what it said [1000] and how long it lived. */
static int in_a_process(void (*body)(void), char *said, double *seconds)
{
    int ends[2], status;
    size_t length = 0;
    assert_int_equal(pipe(ends), 0);
    double begun = now();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; length < 999 && (got = read(ends[0], said + length, 999 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *seconds = now() - begun;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct watchdog *start(double timeout)
{
    struct watchdog *watchdog;
    struct error e;
    if (watchdog_start(timeout, 3, &watchdog, &e))
        _exit(99);
    return watchdog;
}

static void stand_still(void)
{
    (void)start(0.2);
    for (;;)
        pause();
}

static void stand_still_in_a_phase(void)
{
    watchdog_beat(start(0.2), 17, "a phase", 0);
    for (;;)
        pause();
}

static void stand_still_with_leave(void)
{
    struct watchdog *watchdog = start(0.2);
    watchdog_beat(watchdog, 17, "reading", 1);
    for (;;)
        pause();
}

/* Leave is for the next phase only. */
static void stand_still_after_leave(void)
{
    struct watchdog *watchdog = start(0.2);
    watchdog_beat(watchdog, 17, "reading", 1e15);
    watchdog_beat(watchdog, 18, "the next", 0);
    for (;;)
        pause();
}

static void go_on(void)
{
    struct watchdog *watchdog = start(20);
    double until = now() + 1;
    while (now() < until) {
        watchdog_beat(watchdog, 1, "a phase", 0);
        usleep(1000);
    }
    watchdog_stop(watchdog);
}

static void never_begin(void)
{
    struct watchdog *watchdog = start(0);
    watchdog_beat(watchdog, 1, "a phase", 0);
    usleep(300000);
    watchdog_stop(watchdog);
}

static void test_ends_what_stands_still(void **state)
{
    (void)state;
    const struct {
        void (*body)(void);
        const char *phase;
        double least;
    } cases[] = {
        {stand_still, "'start'", 0.2},
        {stand_still_in_a_phase, "step 17 in phase 'a phase'", 0.2},
        {stand_still_with_leave, "step 17 in phase 'reading'", 1.2},
        {stand_still_after_leave, "step 18 in phase 'the next'", 0.2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[1000], host[64];
        double seconds;
        assert_int_equal(in_a_process(cases[i].body, said, &seconds), STATUS_IO);
        if (!strstr(said, cases[i].phase) || !strstr(said, "rank 3 on host '") || !strstr(said, "no progress"))
            fail_msg("'%s' does not say '%s'", said, cases[i].phase);
        gethostname(host, sizeof host);
        assert_non_null(strstr(said, host));
        assert_true(seconds >= cases[i].least);
    }
}

static void test_lets_others_be(void **state)
{
    (void)state;
    char said[1000];
    double seconds;
    assert_int_equal(in_a_process(go_on, said, &seconds), 0);
    assert_string_equal(said, "");
    assert_int_equal(in_a_process(never_begin, said, &seconds), 0);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_what_stands_still),
        cmocka_unit_test(test_lets_others_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
