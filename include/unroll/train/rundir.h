/* The run directory: the paths of a run's files, and the rules for making and removing them. Only rank 0 opens one.
 *
 *   config.ini            the effective options
 *   metrics.jsonl         what the run computed; timing.jsonl how long it took (train/metrics.h)
 *   checkpoints/step-00001200.h5
 *   latest                link to the newest checkpoint
 *   best.h5               the parameters with the lowest validation loss
 *   lock                  while a job runs here (train/run_lock.h)
 *   writing-TOKEN.tmp/    of that job: every file is written there and gets its name when it is whole */
#ifndef UNROLL_TRAIN_RUNDIR_H
#define UNROLL_TRAIN_RUNDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/file.h"
#include "unroll/base/status.h"
#include "unroll/train/run_lock.h"

struct rundir {
    char path[FILE_PATH_MAX];
    char checkpoints[FILE_PATH_MAX];
    char made[FILE_PATH_MAX]; /* the uppermost folder that rundir_open made, "" if all were there */
    bool begun;               /* a run has begun in it: rundir_close leaves the folders */
    struct run_lock lock;
    struct file_guard guard; /* asks whether the lock is still ours */
};

/* Not collective, and nothing is made: the step of its newest checkpoint, -1 without one. */
int64_t rundir_newest(const char *path);
/* Whether it holds a checkpoint to go on from. */
bool rundir_holds_run(const char *path);
/* True if a run was begun in it: it holds a checkpoint, or records of a run that wrote none. */
bool rundir_is_begun(const char *path);
/* True if a run began in it and wrote no checkpoint: only its options are there, and it begins again. A folder that
 * holds only an option file of a user is no such run. */
bool rundir_is_at_start(const char *path);
/* True if it holds a run that can go on with the options of its config.ini, from a checkpoint or from its start. */
bool rundir_goes_on(const char *path);

/* True if a folder looks like a run directory, also if files are missing: for searches. */
bool rundir_is_run(const char *path);

/* The file that a model is read from where `path` may be a run directory: best.h5 in it, else latest. Any path that is
 * no directory stays as it is. STATUS_NOINPUT if a directory has neither. */
enum status rundir_model(const char *path, char model[FILE_PATH_MAX], struct error *e);

/* Makes the directory if needed, takes its lock and removes temporary files that a killed job left.
 * STATUS_CANTCREATE if it is held by another job, cannot be written to, or holds no run but other files (logs, option
 * files and empty files are allowed); STATUS_IO. `notice` [ERROR_TEXT] is "" or something to tell. Folders that were
 * made go again when it is closed before a run has `begun`. */
enum status rundir_open(const char *path, struct rundir **out, char *notice, struct error *e);
/* Opens a directory to read only: nothing is made, no lock is taken, nothing may be written. It may belong to another
 * job. */
enum status rundir_look(const char *path, struct rundir **out, struct error *e);
void rundir_close(struct rundir *rundir); /* gives the lock back; NULL is allowed */

/* The path of a file in it, or of the checkpoint of a step. They fit: rundir_open has checked. */
void rundir_file(const struct rundir *rundir, const char *name, char path[FILE_PATH_MAX]);
void rundir_checkpoint(const struct rundir *rundir, int64_t step, char path[FILE_PATH_MAX]);

/* True if a path relative to a run directory names one of the files above, which a run may overwrite or remove. */
bool rundir_owns(const char *name);

/* Steps of the checkpoints that are there, newest first; `*steps` is the caller's (mem_free). None if there is no
 * folder of them. */
enum status rundir_list(const struct rundir *rundir, int64_t **steps, int *count, struct error *e);

/* Points `latest` at the checkpoint of a step: the old link or the new one is there at any time. */
enum status rundir_set_latest(struct rundir *rundir, int64_t step, struct error *e);

/* Removes all checkpoints but the `keep` newest that are not newer than `newest`. */
enum status rundir_prune(struct rundir *rundir, int64_t newest, int64_t keep, struct error *e);

#endif
