/* Keeps a short list of temporary files, which a signal handler removes. */
#include "unroll/base/temporary.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/file.h"

#define WATCHED 8

/* A signal handler can reach nothing but globals: these are for it. A path is whole while its `live` is 1. */
static struct {
    atomic_int live;
    char path[FILE_PATH_MAX];
} watched[WATCHED];

void temporary_watch(const char *path)
{
    temporary_forget(path);
    for (int i = 0; i < WATCHED; i++)
        if (!atomic_load(&watched[i].live) && strlen(path) < sizeof watched[i].path) {
            strcpy(watched[i].path, path);
            atomic_store(&watched[i].live, 1);
            return;
        }
}

void temporary_forget(const char *path)
{
    for (int i = 0; i < WATCHED; i++)
        if (atomic_load(&watched[i].live) && strcmp(watched[i].path, path) == 0)
            atomic_store(&watched[i].live, 0);
}

void temporary_remove(const char *path)
{
    (void)unlink(path);
    temporary_forget(path);
}

void temporary_remove_all(void)
{
    for (int i = 0; i < WATCHED; i++)
        if (atomic_load(&watched[i].live))
            (void)unlink(watched[i].path);
}

/* The handler is gone when it is called (SA_RESETHAND): the second signal ends the process as if there had been
 * none. */
static void clean_and_end(int number)
{
    temporary_remove_all();
    (void)raise(number);
}

void temporary_heed_signals(void)
{
    static const int ending[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE,   SIGTERM, SIGUSR1,
                                 SIGUSR2, SIGXCPU, SIGALRM, SIGVTALRM, SIGABRT};
    struct sigaction action = {.sa_handler = clean_and_end, .sa_flags = SA_RESETHAND | SA_NODEFER}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            (void)sigaction(ending[i], &action, NULL);
    (void)signal(SIGXFSZ, SIG_IGN);
}
