#include "unroll/train/signals.h"

#include <signal.h>
#include <stddef.h>

static const int caught[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGXCPU};
#define CAUGHT_HUP 4
#define CAUGHT ((int)(sizeof caught / sizeof *caught))

/* A handler reaches nothing but globals: these belong to it. */
static volatile sig_atomic_t first_signal;
static struct sigaction before[CAUGHT], before_pipe;

static void note(int number)
{
    if (!first_signal)
        first_signal = number;
}

void signals_catch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};
    first_signal = 0;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < CAUGHT; i++)
        (void)sigaction(caught[i], &action, &before[i]);
    if (before[CAUGHT_HUP].sa_handler == SIG_IGN) /* nohup: the run is to outlive its terminal */
        (void)sigaction(SIGHUP, &before[CAUGHT_HUP], NULL);
    (void)sigaction(SIGPIPE, &ignore, &before_pipe);
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
