/* Finds threads and cores of each rank, and words the advice about them. */
#include "unroll/train/placement.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"

#define CPUS 8192 /* more than any host has */
#define MASK_BYTES CPU_ALLOC_SIZE(CPUS)

static int cores_of_mask(cpu_set_t *mask)
{
    memset(mask, 0, MASK_BYTES);
    if (sched_getaffinity(0, MASK_BYTES, mask) != 0)
        return (int)sysconf(_SC_NPROCESSORS_ONLN);
    return CPU_COUNT_S(MASK_BYTES, mask);
}

static enum status threads_of_environment(int *threads, struct error *e)
{
    const char *text = getenv("OMP_NUM_THREADS");
    *threads = 0;
    if (!text || !*text)
        return STATUS_OK;
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || (*end != '\0' && *end != ',') || value < 1 || value > CPUS)
        return error_set(e, STATUS_CONFIG,
                         "bad value '%.50s' of the environment's 'OMP_NUM_THREADS': not a number of "
                         "threads; set it to 1 to %d, or use --threads",
                         text, CPUS);
    *threads = (int)value;
    return STATUS_OK;
}

/* Collective over the ranks of one host. Ranks share their cores if the mask of one is that of another. */
static enum status look_around(const struct comm *host, cpu_set_t *mine, struct placement *out, struct error *e)
{
    char *all = mem_alloc((size_t)host->size, MASK_BYTES, "the bindings of ranks", e);
    enum status status = comm_agree(host, all ? STATUS_OK : STATUS_OS, e);
    if (!status) {
        comm_allgather(host, mine, MASK_BYTES, all);
        for (int rank = 0; rank < host->size; rank++)
            if (rank != host->rank && memcmp(mine, all + (size_t)rank * MASK_BYTES, MASK_BYTES) == 0)
                out->shared = true;
    }
    mem_free(all);
    return status;
}

void placement_advice(const struct placement *placement, char *advice)
{
    int T = placement->threads, available = placement->cores, ranks = placement->shared ? placement->host_ranks : 1;
    advice[0] = '\0';
    if (T * ranks <= available)
        return;
    int fit = available / ranks > 0 ? available / ranks : 1;
    if (placement->shared && T > 1)
        snprintf(advice, ERROR_TEXT,
                 "%d ranks with %d threads each share %d cores of a host; use --threads %d, or bind each rank to cores "
                 "of its own: 'mpirun --map-by slot:PE=%d --bind-to core' or 'srun --cpus-per-task=%d "
                 "--cpu-bind=cores'",
                 ranks, T, available, fit, T, T);
    else if (placement->shared)
        snprintf(advice, ERROR_TEXT, "%d ranks share %d cores of a host; start at most %d ranks on it", ranks,
                 available, available);
    else
        snprintf(advice, ERROR_TEXT,
                 "each rank has %d threads but is bound to %d core%s, which they share; start with 'mpirun --map-by "
                 "slot:PE=%d --bind-to core' or 'srun --cpus-per-task=%d --cpu-bind=cores', or use --threads %d",
                 T, available, available == 1 ? "" : "s", T, T, fit);
}

enum status placement_choose(const struct comm *comm, int threads, struct placement *out, char *advice, struct error *e)
{
    struct comm host = COMM_ALONE;
    *out = (struct placement){.threads = threads};
    advice[0] = '\0';
    cpu_set_t *mask = mem_alloc(MASK_BYTES, 1, "a set of cores", e);
    enum status status = mask ? STATUS_OK : STATUS_OS;
    int from_environment = 0, first_here = 0;
    if (!status)
        status = threads_of_environment(&from_environment, e);
    status = comm_agree(comm, status, e);
    if (!status)
        status = comm_split_host(comm, &host, e);
    if (!status) {
        out->cores = cores_of_mask(mask);
        out->host_ranks = host.size;
        first_here = host.rank == 0;
        status = comm_agree(comm, look_around(&host, mask, out, e), e);
        comm_release(&host);
    }
    mem_free(mask);
    if (status)
        return status;
    out->hosts = (int)comm_sum(comm, first_here);
    if (out->threads == 0)
        out->threads = from_environment;
    if (out->threads == 0)
        out->threads = out->shared ? out->cores / out->host_ranks : out->cores;
    if (out->threads < 1)
        out->threads = 1;
    team_set_usual(out->threads);
    if (comm->rank == 0)
        placement_advice(out, advice);
    comm_broadcast(comm, advice, ERROR_TEXT, 0);
    return STATUS_OK;
}

/* ---- afterwards ---- */

/* Adds the times of the thread whose folder in /proc/self/task is `name`; it may have ended. */
static void add_thread(const char *name, struct placement_wait *wait)
{
    char path[64];
    long long computed, waited;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", name);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    if (fscanf(file, "%lld %lld", &computed, &waited) == 2) {
        wait->computed += 1e-9 * (double)computed;
        wait->waited += 1e-9 * (double)waited;
    }
    (void)fclose(file);
}

void placement_waited(const struct comm *comm, int threads, struct placement_wait *wait)
{
    *wait = (struct placement_wait){.rank = comm->rank, .ranks = comm->size, .threads = threads};
    comm_host(wait->host);
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    while (tasks && (entry = readdir(tasks)))
        if (entry->d_name[0] != '.')
            add_thread(entry->d_name, wait);
    if (tasks)
        (void)closedir(tasks);
}

double placement_wait_share(const struct placement_wait *wait)
{
    double wanted = wait->computed + wait->waited;
    return wanted > 0 ? wait->waited / wanted : 0;
}

void placement_wait_most(const struct comm *comm, struct placement_wait *wait)
{
    int64_t own = (int64_t)(1e6 * placement_wait_share(wait)) * comm->size + (comm->size - 1 - comm->rank);
    comm_broadcast(comm, wait, sizeof *wait, comm->size - 1 - (int)(comm_max(comm, own) % comm->size));
}

void placement_wait_advice(const struct placement_wait *wait, char *advice)
{
    double share = placement_wait_share(wait);
    char who[128] = "threads";
    advice[0] = '\0';
    if (!(share > PLACEMENT_WAIT_SHARE) || !(wait->waited > PLACEMENT_WAIT_SECONDS))
        return;
    bool many = wait->ranks > 1, threads = wait->threads > 1;
    if (many)
        snprintf(who, sizeof who, "threads of rank %d on '%s'\n ", wait->rank, wait->host);
    snprintf(advice, ERROR_TEXT, "%s waited %.0f s (%.0f %% of the time) for cores others used:\n  %s%s", who,
             wait->waited, 100 * share,
             many && threads ? "use fewer --threads, fewer ranks on the host, or "
             : many          ? "start fewer ranks on the host, or "
             : threads       ? "use fewer --threads, or "
                             : "",
             many ? "give each cores of its own" : "give this process cores of its own");
}

void placement_wait_report(const struct comm *comm, int threads, struct placement_wait *most, char *advice)
{
    placement_waited(comm, threads, most);
    placement_wait_most(comm, most);
    placement_wait_advice(most, advice);
}
