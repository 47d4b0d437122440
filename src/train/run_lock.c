/* Takes, checks, renews and releases the lock of a run directory. */
#include "unroll/train/run_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "unroll/sys/comm.h"

#define DYING_WAITS 20 /* of 0.1 s each */

/* The file's lines are "key value"; unknown keys are ignored. */
static void read_field(const char *text, const char *key, char *value, size_t size)
{
    size_t length = strlen(key);
    value[0] = '\0';
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return;
        }
}

/* When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); 0 if it does not exist or hides.
 * `ended`: it is a zombie,
 * whose entry stays until its parent waits for it; in containers that may be never. */
static unsigned long long start_of(long pid, bool *ended)
{
    char path[64], text[1024], state = ' ';
    *ended = false;
    unsigned long long start = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (file_read_text(path, text, sizeof text, NULL))
        return 0;
    const char *next = strrchr(text, ')'); /* the name before it may hold anything */
    if (!next || sscanf(next + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                        &state, &start) != 2)
        return 0;
    *ended = state == 'Z' || state == 'X';
    return start;
}

static void boot_of(char boot[64])
{
    if (file_read_text("/proc/sys/kernel/random/boot_id", boot, 64, NULL))
        boot[0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

static void process_space_of(char space[64])
{
    ssize_t length = readlink("/proc/self/ns/pid", space, 63);
    space[length > 0 ? length : 0] = '\0';
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strlen(value) < 64 && !strchr(value, '\n') ? value : "-";
}

static bool is_set(const char *name)
{
    return strcmp(from_environment(name), "-") != 0;
}

/* A name that all processes of one mpirun or srun share; "-" for a process that was started alone. Hydra does not name
 * a launch: there, the common parent process on each host identifies it. */
static void launch_of(const char *host, char launch[128])
{
    static const char *const names[] = {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID"};
    bool ended;
    snprintf(launch, 128, "-");
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (is_set(names[i])) {
            snprintf(launch, 128, "%s", from_environment(names[i]));
            return;
        }
    if (is_set("SLURM_STEP_ID"))
        snprintf(launch, 128, "slurm %s.%s", from_environment("SLURM_JOB_ID"), from_environment("SLURM_STEP_ID"));
    else if (is_set("PMI_RANK"))
        snprintf(launch, 128, "%.60s %ld %llu", host, (long)getppid(), start_of(getppid(), &ended));
}

void run_lock_token(char text[RUN_LOCK_TOKEN])
{
    uint64_t token[2];
    if (getrandom(token, sizeof token, 0) != (ssize_t)sizeof token) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        token[0] = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        token[1] = (uint64_t)getpid();
    }
    snprintf(text, RUN_LOCK_TOKEN, "%016llx%016llx", (unsigned long long)token[0], (unsigned long long)token[1]);
}

static void describe_self(char text[RUN_LOCK_TEXT])
{
    bool ended;
    char host[COMM_HOST], boot[64], space[64], launch[128], token[RUN_LOCK_TOKEN];
    comm_host(host);
    boot_of(boot);
    process_space_of(space);
    launch_of(host, launch);
    run_lock_token(token);
    snprintf(text, RUN_LOCK_TEXT,
             "host %s\npid %ld\nstarted %llu\nboot %s\nspace %s\njob %s\nrestart %s\nlaunch %s\ntoken %s\n", host,
             (long)getpid(), start_of(getpid(), &ended), boot, space, from_environment("SLURM_JOB_ID"),
             from_environment("SLURM_RESTART_COUNT"), launch, token);
}

static bool same_field(const char *a, const char *b, const char *key)
{
    char of_a[256], of_b[256];
    read_field(a, key, of_a, sizeof of_a);
    read_field(b, key, of_b, sizeof of_b);
    return of_a[0] && strcmp(of_a, of_b) == 0;
}

/* Seconds since the lock was renewed, both times by the file system's clock: `ours` is a file made just now. */
static double age_of(const char *path, const char *ours)
{
    struct stat lock, now;
    if (stat(path, &lock) != 0 || stat(ours, &now) != 0)
        return 0;
    return difftime(now.st_mtime, lock.st_mtime);
}

/* Why the lock was left behind, NULL if its holder may live. */
static const char *left_behind(const char *held, const char *self, double age)
{
    char pid_text[32], start_text[32], job[64], restart_held[64], restart_self[64];
    read_field(held, "pid", pid_text, sizeof pid_text);
    read_field(held, "started", start_text, sizeof start_text);
    long pid = strtol(pid_text, NULL, 10);
    if (same_field(held, self, "host")) {
        if (!same_field(held, self, "boot"))
            return "the host was restarted since";
        if (same_field(held, self, "space") && pid > 0) {
            if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
                return "that process is gone";
            bool ended;
            unsigned long long start = start_of(pid, &ended);
            if (ended)
                return "that process is gone";
            if (start != 0 && start != strtoull(start_text, NULL, 10))
                return "that process is gone and its number is another's";
        }
    }
    read_field(held, "job", job, sizeof job);
    read_field(held, "restart", restart_held, sizeof restart_held);
    read_field(self, "restart", restart_self, sizeof restart_self);
    if (strcmp(job, "-") != 0 && same_field(held, self, "job") &&
        strtol(restart_self, NULL, 10) > strtol(restart_held, NULL, 10))
        return "it was an earlier start of this Slurm job";
    const char *over = getenv("UNROLL_ENDED_JOB"); /* by jobs/, which can ask Slurm */
    if (over && strcmp(job, "-") != 0 && strcmp(job, over) == 0)
        return "Slurm says that its job has ended";
    return age > RUN_LOCK_ABANDONED ? "it was not renewed for more than 10 minutes" : NULL;
}

/* True if both have the same value of a key, and it is known. */
static bool same_known_field(const char *held, const char *self, const char *key)
{
    char value[128];
    read_field(self, key, value, sizeof value);
    return strcmp(value, "-") != 0 && same_field(held, self, key);
}

/* What to do about a lock whose holder may live. A user must never delete a lock of the same job. */
static const char *advice_about(const char *held, const char *self)
{
    if (same_known_field(held, self, "launch"))
        return "it is of the same launch as this one: each process is a run of its own, because MPI does not connect "
               "them; use 'srun --mpi=pmix' or 'mpirun' of the MPI library that 'unroll --version' names";
    if (same_known_field(held, self, "job"))
        return "it is another part of this same Slurm job; wait for it, or, if both were to be ranks of one run, start "
               "them by one 'srun --mpi=pmix' or 'mpirun'";
    return "wait for it, or remove that file if the job is surely gone";
}

static void describe_holder(const char *held, char text[400])
{
    char host[256], pid[32], job[64];
    read_field(held, "host", host, sizeof host);
    read_field(held, "pid", pid, sizeof pid);
    read_field(held, "job", job, sizeof job);
    if (!host[0])
        snprintf(text, 400, "another process");
    else if (job[0] && strcmp(job, "-") != 0)
        snprintf(text, 400, "process %.30s on host '%.200s' (Slurm job %.60s)", pid, host, job);
    else
        snprintf(text, 400, "process %.30s on host '%.200s'", pid, host);
}

void run_lock_look(const char *path, struct run_lock_holder *holder)
{
    char held[RUN_LOCK_TEXT], self[RUN_LOCK_TEXT];
    struct stat lock;
    *holder = (struct run_lock_holder){.is_there = false};
    if (stat(path, &lock) != 0 || file_read_text(path, held, sizeof held, NULL))
        return;
    describe_self(self);
    read_field(held, "host", holder->host, sizeof holder->host);
    read_field(held, "pid", holder->pid, sizeof holder->pid);
    read_field(held, "job", holder->job, sizeof holder->job);
    if (strcmp(holder->job, "-") == 0)
        holder->job[0] = '\0';
    holder->age = difftime(time(NULL), lock.st_mtime);
    holder->is_there = true;
    holder->may_live = !left_behind(held, self, holder->age);
}

/* ---- the holders' folders ---- */

#define FOLDER "writing-"
#define FOLDER_END ".tmp"

static bool name_folder(const struct run_lock *lock, const char *holder, char folder[FILE_PATH_MAX])
{
    char token[64];
    const char *slash = strrchr(lock->path, '/');
    read_field(holder, "token", token, sizeof token);
    if (!*token || strspn(token, "0123456789abcdef") != strlen(token))
        return false;
    return snprintf(folder, FILE_PATH_MAX, "%.*s" FOLDER "%s" FOLDER_END, slash ? (int)(slash - lock->path) + 1 : 0,
                    lock->path, token) < FILE_PATH_MAX;
}

static void remove_folder(const char *folder)
{
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;)
        (void)unlinkat(dirfd(list), entry->d_name, 0); /* not "." and ".." */
    if (list)
        (void)closedir(list);
    (void)rmdir(folder);
}

/* Takes a holder's folder away. From the rename on, the holder cannot change anything. The folder is emptied first of
 * all, since some hosts (NFS) find folders by more than their names. */
static enum status fence_holder(const struct run_lock *lock, const char *folder, struct error *e)
{
    char aside[FILE_PATH_MAX];
    const char *token = strrchr(lock->folder, '/');
    if (snprintf(aside, sizeof aside, "%s.%s", folder, token ? token + 1 : lock->folder) >= (int)sizeof aside)
        return file_path_too_long(folder, sizeof aside - 2 - strlen(token ? token + 1 : lock->folder), e);
    if (rename(folder, aside) == 0)
        remove_folder(aside);
    else if (errno != ENOENT)
        return error_set(e, STATUS_CANTCREATE, "cannot rename '%.200s': %s; remove that folder of an earlier job",
                         folder, strerror(errno));
    return STATUS_OK;
}

/* Removes all folders but ours: those of killed holders, and of holders whose lock somebody has deleted. */
static enum status fence_others(const struct run_lock *lock, struct error *e)
{
    char parent[FILE_PATH_MAX], folder[FILE_PATH_MAX];
    snprintf(parent, sizeof parent, "%s", lock->path);
    *(strrchr(parent, '/') ? strrchr(parent, '/') + 1 : parent) = '\0';
    DIR *list = opendir(*parent ? parent : ".");
    if (!list)
        return error_set(e, STATUS_CANTCREATE, "cannot list '%.200s': %s; check its permissions", parent,
                         strerror(errno));
    enum status status = STATUS_OK;
    for (struct dirent *entry; !status && (entry = readdir(list)) != NULL;)
        if (strncmp(entry->d_name, FOLDER, strlen(FOLDER)) == 0 &&
            snprintf(folder, sizeof folder, "%s%s", parent, entry->d_name) < (int)sizeof folder)
            status = fence_holder(lock, folder, e);
    (void)closedir(list);
    return status;
}

/* ---- taking it ---- */

static enum status cannot_create(const char *path, struct error *e)
{
    return error_set(e, errno == EIO || errno == ENOSPC || errno == EDQUOT ? STATUS_IO : STATUS_CANTCREATE,
                     "cannot create '%.200s': %s; choose a run directory that can be written to", path,
                     strerror(errno));
}

/* O_EXCL lets one of two simultaneous jobs win. EEXIST is left in errno. */
static bool create_lock(struct run_lock *lock, const char *text, enum status *status, struct error *e)
{
    int fd = file_open(lock->path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0) {
        if (errno != EEXIST)
            *status = cannot_create(lock->path, e);
        return false;
    }
    *status = file_write_at(fd, lock->path, text, strlen(text), 0, e);
    if (!*status)
        *status = file_sync(fd, lock->path, e);
    lock->fd = fd;
    if (*status) {
        (void)close(fd);
        (void)unlink(lock->path);
    }
    return !*status;
}

/* Moves a lock that was left behind aside, after its holder's folder. Another job may have done the same and have made
 * its own lock meanwhile. So the moved file is compared again, and put back if it is not the one that was judged. */
static void take_away(const struct run_lock *lock, const char *judged, const char *aside)
{
    char moved[RUN_LOCK_TEXT], folder[FILE_PATH_MAX];
    if (name_folder(lock, judged, folder))
        (void)fence_holder(lock, folder,
                           NULL); /* so that it cannot take ours for its own and release it; begin_holding tells */
    if (rename(lock->path, aside) != 0)
        return;
    if (!file_read_text(aside, moved, sizeof moved, NULL) && strcmp(moved, judged) != 0)
        (void)link(aside, lock->path);
    (void)unlink(aside);
}

enum attempt { SETTLED, AGAIN, IN_USE };

static enum attempt try_take(struct run_lock *lock, const char *self, const char *aside, char *notice,
                             enum status *status, struct error *e)
{
    char held[RUN_LOCK_TEXT], holder[400];
    *status = STATUS_OK;
    if (create_lock(lock, self, status, e) || *status)
        return SETTLED;
    enum status unread = file_read_text(lock->path, held, sizeof held, NULL);
    if (unread == STATUS_DATA)
        *status = error_set(e, STATUS_CANTCREATE, "cannot take '%.300s': it is no regular file; remove it", lock->path);
    if (unread)
        return unread == STATUS_DATA ? SETTLED : AGAIN; /* it went away in between */
    if (file_write_new(aside, self, strlen(self), e)) {
        *status = e ? e->status : STATUS_CANTCREATE;
        return SETTLED;
    }
    double age = age_of(lock->path, aside);
    const char *why = left_behind(held, self, age);
    describe_holder(held, holder);
    if (!why) {
        (void)unlink(aside);
        *status =
            error_set(e, STATUS_CANTCREATE, "run directory in use: '%.150s' is held by %.250s, renewed %.0f s ago; %s",
                      lock->path, holder, age, advice_about(held, self));
        return IN_USE;
    }
    take_away(lock, held, aside);
    snprintf(notice, ERROR_TEXT, "took over the lock of %.300s: %s", holder, why);
    return AGAIN;
}

/* The lock is ours: nobody else may write from now on, and we may. */
static enum status begin_holding(struct run_lock *lock, const char *self, struct error *e)
{
    enum status status = fence_others(lock, e);
    if (!status && mkdir(lock->folder, 0777) != 0)
        status = cannot_create(lock->folder, e);
    if (!status) {
        memcpy(lock->text, self, RUN_LOCK_TEXT);
        return STATUS_OK;
    }
    (void)close(lock->fd);
    (void)unlink(lock->path);
    return status;
}

enum status run_lock_take(struct run_lock *lock, const char *path, char *notice, struct error *e)
{
    char self[RUN_LOCK_TEXT], aside[FILE_PATH_MAX];
    enum status status = STATUS_OK;
    notice[0] = '\0';
    lock->text[0] = '\0';
    describe_self(self);
    char token[64];
    read_field(self, "token", token, sizeof token);
    if (snprintf(lock->path, sizeof lock->path, "%s", path) >= (int)sizeof lock->path ||
        snprintf(aside, sizeof aside, "%s.%s.tmp", path, token) >= (int)sizeof aside ||
        !name_folder(lock, self, lock->folder))
        return file_path_too_long(path, FILE_PATH_MAX - 1 - strlen(FOLDER FOLDER_END) - strlen(token), e);
    for (int attempt = 0, waits = 0; attempt < 10; attempt++) {
        enum attempt outcome = try_take(lock, self, aside, notice, &status, e);
        if (outcome == AGAIN)
            continue;
        /* A holder that was just killed takes a moment to end: its restart should not fail for that. */
        if (outcome == IN_USE && waits++ < DYING_WAITS) {
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
            attempt--;
            continue;
        }
        return status ? status : begin_holding(lock, self, e);
    }
    return error_set(e, STATUS_CANTCREATE, "cannot take '%.300s': other jobs keep taking it; start one job at a time",
                     path);
}

enum status run_lock_check(const struct run_lock *lock, struct error *e)
{
    char now[RUN_LOCK_TEXT], holder[400];
    struct error reason;
    enum status status = file_read_text(lock->path, now, sizeof now, &reason);
    if (status == STATUS_NOINPUT)
        return error_set(e, STATUS_CANTCREATE, "lost the lock of the run directory: %.400s; nothing more is written",
                         reason.text);
    if (status)
        return error_set(e, status, "cannot tell who holds the run directory: %.400s", reason.text);
    if (same_field(now, lock->text, "token"))
        return STATUS_OK;
    describe_holder(now, holder);
    return error_set(e, STATUS_CANTCREATE,
                     "lost the lock of the run directory: '%.150s' is now held by %.250s; nothing more is written",
                     lock->path, holder);
}

void run_lock_renew(const struct run_lock *lock)
{
    if (lock->text[0])
        (void)futimens(lock->fd, NULL);
}

/* Nothing but calls that are safe in a handler. */
void run_lock_drop(const struct run_lock *lock)
{
    static const char name[] = "/lock";
    char now[RUN_LOCK_TEXT], last[FILE_PATH_MAX + sizeof name];
    size_t length = strlen(lock->text);
    int fd = length > 0 ? open(lock->path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    bool ours = read(fd, now, sizeof now) == (ssize_t)length && memcmp(now, lock->text, length) == 0;
    (void)close(fd);
    strcpy(last, lock->folder);
    strcat(last, name);
    if (ours && rename(lock->path, last) == 0)
        (void)unlink(last);
    (void)rmdir(lock->folder);
}

void run_lock_release(struct run_lock *lock)
{
    char last[FILE_PATH_MAX];
    if (!lock->text[0])
        return;
    /* By a rename: unlink might delete the lock of a job that has just taken ours over. */
    if (!run_lock_check(lock, NULL) && !file_join(last, lock->folder, "lock", NULL))
        (void)rename(lock->path, last);
    remove_folder(lock->folder);
    (void)close(lock->fd);
    lock->text[0] = '\0';
}
