/* The message that all ranks exchange in every step: the losses of each rank's lane groups, and its request to stop.
 * All ranks take the same decisions because they see the same numbers. */
#ifndef UNROLL_TRAIN_TRAINER_EXCHANGE_H
#define UNROLL_TRAIN_TRAINER_EXCHANGE_H

#include "unroll/base/lane_gather.h"
#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

/* Requests to stop, with the reason; the largest of all ranks counts. */
#define REQUEST_NONE 0
#define REQUEST_TIME 1
#define REQUEST_SIGNAL 100 /* + the signal's number */
#define REQUEST_LOST 500   /* another job has taken the run directory over */
#define REQUEST_ERROR 1000 /* a rank cannot go on: agree on its error */

struct exchange {
    struct lane_share share;   /* of this rank */
    double *mine, *all;        /* messages, of 1 + groups doubles each: a request, and losses */
    double *losses;            /* [groups of all ranks] */
    struct lane_gather gather; /* from `mine` to `all` */
    int request;               /* REQUEST_... of all ranks, as of the last exchange */
};

/* STATUS_OS. Not collective. */
enum status exchange_create(struct exchange *exchange, const struct lane_share *share, struct error *e);
void exchange_release(struct exchange *exchange); /* also where creating failed, or all is zero */

/* Gives every rank the losses of all lane groups, and the strongest request; `losses` of this rank's groups, NULL if
 * it has none to give. Returns their sum over the lane tree. Collective. */
double exchange_losses(struct exchange *exchange, const struct comm *comm, int request, const double *losses);
/* The request alone. Collective. */
void exchange_request(struct exchange *exchange, const struct comm *comm, int request);

#endif
