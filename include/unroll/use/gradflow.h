/* The vanishing gradient of one or several models over the same text: train/lag_norms with a model made for it, and the
 * results as CSV and HDF5. */
#ifndef UNROLL_USE_GRADFLOW_H
#define UNROLL_USE_GRADFLOW_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"

struct gradflow_config {
    enum split split;
    int lags;        /* K: norms of lags 0 .. K */
    int batch;       /* the most lanes; fewer if the split does not fill a window of K + 1 steps for each */
    int64_t windows; /* the most windows */
    int threads;
};

struct gradflow_result {
    struct model_config model;
    int lags, lanes;
    int64_t samples; /* pairs of lane and t that each norm is the mean of */
    double *norm;    /* [states][lags + 1], states in the order of model_state_get; owned */
};

/* Collective. Follows the gradients of the model with these parameter values (nn/param.h) through a split.
 * STATUS_DATA for a split that is absent, STATUS_CONFIG for one too short for a single window, STATUS_OS; and what
 * reading gives. The error and the result are the same on all ranks and for any number of them. Release with
 * gradflow_release, also after a failure. */
enum status gradflow_run(const struct comm *comm, struct corpus *corpus, const struct gradflow_config *config,
                         const struct model_config *model, const float *values, struct gradflow_result *result,
                         struct error *e);
void gradflow_release(struct gradflow_result *result);

/* Layer and quantity ('h' or 'c') of state `index`. */
int gradflow_layer(const struct gradflow_result *result, int index);
char gradflow_quantity(const struct gradflow_result *result, int index);

/* Not collective. A line for each number below "cell,layer,quantity,lag,norm"; layers count from 0, as in the names of
 * parameters. */
enum status gradflow_write_csv(const char *path, const struct gradflow_result *results, int count, struct error *e);

/* Not collective. /CELL/h_l0 ... and for lstm /CELL/c_l0 ..., float64 [lags + 1]; no two results may have the same
 * cell. Attributes: of "/" format = "unroll-gradflow" and version = 1; of /CELL layers, hidden, embedding and
 * samples. */
enum status gradflow_write_h5(const char *path, const struct gradflow_result *results, int count, struct error *e);

#endif
