/* The unrolled model on one rank: forward over a window, loss, back-propagation through time, truncated at the window's
 * start. Knows neither ranks nor files. Formulas are PyTorch's where it has the cell; the same formulas in
 * plain double precision are in nn/reference.h.
 *
 * Bits: every number computed for a lane is the same whatever the other lanes, the rank's range of lanes and the number
 * of threads are; gradients are summed over lane groups in the order of base/lane_tree.h.
 *
 * Not thread safe: one caller; it uses `threads` threads of the team inside (base/team.h). No allocation, no I/O and
 * no system call but the team's own after model_create. */
#ifndef UNROLL_NN_MODEL_H
#define UNROLL_NN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/lane_share.h"
#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/nn/gradient.h"
#include "unroll/nn/state.h"

struct model;

struct model_shape {
    int bptt;                /* the longest window, T */
    struct lane_share share; /* the lanes of this model, and what they are a part of; at least a lane group */
    int threads;             /* of the team; >= 1 */
    bool train;              /* allocate what the backward pass needs */
    bool resident; /* keep all weights packed: for few rows at a time, as in sampling; costs their size again */
    bool exact;    /* sum gradients in the order of the lane tree (else: in whatever order is fastest here) */
    bool sparse;   /* where a step touches few rows of a parameter, its gradient is those alone (nn/gradient.h) */
    bool
        unnormalised; /* of OUTPUT_NORMALISER, not to train: losses are logits with the sign turned, in constant time */
    uint64_t seed;    /* of the dropout masks, and of samples */
};

/* `values` [table->total] is the caller's, must outlive the model, and is read at model_pack. STATUS_OS if memory is
 * short, STATUS_CONFIG if the shape makes no sense. */
enum status model_create(const struct model_config *config, const float *values, const struct model_shape *shape,
                         struct model **out, struct error *e);
void model_free(struct model *model); /* NULL is allowed */
/* Bytes that model_create would allocate. */
size_t model_bytes(const struct model_config *config, const struct model_shape *shape);

/* Copies the parameters into the layout of the kernels: call after every change of `values`. */
void model_pack(struct model *model);

/* Sums over the window that model_forward has seen. */
struct model_loss {
    const double *group;    /* [groups of this rank] sum of -log p(target), natural logarithm, per lane group */
    const int64_t *targets; /* [groups of this rank] how many targets each sum has */
    /* [groups of this rank] sums of the true normaliser's logarithm, and of its square, over targets; NULL: of
     * training, and of kinds without OUTPUT_NORMALISER. */
    const double *normaliser, *normaliser_squares;
    const float *row; /* [T][lanes] -log p(target) of each position, 0 where there is no target */
    const int64_t
        *correct; /* [groups of this rank] of a classifier: targets that were the likeliest label; else NULL */
};

/* The rows of parameters in parts (nn/gradient.h) that training on the window reads and changes, list by list; with
 * shape.train. Before model_train, and while the values of those rows may still be changed. Valid until the next
 * call. */
const struct touched *model_touch(struct model *model, const struct window *window, int64_t step);

/* Runs the window: updates the carried state, computes the loss. With `step` >= 0 dropout masks of that step are
 * applied and everything the backward pass needs is kept (only for shape.train); with step < 0 no dropout:
 * evaluation. */
void model_forward(struct model *model, const struct window *window, int64_t step, struct model_loss *loss);

/* Training: forward with masks of `step`, loss, and the gradient of the *sum* of losses with respect to every
 * parameter, one gradient array for each of the rank's lane-tree nodes (lane_share_nodes), overwritten: [grad_total] as
 * the table has them, or [total] of the layout where that has parts (then model_touch must have seen the window). The
 * carried state advances. The caller divides by the global token count, and with dropout of weights calls
 * model_drop_gradient. */
void model_train(struct model *model, const struct window *window, int64_t step, float *const *node_grads,
                 struct model_loss *loss);

/* The gradient over all ranks, `array` as in model_train, of W_hh as the step had it becomes that of W_hh: dropout of
 * weights masks and scales it (nn/dropout.h). Nothing without. */
void model_drop_gradient(struct model *model, int64_t step, float *array);

/* Logits of the last time step of the last model_forward: [lanes][V], rows `*stride` floats apart; valid until the next
 * call. For sampling; computed on demand. */
const float *model_logits(struct model *model, int *stride);

/* Outputs of the top layer in the last model_forward or model_train, before any dropout: [T][lanes] rows of H floats,
 * `*stride` apart (gemm_stride of H). Valid until the next call. */
const float *model_outputs(struct model *model, int *stride);

/* TASK_CLASSIFY: probabilities of the labels after model_forward, [lanes][labels], rows `*stride` floats apart; all
 * zero for a lane without a text. Valid until the next call. */
const float *model_probabilities(const struct model *model, int *stride);

/* Carried state `index` (nn/state.h), [lanes][width] without padding. Zero after model_create. */
void model_state_get(const struct model *model, int index, float *values);
void model_state_set(struct model *model, int index, const float *values);
void model_state_zero_lane(struct model *model, int lane);

/* Wall seconds spent since the last call, by phase of the step; for bench and the logs. */
struct model_phases {
    double input_projection, recurrent_forward, output_layer, recurrent_backward, weight_gradients, other;
};
void model_take_phases(struct model *model, struct model_phases *phases);

#endif
