/* One step of one layer of one lane in double precision, straight from the formulas that PyTorch documents for nn.RNN,
 * nn.LSTM and nn.GRU, and its derivative. Private to nn/reference. */
#ifndef UNROLL_NN_REFERENCE_CELLS_H
#define UNROLL_NN_REFERENCE_CELLS_H

#include "unroll/nn/param.h"

/* What a step leaves for its derivative. G*H numbers are G blocks of H in the order of the gates. */
struct reference_step {
    double *from_input; /* [G*H] W_ih x + b_ih */
    double *from_state; /* [G*H] W_hh h_prev + b_hh */
    double *gate;       /* [G*H] the gates after their sigmoid, tanh or relu */
    double *h_prev, *h; /* [H] */
    double *c_prev, *c; /* [H], lstm only */
};

/* Fills gate, h and c from from_input, from_state, h_prev and c_prev. */
void reference_cell_forward(enum cell cell, int H, const struct reference_step *step);

/* Given dh (gradient of h) and dc (of c, from the step after): the gradients of from_input and from_state, and what
 * reaches h_prev not through from_state. dc becomes the gradient of c_prev. */
void reference_cell_backward(enum cell cell, int H, const struct reference_step *step, const double *dh, double *dc,
                             double *d_from_input, double *d_from_state, double *dh_prev);

#endif
