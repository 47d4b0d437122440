/* The step of an LSTM, for the kinds of cells that have it (cell.h says what each function is). */
#ifndef UNROLL_NN_CELL_LSTM_STEP_H
#define UNROLL_NN_CELL_LSTM_STEP_H

#include "cell_private.h"

#define LSTM_GATES 4

void lstm_forward(const struct cell_step *step);
void lstm_backward(const struct cell_step *step);
void lstm_bias(int H, const float *b_ih, const float *b_hh, int stride, float *bias);
void lstm_flow(const struct cell_step *step, int b, int begin, int end, double *squares);
void lstm_reference_forward(int H, const struct reference_step *step);
void lstm_reference_backward(int H, const struct reference_step *step, double *const *d, double *d_from_input,
                             double *d_from_state);
double lstm_reference_output(int H, const struct reference_step *step, int unit);
bool lstm_start(const struct cell_start *start, float *x);

/* All of it, in a cell's kind. */
#define LSTM_STEP                                                                                          \
    .gates = LSTM_GATES, .recurrent_gates = LSTM_GATES, .state = {{.letter = 'h'}, {.letter = 'c'}},       \
    .slots = LSTM_GATES, .input_slot = {0, 1, 2, 3}, .recurrent_slot = {0, 1, 2, 3}, .biases = LSTM_GATES, \
    .forward = lstm_forward, .backward = lstm_backward, .bias = lstm_bias, .flow = lstm_flow,              \
    .reference_forward = lstm_reference_forward, .reference_backward = lstm_reference_backward,            \
    .reference_output = lstm_reference_output, .start = lstm_start

#endif
