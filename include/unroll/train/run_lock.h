/* The lock of a run directory: one job at a time, told apart by host, process and a random token.
 *
 * The file is created with O_EXCL, so that of two jobs one gets it. A lock that was left behind is recognised by
 *   - the same host (name, boot and process space) and no such process, or one that started at another time;
 *   - the same host name after a reboot;
 *   - an earlier start of the same Slurm job: the scheduler has requeued it, so the earlier start is over;
 *   - any other host, if the lock was not renewed for RUN_LOCK_ABANDONED seconds (by the clock of the file system).
 * None of these is certain where a network is cut, so the holder asks run_lock_check before every renaming: one whose
 * lock was taken over changes nothing any more. */
#ifndef UNROLL_TRAIN_RUN_LOCK_H
#define UNROLL_TRAIN_RUN_LOCK_H

#include "unroll/base/file.h"
#include "unroll/base/status.h"

#define RUN_LOCK_ABANDONED 600 /* seconds */
#define RUN_LOCK_TEXT 1024

struct run_lock {
    char path[FILE_PATH_MAX];
    char text[RUN_LOCK_TEXT]; /* what our lock says; "" while we hold none */
};

/* Takes the lock file `path`. Held by another: STATUS_CANTCREATE saying by whom and what to do. If a lock that was left
 * behind was replaced, `notice` [ERROR_TEXT] says so, else it is "". */
enum status run_lock_take(struct run_lock *lock, const char *path, char *notice, struct error *e);
/* STATUS_CANTCREATE if the lock is no longer ours; STATUS_IO or STATUS_OS if that cannot be told now. */
enum status run_lock_check(const struct run_lock *lock, struct error *e);
/* Shows that the holder lives; to be called every minute or so. */
void run_lock_renew(const struct run_lock *lock);
/* Gives the lock back if it is still ours. Harmless if there is none. */
void run_lock_release(struct run_lock *lock);

#endif
