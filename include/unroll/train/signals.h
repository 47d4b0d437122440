/* Signals that ask a run to stop: USR1, USR2, TERM, INT, XCPU (its time by `ulimit -t` is over) and HUP, unless it was
 * ignored at the start, as nohup does. The handler only records the signal; the trainer asks once per step. Further
 * signals do no harm, also while a checkpoint is written. A closed pipe as log (SIGPIPE) is ignored.
 *
 * INT is a person's (Ctrl-C): the first is answered at once, by one line on standard error; the next ends the
 * process by that signal, without a checkpoint, temporary files or lock. A second INT within
 * SIGNALS_ECHO counts as the first: a launcher may forward a signal that the terminal has already sent. */
#ifndef UNROLL_TRAIN_SIGNALS_H
#define UNROLL_TRAIN_SIGNALS_H

#include <stdbool.h>

#include "unroll/train/run_lock.h"

#define SIGNALS_ECHO 0.25 /* seconds */
#define SIGNALS_STEP "after this step"

/* Installs the handlers of this process. With `answers` it is the one that speaks to the person, on a terminal whose
 * line is to be erased first (`interactive`), or in a plain log. */
void signals_catch(bool answers, bool interactive);
/* Puts back what was there before. */
void signals_release(void);

/* When an INT that came now would stop the run, a constant: SIGNALS_STEP, as it is at first. */
void signals_stop_when(const char *when);
/* The lock that a second INT gives back; NULL: none. It must be there until another is named. */
void signals_hold(const struct run_lock *lock);

/* The first signal since signals_catch, 0 if none. */
int signals_seen(void);
const char *signals_name(int number); /* "SIGTERM", ... */

#endif
