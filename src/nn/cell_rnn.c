/* The plain RNN as PyTorch's nn.RNN: h_t = f(x W_ih^T + b_ih + h_(t-1) W_hh^T + b_hh), f = tanh or max(0, .). Its own output
 * is all that the backward pass needs: f' = 1 - h^2, or 1 where h > 0. */
#include "model_private.h"

static inline __attribute__((always_inline)) void forward(const struct cell_step *s, bool relu)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat a = vload(s->recurrent + b * GEMM_WIDE + u) + vload(projection + u) + vload(s->bias + u);
            /* NaN must stay NaN: keep a unless it is below zero */
            vfloat h = relu ? vselect(a < 0.0f, vset(0), a) : vtanh(a);
            vstore(s->h + b * s->h_stride + u, h);
        }
    }
}

static inline __attribute__((always_inline)) void backward(const struct cell_step *s, bool relu)
{
    for (int b = 0; b < s->lanes; b++) {
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat h = vload(s->h + b * s->h_stride + u), dh = vload(s->dout + b * s->h_stride + u);
            if (!s->last)
                dh += vload(s->recurrent + b * GEMM_WIDE + u);
            vfloat tanh_slope = vfma(-h, h, vset(1.0f)),
                   slope = relu ? vselect(h > 0.0f, vset(1), vset(0)) : tanh_slope;
            vstore(slots + u, dh * slope);
        }
    }
}

static void forward_tanh(const struct cell_step *step)
{
    forward(step, false);
}

static void backward_tanh(const struct cell_step *step)
{
    backward(step, false);
}

static void forward_relu(const struct cell_step *step)
{
    forward(step, true);
}

static void backward_relu(const struct cell_step *step)
{
    backward(step, true);
}

static void bias(int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    cell_bias_sum(1, H, b_ih, b_hh, stride, out);
}

void cell_bias_sum(int gates, int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    for (int g = 0; g < gates; g++)
        for (int u = 0; u < H; u++)
            out[g * stride + u] = b_ih[g * H + u] + b_hh[g * H + u];
}

const struct cell_kind cell_kind_rnn_tanh = {
    .name = "rnn-tanh",
    .gates = 1,
    .slots = 1,
    .biases = 1,
    .forward = forward_tanh,
    .backward = backward_tanh,
    .bias = bias,
};

const struct cell_kind cell_kind_rnn_relu = {
    .name = "rnn-relu",
    .gates = 1,
    .slots = 1,
    .biases = 1,
    .forward = forward_relu,
    .backward = backward_relu,
    .bias = bias,
};
