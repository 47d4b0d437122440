/* The learning rate of each step: a pure function of where the run stands, so that a resumed run has the same.
 *
 *   constant  lr
 *   step      lr / decay^floor(epoch / every)
 *   plateau   lr * factor, where factor is divided by `decay` after `patience` validations in a row without
 *             improvement, until lr * factor is `minimum` or less (or, with a minimum of 0, until it would be no normal
 *             number)
 *   cosine    min + (lr - min) (1 + cos(pi x)) / 2, x from 0 after the warm-up to 1 at the last step
 *             (Loshchilov and Hutter 2017, without restarts)
 *
 * During the first `warmup` steps the rate rises linearly: it is multiplied by (step + 1) / warmup. Step and plateau
 * do not fall below `minimum` (unless lr itself does). */
#ifndef UNROLL_TRAIN_SCHEDULE_H
#define UNROLL_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/choice.h"

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_PLATEAU, SCHEDULE_COSINE };
extern const struct choices schedule_choices;
const char *schedule_name(int kind); /* "constant", "step", "plateau", "cosine" */

struct schedule_config {
    enum schedule_kind kind;
    double lr;
    double decay;     /* step, plateau: > 1 */
    int64_t every;    /* step: epochs, >= 1 */
    int64_t patience; /* plateau: validations; 0 counts as 1 */
    double minimum;
    int64_t warmup; /* steps */
};

struct schedule_point {
    int64_t step;  /* from 0: the step about to be taken */
    int64_t epoch; /* from 0 */
    int64_t total; /* steps of the whole run; cosine only */
    double factor; /* of the plateau schedule, 1 at first */
};

double schedule_lr(const struct schedule_config *config, const struct schedule_point *point);

/* After a validation: updates the plateau schedule's factor, which stays above 0, and its count of validations without
 * improvement. True if the rate changed. */
bool schedule_validated(const struct schedule_config *config, bool improved, double *factor, int64_t *stalls);

#endif
