/* Time that only runs forward, for durations: not the date. */
#ifndef UNROLL_BASE_CLOCK_H
#define UNROLL_BASE_CLOCK_H

/* Seconds since some moment before this process began. */
double clock_seconds(void);

#endif
