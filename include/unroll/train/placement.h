/* Where ranks and threads run: how many threads each rank gets, and whether the cores that the launcher bound it to are
 * enough for them. Open MPI binds each of two ranks to a single core unless told otherwise, and then all threads of a
 * rank share it: that mistake is found here and told with the options that mend it. */
#ifndef UNROLL_TRAIN_PLACEMENT_H
#define UNROLL_TRAIN_PLACEMENT_H

#include <stdbool.h>

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

struct placement {
    int threads;    /* of this rank */
    int cores;      /* that this rank may run on */
    int host_ranks; /* ranks on this rank's host */
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

#endif
