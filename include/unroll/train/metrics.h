/* Files of one JSON object a line that only grow: metrics.jsonl, the source of truth for every plot, and timing.jsonl.
 *
 * metrics.jsonl holds what the mathematics gives and nothing else. The same run has the same bytes there, for any
 * number of ranks and however often it was killed and resumed: a resumed run keeps the part of the file that its
 * checkpoint knows.
 *
 * Lines by "type":
 *
 *   run    what is trained: the first line
 *   train  step, epoch (from 1), tokens (targets so far), loss (mean per target since the line before), grad_norm
 *          (of this step, before clipping), lr, skipped (steps so far)
 *   skip   step: loss or gradient was not finite, nothing was updated
 *   valid  step, epoch, tokens, loss, perplexity, best (true if the lowest so far), lr_factor with the plateau
 *          schedule (train/schedule.h; the rate that is used, not below --lr-min, is the next step's lr); to
 *          classify accuracy instead of perplexity, and tokens are texts everywhere
 *   sample step, text: what the weights after that step write; null if they give no finite probabilities. A byte
 *          that is not part of UTF-8 stands as \xHH (sys/json.h)
 *   gradflow step, samples (how many the mean is of), and by the name of each state an array of the gradient's norms
 *          by time lag
 *   end    the last line of a run: step, epoch, tokens, why, train_loss, valid_loss, test_loss and
 *          parameters_digest, of the last weights; to classify also valid_accuracy and test_accuracy. Where best.h5
 *          holds other weights and there is test text: best_step, best_valid_loss, best_test_loss (and accuracies)
 *          of those
 *
 * What depends on machine or time goes to timing.jsonl, which is never cut. Its lines have a step. All but forecast and
 * cores also have time, by the clock of rank 0's host (ISO 8601, UTC, to the second):
 *
 *   start       one for each start of the program: host (of rank 0), hosts (how many), ranks, threads, what computes
 *   train       seconds (in steps since the line before), tokens_per_second, phases (seconds of each part of the
 *               steps)
 *   forecast    once a start, when it is known: steps of the whole run; of this start elapsed, left, and seconds in
 *               all
 *   checkpoint  seconds that it took, run_seconds that the run has taken so far
 *   stop        the end of a start: its exit_status, run_seconds
 *   cores       in the end: waited_share, waited_seconds, rank and host of the rank that waited most for cores
 *
 * What a full disk refuses is kept in memory and tried again with every line. */
#ifndef UNROLL_TRAIN_METRICS_H
#define UNROLL_TRAIN_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/file.h"
#include "unroll/base/status.h"
#include "unroll/sys/json.h"
#include "unroll/sys/json_read.h"

struct metrics;

/* Puts a copy of the whole lines in the first `keep` bytes of `path`, which need not exist, in its place, and appends
 * to that: whoever still has the old file open, such as an earlier start of the run on a host that was cut off, writes
 * to nothing. `guard` may be NULL. STATUS_CANTCREATE, STATUS_IO, STATUS_OS, or the guard's. */
enum status metrics_open(const char *path, int64_t keep, const struct file_guard *guard, struct metrics **out,
                         struct error *e);
void metrics_close(struct metrics *metrics); /* tries once more to write; NULL is allowed */

/* Appends text and a newline. Never fails visibly: metrics_sync tells. */
void metrics_line(struct metrics *metrics, const char *text);
/* A line whose object has been written with sys/json.h: begun with its type, ended and appended. One that cannot be
 * had for want of memory is left out; metrics_sync tells. */
void metrics_begin_line(struct json *json, const char *type);
void metrics_end_line(struct metrics *metrics, struct json *json);
/* The member "time": now, by the host's clock; null if the clock stands where no calendar goes. */
void metrics_put_time(struct json *json);
/* Length with all lines so far. */
int64_t metrics_bytes(const struct metrics *metrics);
/* Writes what is still to be written and syncs. STATUS_IO, STATUS_OS. */
enum status metrics_sync(struct metrics *metrics, struct error *e);

/* ---- for those who read them ---- */

/* The first line of a file of lines, which says what is trained. STATUS_DATA if there is no whole line, or it is no
 * JSON, or `path` is no regular file; STATUS_NOINPUT, STATUS_IO, STATUS_OS. Release with json_read_close, also after
 * a failure. */
enum status metrics_first_line(const char *path, struct json_read *line, struct error *e);
bool metrics_is_type(const struct json_read *line, const char *type);
/* A member of a line; NaN if there is none, or null. */
double metrics_number(const struct json_read *line, const char *name);
/* The same of steps, tokens and the like, which are from 0 on; -1 if there is none. */
int64_t metrics_whole(const struct json_read *line, const char *name);

#endif
