/* LSTM as PyTorch's nn.LSTM: gate order i, f, g, o;
 *   i, f, o = sigmoid(x W_i* + b_i* + h W_h* + b_h*), g = tanh(...), c_t = f c_(t-1) + i g, h_t = o tanh(c_t). */
#include "model_private.h"

enum { GATE_I, GATE_F, GATE_G, GATE_O, GATES };

static void forward(const struct cell_step *s)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *c_previous = cell_state_before(s, s->c_previous, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat gate[GATES];
            for (int g = 0; g < GATES; g++)
                gate[g] = vload(s->recurrent + (g * s->lanes + b) * GEMM_WIDE + u) +
                          vload(projection + g * s->slot_stride + u) + vload(s->bias + g * s->slot_stride + u);
            vfloat i = vsigmoid(gate[GATE_I]), f = vsigmoid(gate[GATE_F]), o = vsigmoid(gate[GATE_O]);
            vfloat g = vtanh(gate[GATE_G]);
            vfloat c = vfma(f, vload(c_previous + u), i * g);
            vstore(slots + GATE_I * s->slot_stride + u, i);
            vstore(slots + GATE_F * s->slot_stride + u, f);
            vstore(slots + GATE_G * s->slot_stride + u, g);
            vstore(slots + GATE_O * s->slot_stride + u, o);
            vstore(s->c + b * s->h_stride + u, c);
            vstore(s->h + b * s->h_stride + u, o * vtanh(c));
        }
    }
}

static void backward(const struct cell_step *s)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *c_previous = cell_state_before(s, s->c_previous, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat i = vload(slots + GATE_I * s->slot_stride + u), f = vload(slots + GATE_F * s->slot_stride + u);
            vfloat g = vload(slots + GATE_G * s->slot_stride + u), o = vload(slots + GATE_O * s->slot_stride + u);
            vfloat tanh_c = vtanh(vload(s->c + b * s->h_stride + u)), one = vset(1.0f);
            vfloat dh = vload(s->dout + b * s->h_stride + u), dc = vset(0);
            if (!s->last) {
                dh += vload(s->recurrent + b * GEMM_WIDE + u);
                dc = vload(s->carry + b * s->h_stride + u);
            }
            dc = vfma(dh * o, vfma(-tanh_c, tanh_c, one), dc);
            vstore(slots + GATE_O * s->slot_stride + u, dh * tanh_c * o * (1.0f - o));
            vstore(slots + GATE_I * s->slot_stride + u, dc * g * i * (1.0f - i));
            vstore(slots + GATE_F * s->slot_stride + u, dc * vload(c_previous + u) * f * (1.0f - f));
            vstore(slots + GATE_G * s->slot_stride + u, dc * i * vfma(-g, g, one));
            vstore(s->carry + b * s->h_stride + u, dc * f);
        }
    }
}

static void bias(int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    cell_bias_sum(GATES, H, b_ih, b_hh, stride, out);
}

const struct cell_kind cell_kind_lstm = {
    .name = "lstm",
    .gates = GATES,
    .slots = GATES,
    .input_slot = {0, 1, 2, 3},
    .hidden_slot = {0, 1, 2, 3},
    .biases = GATES,
    .has_c = true,
    .forward = forward,
    .backward = backward,
    .bias = bias,
};
