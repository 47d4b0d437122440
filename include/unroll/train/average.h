/* Averages of the weights that a run goes through: they often predict better than the last ones. Training does not see
 * them; what is judged and kept for use does. With p the weights and n those that are in the average a:
 *
 *   epochs   the mean over ends of epochs: w = 1 / (n + 1). Izmailov et al. 2018, "Averaging weights leads to wider
 *            optima and better generalization"; PyTorch's swa_utils.AveragedModel
 *
 *   ema      an exponential mean over updates: w = 1 - d, with d the less of `decay` and (1 + n) / (10 + n), so that
 *            the beginning is forgotten soon (TensorFlow's ExponentialMovingAverage with num_updates)
 *
 *   updates  the mean over all updates from the one on that follows the first validation whose loss is above the lowest
 *            of all but the last `nonmono`: NT-ASGD (Merity et al. 2018, "Regularizing and optimizing LSTM language
 *            models"). As torch.optim.ASGD with lambd 0, and t0 one less than the updates before
 *
 * In each case a += (p - a) w in float32, element by element, and a = p for the first. All ranks hold the same average:
 * nothing here is collective. */
#ifndef UNROLL_TRAIN_AVERAGE_H
#define UNROLL_TRAIN_AVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"
#include "unroll/nn/param.h"

enum average_kind { AVERAGE_NONE, AVERAGE_EPOCHS, AVERAGE_EMA, AVERAGE_UPDATES };
extern const struct choices average_choices; /* of --average: all but `updates`, which is --optimizer ntasgd's */
const char *average_name(int kind);          /* of all kinds */

#define AVERAGE_NONMONO_MAX 64

struct average_config {
    enum average_kind kind;
    double decay;    /* ema: 0 to below 1 */
    int64_t from;    /* epochs, ema: the first epoch, from 1, whose end or updates count */
    int64_t nonmono; /* updates: validations, 1 to AVERAGE_NONMONO_MAX */
};

/* Where an average stands, besides its values: part of a run's checkpoints, whole. */
struct average_state {
    int64_t kind;  /* enum average_kind */
    int64_t count; /* weights in it; 0: there is none yet */
    int64_t began; /* the step from which on weights may enter, -1: not known yet */
    /* updates: */
    int64_t nonmono, validations;       /* the losses of so many are known: */
    double recent[AVERAGE_NONMONO_MAX]; /* of the last `nonmono`, validation i at i % nonmono; NaN: none */
    double least;                       /* the lowest of those before; infinite without one */
};

struct average {
    struct average_config config;
    const struct param_table *table;
    struct average_state state;
    float *values; /* [table->total] with the constants, valid where state.count > 0; owned; NULL for AVERAGE_NONE */
};

/* `table` must outlive the average. STATUS_OS. */
enum status average_create(const struct average_config *config, const struct param_table *table,
                           struct average *average, struct error *e);
void average_release(struct average *average);
size_t average_bytes(enum average_kind kind, const struct param_table *table);

/* The state of an average without weights. */
struct average_state average_start(const struct average_config *config);

/* A boundary between steps: `step` steps of the run are done, the last one of `epoch` (from 0), which made an update or
 * was skipped, and may have ended the epoch. Whether the weights as they are now enter. */
bool average_is_due(const struct average *average, int64_t epoch, bool updated, bool ended);
/* They do: `values` [table->total], those after all updates. */
void average_add(struct average *average, const float *values, int64_t step, int threads);

/* A validation at `step` had this loss. True if averaging begins with the next update. */
bool average_validated(struct average *average, double loss, int64_t step);

/* STATUS_CHECKPOINT for a state that no run has. */
enum status average_check(const struct average_state *state, struct error *e);

#endif
