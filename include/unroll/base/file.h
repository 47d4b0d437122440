/* Files that survive a crash of the machine: written under a temporary name, synced, renamed, the folder synced. A
 * reader sees the old file or the new one, never half of either. Interrupted and short writes are continued.
 *
 * Messages name the path; statuses are those of the errno (STATUS_IO, STATUS_NOINPUT, STATUS_OS), or STATUS_CANTCREATE
 * where a file or folder cannot be made. */
#ifndef UNROLL_BASE_FILE_H
#define UNROLL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "unroll/base/status.h"

#define FILE_PATH_MAX 4096

/* Whether this process may still give files their names, for example because it holds a run's lock. `check` is called
 * before a renaming: a status other than OK stops the renaming and becomes its result. The answer may be out of date by
 * the time of the renaming. So temporary files lie in `folder`: a process that may write no more loses that folder, and
 * every later renaming out of it fails. */
struct file_guard {
    enum status (*check)(void *context, struct error *e);
    void *context;
    const char *folder; /* on the same file system; NULL: temporary files lie beside the file itself */
};

/* Call after a failure under the guard (NULL is allowed), which is `status`, told in `e`. If the holder has lost its
 * right, that explains the failure: returns STATUS_CANTCREATE with what `check` says. Else returns `status`. */
enum status file_guard_reason(const struct file_guard *guard, enum status status, struct error *e);

/* STATUS_CONFIG: `path` has more than the `most` bytes that fit. */
enum status file_path_too_long(const char *path, size_t most, struct error *e);

/* "`folder`/`name`" into `path`; STATUS_CONFIG if that is too long for the system. */
enum status file_join(char path[FILE_PATH_MAX], const char *folder, const char *name, struct error *e);

/* Where `path` leads to: an absolute path in which links are resolved; parts that do not exist yet are kept. The path
 * itself if the system cannot tell. */
void file_resolve(const char *path, char real[FILE_PATH_MAX]);

/* The folder that a file lies in, as far as `path` says: "." if it has no slash. */
void file_folder(const char *path, char folder[FILE_PATH_MAX]);

/* True of "-", which is standard input where it is read and standard output where it is written. NULL is not. */
bool file_is_standard(const char *path);

/* open(2), closed on exec, that carries on when interrupted: -1 with errno on failure. */
int file_open(const char *path, int flags, unsigned mode);
/* Opens a regular file for reading and never waits: STATUS_DATA for a folder, a pipe or a device in its place. */
enum status file_open_regular(const char *path, int *fd, struct error *e);

/* Reads `bytes` bytes, fewer only where the file or stream ends, from the current position or at `offset`. Returns how
 * many, or -1 with errno. */
ssize_t file_read(int fd, void *data, size_t bytes);
ssize_t file_read_at(int fd, void *data, size_t bytes, int64_t offset);

/* Writes all bytes at `offset` of an open file called `path`. */
enum status file_write_at(int fd, const char *path, const void *data, size_t bytes, int64_t offset, struct error *e);
/* fsync. After a failure nothing is known about what is on the disk. */
enum status file_sync(int fd, const char *path, struct error *e);

/* Makes (or empties) the file, writes it whole and syncs it. On failure it is removed. */
enum status file_write_new(const char *path, const void *data, size_t bytes, struct error *e);

/* Where `path` is written before it gets its name: "`path`.tmp", or in the folder of the guard, which may be NULL.
 * STATUS_CONFIG if that is too long for the system. */
enum status file_temporary(char temporary[FILE_PATH_MAX], const char *path, const struct file_guard *guard,
                           struct error *e);

/* Renames `temporary`, which must be synced, to `path` on the same file system, and syncs the folder of `path`. `guard`
 * may be NULL. */
enum status file_commit(const char *temporary, const char *path, const struct file_guard *guard, struct error *e);

/* Writes `path` whole, by way of a temporary file, which is removed on failure. `guard` may be NULL. */
enum status file_replace(const char *path, const void *data, size_t bytes, const struct file_guard *guard,
                         struct error *e);

/* Writes a report to where the user wants it: like file_replace, but a link, pipe or device is written to and not
 * replaced (a replaced "/dev/stdout" would break it for the whole system). "-" is standard output, where the last line
 * gets its end. What was flushed from stdout comes first. */
enum status file_write_report(const char *path, const void *data, size_t bytes, struct error *e);

/* The descriptor of the open standard output or error that `path` leads to, as "-", "/dev/stdout" and links to them
 * do; -1 if it is a file of its own. */
int file_standard_stream(const char *path);

/* Writes to a stream, pipe or device, from where it stands; `path` is for messages. */
enum status file_write_stream(int fd, const char *path, const void *data, size_t bytes, struct error *e);

/* Checks before hours of work that `path` can be written later, by file_write_report for example; `option` is the
 * option that names it. STATUS_CANTCREATE if its folder does not exist or cannot be written to. NULL is no path and
 * passes. */
enum status file_check_place(const char *path, const char *option, struct error *e);

/* Length of the file at a path, as this host sees it; 0 if it sees none. */
int64_t file_bytes(const char *path);

/* Reads a regular file of at most `size` - 1 bytes and ends it with a null byte; longer ones are cut. */
enum status file_read_text(const char *path, char *text, size_t size, struct error *e);

/* Makes a folder and those above it; one that is there already is fine. `made` is the uppermost that was made, "" if
 * all were there; after a failure none of them stays. */
enum status file_make_folders(const char *path, char made[FILE_PATH_MAX], struct error *e);

/* Removes the folder `path` and those above it up to `made`, which file_make_folders has told. It stops at the first
 * that is not empty. */
void file_unmake_folders(const char *path, const char *made);

#endif
