/* Gathers the carried states of all lanes (nn/state.h) from the ranks' models on rank 0, for a checkpoint, and hands
 * them back out. */
#ifndef UNROLL_TRAIN_TRAINER_STATES_H
#define UNROLL_TRAIN_TRAINER_STATES_H

#include "unroll/base/lane_gather.h"
#include "unroll/base/status.h"
#include "unroll/nn/model.h"
#include "unroll/sys/comm.h"

struct states {
    const struct comm *comm;
    struct model_config config;
    struct lane_share share;    /* of this rank */
    float *mine;                /* [lanes of this rank][width] one state */
    float *all;                 /* all states of all lanes; NULL but on rank 0 */
    struct lane_gather *gather; /* [states] from `mine` to its place in `all` */
};

/* STATUS_OS. Not collective. */
enum status states_create(const struct comm *comm, const struct model_config *config, const struct lane_share *share,
                          struct states *states, struct error *e);
void states_release(struct states *states); /* also where creating failed, or all is zero */

/* The models' states to `all`. Collective. */
void states_gather(struct states *states, const struct model *model);
/* And from rank 0's array, laid out as `all` is: NULL if it has none, and then nothing changes. Collective. */
void states_scatter(struct states *states, const float *all, struct model *model);
/* Resets the lanes whose carried states are not finite: those states would make every later loss not finite too. The
 * choice does not depend on ranks. Not collective. */
void states_clear_bad(struct states *states, struct model *model);

#endif
