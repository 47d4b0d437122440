/* The run directory: where the files of a run lie, and the rules by which they come and go. Only rank 0 has one.
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
/* Whether a run was begun in it: it holds a checkpoint, or records of a run that did not come to one. */
bool rundir_is_begun(const char *path);
/* Whether a run began in it that came to no checkpoint: all there is of it are its options, and it begins again. An
 * option file that somebody has put into a folder is no such run. */
bool rundir_is_at_start(const char *path);
/* Whether it holds a run that goes on, from a checkpoint or from its start, with the options of its config.ini. */
bool rundir_goes_on(const char *path);

/* Whether a folder looks like the directory of a run, whole or in parts: for those who look for runs. */
bool rundir_is_run(const char *path);

/* The file that a model is read from where `path` may be a run directory: best.h5 in it, else latest. Any path that is
 * no directory stays as it is. STATUS_NOINPUT if a directory has neither. */
enum status rundir_model(const char *path, char model[FILE_PATH_MAX], struct error *e);

/* Makes the directory if needed, takes its lock and removes temporary files that a killed job left.
 * STATUS_CANTCREATE if it is held by another job, cannot be written to, or holds other things and no run (logs,
 * option files and empty files are let pass); STATUS_IO. `notice` [ERROR_TEXT] is "" or something to tell. Folders
 * that were made go again when it is closed before a run has `begun`. */
enum status rundir_open(const char *path, struct rundir **out, char *notice, struct error *e);
/* A look at a directory that may belong to another job: nothing is made, no lock is taken, nothing may be written. */
enum status rundir_look(const char *path, struct rundir **out, struct error *e);
void rundir_close(struct rundir *rundir); /* gives the lock back; NULL is allowed */

/* The path of a file in it, or of the checkpoint of a step. They fit: rundir_open has checked. */
void rundir_file(const struct rundir *rundir, const char *name, char path[FILE_PATH_MAX]);
void rundir_checkpoint(const struct rundir *rundir, int64_t step, char path[FILE_PATH_MAX]);

/* True if a path relative to a run directory is that of one of the files above, which a run writes and removes as it
 * likes. */
bool rundir_owns(const char *name);

/* Steps of the checkpoints that are there, newest first; `*steps` is the caller's (mem_free). None if there is no
 * folder of them. */
enum status rundir_list(const struct rundir *rundir, int64_t **steps, int *count, struct error *e);

/* Points `latest` at the checkpoint of a step: the old link or the new one is there at any time. */
enum status rundir_set_latest(struct rundir *rundir, int64_t step, struct error *e);

/* Removes all checkpoints but the `keep` newest that are not newer than `newest`. */
enum status rundir_prune(struct rundir *rundir, int64_t newest, int64_t keep, struct error *e);

#endif
