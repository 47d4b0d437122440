/* Tests whether all ranks see a file that rank 0 makes. */
#include "unroll/train/shared_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unroll/base/clock.h"
#include "unroll/base/file.h"
#include "unroll/train/run_lock.h"

#define NAME "seen-by-all"
#define SHORTEST_SLEEP 0.01 /* seconds; each is twice the one before */
#define LONGEST_SLEEP 1.0

/* What rank 0 has made, and where. */
struct sign {
    char path[FILE_PATH_MAX];
    char host[COMM_HOST];
    char token[RUN_LOCK_TOKEN];
};

/* Rank 0. */
static enum status make_probe(struct sign *sign, const char *folder, struct error *e)
{
    run_lock_token(sign->token);
    comm_host(sign->host);
    enum status status = file_join(sign->path, folder, NAME, e);
    if (status)
        return status;
    int fd = file_open(sign->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return error_set(e, errno == EIO || errno == ENOSPC || errno == EDQUOT ? STATUS_IO : STATUS_CANTCREATE,
                         "cannot create '%.300s': %s; check the file system", sign->path, strerror(errno));
    status = file_write_at(fd, sign->path, sign->token, strlen(sign->token), 0, e);
    if (close(fd) != 0 && !status) /* which makes it visible elsewhere; that it is on the disk does not matter */
        status =
            error_set(e, STATUS_IO, "cannot write '%.300s': %s; check the file system", sign->path, strerror(errno));
    return status;
}

/* Opening the folders above makes NFS ask its server for what is new in them. */
static void look_again(const char *path)
{
    char folder[FILE_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    for (int level = 0; level < 3 && strrchr(folder, '/'); level++) {
        *strrchr(folder, '/') = '\0';
        DIR *list = opendir(*folder ? folder : "/");
        if (list)
            (void)closedir(list);
    }
}

static void sleep_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&time, NULL); /* woken early it looks early */
}

static enum status wait_to_see(const struct comm *comm, const struct sign *sign, double patience, struct error *e)
{
    char text[RUN_LOCK_TOKEN + 1], host[COMM_HOST];
    struct error reason;
    double until = clock_seconds() + patience;
    for (double sleep = SHORTEST_SLEEP;; sleep = sleep < LONGEST_SLEEP / 2 ? 2 * sleep : LONGEST_SLEEP) {
        enum status status = file_read_text(sign->path, text, sizeof text, &reason);
        if (!status && strcmp(text, sign->token) == 0)
            return STATUS_OK;
        if (clock_seconds() >= until)
            break;
        sleep_for(sleep);
        look_again(sign->path);
    }
    comm_host(host);
    return error_set(
        e, STATUS_CANTCREATE,
        "folder not shared: rank %d on host '%.60s' does not see '%.250s', which rank 0 on host '%.60s' has "
        "made; use a run directory on a file system that all hosts share, or '--checkpoint-writer single'",
        comm->rank, host, sign->path, sign->host);
}

enum status shared_folder_check(const struct comm *comm, const char *folder, double patience, struct error *e)
{
    struct sign sign = {"", "", ""};
    enum status status = comm_agree(comm, comm->rank == 0 ? make_probe(&sign, folder, e) : STATUS_OK, e);
    if (status)
        return status;
    comm_broadcast(comm, &sign, sizeof sign, 0);
    if (comm->rank > 0)
        status = wait_to_see(comm, &sign, patience, e);
    comm_barrier_asleep(comm);
    if (!status && comm->rank > 0) /* others may have looked for long, and the folder may be gone meanwhile */
        status = wait_to_see(comm, &sign, 0, e);
    status = comm_agree(comm, status, e);
    if (comm->rank == 0)
        (void)unlink(sign.path);
    return status;
}
