/* The outputs of rank 0: the log for people, metrics.jsonl and timing.jsonl (train/metrics.h). trainer_report.c writes
 * the contents. Not collective. */
#ifndef UNROLL_TRAIN_TRAINER_REPORTER_H
#define UNROLL_TRAIN_TRAINER_REPORTER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/sys/terminal.h"
#include "unroll/train/metrics.h"
#include "unroll/train/rundir.h"

struct reporter {
    struct terminal *log;             /* not owned; NULL on ranks that say nothing */
    struct metrics *metrics, *timing; /* owned; NULL but on rank 0, and before they are open */
    double seconds;                   /* costs.steps and ... */
    int64_t tokens;                   /* ... costs.tokens at the last line of timing.jsonl about steps */
    bool covered;                     /* on a terminal, another line has replaced the line of steps (trainer_pulse.c) */
};

/* Opens the two files of a run directory. The first `known` bytes of metrics.jsonl are kept; fewer are a warning. */
enum status reporter_open(struct reporter *reporter, const struct rundir *rundir, int64_t known, struct error *e);
void reporter_close(struct reporter *reporter);

/* A message for people, of one line or several. */
void reporter_tell(struct reporter *reporter, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reporter_warn(struct reporter *reporter, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
