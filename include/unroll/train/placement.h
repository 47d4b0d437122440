/* Where ranks and threads run: how many threads each rank gets, and whether the cores that the launcher bound it to
 * are enough for them. Open MPI binds each of two ranks to a single core unless told otherwise, and then all threads
 * of a rank share it: that mistake is found here and told with the options that mend it. At the end it is told if
 * threads waited for cores, whoever had them. */
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

#define PLACEMENT_WAIT_SHARE 0.1 /* of their time, and */
#define PLACEMENT_WAIT_SECONDS 2 /* of all threads together, are worth telling */

/* What the threads of a process did since it began, all together. Time asleep, as in input and output or waiting for
 * a partner, counts as neither; a thread that spins, as MPI's do, computes. */
struct placement_wait {
    double computed,
        waited; /* seconds: on a core; ready to run, but others had the core. 0 where the kernel does not tell */
    int rank, ranks, threads;
    char host[COMM_HOST];
};

/* Of this process. Not collective. */
void placement_waited(const struct comm *comm, int threads, struct placement_wait *wait);
/* From each rank's own to that of the rank that waited for the largest share of its time, on all ranks. Collective. */
void placement_wait_most(const struct comm *comm, struct placement_wait *wait);
/* waited / (computed + waited), 0 without either. */
double placement_wait_share(const struct placement_wait *wait);
/* What to tell of it, [ERROR_TEXT]; "" if it is not worth telling. */
void placement_wait_advice(const struct placement_wait *wait, char *advice);
/* All of it at a command's end, on all ranks: that of the rank that waited most, and what to tell. Collective. */
void placement_wait_report(const struct comm *comm, int threads, struct placement_wait *most, char *advice);

#endif
