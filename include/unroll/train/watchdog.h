/* A thread that tells on standard error when its rank makes no progress: a rank waits for ever where another one was
 * stopped or a network went silent, and nobody else would say where.
 *
 * Time in which the whole process is stopped does not count. The thread calls neither MPI nor anything that
 * allocates. */
#ifndef UNROLL_TRAIN_WATCHDOG_H
#define UNROLL_TRAIN_WATCHDOG_H

#include <stdint.h>

#include "unroll/base/status.h"

struct watchdog;

/* `timeout` seconds without watchdog_beat make it speak, once for each stall. With timeout 0 there is no thread, and
 * *out is NULL. STATUS_OS if no thread can be had. */
enum status watchdog_start(double timeout, int rank, struct watchdog **out, struct error *e);
void watchdog_stop(struct watchdog *watchdog); /* NULL is allowed */

/* The run is alive, and about to do this. `phase` is a constant: "reduction". NULL is allowed for `watchdog`. */
void watchdog_beat(struct watchdog *watchdog, int64_t step, const char *phase);

#endif
