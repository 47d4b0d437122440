/* Signal handlers that note the wish to stop. */
#include "unroll/train/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unroll/base/temporary.h"

static const int caught[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGXCPU};
#define CAUGHT_HUP 4
#define CAUGHT ((int)(sizeof caught / sizeof *caught))

/* A handler can use only globals: these are its own. */
static volatile sig_atomic_t first_signal;
static struct sigaction before[CAUGHT], before_pipe;
static struct {
    bool answers, interactive, asked; /* asked: an INT has come, at `when` */
    struct timespec when;
    _Atomic(const char *) stop_when;
    _Atomic(const struct run_lock *) lock;
} person;

/* One write, so that output of other ranks or threads does not mix with the line. */
static void write_line(const char *const words[])
{
    char line[200];
    size_t length = 0;
    if (!person.answers)
        return;
    if (person.interactive) {
        memcpy(line, "\r\033[K", 4);
        length = 4;
    }
    for (; *words && length + strlen(*words) < sizeof line; words++) {
        memcpy(line + length, *words, strlen(*words));
        length += strlen(*words);
    }
    if (write(STDERR_FILENO, line, length) < 0)
        return; /* nobody listens */
}

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

static void end_at_once(void)
{
    const struct run_lock *lock = atomic_load(&person.lock);
    write_line(
        (const char *[]){"stopped without a checkpoint; the same command goes on from the newest there is\n", NULL});
    temporary_remove_all();
    if (lock)
        run_lock_drop(lock);
    (void)signal(SIGINT, SIG_DFL);
    (void)raise(SIGINT);
}

static void heed_person(void)
{
    if (!person.asked) {
        person.asked = true;
        clock_gettime(CLOCK_MONOTONIC, &person.when);
        write_line((const char *[]){"stopping ", atomic_load(&person.stop_when),
                                    "; again to stop without a checkpoint\n", NULL});
    } else if (seconds_since(&person.when) > SIGNALS_ECHO) {
        end_at_once();
    }
}

static void handle_signal(int number)
{
    int error = errno;
    if (!first_signal)
        first_signal = number;
    if (number == SIGINT)
        heed_person();
    errno = error;
}

void signals_catch(bool answers, bool interactive)
{
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};
    first_signal = 0;
    person.answers = answers;
    person.interactive = interactive;
    person.asked = false;
    signals_stop_when(SIGNALS_STEP);
    signals_hold(NULL);
    sigfillset(&action.sa_mask); /* one at a time */
    for (int i = 0; i < CAUGHT; i++)
        (void)sigaction(caught[i], &action, &before[i]);
    if (before[CAUGHT_HUP].sa_handler == SIG_IGN) /* nohup: the run is to outlive its terminal */
        (void)sigaction(SIGHUP, &before[CAUGHT_HUP], NULL);
    (void)sigaction(SIGPIPE, &ignore, &before_pipe);
}

void signals_stop_when(const char *when)
{
    atomic_store(&person.stop_when, when);
}

void signals_hold(const struct run_lock *lock)
{
    atomic_store(&person.lock, lock);
}

void signals_release(void)
{
    for (int i = 0; i < CAUGHT; i++)
        (void)sigaction(caught[i], &before[i], NULL);
    (void)sigaction(SIGPIPE, &before_pipe, NULL);
}

int signals_seen(void)
{
    return first_signal;
}

const char *signals_name(int number)
{
    switch (number) {
    case SIGUSR1:
        return "SIGUSR1";
    case SIGUSR2:
        return "SIGUSR2";
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "SIGINT";
    case SIGHUP:
        return "SIGHUP";
    case SIGXCPU:
        return "SIGXCPU (limit of CPU time)";
    default:
        return "a signal";
    }
}
