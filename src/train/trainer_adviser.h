/* Follows the lines of metrics.jsonl with train/advice.h, and says what it sees: once for each kind, on the way and
 * in the end, also over several starts of a run. On rank 0; elsewhere it is never asked. Not collective. */
#ifndef UNROLL_TRAIN_TRAINER_ADVISER_H
#define UNROLL_TRAIN_TRAINER_ADVISER_H

#include "trainer_reporter.h"

#include "unroll/sys/json.h"
#include "unroll/train/advice.h"

struct adviser {
    struct advice_run run;
    struct advice_history history;
    enum advice_kind conclusion; /* once the run has ended */
};

/* Before the first step. `lines` is the path of metrics.jsonl, of which an earlier start has said what is to be
 * said. */
void adviser_begin(struct adviser *adviser, const struct advice_run *run, const char *lines);

/* The same numbers as in the lines of type train and valid. */
void adviser_train(struct adviser *adviser, struct reporter *reporter, const struct advice_train *line);
void adviser_valid(struct adviser *adviser, struct reporter *reporter, int64_t step, double loss);

/* The run has ended, or was `stopped` for want of improvement: sets `conclusion`. */
void adviser_conclude(struct adviser *adviser, bool stopped, const struct advice_outcome *end);
/* The conclusion, if there is one: for people, and as the member "advice" of a summary. */
void adviser_tell(const struct adviser *adviser, struct reporter *reporter);
void adviser_put(const struct adviser *adviser, struct json *json);

#endif
