/* The thread that ends a rank which makes no progress. */
#include "unroll/train/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/sys/comm.h"

#define LOOKS 20 /* per timeout */
#define GRACE 1  /* looks between telling and ending */

struct watchdog {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* under the mutex */
    double timeout;
    int rank;
    char host[COMM_HOST];
    atomic_ullong beats;
    atomic_llong longer; /* milliseconds beyond the timeout until the next beat */
    atomic_llong step;
    _Atomic(const char *) phase;
};

static void write_message(const struct watchdog *watchdog, const char *what, double seconds, const char *advice)
{
    char line[500];
    int length = snprintf(line, sizeof line, "unroll: rank %d on host '%s' %s %.1f s at step %lld in phase '%s'%s\n",
                          watchdog->rank, watchdog->host, what, seconds, (long long)atomic_load(&watchdog->step),
                          atomic_load(&watchdog->phase), advice);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody listens */
}

/* Sleeps for a look's time; true if it was woken to stop. */
static bool sleep_or_stop(struct watchdog *watchdog, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double nanoseconds = (double)until.tv_nsec + seconds * 1e9;
    until.tv_sec += (time_t)(nanoseconds / 1e9);
    until.tv_nsec = (long)(nanoseconds - (double)(time_t)(nanoseconds / 1e9) * 1e9);
    pthread_mutex_lock(&watchdog->mutex);
    int result = 0;
    while (!watchdog->stopping && result == 0)
        result = pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until);
    bool stopping = watchdog->stopping;
    pthread_mutex_unlock(&watchdog->mutex);
    return stopping;
}

static void *watch_rank(void *context)
{
    struct watchdog *watchdog = context;
    unsigned long long seen = 0;
    double look = watchdog->timeout / LOOKS;
    long long quiet = 0, told = 0; /* checks without a beat; a stopped process makes no checks */
    while (!sleep_or_stop(watchdog, look)) {
        unsigned long long beats = atomic_load(&watchdog->beats);
        double longer = (double)atomic_load(&watchdog->longer) / 1000;
        if (beats != seen) {
            if (told)
                write_message(watchdog, "goes on after", (double)quiet * look, "");
            seen = beats;
            quiet = told = 0;
        } else if (++quiet >= LOOKS + (long long)(longer / look) && !told) {
            told = quiet;
            write_message(watchdog, "has made no progress for", (double)quiet * look,
                          ": the run ends; run the same command again to go on from the last checkpoint, with a longer "
                          "--stall-timeout if it was only slow");
        } else if (told && quiet >= told + GRACE) {
            _exit(STATUS_IO);
        }
    }
    return NULL;
}

enum status watchdog_start(double timeout, int rank, struct watchdog **out, struct error *e)
{
    *out = NULL;
    if (timeout <= 0)
        return STATUS_OK;
    struct watchdog *watchdog = mem_alloc(1, sizeof *watchdog, "a watchdog", e);
    if (!watchdog)
        return STATUS_OS;
    watchdog->timeout = timeout;
    watchdog->rank = rank;
    comm_host(watchdog->host);
    atomic_store(&watchdog->phase, "start");
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    int result = pthread_create(&watchdog->thread, NULL, watch_rank, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        mem_free(watchdog);
        return error_set(e, STATUS_OS,
                         "cannot start the watchdog's thread: %s; raise the limit of processes, or use "
                         "'--stall-timeout none'",
                         strerror(result));
    }
    *out = watchdog;
    return STATUS_OK;
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->mutex);
    mem_free(watchdog);
}

void watchdog_beat(struct watchdog *watchdog, int64_t step, const char *phase, double longer)
{
    if (!watchdog)
        return;
    double milliseconds = longer < 1e12 ? longer * 1000 : 1e15;
    atomic_store_explicit(&watchdog->longer, (long long)milliseconds, memory_order_relaxed);
    atomic_store_explicit(&watchdog->step, step, memory_order_relaxed);
    atomic_store_explicit(&watchdog->phase, phase, memory_order_relaxed);
    atomic_fetch_add_explicit(&watchdog->beats, 1, memory_order_release);
}
