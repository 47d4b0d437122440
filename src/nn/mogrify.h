/* The rounds of the Mogrifier (Melis, Kocisky and Blunsom 2020, "Mogrifier LSTM", section 2): before a step of the cell
 * its input and its state gate one another,
 *   x^i = 2 sigmoid(Q^i h^(i-1)) x^(i-2), i = 1, 3, ..., h^i = 2 sigmoid(R^i x^(i-1)) h^(i-2), i = 2, 4, ...,
 * from x^(-1) = x and h^0 = h_(t-1); the step then reads the last x and the last h. Of a rank k > 0 each matrix is a
 * product, Q = Q_left Q_right, [E][k] by [k][H]. There are no biases, as in the paper; the authors' program
 * (github.com/deepmind/lamb, tiled_lstm.py) adds one to each round, which starts at zero. */
#ifndef UNROLL_NN_MOGRIFY_H
#define UNROLL_NN_MOGRIFY_H

#include "unroll/nn/model_config.h"

/* What a round does: `rows` numbers are gated by `columns` others. */
struct mogrify_shape {
    bool of_x; /* the input by h, or else h by the input */
    int rows, columns;
};

/* round: from 1 on; inputs, H: features of the layer's input and units. */
static inline struct mogrify_shape mogrify_shape(int round, int inputs, int H)
{
    return round % 2 ? (struct mogrify_shape){true, inputs, H} : (struct mogrify_shape){false, H, inputs};
}

/* Where the matrices of a round stand among the tensors of a layer that its cell adds: left and right, or the one. */
static inline int mogrify_tensor(const struct model_config *config, int round)
{
    return config->mogrify_rank > 0 ? 2 * (round - 1) : round - 1;
}

/* ---- in double precision (mogrify_reference.c) ---- */

/* What a lane's step keeps: so many numbers. */
size_t mogrify_reference_tape(const struct model_config *config, int inputs, int H);
/* weights: those of the layer, as the cell's tensors. *x and *h, of the step, become what the rounds make of them, in
 * `tape`. */
void mogrify_reference_forward(const struct model_config *config, int inputs, int H, double *const *weights,
                               const double **x, const double **h, double *tape);
/* The same *x and *h, of a tape that is filled. */
void mogrify_reference_made(const struct model_config *config, int inputs, int H, double *tape, const double **x,
                            const double **h);
/* dx and dh come as gradients of what forward made and leave as those of what it was given; adds to d_weights. */
void mogrify_reference_backward(const struct model_config *config, int inputs, int H, double *const *weights,
                                const double *x, const double *h, double *tape, double *const *d_weights, double *dx,
                                double *dh);

#endif
