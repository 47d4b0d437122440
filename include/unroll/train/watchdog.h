/* A thread that ends the run when its rank makes no progress. A rank may wait for ever if another rank was stopped, the
 * network is down or a file system hangs; without this thread nobody would learn where.
 *
 * It first prints rank, host and phase on standard error, and a little later ends the process with STATUS_IO. In
 * between the other ranks print theirs, so the rank that caused the stop is named too. A launcher ends the job when one
 * of its processes ends so. Checkpoints are untouched; the run's lock stays, and the next start recognises it as left
 * behind.
 *
 * Time in which the whole process is stopped does not count. The thread calls neither MPI nor anything that
 * allocates. */
#ifndef UNROLL_TRAIN_WATCHDOG_H
#define UNROLL_TRAIN_WATCHDOG_H

#include <stdint.h>

#include "unroll/base/status.h"

struct watchdog;

/* `timeout` seconds without watchdog_beat make it act. With timeout 0 there is no thread, and *out is NULL.
 * STATUS_OS if no thread can be had. */
enum status watchdog_start(double timeout, int rank, struct watchdog **out, struct error *e);
void watchdog_stop(struct watchdog *watchdog); /* NULL is allowed */

/* The run is alive, and about to do this. `phase` is a constant: "reduction". The next beat may take `longer`
 * seconds more than the timeout. NULL is allowed for `watchdog`. */
void watchdog_beat(struct watchdog *watchdog, int64_t step, const char *phase, double longer);

#endif
