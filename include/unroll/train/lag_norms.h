/* The gradient by time lag over a split: for each state and each lag k = 0 .. bptt - 1 the norm of dL_t/dh_(t-k) (and
 * of dL_t/dc_(t-k) for lstm), averaged over lanes and over the last steps t of the split's first windows (nn/flow.h).
 *
 * Norms are summed in double inside each lane group and then over the lane tree: the same bits for any number of
 * ranks and threads. */
#ifndef UNROLL_TRAIN_LAG_NORMS_H
#define UNROLL_TRAIN_LAG_NORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/nn/model.h"
#include "unroll/sys/comm.h"

struct lag_norms_config {
    enum split split;
    struct model_config model;
    struct lane_share share;     /* of this rank: that which `model` was made for */
    int bptt;                    /* lags */
    int64_t windows;             /* the most that are looked at; fewer if the split has fewer whole ones */
    void (*beat)(void *context); /* called after each window; may be NULL */
    void *beat_context;
};

/* Whether a split of `tokens` tokens fills a window of every lane. */
bool lag_norms_fit(int64_t tokens, int batch, int bptt);

/* Collective. `model` is this rank's, made with shape.train for its lane groups and packed; NULL on a rank without
 * groups. Its carried state is the same afterwards as before. norms [states][bptt], states in the order of
 * model_state_get, is filled on every rank; *samples are how many pairs of lane and t each is the mean of.
 * STATUS_CONFIG if the split does not fit; STATUS_OS; what reading the corpus gives. The error is the same on all
 * ranks. */
enum status lag_norms_measure(const struct comm *comm, struct corpus *corpus, const struct lag_norms_config *config,
                              struct model *model, double *norms, int64_t *samples, struct error *e);

/* Bytes that it takes on the rank of `share`, the stream apart. */
size_t lag_norms_bytes(const struct lag_norms_config *config);

#endif
