/* Files that exist only until the work on them is done. Whoever makes one tells its name first; a signal that ends the
 * process removes those that still exist. A process that is killed (SIGKILL) leaves them: the next one that writes the
 * same file overwrites and renames them. */
#ifndef UNROLL_BASE_TEMPORARY_H
#define UNROLL_BASE_TEMPORARY_H

/* Call before `path` is made, by this process or by another rank of the job: when mpirun is told to end, it kills a
 * rank as soon as another has ended, so the rank that made the file may have no time to remove it. Only a few files are
 * watched at a time. Call from one thread only. */
void temporary_watch(const char *path);
/* Watches it no more: it has got its final name. */
void temporary_forget(const char *path);
/* Removes it and watches it no more; it need not exist. */
void temporary_remove(const char *path);
/* Removes all that are watched, right before the process ends. Safe in a signal handler. */
void temporary_remove_all(void);

/* For programs, once: from now on the signals that ask for an end (HUP INT QUIT PIPE TERM USR1 USR2 XCPU) remove what
 * is watched and then have their usual effect. One that is ignored, as by nohup, stays ignored. Writing beyond `ulimit
 * -f` becomes an error like others (EFBIG) and no signal. */
void temporary_heed_signals(void);

#endif
