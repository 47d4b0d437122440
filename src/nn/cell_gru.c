/* GRU as PyTorch's nn.GRU: gate order r, z, n;
 *   r, z = sigmoid(x W_i* + b_i* + h W_h* + b_h*), n = tanh(x W_in + b_in + r (h W_hn + b_hn)),
 *   h_t = (1 - z) n + z h_(t-1).
 * Kept for the backward pass besides r, z, n: m = h W_hn + b_hn. Biases: b_r, b_z summed, b_in, b_hn. */
#include <string.h>

#include "cell_private.h"

enum { SLOT_R, SLOT_Z, SLOT_N, SLOT_M, SLOTS };
enum { BIAS_R, BIAS_Z, BIAS_IN, BIAS_HN, BIASES };
#define GATES 3

static void forward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *before = cell_state_before(s, CELL_H, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            const float *recurrent = s->recurrent + b * GEMM_WIDE + u, *p = projection + u, *bias = s->bias + u;
            int next_gate = s->lanes * GEMM_WIDE;
            vfloat r = vsigmoid(vload(recurrent) + vload(p) + vload(bias + BIAS_R * s->slot_stride));
            vfloat z = vsigmoid(vload(recurrent + next_gate) + vload(p + s->slot_stride) +
                                vload(bias + BIAS_Z * s->slot_stride));
            vfloat m = vload(recurrent + 2 * next_gate) + vload(bias + BIAS_HN * s->slot_stride);
            vfloat n = vtanh(vfma(r, m, vload(p + 2 * s->slot_stride) + vload(bias + BIAS_IN * s->slot_stride)));
            vfloat h_previous = vload(before + u);
            vstore(slots + SLOT_R * s->slot_stride + u, r);
            vstore(slots + SLOT_Z * s->slot_stride + u, z);
            vstore(slots + SLOT_N * s->slot_stride + u, n);
            vstore(slots + SLOT_M * s->slot_stride + u, m);
            vstore(s->state[CELL_H] + b * s->state_stride[CELL_H] + u, vfma(z, h_previous, (1.0f - z) * n));
        }
    }
}

static void backward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *before = cell_state_before(s, CELL_H, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat r = vload(slots + SLOT_R * s->slot_stride + u), z = vload(slots + SLOT_Z * s->slot_stride + u);
            vfloat n = vload(slots + SLOT_N * s->slot_stride + u), m = vload(slots + SLOT_M * s->slot_stride + u);
            vfloat dh = vload(s->dout + b * s->state_stride[CELL_H] + u);
            if (!s->last)
                dh += vload(s->recurrent + b * GEMM_WIDE + u) + vload(s->carry + b * s->state_stride[CELL_H] + u);
            vfloat h_previous = vload(before + u);
            vfloat dn = dh * (1.0f - z) * vfma(-n, n, vset(1.0f));
            vstore(slots + SLOT_Z * s->slot_stride + u, dh * (h_previous - n) * z * (1.0f - z));
            vstore(slots + SLOT_R * s->slot_stride + u, dn * m * r * (1.0f - r));
            vstore(slots + SLOT_N * s->slot_stride + u, dn);
            vstore(slots + SLOT_M * s->slot_stride + u, dn * r);
            vstore(s->carry + b * s->state_stride[CELL_H] + u, dh * z);
        }
    }
}

static void bias(int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    cell_bias_sum(2, H, b_ih, b_hh, stride, out);
    memcpy(out + BIAS_IN * stride, b_ih + 2 * H, sizeof *out * H);
    memcpy(out + BIAS_HN * stride, b_hh + 2 * H, sizeof *out * H);
}

static void reference_forward(int H, const struct reference_step *s)
{
    double *r = s->gate, *z = r + H, *n = z + H;
    for (int u = 0; u < H; u++) {
        r[u] = reference_sigmoid(s->from_input[u] + s->from_state[u]);
        z[u] = reference_sigmoid(s->from_input[H + u] + s->from_state[H + u]);
        n[u] = tanh(s->from_input[2 * H + u] + r[u] * s->from_state[2 * H + u]);
        s->state[CELL_H][u] = (1 - z[u]) * n[u] + z[u] * s->before[CELL_H][u];
    }
}

static void reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                               double *d_from_state)
{
    const double *r = s->gate, *z = r + H, *n = z + H;
    for (int u = 0; u < H; u++) {
        double dh = d[CELL_H][u], d_z = dh * (s->before[CELL_H][u] - n[u]), d_n = dh * (1 - z[u]);
        d[CELL_H][u] = dh * z[u];
        double d_tanh = d_n * (1 - n[u] * n[u]); /* of the argument of n's tanh */
        double d_r = d_tanh * s->from_state[2 * H + u];
        d_from_input[u] = d_from_state[u] = d_r * r[u] * (1 - r[u]);
        d_from_input[H + u] = d_from_state[H + u] = d_z * z[u] * (1 - z[u]);
        d_from_input[2 * H + u] = d_tanh;
        d_from_state[2 * H + u] = d_tanh * r[u];
    }
}

const struct cell_kind cell_kind_gru = {
    .name = "gru",
    .torch = "GRU",
    .gates = GATES,
    .recurrent_gates = GATES,
    .state = {{.letter = 'h'}},
    .slots = SLOTS,
    .input_slot = {SLOT_R, SLOT_Z, SLOT_N},
    .recurrent_slot = {SLOT_R, SLOT_Z, SLOT_M},
    .biases = BIASES,
    .forward = forward,
    .backward = backward,
    .bias = bias,
    .reference_forward = reference_forward,
    .reference_backward = reference_backward,
    .trial_pool = POOL_MAX,
};
