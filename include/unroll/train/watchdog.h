/* A thread that ends the run when its rank makes no progress: a rank waits for ever where another one was stopped, a
 * network went silent or a file system hangs, and nobody else would say where.
 *
 * It first tells on standard error, naming rank, host and phase, and a little later ends the process with STATUS_IO: in
 * between, the other ranks tell as well, of which one is the culprit. A launcher ends the job when one of its processes
 * ends so. Checkpoints are untouched; the run's lock stays, and is known to be left behind.
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
