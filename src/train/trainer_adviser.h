/* Passes the lines of metrics.jsonl to train/advice.h and logs its advice, during the run and at the end. Each kind is
 * logged once, also over several starts of a run. Used on rank 0 only. Not collective. */
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

/* Before the first step. `lines` is the path of metrics.jsonl. Advice about its lines is not logged again: an earlier
 * start has done so. */
void adviser_begin(struct adviser *adviser, const struct advice_run *run, const char *lines);

/* The same numbers as in the lines of type train and valid. */
void adviser_train(struct adviser *adviser, struct reporter *reporter, const struct advice_train *line);
void adviser_valid(struct adviser *adviser, struct reporter *reporter, int64_t step, int64_t epoch, double loss);

/* At the end of the run, which is early if it was `stopped` by --patience: sets `conclusion`. */
void adviser_conclude(struct adviser *adviser, bool stopped, const struct advice_outcome *end);
/* The conclusion, if there is one: to the log, and as member "advice" of a summary. */
void adviser_tell(const struct adviser *adviser, struct reporter *reporter);
void adviser_put(const struct adviser *adviser, struct json *json);

#endif
