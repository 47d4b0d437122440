/* The learning rate of each step: a pure function of where the run stands, so that a resumed run has the same.
 *
 *   constant  lr
 *   step      lr / decay^floor(epoch / every)
 *   plateau   lr * factor, where factor is divided by `decay` after `patience` validations in a row without
 *             improvement, until lr * factor is `minimum` or less (or, with a minimum of 0, until it would be no normal
 *             number)
 *   cosine    min + (lr - min) (1 + cos(pi x)) / 2, x from 0 after the warm-up to 1 at the last step
 *             (Loshchilov and Hutter 2017, without restarts)
 *   onecycle  from lr / cycle_start up to lr in the first `cycle_rise` of all steps, then down to lr / cycle_start /
 *             cycle_end, both by half a cosine (Smith 2018, "A disciplined approach to neural network
 *             hyper-parameters"; as PyTorch's OneCycleLR, whose pct_start, div_factor and final_div_factor these are.
 *             Its momentum is not cycled here)
 *
 * During the first `warmup` steps the rate rises linearly: it is multiplied by (step + 1) / warmup. Step and plateau
 * do not fall below `minimum` (unless lr itself does); onecycle has no use for it. */
#ifndef UNROLL_TRAIN_SCHEDULE_H
#define UNROLL_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/choice.h"

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_PLATEAU, SCHEDULE_COSINE, SCHEDULE_ONECYCLE };
extern const struct choices schedule_choices;
const char *schedule_name(int kind); /* "constant", "step", "plateau", ... */

struct schedule_config {
    enum schedule_kind kind;
    double lr;
    double decay;     /* step, plateau: > 1 */
    int64_t every;    /* step: epochs, >= 1 */
    int64_t patience; /* plateau: validations; 0 counts as 1 */
    double minimum;
    int64_t warmup;                /* steps */
    double cycle_rise;             /* onecycle: share of all steps, 0 to 1 */
    double cycle_start, cycle_end; /* onecycle: what lr, and then the first rate, is divided by */
};

struct schedule_point {
    int64_t step;  /* from 0: the step about to be taken */
    int64_t epoch; /* from 0 */
    int64_t total; /* steps of the whole run; cosine and onecycle only */
    double factor; /* of the plateau schedule, 1 at first */
};

double schedule_lr(const struct schedule_config *config, const struct schedule_point *point);
/* Whether rates depend on how many steps the whole run has. */
bool schedule_is_of_a_length(const struct schedule_config *config);

/* After a validation: updates the plateau schedule's factor, which stays above 0, and its count of validations without
 * improvement. True if the rate changed. */
bool schedule_validated(const struct schedule_config *config, bool improved, double *factor, int64_t *stalls);

#endif
