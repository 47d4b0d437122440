/* Files that survive what befalls the machine: written under a temporary name, synced, renamed, the folder synced. A
 * reader sees the old file or the new one, never half of either. Interrupted and short writes are carried on.
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

/* Who may give files their names, e.g. the holder of a run's lock. `check` is asked beforehand: a status other than OK
 * stops the renaming and becomes its result. But an answer may be out of date when the renaming comes, so temporary
 * files lie in `folder`: who is to write no more loses that folder, and every later renaming out of it fails. */
struct file_guard {
    enum status (*check)(void *context, struct error *e);
    void *context;
    const char *folder; /* on the same file system; NULL: temporary files lie beside the file itself */
};

/* After a failure `status` told in `e` of something under the guard (NULL is allowed): if the holder has lost its
 * right, STATUS_CANTCREATE and what `check` says of it, for that is why its folder is gone; else `status`. */
enum status file_guard_reason(const struct file_guard *guard, enum status status, struct error *e);

/* STATUS_CONFIG: `path` has more than the `most` bytes that fit. */
enum status file_path_too_long(const char *path, size_t most, struct error *e);

/* "`folder`/`name`" into `path`; STATUS_CONFIG if that is too long for the system. */
enum status file_join(char path[FILE_PATH_MAX], const char *folder, const char *name, struct error *e);

/* Where `path` leads to: absolute, through all links, and as far as it is there; what is not there yet follows. The
 * path itself if the system cannot tell. */
void file_resolve(const char *path, char real[FILE_PATH_MAX]);

/* The folder that a file lies in, as far as `path` says: "." if it has no slash. */
void file_folder(const char *path, char folder[FILE_PATH_MAX]);

/* True of "-", which is standard input where it is read and standard output where it is written. NULL is not. */
bool file_is_standard(const char *path);

/* open(2), closed on exec, that carries on when interrupted: -1 with errno on failure. */
int file_open(const char *path, int flags, unsigned mode);
/* Opens a regular file for reading and never waits: STATUS_DATA for a folder, a pipe or a device in its place. */
enum status file_open_regular(const char *path, int *fd, struct error *e);

/* Reads `bytes` bytes, fewer only where the file or stream ends, from where it stands or at `offset`; how many, or
 * -1 with errno. */
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

/* Writes `path` whole, by way of a temporary file, which does not stay behind on failure. `guard` may be NULL. */
enum status file_replace(const char *path, const void *data, size_t bytes, const struct file_guard *guard,
                         struct error *e);

/* Writes a report to where the user wants it: as file_replace, but a link, pipe or device is written to and stays what
 * it is: replacing "/dev/stdout" would leave the whole system without one. "-" is standard output, where the last line
 * gets its end. What is flushed of stdout comes before. */
enum status file_write_report(const char *path, const void *data, size_t bytes, struct error *e);

/* The descriptor of the open standard output or error that `path` leads to, as "-", "/dev/stdout" and links to them
 * do; -1 if it is a file of its own. */
int file_standard_stream(const char *path);

/* Writes to a stream, pipe or device, from where it stands; `path` is for messages. */
enum status file_write_stream(int fd, const char *path, const void *data, size_t bytes, struct error *e);

/* That `path`, which `option` names for file_write_report or the like, can be made is better known before hours of
 * work than after: STATUS_CANTCREATE if its folder is not there or cannot be written to. NULL is no path and fine. */
enum status file_check_place(const char *path, const char *option, struct error *e);

/* Length of what stands at a path, as this host sees it: 0 if it sees nothing. */
int64_t file_bytes(const char *path);

/* Reads a regular file of at most `size` - 1 bytes and ends it with a null byte; longer ones are cut. */
enum status file_read_text(const char *path, char *text, size_t size, struct error *e);

/* Makes a folder and those above it; one that is there already is fine. `made` is the uppermost that was made, "" if
 * all were there; after a failure none of them stays. */
enum status file_make_folders(const char *path, char made[FILE_PATH_MAX], struct error *e);

/* Removes the folder `path` and those above it up to `made`, as file_make_folders told; from the first on that is not
 * empty they stay. */
void file_unmake_folders(const char *path, const char *made);

#endif
