/* Where ranks and threads run: how many threads each rank gets, and whether the cores that the launcher bound it to
 * are enough for them. Open MPI binds each of two ranks to a single core unless told otherwise, and then all threads
 * of a rank share it: this is found here, and the message names
 * the options that correct it. At the end of a run it reports if threads had to wait for cores. */
#ifndef UNROLL_TRAIN_PLACEMENT_H
#define UNROLL_TRAIN_PLACEMENT_H

#include <stdbool.h>

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

struct placement {
    int threads;    /* of this rank */
    int cores;      /* that this rank may run on */
    int host_ranks; /* ranks on this rank's host */
    int hosts;      /* of all ranks */
    bool shared;    /* they may run on the same cores */
};

/* Collective. `threads` 0: OMP_NUM_THREADS, else this rank's cores, divided among ranks that share them. Fills `advice`
 * [ERROR_TEXT] on every rank with rank 0's finding, "" if all is well. STATUS_CONFIG if OMP_NUM_THREADS is no number;
 * STATUS_OS. */
enum status placement_choose(const struct comm *comm, int threads, struct placement *out, char *advice,
                             struct error *e);

/* The advice for given facts: ranks on a host with `threads` each, bound to `cores` each, or sharing them. "" if
 * none. */
void placement_advice(const struct placement *placement, char *advice);

/* ---- afterwards: whether the threads had the cores that they wanted ---- */

#define PLACEMENT_WAIT_SHARE 0.1 /* waiting is reported from this share of the threads' time on, and */
#define PLACEMENT_WAIT_SECONDS 2 /* from so many seconds of all threads together */

/* What the threads of a process did since it began, all together. Time asleep, as in input and output or waiting for
 * a partner, counts as neither; a thread that spins, as MPI's do, computes. */
struct placement_wait {
    double computed; /* seconds on a core */
    double waited;   /* seconds ready to run while others had the core; 0 where the kernel does not count them */
    int rank, ranks, threads;
    char host[COMM_HOST];
};

/* Of this process. Not collective. */
void placement_waited(const struct comm *comm, int threads, struct placement_wait *wait);
/* Collective. Replaces each rank's numbers by those of the rank that waited for the largest share of its time. */
void placement_wait_most(const struct comm *comm, struct placement_wait *wait);
/* waited / (computed + waited), 0 without either. */
double placement_wait_share(const struct placement_wait *wait);
/* The message about it, [ERROR_TEXT]; "" if the wait was too short to report. */
void placement_wait_advice(const struct placement_wait *wait, char *advice);
/* Collective, at a command's end: the three calls above. All ranks get the longest wait and its message. */
void placement_wait_report(const struct comm *comm, int threads, struct placement_wait *most, char *advice);

#endif
