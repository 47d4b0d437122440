/* The threads of the team: how they start, wait, share work and end. */
#include "unroll/base/team.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "unroll/base/tuning.h"

#define APART 128           /* bytes: processors fetch cache lines in pairs */
#define LOOKS 24            /* at the word before the clock is read: about a microsecond */
#define DELAY_MIN 100000    /* nanoseconds without a core: others use it, since waking up on an idle core takes less */
#define LOST_MAX 50000000LL /* nanoseconds that one wait counts for at most */

/* Where threads wait for a word to change. */
struct place {
    _Alignas(APART) atomic_uint word;
    atomic_uint sleepers;
};

/* What belongs to one thread. Its number in the team is that of its seat. */
struct seat {
    struct place go; /* grows by one for each piece of work that the thread takes part in */
    int64_t delay;   /* nanoseconds that it has waited for a core, as read last */
    int64_t sleeps;  /* how often it has slept since then */
};

struct team {
    /* written by all: each on lines of its own */
    struct place barrier, joined;
    struct place parked;                /* here the host thread sleeps until the end */
    struct place ready;                 /* here the caller waits until all threads have started */
    _Alignas(APART) atomic_int arrived; /* at the barrier */
    _Alignas(APART) atomic_int working; /* threads that are not done, besides the caller */
    /* seldom written */
    _Alignas(APART) atomic_llong vain_since; /* when the latest spin began that ended in sleep; 0: none */
    atomic_int vain_cpu;                     /* and on which core */
    int threads;                             /* that take part in the work */
    team_function *function;
    void *context;
    struct seat *seat; /* [asked] */
    pthread_t host;
    int asked, size; /* threads that were asked for, and that there are */
    bool stop;
};

/* All that there is in the process; see team.h. */
static struct {
    atomic_flag taken; /* by the thread that runs something on the team */
    atomic_int usual;
    atomic_llong least;         /* work of a thread: UNROLL_TEAM_SHARE, -1 if there is none; 0: not looked up yet */
    atomic_llong crowded_until; /* nanoseconds */
    atomic_llong sleepy_until;  /* until then nobody spins: a spin has kept a partner from its core */
    struct team *team;
} process = {.taken = ATOMIC_FLAG_INIT, .usual = 1};

void team_set_usual(int threads)
{
    atomic_store(&process.usual, threads);
}

/* ---- waiting ---- */

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void pause_core(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` takes no time at all on most */
#endif
}

bool team_is_crowded(void)
{
    long long until = atomic_load_explicit(&process.crowded_until, memory_order_relaxed);
    return until && nanoseconds() < until;
}

static bool has_changed(struct place *place, unsigned old, int times)
{
    for (int i = 0; i < times; i++) {
        if (atomic_load_explicit(&place->word, memory_order_acquire) != old)
            return true;
        pause_core();
    }
    return false;
}

static void sleep_at(struct place *place, unsigned old)
{
    atomic_fetch_add(&place->sleepers, 1);
    while (atomic_load(&place->word) == old)
        syscall(SYS_futex, &place->word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&place->sleepers, 1);
}

/* Wakes those that sleep: the word has changed. */
static void wake(struct place *place)
{
    if (atomic_load(&place->sleepers) > 0)
        syscall(SYS_futex, &place->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Waits until the word is no longer `old`; `seat` is the caller's. A spin that ends in sleep is noted for the thread
 * that comes last; not `between` two pieces of work, where nobody is late. */
static void await(struct team *team, struct seat *seat, struct place *place, unsigned old, bool between)
{
    if (has_changed(place, old, LOOKS))
        return;
    long long begin = nanoseconds();
    bool spins = begin >= atomic_load_explicit(&process.sleepy_until, memory_order_relaxed);
    while (spins && nanoseconds() - begin < TEAM_SPIN)
        if (has_changed(place, old, LOOKS / 2))
            return;
    if (spins && !between) {
        atomic_store_explicit(&team->vain_cpu, sched_getcpu(), memory_order_relaxed);
        atomic_store_explicit(&team->vain_since, begin, memory_order_relaxed);
    }
    sleep_at(place, old);
    seat->sleeps++;
    if (spins && !between) /* unless the last one has taken it */
        atomic_compare_exchange_strong(&team->vain_since, &begin, 0);
}

/* ---- who was late, and why ---- */

/* Nanoseconds that the calling thread was ready to run and had no core. Where the kernel does not count them, each time
 * that it took the core away counts as a millisecond. */
static int64_t delay_of_thread(void)
{
    char text[96];
    long long ran, waited = -1;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof text - 1);
        (void)close(fd);
        text[length > 0 ? length : 0] = '\0';
        if (sscanf(text, "%lld %lld", &ran, &waited) == 2)
            return waited;
    }
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (int64_t)usage.ru_nivcsw * 1000000 : 0;
}

/* Others have spun in vain since `since`. If the thread that came last had no core meanwhile, the team is crowded for a
 * while. */
static void note_delay(struct team *team, struct seat *late, int64_t since)
{
    int64_t before = late->delay, now = nanoseconds(), lost = now - since, sleeps = late->sleeps;
    late->delay = delay_of_thread();
    late->sleeps = 0;
    int64_t delay = late->delay - before;
    bool same = atomic_load_explicit(&team->vain_cpu, memory_order_relaxed) == sched_getcpu();
    if (!same && delay < DELAY_MIN * (1 + sleeps))
        return;
    lost = same || lost < delay ? lost : delay;
    lost = lost < LOST_MAX ? lost : LOST_MAX;
    int64_t until = now + TEAM_CROWDED_TIMES * lost;
    atomic_store_explicit(&process.crowded_until, until, memory_order_relaxed);
    if (same) /* the other spun on the very core that this thread had to wait for */
        atomic_store_explicit(&process.sleepy_until, until, memory_order_relaxed);
}

/* By the thread that came last: changes the word that the others wait for. */
static void release(struct team *team, struct seat *late, struct place *place)
{
    atomic_fetch_add(&place->word, 1);
    if (atomic_load(&place->sleepers) == 0)
        return;
    int64_t since = atomic_exchange(&team->vain_since, 0);
    wake(place);
    if (since)
        note_delay(team, late, since);
}

/* ---- work ---- */

void team_barrier(const struct team_member *me)
{
    struct team *team = me->team;
    if (me->threads == 1)
        return;
    unsigned phase = atomic_load_explicit(&team->barrier.word, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 < me->threads) {
        await(team, &team->seat[me->thread], &team->barrier, phase, false);
        return;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    release(team, &team->seat[me->thread], &team->barrier);
}

static void serve(struct team *team, int thread)
{
    struct seat *seat = &team->seat[thread];
    seat->delay = delay_of_thread();
    for (unsigned seen = 0;; seen++) {
        await(team, seat, &seat->go, seen, true);
        if (team->stop)
            return;
        struct team_member me = {team, thread, team->threads};
        team->function(team->context, &me);
        if (atomic_fetch_sub_explicit(&team->working, 1, memory_order_acq_rel) == 1)
            release(team, seat, &team->joined);
    }
}

/* Starts or ends the threads of seats [1, threads). */
static void wake_threads(struct team *team, int threads)
{
    for (int i = 1; i < threads; i++)
        atomic_fetch_add_explicit(&team->seat[i].go.word, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* the words before the counts of sleepers */
    for (int i = 1; i < threads; i++)
        wake(&team->seat[i].go);
}

static void run_together(struct team *team, int threads, team_function *function, void *context)
{
    unsigned joined = atomic_load(&team->joined.word);
    team->function = function;
    team->context = context;
    team->threads = threads;
    atomic_store_explicit(&team->working, threads - 1, memory_order_relaxed);
    wake_threads(team, threads);
    function(context, &(struct team_member){team, 0, threads});
    await(team, &team->seat[0], &team->joined, joined, false);
}

/* ---- the threads ---- */

static void *host_thread(void *argument)
{
    struct team *team = argument;
#pragma omp parallel num_threads(team->asked)
    {
        int thread = omp_get_thread_num();
        if (thread > 0) {
            serve(team, thread);
        } else { /* the host thread sleeps here, not in a barrier of OpenMP's */
            team->size = omp_get_num_threads();
            atomic_store(&team->ready.word, 1);
            wake(&team->ready);
            sleep_at(&team->parked, 0);
        }
    }
    return NULL;
}

/* The host thread and all that it starts block all signals but those that a thread's own error causes. */
static bool start_host(struct team *team)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    bool started = pthread_create(&team->host, NULL, host_thread, team) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void team_free(struct team *team)
{
    if (!team)
        return;
    if (team->size) {
        team->stop = true;
        wake_threads(team, team->size);
        atomic_store(&team->parked.word, 1);
        wake(&team->parked);
        pthread_join(team->host, NULL);
    }
    free(team->seat);
    free(team);
}

static void *aligned_zeros(size_t bytes)
{
    void *block = aligned_alloc(APART, bytes); /* mem_alloc would ask for a team */
    if (block)
        memset(block, 0, bytes);
    return block;
}

/* NULL if there is no memory. A team whose threads cannot be started has no size. */
static struct team *team_create(int threads)
{
    struct team *team = aligned_zeros(sizeof *team);
    if (!team)
        return NULL;
    team->asked = threads;
    team->seat = aligned_zeros((size_t)threads * sizeof *team->seat);
    if (!team->seat) {
        free(team);
        return NULL;
    }
    team->seat[0].delay = delay_of_thread();
    if (start_host(team))
        sleep_at(&team->ready, 0);
    return team;
}

/* In the child of fork(2), which has none of these threads. Their memory is not freed. */
static void forget(void)
{
    process.team = NULL;
    atomic_flag_clear(&process.taken);
}

__attribute__((destructor)) static void end(void)
{
    if (atomic_flag_test_and_set(&process.taken))
        return; /* in the middle of work: the threads go with the process */
    team_free(process.team);
    process.team = NULL;
}

/* A team for which `threads` or more were asked: the present one or a new one. It may have fewer. */
static struct team *team_of(int threads)
{
    if (process.team && process.team->asked >= threads)
        return process.team;
    if (!process.team)
        pthread_atfork(NULL, NULL, forget);
    team_free(process.team);
    process.team = team_create(threads);
    return process.team;
}

/* The least work of a thread that the environment asks for, -1 if it does not. */
static int64_t least_work_asked(void)
{
    long long least = atomic_load_explicit(&process.least, memory_order_relaxed);
    if (least == 0) {
        const char *text = getenv("UNROLL_TEAM_SHARE");
        least = text ? strtoll(text, NULL, 10) : TUNE_SMALL_ALONE ? -1 : 1;
        if (least < 1)
            least = -1;
        atomic_store_explicit(&process.least, least, memory_order_relaxed);
    }
    return least;
}

/* How many threads are worth waking for so much work. */
static int worthwhile(int threads, int64_t work)
{
    if (threads == TEAM_USUAL)
        threads = atomic_load_explicit(&process.usual, memory_order_relaxed);
    if (threads == 1)
        return 1;
    int64_t least = least_work_asked();
    if (least < 0)
        least = work >= 2 * TEAM_SHARE && team_is_crowded() ? TEAM_SHARE_CROWDED : TEAM_SHARE;
    int64_t most = work / least;
    return most < 1 ? 1 : most < threads ? (int)most : threads;
}

void team_run(int threads, int64_t work, team_function *function, void *context)
{
    int wanted = worthwhile(threads, work);
    if (wanted > 1 && !atomic_flag_test_and_set_explicit(&process.taken, memory_order_acquire)) {
        struct team *team = team_of(wanted < threads ? threads : wanted);
        if (team && team->size > 1) {
            run_together(team, wanted < team->size ? wanted : team->size, function, context);
            atomic_flag_clear_explicit(&process.taken, memory_order_release);
            return;
        }
        atomic_flag_clear_explicit(&process.taken, memory_order_release);
    }
    function(context, &(struct team_member){NULL, 0, 1});
}

struct shared {
    team_range *function;
    void *context;
    int64_t count;
};

static void run_range(void *context, const struct team_member *me)
{
    const struct shared *shared = context;
    int64_t begin = team_begin(shared->count, me->thread, me->threads);
    int64_t end = team_begin(shared->count, me->thread + 1, me->threads);
    if (begin < end)
        shared->function(shared->context, begin, end, me->thread);
}

void team_share(int threads, int64_t count, int64_t work, team_range *function, void *context)
{
    struct shared shared = {function, context, count};
    if (count < threads)
        threads = count > 1 ? (int)count : 1;
    team_run(threads, work, run_range, &shared);
}
