/* Opens, reads, writes, syncs and renames files; makes and removes folders. */
#include "unroll/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/temporary.h"

static const char *advice(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
        return "free some space";
    case EFBIG:
        return "raise it, or choose another file system";
    case EACCES:
    case EPERM:
        return "check its permissions";
    case EROFS:
        return "choose a folder that can be written to";
    case ENOENT:
    case ENOTDIR:
        return "check the path";
    default:
        return "check the file system";
    }
}

static enum status failed(struct error *e, const char *verb, const char *path)
{
    int error_number = errno;
    return error_set(e, status_of_errno(error_number), "cannot %s '%s': %s; %s", verb, path, errno_text(error_number),
                     advice(error_number));
}

static enum status cannot_create(struct error *e, const char *path)
{
    int error_number = errno;
    return error_set(
        e, error_number == ENOSPC || error_number == EDQUOT || error_number == EIO ? STATUS_IO : STATUS_CANTCREATE,
        "cannot create '%s': %s; %s", path, errno_text(error_number), advice(error_number));
}

int file_open(const char *path, int flags, unsigned mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum status file_open_regular(const char *path, int *fd, struct error *e)
{
    struct stat entry;
    *fd = file_open(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe would wait for its writer */
    if (*fd < 0)
        return failed(e, "open", path);
    if (fstat(*fd, &entry) == 0 && S_ISREG(entry.st_mode))
        return STATUS_OK;
    (void)close(*fd);
    *fd = -1;
    return error_set(e, STATUS_DATA, "cannot read '%.300s': it is no regular file; check the name", path);
}

enum status file_path_too_long(const char *path, size_t most, struct error *e)
{
    return error_set(e, STATUS_CONFIG,
                     "path too long: '%.200s...' has %zu bytes, at most %zu fit; choose a shorter one", path,
                     strlen(path), most);
}

enum status file_join(char path[FILE_PATH_MAX], const char *folder, const char *name, struct error *e)
{
    int length = snprintf(path, FILE_PATH_MAX, "%s/%s", folder, name);
    if (length < 0 || length >= FILE_PATH_MAX)
        return file_path_too_long(folder, FILE_PATH_MAX - 2 - strlen(name), e);
    return STATUS_OK;
}

void file_folder(const char *path, char folder[FILE_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int length = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(folder, FILE_PATH_MAX, "%.*s", length, slash ? path : ".");
}

bool file_is_standard(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* `path` may be `real`. */
static void join(const char *folder, const char *name, char real[FILE_PATH_MAX])
{
    char joined[2 * FILE_PATH_MAX];
    snprintf(joined, sizeof joined, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    snprintf(real, FILE_PATH_MAX, "%.*s", FILE_PATH_MAX - 1, joined);
}

/* The folder of a path and its last name; "a/b/" is "a" and "b". */
static void split(const char *path, char folder[FILE_PATH_MAX], char name[FILE_PATH_MAX])
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    snprintf(name, FILE_PATH_MAX, "%.*s", (int)(end - begin), path + begin);
    snprintf(folder, FILE_PATH_MAX, "%.*s", (int)begin, begin ? path : ".");
    if (!begin)
        snprintf(folder, FILE_PATH_MAX, ".");
}

/* Takes at most `left` more steps: through links whose targets do not exist, and folders that do not exist. */
static void resolve(const char *path, char real[FILE_PATH_MAX], int left)
{
    char folder[FILE_PATH_MAX], name[FILE_PATH_MAX], aim[FILE_PATH_MAX];
    if (realpath(path, real))
        return;
    split(path, folder, name);
    ssize_t length = left > 0 ? readlink(path, aim, sizeof aim - 1) : -1;
    if (length > 0) {
        aim[length] = '\0';
        if (aim[0] != '/')
            join(folder, aim, aim);
        resolve(aim, real, left - 1);
        return;
    }
    if (strcmp(folder, path) == 0 || left == 0) {
        snprintf(real, FILE_PATH_MAX, "%s", path);
        return;
    }
    resolve(folder, real, left - 1);
    if (strcmp(name, "..") == 0)
        split(real, real, name);
    else if (strcmp(name, ".") != 0)
        join(real, name, real);
}

void file_resolve(const char *path, char real[FILE_PATH_MAX])
{
    resolve(path, real, 100);
}

/* From the stream's current position if `offset` is NULL. */
static ssize_t read_all(int fd, char *data, size_t bytes, const int64_t *offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t step = offset ? pread(fd, data + done, bytes - done, (off_t)(*offset + (int64_t)done))
                              : read(fd, data + done, bytes - done);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return -1;
        if (step == 0)
            break;
        done += (size_t)step;
    }
    return (ssize_t)done;
}

ssize_t file_read(int fd, void *data, size_t bytes)
{
    return read_all(fd, data, bytes, NULL);
}

ssize_t file_read_at(int fd, void *data, size_t bytes, int64_t offset)
{
    return read_all(fd, data, bytes, &offset);
}

enum status file_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset, struct error *e)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t written = pwrite(fd, next, bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written == 0)
            errno = EIO; /* a regular file takes at least a byte or says why not */
        if (written <= 0)
            return failed(e, "write", path);
        next += written;
        offset += written;
        bytes -= (size_t)written;
    }
    return STATUS_OK;
}

enum status file_sync(int fd, const char *path, struct error *e)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? STATUS_OK : failed(e, "sync", path);
}

/* Syncs the folder of `path`, so that a new name in it is on the disk too. */
static enum status sync_folder_of(const char *path, struct error *e)
{
    char folder[FILE_PATH_MAX];
    file_folder(path, folder);
    int fd = file_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return failed(e, "open", folder);
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    /* Some file systems cannot sync folders and say EINVAL: their renames are as safe as they get. */
    enum status status = result != 0 && errno != EINVAL ? failed(e, "sync", folder) : STATUS_OK;
    (void)close(fd);
    return status;
}

enum status file_temporary(char temporary[FILE_PATH_MAX], const char *path, const struct file_guard *guard,
                           struct error *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int length = guard && guard->folder ? snprintf(temporary, FILE_PATH_MAX, "%s/%s.tmp", guard->folder, name)
                                        : snprintf(temporary, FILE_PATH_MAX, "%s.tmp", path);
    if (length < 0 || length >= FILE_PATH_MAX)
        return file_path_too_long(path, FILE_PATH_MAX - sizeof ".tmp", e);
    return STATUS_OK;
}

enum status file_guard_reason(const struct file_guard *guard, enum status status, struct error *e)
{
    struct error lost;
    if (!status || !guard || guard->check(guard->context, &lost) != STATUS_CANTCREATE)
        return status;
    return error_set(e, lost.status, "%s", lost.text);
}

enum status file_commit(const char *temporary, const char *path, const struct file_guard *guard, struct error *e)
{
    if (guard) {
        enum status status = guard->check(guard->context, e);
        if (status)
            return status;
    }
    int result;
    do
        result = rename(temporary, path);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return file_guard_reason(guard, failed(e, "rename to", path), e);
    temporary_forget(temporary);
    return sync_folder_of(path, e);
}

enum status file_write_new(const char *path, const void *data, size_t bytes, struct error *e)
{
    int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return cannot_create(e, path);
    enum status status = file_write_at(fd, path, data, bytes, 0, e);
    if (!status)
        status = file_sync(fd, path, e);
    if (close(fd) != 0 && errno != EINTR && !status)
        status = failed(e, "close", path);
    if (status)
        (void)unlink(path);
    return status;
}

enum status file_replace(const char *path, const void *data, size_t bytes, const struct file_guard *guard,
                         struct error *e)
{
    char temporary[FILE_PATH_MAX];
    enum status status = guard ? guard->check(guard->context, e) : STATUS_OK;
    if (!status)
        status = file_temporary(temporary, path, guard, e);
    if (status)
        return file_guard_reason(guard, status, e);
    temporary_watch(temporary);
    status = file_write_new(temporary, data, bytes, e);
    if (status)
        status = file_guard_reason(guard, status, e);
    else
        status = file_commit(temporary, path, guard, e);
    if (status)
        temporary_remove(temporary); /* gone already if only the folder could not be synced */
    return status;
}

int file_standard_stream(const char *path)
{
    struct stat itself, there, own;
    if (file_is_standard(path))
        return STDOUT_FILENO;
    if (lstat(path, &itself) != 0 || S_ISREG(itself.st_mode) || stat(path, &there) != 0)
        return -1;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &own) == 0 && own.st_dev == there.st_dev && own.st_ino == there.st_ino)
            return fd;
    return -1;
}

enum status file_write_stream(int fd, const char *path, const void *data, size_t bytes, struct error *e)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t done = write(fd, next, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return failed(e, "write", path);
        next += done;
        bytes -= (size_t)done;
    }
    return STATUS_OK;
}

static enum status write_standard(const char *data, size_t bytes, struct error *e)
{
    enum status status = file_write_stream(STDOUT_FILENO, "standard output", data, bytes, e);
    if (!status && bytes > 0 && data[bytes - 1] != '\n')
        status = file_write_stream(STDOUT_FILENO, "standard output", "\n", 1, e);
    return status;
}

enum status file_write_report(const char *path, const void *data, size_t bytes, struct error *e)
{
    struct stat itself;
    if (file_is_standard(path))
        return write_standard(data, bytes, e);
    if (lstat(path, &itself) != 0 || S_ISREG(itself.st_mode) || S_ISDIR(itself.st_mode))
        return file_replace(path, data, bytes, NULL, e);
    int fd = file_standard_stream(path); /* opened anew, it would begin at its start */
    if (fd >= 0)
        return file_write_stream(fd, path, data, bytes, e);
    fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return cannot_create(e, path);
    enum status status = file_write_stream(fd, path, data, bytes, e);
    if (close(fd) != 0 && errno != EINTR && !status)
        status = failed(e, "close", path);
    return status;
}

enum status file_check_place(const char *path, const char *option, struct error *e)
{
    char folder[FILE_PATH_MAX];
    if (!path || file_is_standard(path))
        return STATUS_OK;
    if (strlen(path) + sizeof ".tmp" > sizeof folder)
        return file_path_too_long(path, sizeof folder - sizeof ".tmp", e);
    file_folder(path, folder);
    struct stat itself;
    bool through =
        lstat(path, &itself) == 0 && !S_ISREG(itself.st_mode); /* a link, pipe or device is written through */
    if (through || access(folder, W_OK | X_OK) == 0)
        return STATUS_OK;
    return error_set(e, STATUS_CANTCREATE,
                     "cannot write '%s %.200s': %s; name a file in a folder that can be written to", option, path,
                     strerror(errno));
}

enum status file_read_text(const char *path, char *text, size_t size, struct error *e)
{
    int fd;
    enum status status = file_open_regular(path, &fd, e);
    if (status)
        return status;
    ssize_t length = file_read(fd, text, size - 1);
    if (length < 0)
        status = failed(e, "read", path);
    text[length > 0 ? length : 0] = '\0';
    (void)close(fd);
    return status;
}

void file_unmake_folders(const char *path, const char *made)
{
    char part[FILE_PATH_MAX];
    size_t least = strlen(made);
    if (least == 0)
        return;
    snprintf(part, sizeof part, "%s", path);
    while (strlen(part) >= least && (rmdir(part) == 0 || errno == ENOENT)) {
        char *slash = strrchr(part, '/');
        if (!slash || slash == part)
            return;
        *slash = '\0';
    }
}

int64_t file_bytes(const char *path)
{
    struct stat entry;
    return stat(path, &entry) == 0 ? (int64_t)entry.st_size : 0;
}

enum status file_make_folders(const char *path, char made[FILE_PATH_MAX], struct error *e)
{
    char part[FILE_PATH_MAX];
    size_t length = strlen(path);
    made[0] = '\0';
    if (length == 0)
        return error_set(e, STATUS_CONFIG, "cannot use '' as a folder: it is empty; choose another name");
    if (length >= sizeof part)
        return file_path_too_long(path, sizeof part - 1, e);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0777) == 0) {
            if (!made[0])
                memcpy(made, part, i + 1);
        } else {
            /* A folder that is there may answer EEXIST, but also EROFS or EACCES. */
            int error_number = errno;
            struct stat entry;
            if (stat(part, &entry) != 0 || !S_ISDIR(entry.st_mode)) {
                errno = error_number == EEXIST ? ENOTDIR : error_number;
                enum status status = cannot_create(e, part);
                file_unmake_folders(part, made);
                return status;
            }
        }
        part[i] = i < length ? '/' : '\0';
    }
    return STATUS_OK;
}
