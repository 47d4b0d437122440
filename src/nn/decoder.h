/* The decoder of output layers that have one: rows times decoder.weight [outputs][H] and decoder.bias [outputs]. */
#ifndef UNROLL_NN_DECODER_H
#define UNROLL_NN_DECODER_H

#include "common.h"
#include "unroll/nn/output.h"

struct decoder {
    int in, in_stride;                 /* H, and the stride of rows of so many */
    int outputs, stride;               /* V or labels, and the stride of rows of logits */
    int weight, bias;                  /* places in the parameter table */
    struct gemm_weights forward, back; /* the weight as each direction takes it; resident models pack it forward */
    float *padded_bias;                /* [stride] */
};

/* Its two parameters, as of output_kind.params. */
int decoder_params(const struct model_config *config, int outputs, struct output_param params[PARAM_OUTPUT_MAX]);
void decoder_create(struct common *common, struct decoder *decoder, int outputs);
void decoder_pack(const struct common *common, struct decoder *decoder);

/* logits[rows][stride] = y W^T, without the bias. */
void decoder_logits(const struct common *common, const struct decoder *decoder, struct gemm_view y, int rows,
                    float *logits);
/* Adds the bias, by all threads. */
void decoder_add_bias(const struct common *common, const struct decoder *decoder, int rows, float *logits);
/* dy[rows][in_stride] = d W, d [rows][stride] being gradients of logits, settled. */
void decoder_row_gradients(const struct common *common, const struct decoder *decoder, const float *d, int rows,
                           float *dy);

/* The gradients of weight and bias, summed over rows of y and d. */
struct decoder_sum {
    struct gemm_sum sum;
    struct gemm_lanes y, d;
    bool add;             /* to what they hold, or overwrite it */
    float *weight, *bias; /* [outputs][H], [outputs] */
};
void decoder_gradients(const struct common *common, const struct decoder *decoder, const struct decoder_sum *sum);

/* The same in double precision, straight from the formulas, for a lane of the reference. */
struct reference_decoder {
    int in, outputs;
    const double *weight, *bias;
    double *d_weight, *d_bias; /* added to */
};
struct reference_decoder reference_decoder_of(const struct reference_output *lane);
/* -log softmax(W y + b)[target]; logits [outputs] become its gradient, softmax - onehot(target). */
double reference_decoder_loss(const struct reference_decoder *decoder, const double *y, uint32_t target,
                              double *logits);
/* Adds the gradients of W, b and y [H] that follow from that of the logits. */
void reference_decoder_backward(const struct reference_decoder *decoder, const double *y, const double *d_logits,
                                double *dy);

#endif
