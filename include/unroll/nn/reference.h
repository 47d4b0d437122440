/* The slow, obvious version of nn/model: every formula in double precision, one lane at a time, plain loops, nothing
 * fused and nothing shared with the fast path except the parameter table and the dropout masks. The oracle of
 * `unroll gradcheck` and of the tests. */
#ifndef UNROLL_NN_REFERENCE_H
#define UNROLL_NN_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/nn/param.h"
#include "unroll/nn/state.h"

/* A number added to one unit of a state in the middle of a window, in all lanes: what finite differences need. */
struct reference_nudge {
    double amount; /* 0: none */
    int state;     /* of the cell's states; if h follows from it, h is computed anew */
    int layer, time, unit;
};

struct reference {
    struct model_config config;
    struct param_table table;
    uint64_t seed; /* of the dropout masks */
    int lanes;
    double *values; /* [table.total] */
    double *state;  /* all states of nn/state.h, [lanes][width] each: carried from window to window */
    struct reference_nudge nudge;
    double penalty;      /* of the last window, where it was a step's: what --ar and --tar add to the sum of losses */
    double nearest_kink; /* of cells with kinks: smallest |input of a ReLU| in the last window: at 0 derivatives jump;
                            else inf */
};

/* Parameters and state start at zero: the caller fills `values`. */
enum status reference_create(const struct model_config *config, uint64_t seed, int lanes, struct reference **out,
                             struct error *e);
void reference_free(struct reference *reference); /* NULL is allowed */

/* Sum over all targets of -log p(target); advances the state. step >= 0: dropout masks of that step; < 0: none.
 * If `grad` [table.grad_total] is given it is overwritten with the gradient of that sum and, where step >= 0, of the
 * penalty, truncated at the window's start; the gradient of a tied decoder stays at its own grad_offset
 * (param_fold_aliases adds it). `row` [T][lanes], if given, receives the loss of each position. STATUS_OS if memory is
 * short. */
enum status reference_window(struct reference *reference, const struct window *window, int64_t step, double *loss,
                             double *row, double *grad, struct error *e);

#endif
