/* What a run directory says about its run. It is read from config.ini, metrics.jsonl, timing.jsonl and the lock;
 * nothing is changed or locked. The run may be going on, may have been killed, or may be of an earlier version of
 * Unroll. Data that are missing or damaged are listed as gaps, each with its reason. Files of lines are read backwards
 * from the end, only as far as needed (base/tail.h). */
#ifndef UNROLL_TRAIN_RUN_RECORD_H
#define UNROLL_TRAIN_RUN_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/file.h"
#include "unroll/base/status.h"
#include "unroll/train/run_lock.h"

enum run_state {
    RUN_NOT_BEGUN, /* its files show no start and no step */
    RUN_RUNNING,   /* its lock is held by a job that may be at work */
    RUN_STOPPED,   /* it wrote a checkpoint and ended with status 75; the same command goes on */
    RUN_KILLED,    /* its last start was ended from outside */
    RUN_FAILED,    /* ended with another status, perhaps because its last step could not be saved */
    RUN_DIVERGED,
    RUN_FINISHED,
    RUN_STATES
};

/* "not begun", "running", ... */
const char *run_state_name(enum run_state state);

#define RUN_GAPS_MAX 4
#define RUN_UNKNOWN (-1) /* value of unknown integers below; unknown doubles are NaN, unknown texts "" */

struct run_record {
    char path[FILE_PATH_MAX];
    enum run_state state;
    char why[32];                  /* the rule by which it has finished */
    int64_t exit_status;           /* of the last start, if it came to its end */
    struct run_lock_holder holder; /* of a lock that is there */

    /* what is trained; losses of runs with different digests or tasks cannot be compared */
    bool is_known; /* the first line of metrics.jsonl says it */
    bool classifies;
    char corpus_digest[DIGEST_TEXT];
    int64_t vocab, parameters;

    /* how far it is, and how good */
    int64_t step, steps;             /* done; planned, if nothing ends the run earlier */
    int64_t best_step;               /* with the lowest validation loss */
    int64_t averaged_since;          /* its weights are an average, from that step on; RUN_UNKNOWN: they are none */
    double best_loss, best_accuracy; /* of validation; the accuracy of classifiers only */
    double test_loss, test_accuracy; /* of those weights; known for a finished run only */
    double seconds;                  /* of training, without steps that a later start has undone */

    /* the last start */
    char host[256], started[40]; /* where rank 0 ran; the wall clock, as timing.jsonl says it */
    int64_t ranks, threads;

    char *options; /* [options_bytes] name and value of each option of config.ini, each with its null byte; owned */
    size_t options_bytes, options_capacity;

    int64_t checkpoint; /* the step of the newest, RUN_UNKNOWN (rundir_newest) without one */
    bool lacks_metrics; /* one of the gaps is of metrics.jsonl */
    int gaps;           /* what is missing and why */
    char gap[RUN_GAPS_MAX][200];
};

/* STATUS_DATA if the folder holds no file of a run; STATUS_OS. Release with run_record_release, also after a
 * failure. */
enum status run_record_read(const char *path, struct run_record *record, struct error *e);
void run_record_release(struct run_record *record);

/* True if the same command would go on with this run, or begin it again. */
bool run_record_goes_on(const struct run_record *record);

/* The value of an option in its config.ini; NULL if it is not there. */
const char *run_record_option(const struct run_record *record, const char *name);

/* Walks name and value of the options: from `*at` 0 on; false after the last. */
bool run_record_next(const struct run_record *record, size_t *at, const char **name, const char **value);

#endif
