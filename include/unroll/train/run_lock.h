/* The lock of a run directory: one job at a time, told apart by host, process and a random token.
 *
 * The file is created with O_EXCL, so that of two jobs one gets it. A lock that was left behind is recognised by
 *   - the same host (name, boot and process space) and no such process, or one that started at another time;
 *   - the same host name after a reboot;
 *   - an earlier start of the same Slurm job: the scheduler has requeued it, so the earlier start is over;
 *   - a Slurm job that has ended, as the job scripts have found out and say by UNROLL_ENDED_JOB=ID;
 *   - any other host, if the lock was not renewed for RUN_LOCK_ABANDONED seconds (by the clock of the file system).
 * None of these is certain. Where a network is cut, the ranks of the earlier start may still run and know nothing of
 * the next start. So the new holder must keep the earlier one from writing (fencing). A holder changes the run
 * directory in one way only: it renames files out of its folder, `writing-TOKEN.tmp`, or into it. A job that takes the
 * lock over removes that folder first. From then on every rename of the earlier holder fails, even if its
 * run_lock_check has just succeeded. Files that stay open belong to their holder alone for the same reason: see
 * train/metrics.h. */
#ifndef UNROLL_TRAIN_RUN_LOCK_H
#define UNROLL_TRAIN_RUN_LOCK_H

#include <stdbool.h>

#include "unroll/base/file.h"
#include "unroll/base/status.h"

#define RUN_LOCK_ABANDONED 600 /* seconds */
#define RUN_LOCK_TEXT 1024
#define RUN_LOCK_TOKEN 33 /* 32 hexadecimal digits and the end */

struct run_lock {
    char path[FILE_PATH_MAX];
    char folder[FILE_PATH_MAX]; /* of the holder: what it writes lies here until it gets its name */
    char text[RUN_LOCK_TEXT];   /* what our lock says; "" while we hold none */
    int fd;                     /* of our lock file, also after another file has taken its name */
};

/* What a lock says about its holder, for programs that only read. */
struct run_lock_holder {
    bool is_there;                    /* a lock lies there */
    bool may_live;                    /* and its holder may be at work: else it was left behind */
    char host[256], pid[32], job[64]; /* "" if the lock does not say; job: of Slurm, "" outside of one */
    double age;                       /* seconds since it was renewed, by the clock of this host */
};

/* Looks at the lock file `path` and changes nothing. */
void run_lock_look(const char *path, struct run_lock_holder *holder);

/* A random text, unique to this process. */
void run_lock_token(char text[RUN_LOCK_TOKEN]);

/* Takes the lock file `path` and makes our folder beside it; those of earlier holders go. Held by another:
 * STATUS_CANTCREATE saying by whom and what to do (if it is the same job or launch: never to delete it). If a lock that
 * was left behind was replaced, `notice` [ERROR_TEXT] says so, else it is "". */
enum status run_lock_take(struct run_lock *lock, const char *path, char *notice, struct error *e);
/* STATUS_CANTCREATE if the lock is no longer ours; STATUS_IO or STATUS_OS if that cannot be told now. */
enum status run_lock_check(const struct run_lock *lock, struct error *e);
/* Shows that the holder lives; to be called every minute or so. */
void run_lock_renew(const struct run_lock *lock);
/* Gives the lock and its folder back if it is still ours. Harmless if there is none. */
void run_lock_release(struct run_lock *lock);
/* run_lock_release for a signal handler that ends the process. A folder that is not empty stays; the next start removes
 * it. */
void run_lock_drop(const struct run_lock *lock);

#endif
