/* Signs of life of a run. The watchdog needs them: it ends a rank that makes no progress. So does the lock of the run
 * directory, on rank 0: other jobs treat a lock that is not renewed as left behind. */
#ifndef UNROLL_TRAIN_TRAINER_HEARTBEAT_H
#define UNROLL_TRAIN_TRAINER_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/train/run_lock.h"
#include "unroll/train/watchdog.h"

struct heartbeat {
    struct watchdog *watchdog; /* NULL without --stall-timeout */
    const int64_t *step;       /* the caller's: steps made so far */
    struct run_lock *lock;     /* of the run directory, not owned; NULL but on rank 0, and before it is open */
    double renewed;            /* clock_seconds() when the lock was renewed */
    bool lost;                 /* another job has taken the run directory over */
};

/* `timeout` as of watchdog_start. `step` must live as long. STATUS_OS. Not collective. */
enum status heartbeat_start(struct heartbeat *heartbeat, double timeout, int rank, const int64_t *step,
                            struct error *e);
void heartbeat_stop(struct heartbeat *heartbeat);

/* A sign of life before the work that `phase` (a constant) names. Not collective. */
void heartbeat_beat(struct heartbeat *heartbeat, const char *phase);
/* The same before work that may take `seconds` more than --stall-timeout, or the time to read or write so many bytes.
 * Also for ranks that wait for the one that works. */
void heartbeat_longer(struct heartbeat *heartbeat, const char *phase, double seconds);
void heartbeat_bytes(struct heartbeat *heartbeat, const char *phase, int64_t bytes);

#endif
