/* The minimal gated cell (the minGRU of Feng et al. 2024, without its parallel scan): gate order z, h;
 *   z = sigmoid(x W_iz + b_iz), g = x W_ih + b_ih, h_t = (1 - z) h_(t-1) + z g.
 * No gate sees the state, so there are neither weight_hh nor bias_hh. */
#include "cell_private.h"

enum { GATE_Z, GATE_G, GATES };

static void forward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *before = cell_state_before(s, CELL_H, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            const float *p = projection + u, *bias = s->bias + u;
            vfloat z = vsigmoid(vload(p + GATE_Z * s->slot_stride) + vload(bias + GATE_Z * s->slot_stride));
            vfloat g = vload(p + GATE_G * s->slot_stride) + vload(bias + GATE_G * s->slot_stride);
            vstore(slots + GATE_Z * s->slot_stride + u, z);
            vstore(slots + GATE_G * s->slot_stride + u, g);
            vstore(s->state[CELL_H] + b * s->state_stride[CELL_H] + u, vfma(z, g, (1.0f - z) * vload(before + u)));
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
            vfloat z = vload(slots + GATE_Z * s->slot_stride + u), g = vload(slots + GATE_G * s->slot_stride + u);
            vfloat dh = vload(s->dout + b * s->state_stride[CELL_H] + u);
            if (!s->last)
                dh += vload(s->carry + b * s->state_stride[CELL_H] + u);
            vstore(slots + GATE_Z * s->slot_stride + u, dh * (g - vload(before + u)) * z * (1.0f - z));
            vstore(slots + GATE_G * s->slot_stride + u, dh * z);
            vstore(s->carry + b * s->state_stride[CELL_H] + u, dh * (1.0f - z));
        }
    }
}

static void reference_forward(int H, const struct reference_step *s)
{
    double *z = s->gate, *g = z + H;
    for (int u = 0; u < H; u++) {
        z[u] = reference_sigmoid(s->from_input[u]);
        g[u] = s->from_input[H + u];
        s->state[CELL_H][u] = (1 - z[u]) * s->before[CELL_H][u] + z[u] * g[u];
    }
}

static void reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                               double *d_from_state)
{
    (void)d_from_state;
    const double *z = s->gate, *g = z + H;
    for (int u = 0; u < H; u++) {
        double dh = d[CELL_H][u], d_z = dh * (g[u] - s->before[CELL_H][u]);
        d_from_input[u] = d_z * z[u] * (1 - z[u]);
        d_from_input[H + u] = dh * z[u];
        d[CELL_H][u] = dh * (1 - z[u]);
    }
}

const struct cell_kind cell_kind_mingru = {
    .name = "mingru",
    .gates = GATES,
    .state = {{.letter = 'h'}},
    .slots = GATES,
    .input_slot = {GATE_Z, GATE_G},
    .biases = GATES,
    .forward = forward,
    .backward = backward,
    .reference_forward = reference_forward,
    .reference_backward = reference_backward,
    .trial_pool = POOL_MEAN,
};
