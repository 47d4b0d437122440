/* How far a gradient flows back: the vanishing gradient (Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio
 * 2013), measured.
 *
 * L is the loss of the window's last step alone, -log p of its target. h_t of a layer is its output at step t, c_t
 * lstm's cell. The derivatives are total, as of nodes in the unrolled graph (what PyTorch's retain_grad keeps): dL/dh_t
 * is taken along all paths from h_t to L, through the same layer's later steps and through the layers above; dL/dc_t
 * includes the path through h_t = o_t tanh(c_t). */
#ifndef UNROLL_NN_FLOW_H
#define UNROLL_NN_FLOW_H

#include "unroll/nn/model.h"

/* Runs the window forward, without dropout, from the carried state, which advances; then back from the last step.
 * norms [states][T][lanes], states in the order of model_state_get, T the window's: the Euclidean norm of the
 * derivative with respect to that state of that lane after that step; 0 for lanes without a target in the last step.
 * The model must have been made with shape.train. Bits: as in nn/model.h, a lane's numbers depend on nothing but the
 * lane. */
void model_flow(struct model *model, const struct window *window, double *norms);

#endif
