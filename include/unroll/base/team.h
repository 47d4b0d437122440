/* The team of threads that computes inside a process: who works, and how they wait for each other.
 *
 * Threads that wait spin first, then sleep (futex). A spin is cheap where every thread has a core of its own: the
 * others are there within microseconds. Where others use the cores too, the one that is waited for may not be running
 * at all, and a spin only keeps it from the core. So:
 * - A spin lasts TEAM_SPIN at most (base/tuning.h); then the thread sleeps.
 * - A thread that comes last after others spun in vain asks the kernel whether it was kept from a core. If it was, the
 *   team counts as crowded for TEAM_CROWDED_TIMES as long as that took. Then work that is shorter than a wake-up is
 *   done by the calling thread alone; and if a partner's spin kept the thread from its core, waiting threads sleep at
 *   once. After that the team tries again. So it loses a small share of its time at most, and nothing once the cores
 *   are free.
 * A long wait for long work changes nothing.
 *
 * The caller says how large its work is. As many threads do it as can have TEAM_SHARE of it each, perhaps one. So
 * functions must give the same bits for any number of threads; all of Unroll's do. UNROLL_TEAM_SHARE in the environment
 * takes the constant's place, so that tests share out small work.
 *
 * There is one team in a process, as there is one set of cores: this is the one state of the process that Unroll
 * keeps. It is made at the first work for several threads, grows when more are asked for, and ends when the process
 * does (or the library is unloaded). Its threads are those of one parallel region of OpenMP, which a sleeping thread
 * of its own opened: OMP_PLACES, OMP_PROC_BIND, OMP_STACKSIZE and OMP_THREAD_LIMIT hold, OMP_WAIT_POLICY does not.
 * They take none of the program's signals. Work that is started from inside the team, or from another thread while
 * the team works, is done by the calling thread alone. A child of fork(2) makes a team of its own. */
#ifndef UNROLL_BASE_TEAM_H
#define UNROLL_BASE_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TEAM_USUAL 0 /* for `threads`: as many as team_set_usual said */

struct team;

/* A thread inside team_run. */
struct team_member {
    struct team *team; /* NULL: it works alone */
    int thread;        /* 0 is the caller */
    int threads;       /* how many take part: as many as were asked for, or fewer */
};

/* The number of threads for work that names none, such as filling new memory: that of the rank (train/placement.h). 1
 * until it is set. */
void team_set_usual(int threads);

/* Calls function(context, member) once on each of up to `threads` threads, the caller among them, and comes back
 * when all are done. `work`: floating-point operations, or bytes moved where they are more, of all threads together;
 * in a function with barriers, between two of them. */
typedef void team_function(void *context, const struct team_member *me);
void team_run(int threads, int64_t work, team_function *function, void *context);

/* Inside team_run: comes back when all members have called it as often. What they wrote before it is seen after it. */
void team_barrier(const struct team_member *me);

/* Calls function(context, begin, end, thread) on each thread, for a range of its own: together they are [0, count),
 * in order. */
typedef void team_range(void *context, int64_t begin, int64_t end, int thread);
void team_share(int threads, int64_t count, int64_t work, team_range *function, void *context);

/* Where the member's range of [0, count) begins; that of member->thread + 1 is its end. */
static inline int64_t team_begin(int64_t count, int thread, int threads)
{
    return count / threads * thread + (thread < count % threads ? thread : count % threads);
}

/* Items that members take one after another, where some take longer than others. Lies in the context, {0} before
 * team_run. */
struct team_counter {
    _Alignas(128) atomic_llong next;
};
/* The first of `step` items that are the caller's; all are taken if it is `count` or more. */
static inline int64_t team_next(struct team_counter *counter, int64_t step)
{
    return atomic_fetch_add_explicit(&counter->next, step, memory_order_relaxed);
}

/* Whether threads were lately seen to wait for cores. */
bool team_is_crowded(void);

#endif
