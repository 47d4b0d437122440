/* How this process was started: what the launcher says in the environment, before MPI is asked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm_private.h"
#include "unroll/base/file.h"
#include "unroll/sys/comm.h"

static bool has_value(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

bool comm_launched(void)
{
    return has_value("OMPI_COMM_WORLD_SIZE") || has_value("PMIX_RANK") || has_value("PMI_RANK") ||
           has_value("PMI_SIZE") || has_value("HYDI_CONTROL_FD");
}

long comm_launched_size(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (int i = 0; i < (int)(sizeof variables / sizeof *variables); i++)
        if (has_value(variables[i]))
            return strtol(getenv(variables[i]), NULL, 10);
    return 0;
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

long comm_mpirun_on_terminal(void)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "prterun"};
    char path[64], name[64];
    long parent = (long)getppid();
    snprintf(path, sizeof path, "/proc/%ld/comm", parent);
    if (!has_value("OMPI_COMM_WORLD_RANK") || file_read_text(path, name, sizeof name, NULL) || !has_terminal())
        return 0;
    name[strcspn(name, "\n")] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return parent;
    return 0;
}

bool comm_speaks(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (int i = 0; i < (int)(sizeof variables / sizeof *variables); i++)
        if (has_value(variables[i]))
            return strcmp(getenv(variables[i]), "0") == 0;
    return comm_launched_size() <= 1 || !has_value("SLURM_PROCID") || strcmp(getenv("SLURM_PROCID"), "0") == 0;
}

void comm_host(char host[COMM_HOST])
{
    memset(host, 0, COMM_HOST); /* structures that hold it are sent and compared whole */
    if (gethostname(host, COMM_HOST - 1) != 0)
        snprintf(host, COMM_HOST, "unknown");
}
