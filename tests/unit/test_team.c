/* The team: every share is done once, barriers part what lies before from what lies after, small work stays with the
 * caller, and who waits sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

#define LARGE INT64_MAX / 2 /* work that is worth any number of threads */
#define THREADS 8

/* ---- shares ---- */

struct tally {
    atomic_int calls, threads;
    atomic_int seen[THREADS];
    atomic_int done[1000];
};

static void count_call(void *context, const struct team_member *me)
{
    struct tally *tally = context;
    tally->calls++;
    tally->threads = me->threads;
    tally->seen[me->thread]++;
}

static void every_member_is_called_once(void **unused)
{
    (void)unused;
    for (int round = 0; round < 3; round++)
        for (int threads = 1; threads <= THREADS; threads++) {
            struct tally tally = {0};
            team_run(threads, LARGE, count_call, &tally);
            assert_int_equal(tally.calls, threads);
            assert_int_equal(tally.threads, threads);
            for (int i = 0; i < THREADS; i++)
                assert_int_equal(tally.seen[i], i < threads);
        }
}

static void mark(void *context, int64_t begin, int64_t end, int thread)
{
    struct tally *tally = context;
    tally->calls++;
    tally->seen[thread]++;
    for (int64_t i = begin; i < end; i++)
        tally->done[i]++;
}

static void every_item_is_shared_out_once(void **unused)
{
    (void)unused;
    static const int counts[] = {0, 1, 2, 5, 7, 8, 9, 999, 1000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (int threads = 1; threads <= THREADS; threads++) {
            struct tally tally = {0};
            team_share(threads, counts[c], LARGE, mark, &tally);
            assert_int_equal(tally.calls, counts[c] < threads ? counts[c] : threads);
            for (int i = 0; i < 1000; i++)
                assert_int_equal(tally.done[i], i < counts[c]);
        }
}

static void ranges_lie_side_by_side(void **unused)
{
    (void)unused;
    for (int threads = 1; threads < 20; threads++)
        for (int64_t count = 0; count < 100; count++) {
            assert_int_equal(team_begin(count, 0, threads), 0);
            assert_int_equal(team_begin(count, threads, threads), count);
            for (int i = 0; i < threads; i++) {
                int64_t size = team_begin(count, i + 1, threads) - team_begin(count, i, threads);
                assert_true(size == count / threads || size == count / threads + 1);
            }
        }
}

struct taking {
    struct tally tally;
    struct team_counter next;
};

static void take(void *context, const struct team_member *me)
{
    struct taking *taking = context;
    (void)me;
    for (int64_t i; (i = team_next(&taking->next, 3)) < 1000;)
        for (int64_t j = i; j < i + 3 && j < 1000; j++)
            taking->tally.done[j]++;
}

static void a_counter_gives_every_item_once(void **unused)
{
    (void)unused;
    for (int threads = 1; threads <= THREADS; threads++) {
        struct taking taking = {0};
        team_run(threads, LARGE, take, &taking);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(taking.tally.done[i], 1);
    }
}

/* ---- barriers ---- */

#define PHASES 500

struct phases {
    int at[THREADS]; /* no atomics: the barrier alone orders them */
    atomic_int wrong;
};

static void walk(void *context, const struct team_member *me)
{
    struct phases *phases = context;
    for (int phase = 1; phase <= PHASES; phase++) {
        phases->at[me->thread] = phase;
        if (phase % 100 == 0 && me->thread == phase / 100 % me->threads)
            usleep(1000); /* longer than a spin: the others sleep, and must wake up */
        team_barrier(me);
        for (int i = 0; i < me->threads; i++)
            phases->wrong += phases->at[i] != phase;
        team_barrier(me);
    }
}

static void a_barrier_parts_before_from_after(void **unused)
{
    (void)unused;
    for (int threads = 1; threads <= THREADS; threads++) {
        struct phases phases = {0};
        team_run(threads, LARGE, walk, &phases);
        assert_int_equal(phases.wrong, 0);
    }
}

/* ---- who works alone ---- */

static void small_work_is_done_by_one(void **unused)
{
    (void)unused;
    static const struct {
        int64_t work;
        int threads;
    } cases[] = {{0, 1}, {TEAM_SHARE, 1}, {2 * TEAM_SHARE - 1, 1}, {(int64_t)4 * TEAM_SHARE_CROWDED, 4}, {LARGE, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tally tally = {0};
        team_run(4, cases[i].work, count_call, &tally);
        assert_int_equal(tally.calls, cases[i].threads);
    }
}

static void usual_number(void **unused)
{
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        struct tally tally = {0};
        team_set_usual(threads);
        team_run(TEAM_USUAL, LARGE, count_call, &tally);
        assert_int_equal(tally.calls, threads);
    }
    team_set_usual(1);
}

struct nest {
    struct tally inner;
    atomic_int alone;
};

static void nest(void *context, const struct team_member *me)
{
    struct nest *outer = context;
    struct tally inner = {0};
    team_run(3, LARGE, count_call, &inner);
    outer->alone += inner.calls == 1 && inner.threads == 1;
    team_barrier(me);
}

static void work_inside_of_work_is_done_alone(void **unused)
{
    (void)unused;
    for (int threads = 2; threads <= 4; threads++) {
        struct nest outer = {0};
        team_run(threads, LARGE, nest, &outer);
        assert_int_equal(outer.alone, threads);
    }
}

/* ---- sleep ---- */

static double thread_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct holding {
    double computed[THREADS]; /* seconds of CPU time that the waiting took */
    int late;
    bool barrier;
};

/* One thread sleeps for a second; the others wait at the barrier, or, done, for new work, and the caller for the
 * end. */
static void hold(void *context, const struct team_member *me)
{
    struct holding *holding = context;
    if (me->thread == holding->late)
        sleep(1);
    if (holding->barrier)
        team_barrier(me);
}

/* CPU time of the process, of all its threads, against a second of waiting: spinning would take (THREADS - 1)
 * seconds. Measured is CPU time, so a busy machine changes nothing. */
static void who_waits_sleeps(void **unused)
{
    (void)unused;
    struct tally tally = {0};
    team_run(THREADS, LARGE, count_call, &tally);
    for (int late = 0; late < 2; late++)
        for (int barrier = 0; barrier < 2; barrier++) {
            struct holding holding = {.late = late, .barrier = barrier};
            double begin = thread_seconds(CLOCK_PROCESS_CPUTIME_ID);
            team_run(THREADS, LARGE, hold, &holding);
            double computed = thread_seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
            if (!(computed < 0.05))
                fail_msg("late %d, barrier %d: %.3f s of CPU time in a second of waiting", late, barrier, computed);
        }
}

/* Between two pieces of work, too. */
static void who_has_no_work_sleeps(void **unused)
{
    (void)unused;
    struct tally tally = {0};
    team_run(THREADS, LARGE, count_call, &tally);
    double begin = thread_seconds(CLOCK_PROCESS_CPUTIME_ID);
    sleep(1);
    double computed = thread_seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
    if (!(computed < 0.05))
        fail_msg("%.3f s of CPU time in an idle second", computed);
}

/* ---- cores that are shared ---- */

static void compute(double seconds)
{
    double begin = thread_seconds(CLOCK_THREAD_CPUTIME_ID);
    while (thread_seconds(CLOCK_THREAD_CPUTIME_ID) - begin < seconds)
        ;
}

/* Work between barriers, as that of a recurrent layer. */
static void lockstep(void *context, const struct team_member *me)
{
    (void)context;
    for (int i = 0; i < 200; i++) {
        compute(20e-6);
        team_barrier(me);
    }
}

static void is_crowded_after_work(void *context)
{
    bool *crowded = context;
    for (int i = 0; i < 50 && !*crowded; i++) {
        team_run(2, LARGE, lockstep, NULL);
        *crowded = team_is_crowded();
    }
}

/* Two threads on one core. A child, whose threads all inherit the core. */
static void a_shared_core_is_noticed(void **unused)
{
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        cpu_set_t one;
        bool crowded = false;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0)
            _exit(69);
        is_crowded_after_work(&crowded);
        struct tally tally = {0};
        if (crowded)
            team_run(2, 4 * TEAM_SHARE, count_call, &tally);
        _exit(!crowded ? 1 : tally.calls != 1 && team_is_crowded() ? 2 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the process around it ---- */

static void a_child_has_a_team_of_its_own(void **unused)
{
    (void)unused;
    struct tally tally = {0};
    team_run(3, LARGE, count_call, &tally);
    pid_t child = fork();
    if (child == 0) {
        struct tally own = {0};
        team_run(3, LARGE, count_call, &own);
        _exit(own.calls == 3 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static pthread_t signalled;

static void note_thread(int number)
{
    (void)number;
    signalled = pthread_self();
}

/* A signal to the process while the caller blocks it: it waits for the caller, and no thread of the team takes it. */
static void the_team_takes_no_signals(void **unused)
{
    (void)unused;
    struct tally tally = {0};
    sigset_t user, before;
    signal(SIGUSR1, note_thread);
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    team_run(THREADS, LARGE, count_call, &tally);
    pthread_sigmask(SIG_BLOCK, &user, &before);
    kill(getpid(), SIGUSR1);
    team_run(THREADS, LARGE, count_call, &tally);
    assert_false(signalled);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_true(pthread_equal(signalled, pthread_self()));
    signal(SIGUSR1, SIG_DFL);
}

static void *run_elsewhere(void *context)
{
    for (int i = 0; i < 200; i++) {
        struct tally tally = {0};
        team_run(3, LARGE, count_call, &tally);
        *(int *)context += tally.calls == tally.threads && (tally.calls == 3 || tally.calls == 1);
    }
    return NULL;
}

/* Several callers at once: one has the team, the others compute alone. */
static void callers_do_not_disturb_each_other(void **unused)
{
    (void)unused;
    pthread_t thread[3];
    int right[3] = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_elsewhere, &right[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(right[i], 200);
    }
}

int main(void)
{
    unsetenv("UNROLL_TEAM_SHARE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_called_once),
        cmocka_unit_test(every_item_is_shared_out_once),
        cmocka_unit_test(ranges_lie_side_by_side),
        cmocka_unit_test(a_counter_gives_every_item_once),
        cmocka_unit_test(a_barrier_parts_before_from_after),
        cmocka_unit_test(small_work_is_done_by_one),
        cmocka_unit_test(usual_number),
        cmocka_unit_test(work_inside_of_work_is_done_alone),
        cmocka_unit_test(who_waits_sleeps),
        cmocka_unit_test(who_has_no_work_sleeps),
        cmocka_unit_test(a_shared_core_is_noticed),
        cmocka_unit_test(a_child_has_a_team_of_its_own),
        cmocka_unit_test(the_team_takes_no_signals),
        cmocka_unit_test(callers_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
