/* The plain RNN as PyTorch's nn.RNN: h_t = f(x W_ih^T + b_ih + h_(t-1) W_hh^T + b_hh), f = tanh or max(0, .). Its
 * own output is all that the backward pass needs: f' = 1 - h^2, or 1 where h > 0. */
#include <string.h>

#include "cell_private.h"

#define RELU_LEAK 0.9 /* a: the state forgets with a time constant of about ten steps */

static inline __attribute__((always_inline)) void forward(const struct cell_step *s, bool relu)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat a = vload(s->recurrent + b * GEMM_WIDE + u) + vload(projection + u) + vload(s->bias + u);
            /* NaN must stay NaN: keep a unless it is below zero */
            vfloat h = relu ? vselect(a < 0.0f, vset(0), a) : vtanh(a);
            vstore(s->state[CELL_H] + b * s->state_stride[CELL_H] + u, h);
        }
    }
}

static inline __attribute__((always_inline)) void backward(const struct cell_step *s, bool relu)
{
    for (int b = 0; b < s->lanes; b++) {
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat h = vload(s->state[CELL_H] + b * s->state_stride[CELL_H] + u),
                   dh = vload(s->dout + b * s->state_stride[CELL_H] + u);
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

static void reference_forward(int H, const struct reference_step *s, bool relu)
{
    for (int u = 0; u < H; u++) {
        double a = s->from_input[u] + s->from_state[u];
        s->state[CELL_H][u] = s->gate[u] = !relu ? tanh(a) : a > 0 ? a : 0;
    }
}

static void reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                               double *d_from_state, bool relu)
{
    for (int u = 0; u < H; u++) {
        double h = s->state[CELL_H][u], slope = relu ? h > 0 : 1 - h * h;
        d_from_input[u] = d_from_state[u] = d[CELL_H][u] * slope;
        d[CELL_H][u] = 0;
    }
}

static void reference_forward_tanh(int H, const struct reference_step *step)
{
    reference_forward(H, step, false);
}

static void reference_backward_tanh(int H, const struct reference_step *step, double *const *d, double *d_from_input,
                                    double *d_from_state)
{
    reference_backward(H, step, d, d_from_input, d_from_state, false);
}

static void reference_forward_relu(int H, const struct reference_step *step)
{
    reference_forward(H, step, true);
}

static void reference_backward_relu(int H, const struct reference_step *step, double *const *d, double *d_from_input,
                                    double *d_from_state)
{
    reference_backward(H, step, d, d_from_input, d_from_state, true);
}

static void scaled_identity(int H, double scale, float *x)
{
    memset(x, 0, sizeof *x * (size_t)H * (size_t)H);
    for (int i = 0; i < H; i++)
        x[(size_t)i * (size_t)H + (size_t)i] = (float)scale;
}

/* rnn-relu: Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks of rectified linear units",
 * start W_hh at the identity, biases at zero and W_ih small. Their sequences begin at a zero state; ours is carried
 * through a whole epoch, and with W_hh = I a state that only adds up positive terms grows without bound. So, as they
 * did for speech, the identity is scaled below one: W_hh = a I. A constant input x then drives the state to
 * relu(W_ih x) / (1 - a), and W_ih uniform in +-(1 - a) sqrt(6 / inputs) keeps mean(h^2) = mean(x^2) there (He et al.
 * 2015, whose sqrt(6 / inputs) is the case a = 0), whatever the number of layers and steps. */
static bool start_relu(const struct cell_start *s, float *x)
{
    if (s->init != INIT_AUTO)
        return false;
    if (s->param->role == PARAM_RECURRENT)
        scaled_identity((int)s->param->shape[1], RELU_LEAK, x);
    else if (s->param->role == PARAM_INPUT)
        cell_start_uniform(s, (1 - RELU_LEAK) * sqrt(6.0 / (double)s->param->shape[1]), x);
    else
        memset(x, 0, sizeof *x * s->param->count);
    return true;
}

const struct cell_kind cell_kind_rnn_tanh = {
    .name = "rnn-tanh",
    .torch = "RNN",
    .gates = 1,
    .recurrent_gates = 1,
    .state = {{.letter = 'h'}},
    .slots = 1,
    .biases = 1,
    .forward = forward_tanh,
    .backward = backward_tanh,
    .bias = bias,
    .reference_forward = reference_forward_tanh,
    .reference_backward = reference_backward_tanh,
    .trial_pool = POOL_LAST,
};

const struct cell_kind cell_kind_rnn_relu = {
    .name = "rnn-relu",
    .torch = "RNN",
    .torch_option = "nonlinearity='relu'",
    .gates = 1,
    .recurrent_gates = 1,
    .state = {{.letter = 'h'}},
    .slots = 1,
    .biases = 1,
    .forward = forward_relu,
    .backward = backward_relu,
    .bias = bias,
    .reference_forward = reference_forward_relu,
    .reference_backward = reference_backward_relu,
    .kinks = true,
    .start = start_relu,
    .trial_pool = POOL_MEAN,
};
