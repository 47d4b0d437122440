/* What the commands that use a trained model share: loading it, choosing threads, finishing their output. */
#ifndef UNROLL_CLI_LOAD_H
#define UNROLL_CLI_LOAD_H

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/json.h"
#include "unroll/train/checkpoint.h"

/* Collective. Reads the checkpoint of --model for use on every rank, where it must be the same; one of another task is
 * STATUS_CHECKPOINT, unless any will do (LOAD_ANY). Its precision is that which options ask for. Release with
 * checkpoint_release, also after a failure. Says on standard error if rules of another version of Unicode made its
 * text's tokens. */
#define LOAD_ANY (-1)
enum status load_model(const struct comm *comm, const struct options *options, int task, struct checkpoint *checkpoint,
                       struct error *e);
/* Not collective. STATUS_CHECKPOINT, naming the command that does, if the checkpoint `path` is of another task. */
enum status load_check_task(const char *path, const struct checkpoint *checkpoint, enum task task, struct error *e);

/* Not collective. `status` of reading the model `path`, told in `e`: of a corpus in its place the text also says
 * where that goes, as long as the command takes one. Returns `status`. */
enum status load_advise(const struct options *options, const char *path, enum status status, struct error *e);

/* Collective. The threads of this rank, by --threads and train/placement.h; rank 0 says on standard error if the ranks'
 * cores are too few for them. */
enum status load_threads(const struct comm *comm, const struct options *options, int *threads, struct error *e);

/* Not collective. Says on standard error what became of markers in the input, if it held any. */
void tell_markers(enum markers markers, const struct marker_counts *met);

/* Collective. At a command's end: rank 0 says on standard error if a rank's threads waited for cores. Returns the
 * share of the time that they wanted one, of the rank that waited most (placement_wait_share). */
double load_report_cores(const struct comm *comm, int threads);

/* Not collective. Flushes standard output: STATUS_IO if anything written to it so far was lost. */
enum status finish_output(struct error *e);

/* Not collective. The finished value and a line end into the file `path`, by file_write_report. */
enum status write_report(const char *path, const struct json *json, struct error *e);

#endif
