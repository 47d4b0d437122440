#include "unroll/nn/flow.h"

#include <math.h>

#include "model_private.h"

#define LSTM_O 3 /* slot of the output gate, cell_lstm.c */

/* Sums of squares are taken while the backward loop has the derivatives at hand, block by block of hidden units, into
 * [T][lanes][blocks] of these. */
struct squares {
    double h, c;
};

static struct squares *squares_at(const struct model *model, int t, int lane, int block)
{
    return (struct squares *)model->flow + ((int64_t)t * model->lanes + lane) * model->blocks + block;
}

void flow_note(const struct model *model, const struct cell_step *step, int t, int lane0, int block)
{
    int units = model->H - block * GEMM_WIDE < GEMM_WIDE ? model->H - block * GEMM_WIDE : GEMM_WIDE;
    for (int b = 0; b < step->lanes; b++) {
        struct squares sum = {0, 0};
        const float *slots = step->slots + b * step->slots_stride;
        for (int u = 0; u < units; u++) {
            double dh = step->dout[b * step->h_stride + u], carry = 0;
            if (!step->last) {
                dh += step->recurrent[b * GEMM_WIDE + u];
                carry = step->carry[b * step->h_stride + u];
            }
            if (model->cell->has_c) {
                double o = slots[LSTM_O * step->slot_stride + u],
                       tanh_c = tanh((double)step->c[b * step->h_stride + u]);
                double dc = carry + dh * o * (1 - tanh_c * tanh_c);
                sum.c += dc * dc;
            } else {
                dh += carry; /* gru's way past the matrix product; plain cells leave it 0 */
            }
            sum.h += dh * dh;
        }
        *squares_at(model, t, lane0 + b, block) = sum;
    }
}

/* What layer l's backward loop has noted. */
static void take_norms(const struct model *model, int l, int T, double *norms)
{
    int64_t state = (int64_t)T * model->lanes;
    for (int t = 0; t < T; t++)
        for (int lane = 0; lane < model->lanes; lane++) {
            struct squares sum = {0, 0};
            for (int block = 0; block < model->blocks; block++) {
                sum.h += squares_at(model, t, lane, block)->h;
                sum.c += squares_at(model, t, lane, block)->c;
            }
            int64_t row = (int64_t)t * model->lanes + lane;
            norms[l * state + row] = sqrt(sum.h);
            if (model->cell->has_c)
                norms[(model->config.layers + l) * state + row] = sqrt(sum.c);
        }
}

void model_flow(struct model *model, const struct window *window, double *norms)
{
    CHECK(model->shape.train);
    struct model_phases phases = model->phases; /* of training steps: this is none */
    model_forward_layers(model, window, -1);
    softmax_last(model, window);
    model->flow = model->y; /* the outputs in lane-group order: not used here, and wide enough */
    for (int l = model->config.layers - 1; l >= 0; l--) {
        layer_backward(model, l, window);
        take_norms(model, l, window->T, norms);
        if (l > 0)
            layer_input_gradient(model, l, window);
    }
    model->flow = NULL;
    model->phases = phases;
}
