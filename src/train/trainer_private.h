/* What the files of the trainer share: struct trainer and the functions that each file offers the others. */
#ifndef UNROLL_TRAIN_TRAINER_PRIVATE_H
#define UNROLL_TRAIN_TRAINER_PRIVATE_H

#include <math.h>

#include "trainer_adviser.h"
#include "trainer_costs.h"
#include "trainer_exchange.h"
#include "trainer_heartbeat.h"
#include "trainer_reporter.h"
#include "trainer_states.h"

#include "unroll/base/lane_gather.h"
#include "unroll/data/corpus.h"
#include "unroll/data/feed.h"
#include "unroll/nn/model.h"
#include "unroll/train/evaluator.h"
#include "unroll/train/placement.h"
#include "unroll/train/rundir.h"
#include "unroll/train/step.h"
#include "unroll/train/trainer.h"

/* How good weights are, evaluated at the end of the run; NaN where unknown. Accuracies are for classifiers. */
struct outcome {
    int64_t step;           /* -1: no such weights */
    int64_t averaged_since; /* the step from which on they are an average, -1: they are none */
    double valid_loss, test_loss, valid_accuracy, test_accuracy;
};
#define TRAINER_OUTCOME_NONE ((struct outcome){-1, -1, NAN, NAN, NAN, NAN})

#define PULSE_LINE 200

/* The progress line for people: trainer_pulse.c. */
struct pulse {
    double begun;       /* clock_seconds() at the first step of this start, or an evaluation before it; 0: none yet */
    double due;         /* seconds from then until the next line */
    int64_t first_step; /* steps before this start ... */
    bool stepping;      /* ... which has begun its first */
    bool forecast_told; /* the forecast of the run's time has been logged */
    double shown_loss;  /* in the line before */
    double loss;        /* sum over the targets since the line before ... */
    int64_t targets;    /* ... which are so many */
    double seconds;     /* costs.steps and ... */
    int64_t tokens;     /* ... costs.tokens at that line */
    const char *evaluating; /* "validation", "test"; NULL: nothing is being evaluated */
    int64_t windows, done;  /* of that evaluation */
    char line[PULSE_LINE];  /* the last one of steps */
};

/* The newest checkpoint on the disk, and failures to write one: trainer_save.c. */
struct saver {
    struct checkpoint *snapshot; /* contents of the next file; its arrays belong to the trainer */
    int64_t bytes, best_bytes;   /* of the arrays of a checkpoint, and of best.h5 */
    int64_t step;                /* of the newest checkpoint on disk, -1 if there is none ... */
    int64_t valid_step;          /* ... and its valid_step: it may have been taken before a validation */
    bool postponed;              /* a checkpoint was due while steps were skipped, and is still to be written */
    struct error failure,
        best_failure; /* of the last attempt to write a checkpoint, and best.h5; STATUS_OK: it was written */
};

static inline int64_t saver_bytes(const struct saver *saver, bool best)
{
    return best ? saver->best_bytes : saver->bytes;
}

struct trainer {
    const struct comm *comm;
    const struct trainer_config *config;
    struct reporter reporter;
    struct heartbeat heartbeat;
    struct placement placement;
    struct placement_wait wait; /* of the rank that waited most for cores, at the end */
    struct checkpoint_build build;

    struct corpus *corpus;
    const uint64_t *counts;    /* of the vocabulary's ids in the training text */
    uint64_t *own_counts;      /* the same, where the vocabulary does not say them; else NULL */
    struct model_config shape; /* with the corpus's vocabulary */
    struct lane_share share;   /* of this rank */
    struct param_table table;
    float *values;            /* [table.total]; in the end perhaps those of best.h5 */
    char digest[DIGEST_TEXT]; /* of the last weights; "" before the end */
    struct step *step;        /* NULL once training is over */
    struct average average;   /* of values */
    struct feed feed;
    struct evaluator *valid; /* NULL without validation text, and in the end */
    const float *validated;  /* the values that it evaluates */
    bool valid_is_part;      /* it reads a part of the text, by --eval-tokens */
    int64_t windows;         /* of the current epoch */
    int64_t steps;           /* of all epochs: see feed_windows_of */
    int bptt;                /* the longest window: --bptt or what --bptt-vary may make of it; the longest text */
    int typical;             /* typical length of a window */

    struct progress progress;

    struct exchange exchange;
    struct states states;
    struct rundir *rundir; /* NULL but on rank 0 */
    struct saver saver;

    bool already_finished; /* the run had ended before this start, and there is nothing to do */
    bool begins_again;     /* rank 0: an earlier start of the run wrote no checkpoint */
    int64_t branched_from; /* step of the run that this one branched from, -1 */

    struct costs costs;
    struct pulse pulse;
    double grad_norm;          /* of the last step ... */
    double lr;                 /* ... and its rate, of a window of --bptt steps */
    double last_on_the_way;    /* of the last weights: the loss by the validation text that is read on the way */
    double valid_accuracy;     /* to classify: of the last validation of this start; NaN before */
    struct adviser adviser;    /* rank 0 */
    struct outcome last, best; /* of the last weights, which `latest` names, and of those in best.h5 */
};

/* Whether the corpus has text of a split: a target at least. */
static inline bool trainer_has(const struct trainer *trainer, enum split split)
{
    return trainer->corpus->tokens[split] >= 2;
}

/* A validation loss below all before it; any is better than none, NaN. */
static inline bool trainer_improves(const struct trainer *trainer, double loss)
{
    return isfinite(loss) && !(loss >= trainer->progress.best_valid_loss);
}

/* Mean loss of the epoch that the last step belongs to. */
static inline double trainer_train_loss(const struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    return progress->epoch_tokens > 0 ? progress->epoch_loss / (double)progress->epoch_tokens : NAN;
}

/* The weights of the run, for all but training itself. */
static inline float *trainer_weights(const struct trainer *trainer)
{
    return trainer->average.state.count > 0 ? trainer->average.values : trainer->values;
}

/* The step from which on those are an average, -1. */
static inline int64_t trainer_averaged_since(const struct trainer *trainer)
{
    return trainer->average.state.count > 0 ? trainer->average.state.began : -1;
}

/* Before values or the optimizer's state are read by anything else than a training step. Not collective. */
static inline void trainer_settle(struct trainer *trainer)
{
    if (trainer->step)
        step_settle(trainer->step);
}

/* ---- trainer_due.c: not collective ---- */
int64_t trainer_total_steps(const struct trainer *trainer);
/* Whether --max-steps ends the run before --epochs would. */
bool trainer_is_limited(const struct trainer *trainer);
/* Steps of an epoch; the mean where they differ, rounded. */
int64_t trainer_epoch_steps(const struct trainer *trainer);
/* The learning rate of the step to come, of a window of --bptt steps. */
double trainer_next_lr(const struct trainer *trainer);
bool trainer_validation_due(const struct trainer *trainer);
/* Why the run has ended by its own rules, NULL if it has not. */
const char *trainer_end_reached(const struct trainer *trainer);

/* ---- trainer_setup.c: all collective ---- */
/* The checks that need no files and little memory. */
enum status trainer_check(struct trainer *trainer, struct error *e);
/* The model and all that belongs to it; the parameters have their first values if it is `fresh`, else none. */
enum status trainer_build(struct trainer *trainer, bool fresh, struct error *e);
/* The run directory, then its files. `trainer_open_files` comes after resuming, which may refuse. */
enum status trainer_open_directory(struct trainer *trainer, struct error *e);
enum status trainer_open_files(struct trainer *trainer, bool fresh, struct error *e);
void trainer_release(struct trainer *trainer); /* not collective */

/* ---- trainer_stop.c ---- */
/* This rank's request to stop, REQUEST_NONE without one. Not collective. */
int trainer_stop_request(const struct trainer *trainer);
/* After long work between steps: sets exchange.request to the strongest request of all ranks. Collective. */
void trainer_gather_requests(struct trainer *trainer);
/* Stops the run early, as exchange.request asks: STATUS_STOPPED, with a checkpoint. Collective. */
enum status trainer_stop(struct trainer *trainer, struct error *e);

/* ---- trainer_evaluate.c: collective ---- */
/* trainer->valid, where there is validation text. */
enum status trainer_open_validation(struct trainer *trainer, struct error *e);
/* The validation that is due; it may change the learning rate and best.h5. */
enum status trainer_validate(struct trainer *trainer, struct error *e);
/* The mean loss of the weights as they are by trainer->valid; and to classify the accuracy. */
enum status trainer_evaluate_valid(struct trainer *trainer, double *loss, double *accuracy, struct error *e);
/* The mean loss by an evaluator, and to classify the accuracy, else NaN; `what`, a constant: "validation".
 * STATUS_STOPPED where a signal came meanwhile. */
enum status trainer_evaluate(struct trainer *trainer, struct evaluator *evaluator, const char *what, double *loss,
                             double *accuracy, struct error *e);
/* The same of a split, with given values; nothing if the corpus has none. Validation is over after it. */
enum status trainer_evaluate_split(struct trainer *trainer, enum split split, const float *values, double *loss,
                                   double *accuracy, struct error *e);

/* ---- trainer_end.c: collective ---- */
/* The run has ended by its own rules. Training is over after it: what only steps need is released. */
enum status trainer_finish(struct trainer *trainer, const char *why, struct error *e);
/* The run had ended before this start. *nothing: there is nothing to do. */
enum status trainer_finished_before(struct trainer *trainer, const char *why, bool *nothing, struct error *e);

/* ---- trainer_init.c: collective ---- */
/* Parameters of a new run from --init-from, if there is one. */
enum status trainer_init_from(struct trainer *trainer, struct error *e);

/* ---- trainer_resume.c: collective ---- */
/* Looks for a checkpoint to go on from; `found` is the same on all ranks, `checkpoint` is filled on rank 0. Sets
 * trainer->share and branched_from. */
enum status trainer_find(struct trainer *trainer, struct checkpoint *checkpoint, bool *found, struct error *e);
/* Not collective. The options do not fit the corpus, as `status` and `e` say. If the reason is that the run had another
 * corpus, rank 0 says that instead. */
enum status trainer_explain_misfit(struct trainer *trainer, enum status status, struct error *e);
/* Restores the run from it, on all ranks. */
enum status trainer_restore(struct trainer *trainer, struct checkpoint *checkpoint, struct error *e);

/* ---- trainer_average.c: not collective ---- */
/* STATUS_CONFIG for an average that could never begin. */
enum status trainer_check_average(const struct trainer *trainer, struct error *e);
enum status trainer_create_average(struct trainer *trainer, struct error *e);
/* After a step of `epoch` (from 0), `updated` or skipped: the weights enter the average where they are due. */
void trainer_average(struct trainer *trainer, int64_t epoch, bool updated);
/* After a validation. */
void trainer_average_validated(struct trainer *trainer);

/* ---- trainer_step.c: collective ---- */
enum status trainer_step(struct trainer *trainer, struct error *e);

/* ---- trainer_flow.c ---- */
/* Checks that --gradflow-every is possible. Not collective; the same on all ranks. */
enum status trainer_check_flow(const struct trainer *trainer, struct error *e);
/* After each step, and before the first. It is done before anything else at the boundary, so no checkpoint comes before
 * it and a resumed run needs no record of it. Neither parameters nor carried states change. */
bool trainer_flow_due(const struct trainer *trainer);
enum status trainer_follow_gradients(struct trainer *trainer, struct error *e); /* collective */

/* ---- trainer_sample.c ---- */
/* Checks that --sample-every is possible, before the run begins. Not collective; the same on all ranks. */
enum status trainer_check_sample(const struct trainer *trainer, struct error *e);
/* After each step, before anything else at the boundary; see trainer_flow_due. */
bool trainer_sample_due(const struct trainer *trainer);
enum status trainer_show_sample(struct trainer *trainer, struct error *e); /* collective */

/* ---- trainer_replicas.c: collective ---- */
/* STATUS_INTERNAL if the ranks' parameters or optimizers differ. */
enum status trainer_check_replicas(struct trainer *trainer, struct error *e);

/* ---- trainer_save.c: collective ---- */
/* Not collective; after the model and the optimizer. STATUS_OS. */
enum status saver_create(struct saver *saver, const struct trainer *trainer, struct error *e);
void saver_release(struct saver *saver); /* not collective */
/* Checks that all ranks that will write share the run directory; after trainer_build. */
enum status trainer_check_writer(struct trainer *trainer, struct error *e);
/* True if the newest checkpoint on disk is of this boundary. Not collective. */
bool trainer_is_saved(const struct trainer *trainer);
/* False while steps are skipped: if the run diverges, the newest checkpoint is from before. Not collective. */
bool trainer_checkpoint_due(struct trainer *trainer);
/* Writes the checkpoint of this step. A full or failing disk is a warning, kept in saver.failure, and not returned. */
enum status trainer_save(struct trainer *trainer, struct error *e);
enum status trainer_save_best(struct trainer *trainer, struct error *e);

/* ---- trainer_pulse.c: not collective; they do nothing but on rank 0 ---- */
/* A step begins; the first one is logged. */
void trainer_pulse_begin(struct trainer *trainer);
/* A step of `epoch` (from 0) is over. `loss` is the sum over `targets` targets; 0 targets if it was skipped. */
void trainer_pulse_step(struct trainer *trainer, int64_t epoch, double loss, int64_t targets);
/* An evaluation of so many windows begins, or has ended (`what` NULL); and one of its windows is over. */
void trainer_pulse_evaluate(struct trainer *trainer, const char *what, int64_t windows);
void trainer_pulse_window(struct trainer *trainer);
/* A checkpoint, or best.h5, is about to be written. Shown on a terminal, and elsewhere if it will take long. */
void trainer_pulse_write(struct trainer *trainer, bool best);

/* ---- trainer_forecast.c: not collective ---- */
/* Expected seconds to write a checkpoint, or best.h5. */
double trainer_cost_of_writing(const struct trainer *trainer, bool best);
/* Seconds until the run's end: steps, validations, checkpoints and the evaluations of the end. NaN: not known yet. */
double trainer_left(const struct trainer *trainer);
/* Logs once how long the run will take, as soon as that is known: for people, and in timing.jsonl. */
void trainer_tell_forecast(struct trainer *trainer);

/* ---- trainer_report.c: not collective; they do nothing but on rank 0 ---- */
void trainer_report_start(struct trainer *trainer, bool resumed);
void trainer_report_step(struct trainer *trainer, int64_t epoch);
void trainer_report_skip(struct trainer *trainer, const char *what);
void trainer_report_average(struct trainer *trainer); /* it begins */
/* A member that says since which step weights are an average; none of step -1. */
void trainer_put_since(struct json *json, const char *key, int64_t step);
void trainer_report_valid(struct trainer *trainer, bool best, bool lr_changed);
/* norms [states][bptt], the mean of `samples` */
void trainer_report_flow(struct trainer *trainer, const double *norms, int64_t samples);
/* A sample's text [length], any bytes; NULL if the weights give none. */
void trainer_report_sample(struct trainer *trainer, const char *text, size_t length);
void trainer_report_saved(struct trainer *trainer, double seconds);
/* How this start has ended. */
void trainer_report_stop(struct trainer *trainer, enum status exit_status);
void trainer_report_cores(struct trainer *trainer); /* collective */
/* "  perplexity 4.20" of a loss; to classify "  accuracy 0.7700", if it is known. Into `room`, which is returned. */
const char *trainer_quality(const struct trainer *trainer, double loss, double accuracy, char room[32]);
/* Lines of metrics.jsonl before the first step. */
void trainer_report_run(struct trainer *trainer);

/* ---- trainer_advice.c: as above ---- */
/* Before the first step: reads the lines of a run that goes on. */
void trainer_advise_begin(struct trainer *trainer);
/* The run has ended: draws the conclusion. */
void trainer_conclude(struct trainer *trainer);
/* True if the learning rate was too high and no saved weights are better than a uniform guess. */
bool trainer_is_of_no_use(const struct trainer *trainer);
/* Logs the conclusion, before the next commands. */
void trainer_advise_end(struct trainer *trainer);
/* How to go on with a run that has ended. */
const char *trainer_how_to_go_on(const struct trainer *trainer);

/* ---- trainer_report_end.c: as above ---- */
void trainer_report_end(struct trainer *trainer, const char *why);
/* Commands that the user may want to type next. */
void trainer_report_next(struct trainer *trainer);
enum status trainer_write_summary(struct trainer *trainer, enum status exit_status, struct error *e);

#endif
