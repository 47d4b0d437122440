/* Signals that ask a run to stop: USR1, USR2, TERM, INT, XCPU (its time by `ulimit -t` is over) and HUP, unless it was
 * ignored at the start, as nohup does. The handler only takes note; the trainer asks once per step, so further signals, also
 * while a checkpoint is written, do no harm. A closed pipe as log (SIGPIPE) is ignored. */
#ifndef UNROLL_TRAIN_SIGNALS_H
#define UNROLL_TRAIN_SIGNALS_H

/* Installs the handlers of this process. */
void signals_catch(void);
/* Puts back what was there before. */
void signals_release(void);

/* The first signal since signals_catch, 0 if none. */
int signals_seen(void);
const char *signals_name(int number); /* "SIGTERM", ... */

#endif
