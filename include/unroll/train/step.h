/* One step of training, shared by trainer, dynamic evaluation, bench and self-test.
 *
 *   step_gradient   forward and backward over a window of this rank's lanes, into the reducer's arrays
 *   step_sum        the gradient over all ranks, and its norm
 *   step_update     clipping, the optimizer's update, and the new values packed for the kernels
 *
 * Rows that steps do not touch (nn/gradient.h) may be behind, until a step touches them: before anything else reads
 * values or the optimizer's state, step_settle brings all up to date.
 *
 * Between them the caller exchanges losses, checks that loss and norm are finite, and may leave out the update. Values
 * are packed once for each update; a caller that changes them must call model_pack. */
#ifndef UNROLL_TRAIN_STEP_H
#define UNROLL_TRAIN_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"
#include "unroll/sys/comm.h"
#include "unroll/train/optimizer.h"
#include "unroll/train/reducer.h"

struct step_config {
    struct model_config model;
    struct lane_share share; /* of this rank */
    int bptt;                /* the longest window */
    int threads;             /* of the team */
    struct optimizer_config optimizer;
    enum reduction reduction;
    bool norm;     /* step_sum finds the gradient's norm: to clip, and to see whether it is finite */
    double clip;   /* with `norm`: the largest norm of the mean gradient; 0: no limit */
    bool dense;    /* sum and update all rows even where windows touch few of them: the same bits, for comparison */
    uint64_t seed; /* of the dropout masks */
};

/* Seconds spent since they were last taken, besides those of model_take_phases. */
struct step_seconds {
    double sum;       /* of gradients over ranks, waiting for them included */
    double optimizer; /* norm, clipping and update */
};

struct step {
    struct step_config config;
    const struct comm *comm;
    float *values; /* the caller's */
    struct gradient_layout layout;
    struct model *model; /* owned, as are the next two */
    struct reducer *reducer;
    struct optimizer *optimizer;
    int64_t number;                 /* of the last step_gradient */
    const struct touched *touched;  /* here, by the last step_gradient: the model's */
    struct param_gradient gradient; /* of the sum of losses, by step_sum */
    int64_t targets;                /* ... of so many */
    double norm2;                   /* sum of its squares; NaN without `norm` */
    struct step_seconds seconds;
};

/* Collective. `table` and `values` [table->total] are the caller's and must outlive the step; values are first read by
 * model_pack, which the caller calls. STATUS_CONFIG for more ranks than lane groups or a shape that makes no sense,
 * STATUS_OS if memory is short; the same on all ranks. */
enum status step_create(const struct comm *comm, const struct step_config *config, const struct param_table *table,
                        float *values, struct step **out, struct error *e);
void step_free(struct step *step); /* not collective; NULL is allowed */

/* Not collective. Step `number` (>= 0) selects the dropout masks; for `loss` see model_train. */
void step_gradient(struct step *step, const struct window *window, int64_t number, struct model_loss *loss);

/* Collective. Returns the norm of the mean gradient over the window's `targets` of all ranks, the same on all; NaN
 * without `norm`. */
double step_sum(struct step *step, int64_t targets);

/* Not collective. Updates the values with learning rate `lr`, after step_sum. */
void step_update(struct step *step, double lr);

/* Not collective. All values and the optimizer's state are those of the last update. Packed weights are too: rows that
 * can be behind are not packed ahead. */
void step_settle(struct step *step);

/* Not collective. */
void step_take_seconds(struct step *step, struct step_seconds *seconds);

#endif
