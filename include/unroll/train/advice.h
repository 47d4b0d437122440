/* Judges how a run goes by its losses, and says what to change. Nothing here computes losses, reads files or prints:
 * the caller gives the numbers of the lines of metrics.jsonl, in their order. A run that goes on from a checkpoint has
 * its old lines read again, so it gets the same advice as one that was never stopped. Losses are means per target; NaN
 * where there is none. Not collective.
 *
 * Training losses count by blocks of at least ADVICE_BLOCK steps, since single lines are noisy.
 *
 *   zero         --lr is 0
 *   vanished     the schedule (step or plateau) has divided the rate so often that nothing moves: 1/10000 of it is
 *                left, for at least a tenth of the run
 *   too high     for two blocks, training loss was above that of a uniform guess by a tenth, or has risen by a fifth
 *                of it
 *   too low      training loss has not left that of a uniform guess
 *   overfitting  for ADVICE_STALLS validations and an epoch none was the best, the last is 1 % above it, and
 *                meanwhile the training loss fell by 2 %
 *   unfinished   the end is the best, and the last tenth of the steps still gained ADVICE_GAIN
 *   idle         a third of the steps came after the best
 *
 * The last two are said at the end only. */
#ifndef UNROLL_TRAIN_ADVICE_H
#define UNROLL_TRAIN_ADVICE_H

#include <stdbool.h>
#include <stdint.h>

#define ADVICE_BLOCK 50  /* steps */
#define ADVICE_STALLS 3  /* validations in a row without improvement */
#define ADVICE_GAIN 0.01 /* of the loss */
#define ADVICE_POINTS 64 /* of the course of the loss that are kept */
#define ADVICE_TEXT 200

/* The most important first: of several findings, the first is what is said in the end. */
enum advice_kind {
    ADVICE_NONE,
    ADVICE_ZERO,
    ADVICE_TOO_HIGH,
    ADVICE_TOO_LOW,
    ADVICE_VANISHED,
    ADVICE_OVERFITTING,
    ADVICE_UNFINISHED,
    ADVICE_IDLE,
    ADVICE_KINDS
};
const char *advice_name(enum advice_kind kind); /* "overfitting", as --json-summary says it */

/* What the run is. */
struct advice_run {
    double uniform; /* loss of a uniform guess: ln V, or of classifiers ln labels; infinite: it says nothing */
    double lr;      /* before any schedule */
    double clip;    /* 0: none */
    double dropout;
    int64_t warmup;  /* steps */
    int64_t epoch;   /* steps; where epochs differ, the mean */
    int64_t total;   /* steps of the whole run */
    bool steps_down; /* the schedule is step or plateau */
    bool classifies;
    bool limited; /* by --max-steps, not --epochs */
    bool stopped; /* because validation did not improve */
};

/* What is known of it so far. */
struct advice_history {
    int64_t step;              /* of the last line */
    int64_t lines, clipped;    /* of training, and how many with a norm above --clip */
    int64_t skipped;           /* steps */
    double lr;                 /* of the last line */
    struct {                   /* being filled */
        int64_t begin, tokens; /* the step before its first; targets */
        double loss;           /* sum */
    } open;
    int64_t blocks, tokens; /* full ones; targets up to the last line */
    double block, lowest;   /* mean loss of the last and of the lowest */
    int high;               /* blocks in a row that are too high */
    int64_t validations, stalls;
    double valid, best; /* validation loss: the last, the lowest */
    int64_t valid_step, best_step;
    int64_t best_epoch;         /* epochs, begun ones included, until best_step */
    double block_of_best;       /* training loss when validation was best */
    int points, stride, passed; /* the course: every stride-th loss is kept, `passed` came since */
    struct advice_point {
        int64_t step;
        double loss; /* the lowest of validation so far; without validation, of a block */
    } point[ADVICE_POINTS];
    bool said[ADVICE_KINDS];
};

void advice_begin(struct advice_history *history);

/* Lines of type train and valid. */
struct advice_train {
    int64_t step, tokens, skipped; /* so far */
    double loss, grad_norm, lr;
};
void advice_train(const struct advice_run *run, struct advice_history *history, const struct advice_train *line);
/* `epoch`: from 1, that of the step. */
void advice_valid(const struct advice_run *run, struct advice_history *history, int64_t step, int64_t epoch,
                  double loss);

/* The advice that is due now, ADVICE_NONE if there is none. Each kind is returned once. */
enum advice_kind advice_seen(const struct advice_run *run, struct advice_history *history);

/* The conclusion of a run that has ended. */
struct advice_outcome {
    int64_t step, epoch, skipped;
    double train_loss; /* of the last epoch */
    double valid_loss; /* of the last weights */
};
enum advice_kind advice_end(const struct advice_run *run, struct advice_history *history,
                            const struct advice_outcome *end);

/* In words: what was found, and what helps. Each fits a line of 80 columns. */
struct advice {
    char found[ADVICE_TEXT], fix[ADVICE_TEXT];
};
void advice_tell(const struct advice_run *run, const struct advice_history *history, enum advice_kind kind,
                 struct advice *advice);

#endif
