/* GRU as PyTorch's nn.GRU: gate order r, z, n;
 *   r, z = sigmoid(x W_i* + b_i* + h W_h* + b_h*), n = tanh(x W_in + b_in + r (h W_hn + b_hn)),
 *   h_t = (1 - z) n + z h_(t-1).
 * Kept for the backward pass besides r, z, n: m = h W_hn + b_hn. Biases: b_r, b_z summed, b_in, b_hn. */
#include <string.h>

#include "model_private.h"

enum { SLOT_R, SLOT_Z, SLOT_N, SLOT_M, SLOTS };
enum { BIAS_R, BIAS_Z, BIAS_IN, BIAS_HN, BIASES };
#define GATES 3

static void forward(const struct cell_step *s)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *before = cell_state_before(s, s->h_previous, b);
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
            vstore(s->h + b * s->h_stride + u, vfma(z, h_previous, (1.0f - z) * n));
        }
    }
}

static void backward(const struct cell_step *s)
{
    for (int b = 0; b < s->lanes; b++) {
        const float *before = cell_state_before(s, s->h_previous, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat r = vload(slots + SLOT_R * s->slot_stride + u), z = vload(slots + SLOT_Z * s->slot_stride + u);
            vfloat n = vload(slots + SLOT_N * s->slot_stride + u), m = vload(slots + SLOT_M * s->slot_stride + u);
            vfloat dh = vload(s->dout + b * s->h_stride + u);
            if (!s->last)
                dh += vload(s->recurrent + b * GEMM_WIDE + u) + vload(s->carry + b * s->h_stride + u);
            vfloat h_previous = vload(before + u);
            vfloat dn = dh * (1.0f - z) * vfma(-n, n, vset(1.0f));
            vstore(slots + SLOT_Z * s->slot_stride + u, dh * (h_previous - n) * z * (1.0f - z));
            vstore(slots + SLOT_R * s->slot_stride + u, dn * m * r * (1.0f - r));
            vstore(slots + SLOT_N * s->slot_stride + u, dn);
            vstore(slots + SLOT_M * s->slot_stride + u, dn * r);
            vstore(s->carry + b * s->h_stride + u, dh * z);
        }
    }
}

static void bias(int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    cell_bias_sum(2, H, b_ih, b_hh, stride, out);
    memcpy(out + BIAS_IN * stride, b_ih + 2 * H, sizeof *out * H);
    memcpy(out + BIAS_HN * stride, b_hh + 2 * H, sizeof *out * H);
}

const struct cell_kind cell_kind_gru = {
    .name = "gru",
    .gates = GATES,
    .slots = SLOTS,
    .input_slot = {SLOT_R, SLOT_Z, SLOT_N},
    .hidden_slot = {SLOT_R, SLOT_Z, SLOT_M},
    .biases = BIASES,
    .has_c = false,
    .forward = forward,
    .backward = backward,
    .bias = bias,
};
