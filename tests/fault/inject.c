/* A library to preload (LD_PRELOAD) that makes chosen calls fail: the faults of the tests beside it.
 *
 *   INJECT_CALLS   the calls that count, separated by commas: open pwrite write fsync close rename unlink symlink mkdir
 *                  ftruncate malloc, GOMP_parallel (once in every parallel region), MPI_Allgatherv (the exchange of
 *                  losses), MPI_Sendrecv (the reduction), MPI_Bcast (of 8 KiB or more: parameters)
 *   INJECT_PATH    only calls on files whose path has this in it
 *   INJECT_RANK    only in this rank
 *   INJECT_AT      the number of the call that fails, from 1; 0: none
 *   INJECT_EVER    if set, all calls from that one on
 *   INJECT_WHAT    EIO ENOSPC EINTR ENOMEM ..., SHORT (a write of one byte less), KILL STOP TERM (that signal to
 *                  oneself), or for the calls of MPI NAN (the first double or float becomes one) or FLIP (a bit of
 *                  what arrives)
 *   INJECT_AFTER   a file: nothing counts until it exists
 *   INJECT_COUNT   a file that receives how many calls counted, at the end of the process
 *
 * Single thread: calls of other threads are not told apart, which is right for the main thread's I/O. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { WHAT_NOTHING, WHAT_ERROR, WHAT_SHORT, WHAT_SIGNAL, WHAT_NAN, WHAT_FLIP };

static struct {
    bool ready;
    char calls[256], path[256], after[512], count_file[512];
    long at, count;
    bool ever;
    enum what what;
    int number; /* errno or signal */
} plan;

static const struct {
    const char *name;
    enum what what;
    int number;
} whats[] = {
    {"EIO", WHAT_ERROR, EIO},       {"ENOSPC", WHAT_ERROR, ENOSPC}, {"EINTR", WHAT_ERROR, EINTR},
    {"ENOMEM", WHAT_ERROR, ENOMEM}, {"EROFS", WHAT_ERROR, EROFS},   {"SHORT", WHAT_SHORT, 0},
    {"KILL", WHAT_SIGNAL, SIGKILL}, {"STOP", WHAT_SIGNAL, SIGSTOP}, {"TERM", WHAT_SIGNAL, SIGTERM},
    {"NAN", WHAT_NAN, 0},           {"FLIP", WHAT_FLIP, 0},
};

static void copy_variable(char *to, size_t size, const char *name)
{
    const char *value = getenv(name);
    snprintf(to, size, "%s", value ? value : "");
}

__attribute__((constructor)) static void read_plan(void)
{
    const char *rank = getenv("INJECT_RANK"), *mine = getenv("OMPI_COMM_WORLD_RANK");
    const char *at = getenv("INJECT_AT"), *what = getenv("INJECT_WHAT");
    if (rank && (!mine || strcmp(rank, mine) != 0))
        return;
    copy_variable(plan.calls, sizeof plan.calls, "INJECT_CALLS");
    copy_variable(plan.path, sizeof plan.path, "INJECT_PATH");
    copy_variable(plan.after, sizeof plan.after, "INJECT_AFTER");
    copy_variable(plan.count_file, sizeof plan.count_file, "INJECT_COUNT");
    plan.at = at ? atol(at) : 0;
    plan.ever = getenv("INJECT_EVER") != NULL;
    for (int i = 0; what && i < (int)(sizeof whats / sizeof *whats); i++)
        if (strcmp(what, whats[i].name) == 0) {
            plan.what = whats[i].what;
            plan.number = whats[i].number;
        }
    plan.ready =
        plan.calls[0] && !strstr(program_invocation_name, "mpirun") && !strstr(program_invocation_name, "orte");
}

__attribute__((destructor)) static void write_count(void)
{
    if (!plan.ready || !plan.count_file[0])
        return;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", plan.count);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, plan.count_file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && syscall(SYS_write, fd, text, length) == length)
        syscall(SYS_close, fd);
}

static bool is_chosen(const char *call)
{
    size_t length = strlen(call);
    for (const char *place = plan.calls; (place = strstr(place, call)) != NULL; place += length)
        if ((place == plan.calls || place[-1] == ',') && (place[length] == ',' || place[length] == '\0'))
            return true;
    return false;
}

static bool is_on_path(int fd, const char *path)
{
    char link[64], target[4096];
    if (!plan.path[0])
        return true;
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        path = target;
    }
    return strstr(path, plan.path) != NULL;
}

/* What shall happen to this call. */
static enum what strike(const char *call, int fd, const char *path)
{
    if (!plan.ready || !is_chosen(call) || !is_on_path(fd, path))
        return WHAT_NOTHING;
    if (plan.after[0] && syscall(SYS_faccessat, AT_FDCWD, plan.after, F_OK) != 0)
        return WHAT_NOTHING;
    plan.count++;
    if (plan.at == 0 || (plan.ever ? plan.count < plan.at : plan.count != plan.at))
        return WHAT_NOTHING;
    if (plan.what == WHAT_SIGNAL) {
        raise(plan.number);
        return WHAT_NOTHING;
    }
    errno = plan.number;
    return plan.what;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, int);
        va_end(arguments);
    }
    if (strike("open", -1, path) == WHAT_ERROR)
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    enum what what = strike("pwrite", fd, NULL);
    if (what == WHAT_ERROR)
        return -1;
    return syscall(SYS_pwrite64, fd, data, what == WHAT_SHORT && bytes > 1 ? bytes - 1 : bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) __attribute__((alias("pwrite")));

ssize_t write(int fd, const void *data, size_t bytes)
{
    enum what what = strike("write", fd, NULL);
    if (what == WHAT_ERROR)
        return -1;
    return syscall(SYS_write, fd, data, what == WHAT_SHORT && bytes > 1 ? bytes - 1 : bytes);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    if (strike("pwrite", fd, NULL) == WHAT_ERROR)
        return -1;
    return syscall(SYS_pwritev, fd, pieces, count, offset, 0L);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset) __attribute__((alias("pwritev")));

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    if (strike("write", fd, NULL) == WHAT_ERROR)
        return -1;
    return syscall(SYS_writev, fd, pieces, count);
}

int fsync(int fd)
{
    return strike("fsync", fd, NULL) == WHAT_ERROR ? -1 : (int)syscall(SYS_fsync, fd);
}

int close(int fd)
{
    enum what what = strike("close", fd, NULL);
    int result = (int)syscall(SYS_close, fd);
    if (what != WHAT_ERROR)
        return result;
    errno = plan.number;
    return -1;
}

int rename(const char *from, const char *to)
{
    return strike("rename", -1, to) == WHAT_ERROR ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    return strike("unlink", -1, path) == WHAT_ERROR ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int symlink(const char *target, const char *path)
{
    return strike("symlink", -1, path) == WHAT_ERROR ? -1 : (int)syscall(SYS_symlinkat, target, AT_FDCWD, path);
}

int mkdir(const char *path, mode_t mode)
{
    return strike("mkdir", -1, path) == WHAT_ERROR ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int ftruncate(int fd, off_t length)
{
    return strike("ftruncate", fd, NULL) == WHAT_ERROR ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

/* All of the program's own memory comes from here (base/mem.c). */
int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    static __typeof__(&posix_memalign) real;
    if (!real)
        real = REAL(posix_memalign);
    return strike("malloc", -1, "") == WHAT_ERROR ? plan.number : real(block, alignment, bytes);
}

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags)
{
    static void (*real)(void (*)(void *), void *, unsigned, unsigned);
    if (!real)
        real = (void (*)(void (*)(void *), void *, unsigned, unsigned))dlsym(RTLD_NEXT, "GOMP_parallel");
    (void)strike("GOMP_parallel", -1, "");
    real(body, data, threads, flags);
}

int MPI_Allgatherv(const void *mine, int count, MPI_Datatype type, void *all, const int counts[], const int places[],
                   MPI_Datatype all_type, MPI_Comm comm)
{
    char changed[4096];
    if (strike("MPI_Allgatherv", -1, "") == WHAT_NAN && mine != MPI_IN_PLACE && count <= (int)sizeof changed &&
        count >= (int)(2 * sizeof(double))) {
        memcpy(changed, mine, (size_t)count); /* the first number is the rank's request, the second a loss */
        memcpy(changed + sizeof(double), &(double){NAN}, sizeof(double));
        mine = changed;
    }
    return PMPI_Allgatherv(mine, count, type, all, counts, places, all_type, comm);
}

int MPI_Sendrecv(const void *send, int send_count, MPI_Datatype send_type, int to, int send_tag, void *receive,
                 int receive_count, MPI_Datatype receive_type, int from, int receive_tag, MPI_Comm comm,
                 MPI_Status *status)
{
    enum what what = strike("MPI_Sendrecv", -1, "");
    if (what == WHAT_NAN && send_count >= (int)sizeof(float))
        memcpy((void *)(size_t)send, &(float){NAN}, sizeof(float));
    return PMPI_Sendrecv(send, send_count, send_type, to, send_tag, receive, receive_count, receive_type, from,
                         receive_tag, comm, status);
}

int MPI_Bcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    int result = PMPI_Bcast(data, count, type, root, comm);
    if (count >= 8192 && strike("MPI_Bcast", -1, "") == WHAT_FLIP)
        ((char *)data)[4000] ^= 1;
    return result;
}
