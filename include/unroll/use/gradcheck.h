/* Numerical checks of back-propagation through time on small random models: the reference (nn/reference) against
 * central differences, and the fast path (nn/model) against the reference. `unroll gradcheck` and the tests run them.
 *
 * A check draws parameters, tokens and targets (some positions without) from `seed` and trains nothing: it computes
 * loss and gradients of a few consecutive windows at fixed parameters. The state is carried from window to window; the
 * last but one is shorter, as at the end of an epoch, and the last one resets. */
#ifndef UNROLL_USE_GRADCHECK_H
#define UNROLL_USE_GRADCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/param.h"

#define GRADCHECK_WINDOWS 4
#define GRADCHECK_WHOLE (-1) /* for an element: the root mean square of a tensor's errors */

struct gradcheck_config {
    struct model_config model;
    int bptt, batch, groups; /* time steps of a full window; lanes; lane groups, at most `batch` */
    int ranks, threads;      /* the fast path runs as `ranks` models of `threads` threads, one range of groups each */
    uint64_t seed;
};

/* The worst of a set of comparisons: the one whose error exceeds its tolerance most, or comes nearest to it. A NaN is
 * worse than any number. Errors are |got - expected| / max(|expected|, rms of the expected tensor). */
struct gradcheck_worst {
    double error, tolerance;
    char tensor[48]; /* name of the parameter; "h_l0" for a carried state; "loss" */
    int64_t element;
    int window;
    double expected, got;
};
bool gradcheck_holds(const struct gradcheck_worst *worst);

/* Every gradient of the reference against central differences of its loss; ignores groups, ranks and threads.
 * STATUS_CONFIG for a wrong model, STATUS_OS if memory is short; the outcome is in `worst`. */
enum status gradcheck_reference(const struct gradcheck_config *config, struct gradcheck_worst *worst, struct error *e);

struct gradcheck_fast {
    struct gradcheck_worst loss, state, gradient; /* against the reference */
    bool same_bits; /* as with one rank and one thread: all losses, states and gradients */
};

/* The fast path against the reference, in single precision. Errors as above and those of model_create. */
enum status gradcheck_fast(const struct gradcheck_config *config, struct gradcheck_fast *result, struct error *e);

#endif
