/* A training run from beginning to end: starts or resumes it in its run directory, steps through the windows of its
 * epochs, validates, keeps checkpoints, and stops where it should.
 *
 * One step: forward and backward over a window into this rank's gradient nodes; one exchange of the losses of all lane
 * groups, which also carries whether any rank wants to stop or has failed; sum of the gradients over ranks; mean
 * gradient and its norm; clipping, learning rate, update. All ranks take the same decisions because they see the same
 * numbers.
 *
 * At a step's boundary, in this order: stop if asked; validate if due; end if finished; checkpoint if due. What is due
 * at a boundary depends on `struct progress` only, so a run resumed from any checkpoint does the same.
 *
 * When a run has ended, the log says how good the last weights and those of best.h5 are on validation and test text,
 * and names commands to go on with. The summary has both: valid_loss, test_loss and accuracies are of the last weights
 * (last_model), best_step, best_valid_loss, best_test_loss and best_..._accuracy of those in best.h5 (best_model).
 * Before the end, the values of the best weights are those of training, without a test.
 *
 * Where weights are averaged (train/average.h), the average stands for the weights of the run once there is one: it is
 * validated, tested, sampled from and in best.h5, what is called the last weights is the last average, and --init-from
 * starts from it. So does a --branch, unless it averages in the same way: then both go on. Schedule and patience go by
 * its losses; patience counts anew where it begins. An average of every update is taken over all rows, those that rest
 * included.
 *
 * Advice about the run (train/advice.h) is logged during the run and at its end, and is `advice` in the summary. Rank 0
 * derives it from the lines of metrics.jsonl. It changes nothing else: a run whose loss is far above that of a uniform
 * guess says so and ends with STATUS_OK.
 *
 * If loss or norm is not finite, all ranks skip the step; `TRAINER_SKIPS_MAX` skipped steps in a row end the run with
 * STATUS_DIVERGED. Parameters that are not finite are never saved, and no checkpoint is written while steps are
 * skipped. */
#ifndef UNROLL_TRAIN_TRAINER_H
#define UNROLL_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/terminal.h"
#include "unroll/train/average.h"
#include "unroll/train/checkpoint.h"
#include "unroll/train/optimizer.h"
#include "unroll/train/reducer.h"
#include "unroll/train/schedule.h"
#include "unroll/train/step.h"

#define TRAINER_SKIPS_MAX 5

/* What to do with a run directory that holds a run: go on with it, refuse, or insist on there being one. */
enum resume { RESUME_AUTO, RESUME_NEVER, RESUME_MUST };

struct trainer_option {
    struct checkpoint_option text;
    bool mathematics; /* a resumed run must have the same value */
    bool initial;     /* the default, which also holds for a run that is older than this option */
};

#define TRAINER_EPOCH (-1) /* instead of a number of steps: at the end of each epoch */

/* A sample to write: `length` tokens of a new text by the weights as they are. */
struct trainer_sample {
    const struct model_config *model;
    const float *values;
    const struct vocab *vocab;
    uint64_t seed;
    int64_t length;
    void (*beat)(void *context); /* to be called after each token */
    void *beat_context;
};

struct trainer_config {
    const char *corpus, *run; /* paths */
    bool patience_given;      /* for this start, and not remembered from the run */
    bool corpus_remembered;   /* its path comes from a file of options: the corpus may have been moved since */
    const char *branch;       /* NULL, or the directory of a new run that starts from `run`'s newest checkpoint */
    const char *json_summary; /* NULL, or a path */
    const char *ini_text;     /* what config.ini holds */
    int options;
    const struct trainer_option *option; /* the effective options, for checkpoints and for comparison on resume */

    /* What a step computes; share, threads, the model's `vocab`, `labels` and `reset_token` are set later. */
    struct step_config step;
    bool reset_at_eos;
    double word_dropout; /* to classify: see data/examples.h */
    enum init init;
    const char *init_from; /* NULL, or a checkpoint whose embedding and layers a new run starts from */
    int batch, groups;     /* groups 0: lane_groups_choose */
    bool bptt_vary;        /* windows' lengths vary (data/cuts.h), and each step's learning rate with them */
    struct schedule_config schedule;
    struct average_config average;        /* kind AVERAGE_UPDATES is not given: that of an optimizer that averages */
    int64_t epochs, max_steps;            /* max_steps 0: no limit */
    int64_t patience;                     /* 0: no early stopping */
    int64_t eval_every, checkpoint_every; /* steps; 0: at the end of each epoch */
    int64_t eval_tokens; /* of validation text read on the way; 0: all; below 0: as the output layer says */
    int64_t keep, log_every;
    int64_t gradflow_every; /* steps between measurements of the gradient by time lag; 0: none */
    int64_t sample_every;   /* steps; 0: never; TRAINER_EPOCH */
    int64_t sample_length;  /* tokens */
    /* Writes the samples: drawing text belongs to src/use, which src/train does not call. Only rank 0 calls it; the
     * same arguments must give the same bytes. *text [*length], which may hold any bytes, is the caller's (mem_free).
     * STATUS_CHECKPOINT if the weights give no finite probabilities: then there is no sample, and the run goes on.
     * STATUS_OS. Not used where sample_every is 0. */
    enum status (*write_sample)(const struct trainer_sample *sample, char **text, size_t *length, struct error *e);
    int64_t check_replicas; /* steps; 0: only at checkpoints */
    double max_time;        /* seconds; 0: no limit */
    double stall_timeout;   /* seconds without progress that end the run (train/watchdog.h); 0: no watchdog */
    int threads;            /* 0: see train/placement.h */
    enum resume resume;
    enum checkpoint_writer writer;
};

/* Collective. `log` is where rank 0 tells its progress and warnings; the others do not use it. Besides the statuses of
 * what it calls:
 *   STATUS_STOPPED     a signal or --max-time; a checkpoint holds everything, the same command goes on
 *   STATUS_CHECKPOINT  the directory's run cannot be resumed with these options or this corpus
 *   STATUS_CANTCREATE  the directory is in use, or was taken over by another job
 *   STATUS_INTERNAL    the ranks' parameters differ
 *   STATUS_DIVERGED
 * The error is the same on all ranks. Signals stay caught (train/signals.h) when it returns. If a failure makes a
 * common end impossible the process ends (comm_abort) after telling why. */
enum status trainer_run(const struct comm *comm, const struct trainer_config *config, struct terminal *log,
                        struct error *e);

#endif
