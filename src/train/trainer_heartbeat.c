/* Tells the watchdog that the run is alive, and renews the lock. */
#include "trainer_heartbeat.h"

#include "unroll/base/clock.h"

#define RENEW_SECONDS 30 /* of the lock */
#define SLOWEST_DISK 1e6 /* bytes a second: what is slower has stalled */

enum status heartbeat_start(struct heartbeat *heartbeat, double timeout, int rank, const int64_t *step, struct error *e)
{
    *heartbeat = (struct heartbeat){.step = step};
    return watchdog_start(timeout, rank, &heartbeat->watchdog, e);
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    watchdog_stop(heartbeat->watchdog);
    heartbeat->watchdog = NULL;
}

void heartbeat_beat(struct heartbeat *heartbeat, const char *phase)
{
    heartbeat_longer(heartbeat, phase, 0);
}

void heartbeat_bytes(struct heartbeat *heartbeat, const char *phase, int64_t bytes)
{
    heartbeat_longer(heartbeat, phase, (double)bytes / SLOWEST_DISK);
}

void heartbeat_longer(struct heartbeat *heartbeat, const char *phase, double seconds)
{
    watchdog_beat(heartbeat->watchdog, *heartbeat->step, phase, seconds);
    if (!heartbeat->lock)
        return;
    double now = clock_seconds();
    if (now - heartbeat->renewed >= RENEW_SECONDS) {
        heartbeat->renewed = now;
        run_lock_renew(heartbeat->lock);
        heartbeat->lost = run_lock_check(heartbeat->lock, NULL) == STATUS_CANTCREATE;
    }
}
