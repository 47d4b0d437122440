/* Activation and temporal activation regularisation (Merity, McCann and Socher 2017, "Revisiting Activation
 * Regularization for Language RNNs", arXiv:1708.01009): to the mean loss of a training step are added
 *
 *     ar * mean(y^2) + tar * mean((h_t - h_(t-1))^2)
 *
 * where h [T][B][H] are the outputs of the top layer, and y the same through dropout; the second mean is over the T - 1
 * differences within the window. So that the sum over positions is the sum of what ranks have, each position with a
 * target has its own part: ar |y|^2 / H and, but at the window's first step and where the state is reset,
 * tar |h_t - h_(t-1)|^2 / H * T / (T - 1). Where all positions have targets, as in running text, that is the above.
 *
 * The losses that are reported are without it. */
#ifndef UNROLL_NN_PENALTY_H
#define UNROLL_NN_PENALTY_H

#include "common.h"

/* Adds the gradient of the window's sum to dh, that of h without it. Both [T][B], rows of `stride`. */
void penalty_gradient(const struct common *common, const float *h, int stride, float *dh);

/* The same of one lane in double precision, straight from the formulas. */
struct penalty_reference {
    const struct model_config *config;
    const struct window *window;
    int lane;                  /* of the window */
    const bool *fresh;         /* [T] the state is zero before the step */
    const double *y, *h;       /* [T] rows of y_stride and h_stride */
    double *dy, *dh;           /* their gradients, added to; NULL: the sum alone */
    size_t y_stride, h_stride; /* of dy and dh too */
};
double penalty_reference(const struct penalty_reference *lane); /* the sum */

#endif
