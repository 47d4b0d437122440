/* Looks at the derivatives that a backward loop has at hand, and adds up their squares. */
#include "unroll/nn/flow.h"

#include <math.h>

#include "model_private.h"
#include "unroll/base/arithmetic.h"

#define LSTM_O 3 /* slot of the output gate, cell_lstm.c */

/* Sums of squares are taken while the backward loop has the derivatives at hand, VPAD hidden units by VPAD (blocks of panels
 * are of another width on other processors), into [T][lanes][parts of H] of these. */
struct squares {
    double h, c;
};

static int parts_of(const struct model *model)
{
    return (model->H + VPAD - 1) / VPAD;
}

static struct squares *squares_at(const struct model *model, int t, int lane, int part)
{
    return (struct squares *)model->flow_notes + ((int64_t)t * model->lanes + lane) * parts_of(model) + part;
}

/* 1 - tanh(c)^2, without the loss of digits where tanh is near one. */
static double tanh_slope(double c)
{
    double e = arithmetic_exp(-2 * fabs(c));
    return 4 * e / ((1 + e) * (1 + e));
}

/* Units [begin, end) of the block, of lane b of the step. */
static struct squares sum_squares(const struct model *model, const struct cell_step *step, int b, int begin, int end)
{
    struct squares sum = {0, 0};
    const float *slots = step->slots + b * step->slots_stride;
    for (int u = begin; u < end; u++) {
        double dh = step->dout[b * step->h_stride + u], carry = 0;
        if (!step->last) {
            dh += step->recurrent[b * GEMM_WIDE + u];
            carry = step->carry[b * step->h_stride + u];
        }
        if (model->cell->has_c) {
            double o = slots[LSTM_O * step->slot_stride + u];
            double dc = carry + dh * o * tanh_slope(step->c[b * step->h_stride + u]);
            sum.c += dc * dc;
        } else {
            dh += carry; /* gru's way past the matrix product; plain cells leave it 0 */
        }
        sum.h += dh * dh;
    }
    return sum;
}

static void note(void *context, const struct cell_step *step, int t, int lane0, int block)
{
    const struct model *model = context;
    int units = model->H - block * GEMM_WIDE < GEMM_WIDE ? model->H - block * GEMM_WIDE : GEMM_WIDE;
    for (int b = 0; b < step->lanes; b++)
        for (int u = 0; u < units; u += VPAD)
            *squares_at(model, t, lane0 + b, (block * GEMM_WIDE + u) / VPAD) =
                sum_squares(model, step, b, u, u + VPAD < units ? u + VPAD : units);
}

/* What layer l's backward loop has noted. */
static void take_norms(const struct model *model, int l, int T, double *norms)
{
    int64_t state = (int64_t)T * model->lanes;
    for (int t = 0; t < T; t++)
        for (int lane = 0; lane < model->lanes; lane++) {
            struct squares sum = {0, 0};
            for (int part = 0; part < parts_of(model); part++) {
                sum.h += squares_at(model, t, lane, part)->h;
                sum.c += squares_at(model, t, lane, part)->c;
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
    const struct step_hook hook = {note, model};
    for (int l = model->config.layers - 1; l >= 0; l--) {
        layer_backward(model, l, window, &hook);
        take_norms(model, l, window->T, norms);
        if (l > 0)
            layer_input_gradient(model, l, window);
    }
    model->phases = phases;
}
