/* Files that are there only until the work on them is done. Whoever makes one tells its name before; a signal that
 * ends the process takes away what is still there. What a process that was killed (SIGKILL) leaves, the next that
 * writes the same file writes over and renames. */
#ifndef UNROLL_BASE_TEMPORARY_H
#define UNROLL_BASE_TEMPORARY_H

/* `path` is about to be made, by this process or by another rank of the job: when mpirun is asked for an end, it
 * kills a rank as soon as another has ended, so that one alone may not come to it. A few are watched at a time. Of
 * one thread. */
void temporary_watch(const char *path);
/* It has got its own name. */
void temporary_forget(const char *path);
/* Removes and forgets it; it need not be there. */
void temporary_remove(const char *path);
/* Removes all that are watched: before an end from which nobody returns. Safe in a signal's handler. */
void temporary_remove_all(void);

/* For programs, once: from now on the signals that ask for an end (HUP INT QUIT PIPE TERM USR1 USR2 XCPU) remove
 * what is watched and then do what they do. One that is ignored, as by nohup, stays ignored. Writing beyond `ulimit
 * -f` becomes an error like others (EFBIG) and no signal. */
void temporary_heed_signals(void);

#endif
