/* The LSTM's step as PyTorch's nn.LSTM: gate order i, f, g, o;
 *   i, f, o = sigmoid(x W_i* + b_i* + h W_h* + b_h*), g = tanh(...), c_t = f c_(t-1) + i g, h_t = o tanh(c_t). */
#include "cell_lstm_step.h"

#include <string.h>

enum { STATE_H, STATE_C };
enum { GATE_I, GATE_F, GATE_G, GATE_O, GATES };
_Static_assert(GATES == LSTM_GATES, "those of the header");

void lstm_forward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *c_previous = cell_state_before(s, STATE_C, b);
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
            vstore(s->state[STATE_C] + b * s->state_stride[STATE_C] + u, c);
            vstore(s->state[STATE_H] + b * s->state_stride[STATE_H] + u, o * vtanh(c));
        }
    }
}

void lstm_backward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *c_previous = cell_state_before(s, STATE_C, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat i = vload(slots + GATE_I * s->slot_stride + u), f = vload(slots + GATE_F * s->slot_stride + u);
            vfloat g = vload(slots + GATE_G * s->slot_stride + u), o = vload(slots + GATE_O * s->slot_stride + u);
            vfloat tanh_c = vtanh(vload(s->state[STATE_C] + b * s->state_stride[STATE_C] + u)), one = vset(1.0f);
            vfloat dh = vload(s->dout + b * s->state_stride[STATE_H] + u), dc = vset(0);
            if (!s->last) {
                dh += vload(s->recurrent + b * GEMM_WIDE + u);
                dc = vload(s->carry + b * s->state_stride[STATE_C] + u);
            }
            dc = vfma(dh * o, vfma(-tanh_c, tanh_c, one), dc);
            vstore(slots + GATE_O * s->slot_stride + u, dh * tanh_c * o * (1.0f - o));
            vstore(slots + GATE_I * s->slot_stride + u, dc * g * i * (1.0f - i));
            vstore(slots + GATE_F * s->slot_stride + u, dc * vload(c_previous + u) * f * (1.0f - f));
            vstore(slots + GATE_G * s->slot_stride + u, dc * i * vfma(-g, g, one));
            vstore(s->carry + b * s->state_stride[STATE_C] + u, dc * f);
        }
    }
}

void lstm_bias(int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    cell_bias_sum(GATES, H, b_ih, b_hh, stride, out);
}

/* c's derivative includes the path through h = o tanh(c). */
void lstm_flow(const struct cell_step *s, int b, int begin, int end, double *squares)
{
    const float *slots = s->slots + b * s->slots_stride;
    for (int u = begin; u < end; u++) {
        double dh = s->dout[b * s->state_stride[STATE_H] + u], carry = 0;
        if (!s->last) {
            dh += s->recurrent[b * GEMM_WIDE + u];
            carry = s->carry[b * s->state_stride[STATE_C] + u];
        }
        double o = slots[GATE_O * s->slot_stride + u];
        double dc = carry + dh * o * cell_tanh_slope(s->state[STATE_C][b * s->state_stride[STATE_C] + u]);
        squares[STATE_C] += dc * dc;
        squares[STATE_H] += dh * dh;
    }
}

void lstm_reference_forward(int H, const struct reference_step *s)
{
    double *i = s->gate, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        i[u] = reference_sigmoid(s->from_input[u] + s->from_state[u]);
        f[u] = reference_sigmoid(s->from_input[H + u] + s->from_state[H + u]);
        g[u] = tanh(s->from_input[2 * H + u] + s->from_state[2 * H + u]);
        o[u] = reference_sigmoid(s->from_input[3 * H + u] + s->from_state[3 * H + u]);
        s->state[STATE_C][u] = f[u] * s->before[STATE_C][u] + i[u] * g[u];
        s->state[STATE_H][u] = o[u] * tanh(s->state[STATE_C][u]);
    }
}

void lstm_reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                             double *d_from_state)
{
    const double *i = s->gate, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        double dh = d[STATE_H][u], tanh_c = tanh(s->state[STATE_C][u]);
        double d_o = dh * tanh_c;
        double d_c = d[STATE_C][u] + dh * o[u] * (1 - tanh_c * tanh_c);
        double d_i = d_c * g[u], d_g = d_c * i[u], d_f = d_c * s->before[STATE_C][u];
        d_from_input[u] = d_i * i[u] * (1 - i[u]);
        d_from_input[H + u] = d_f * f[u] * (1 - f[u]);
        d_from_input[2 * H + u] = d_g * (1 - g[u] * g[u]);
        d_from_input[3 * H + u] = d_o * o[u] * (1 - o[u]);
        d[STATE_C][u] = d_c * f[u];
        d[STATE_H][u] = 0;
    }
    memcpy(d_from_state, d_from_input, sizeof *d_from_state * GATES * (size_t)H);
}

double lstm_reference_output(int H, const struct reference_step *s, int u)
{
    return s->gate[GATE_O * H + u] * tanh(s->state[STATE_C][u]);
}

bool lstm_start(const struct cell_start *s, float *x)
{
    return cell_start_forget(s, GATES, GATE_F, x);
}
