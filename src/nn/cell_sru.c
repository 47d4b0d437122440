/* The simple recurrent unit of Lei, Zhang, Wang, Dai and Artzi (2018, "Simple recurrent units for highly parallelizable
 * recurrence"): gate order x, f, r, w;
 *   f = sigmoid(x_t W_f + b_f + v_f c_(t-1)), r = sigmoid(x_t W_r + b_r + v_r c_(t-1)),
 *   c_t = f c_(t-1) + (1 - f) (x_t W_x + b_x), h_t = r c_t + (1 - r) (x_t W_w + b_w).
 * v are vectors, of one number for each unit: weight_c [2H], v_f and then v_r. So no gate waits for other units, and
 * there are neither weight_hh nor bias_hh. The highway's x_t always has a projection W_w, where the paper has one only
 * if a layer is not as wide as its input; b_x and b_w are ours, zero at first. */
#include <string.h>

#include "cell_private.h"

enum { STATE_H, STATE_C };
enum { GATE_X, GATE_F, GATE_R, GATE_W, GATES };
enum { VECTOR_F, VECTOR_R, VECTORS };
/* Slots: of the gates, then what each vector's gradient is the sum of; rows of the bias array likewise. */

static void forward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *c_previous = cell_state_before(s, STATE_C, b), *vector = s->bias + GATES * s->slot_stride;
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat gate[GATES], before = vload(c_previous + u);
            for (int g = 0; g < GATES; g++)
                gate[g] = vload(projection + g * s->slot_stride + u) + vload(s->bias + g * s->slot_stride + u);
            vfloat f = vsigmoid(vfma(vload(vector + VECTOR_F * s->slot_stride + u), before, gate[GATE_F]));
            vfloat r = vsigmoid(vfma(vload(vector + VECTOR_R * s->slot_stride + u), before, gate[GATE_R]));
            vfloat c = vfma(f, before, (1.0f - f) * gate[GATE_X]);
            vstore(slots + GATE_X * s->slot_stride + u, gate[GATE_X]);
            vstore(slots + GATE_F * s->slot_stride + u, f);
            vstore(slots + GATE_R * s->slot_stride + u, r);
            vstore(slots + GATE_W * s->slot_stride + u, gate[GATE_W]);
            vstore(s->state[STATE_C] + b * s->state_stride[STATE_C] + u, c);
            vstore(s->state[STATE_H] + b * s->state_stride[STATE_H] + u, vfma(r, c, (1.0f - r) * gate[GATE_W]));
        }
    }
}

static void backward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *c_previous = cell_state_before(s, STATE_C, b), *vector = s->bias + GATES * s->slot_stride;
        float *slots = s->slots + b * s->slots_stride, *of_vector = slots + GATES * s->slot_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat x = vload(slots + GATE_X * s->slot_stride + u), f = vload(slots + GATE_F * s->slot_stride + u);
            vfloat r = vload(slots + GATE_R * s->slot_stride + u), w = vload(slots + GATE_W * s->slot_stride + u);
            vfloat c = vload(s->state[STATE_C] + b * s->state_stride[STATE_C] + u), before = vload(c_previous + u);
            vfloat dh = vload(s->dout + b * s->state_stride[STATE_H] + u), dc = dh * r;
            if (!s->last)
                dc += vload(s->carry + b * s->state_stride[STATE_H] + u);
            vfloat df = dc * (before - x) * f * (1.0f - f), dr = dh * (c - w) * r * (1.0f - r);
            vfloat carry = vfma(vload(vector + VECTOR_F * s->slot_stride + u), df, dc * f);
            vstore(slots + GATE_X * s->slot_stride + u, dc * (1.0f - f));
            vstore(slots + GATE_F * s->slot_stride + u, df);
            vstore(slots + GATE_R * s->slot_stride + u, dr);
            vstore(slots + GATE_W * s->slot_stride + u, dh * (1.0f - r));
            vstore(of_vector + VECTOR_F * s->slot_stride + u, df * before);
            vstore(of_vector + VECTOR_R * s->slot_stride + u, dr * before);
            vstore(s->carry + b * s->state_stride[STATE_H] + u,
                   vfma(vload(vector + VECTOR_R * s->slot_stride + u), dr, carry));
        }
    }
}

static void flow(const struct cell_step *s, int b, int begin, int end, double *squares)
{
    cell_flow_gated(s, GATE_R, STATE_C, b, begin, end, squares);
}

static void reference_forward(int H, const struct reference_step *s)
{
    double *x = s->gate, *f = x + H, *r = f + H, *w = r + H;
    for (int u = 0; u < H; u++) {
        double before = s->before[STATE_C][u];
        x[u] = s->from_input[u];
        f[u] = reference_sigmoid(s->from_input[H + u] + s->vectors[u] * before);
        r[u] = reference_sigmoid(s->from_input[2 * H + u] + s->vectors[H + u] * before);
        w[u] = s->from_input[3 * H + u];
        s->state[STATE_C][u] = f[u] * before + (1 - f[u]) * x[u];
        s->state[STATE_H][u] = r[u] * s->state[STATE_C][u] + (1 - r[u]) * w[u];
    }
}

static void reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                               double *d_from_state)
{
    (void)d_from_state;
    const double *x = s->gate, *f = x + H, *r = f + H, *w = r + H;
    for (int u = 0; u < H; u++) {
        double before = s->before[STATE_C][u], dh = d[STATE_H][u], d_c = d[STATE_C][u] + dh * r[u];
        double d_f = d_c * (before - x[u]) * f[u] * (1 - f[u]);
        double d_r = dh * (s->state[STATE_C][u] - w[u]) * r[u] * (1 - r[u]);
        d_from_input[u] = d_c * (1 - f[u]);
        d_from_input[H + u] = d_f;
        d_from_input[2 * H + u] = d_r;
        d_from_input[3 * H + u] = dh * (1 - r[u]);
        s->d_vectors[u] += d_f * before;
        s->d_vectors[H + u] += d_r * before;
        d[STATE_C][u] = d_c * f[u] + d_f * s->vectors[u] + d_r * s->vectors[H + u];
        d[STATE_H][u] = 0;
    }
}

static double reference_output(int H, const struct reference_step *s, int u)
{
    double r = s->gate[GATE_R * H + u], w = s->gate[GATE_W * H + u];
    return r * s->state[STATE_C][u] + (1 - r) * w;
}

/* As the paper's section on initialization and, where that says less, the authors' program: numbers of variance 1 /
 * inputs, those of gates that add v c of half of that, v of a half; the highway's of three times that, since at first
 * it lets half of its input through; biases zero, those of the gates too. */
static bool start(const struct cell_start *s, float *x)
{
    static const double variance[GATES] = {1, 0.5, 0.5, 3};
    if (s->init != INIT_AUTO || s->param->role == PARAM_CELL)
        return false;
    memset(x, 0, sizeof *x * s->param->count);
    if (s->param->role != PARAM_INPUT)
        return true;
    cell_start_uniform(s, sqrt(3 / (double)s->param->shape[1]), x);
    for (size_t k = 0; k < s->param->count; k++)
        x[k] = (float)(x[k] * sqrt(variance[k / (s->param->count / GATES)]));
    return true;
}

static int tensors(const struct model_config *config, int l, struct cell_tensor list[CELL_TENSORS_MAX])
{
    list[0] = (struct cell_tensor){"weight_c", VECTORS * model_width(config, l), 0, sqrt(1.5)};
    return 1;
}

const struct cell_kind cell_kind_sru = {
    .name = "sru",
    .gates = GATES,
    .state = {{.letter = 'h'}, {.letter = 'c'}},
    .slots = GATES,
    .vectors = VECTORS,
    .input_slot = {0, 1, 2, 3},
    .biases = GATES,
    .forward = forward,
    .backward = backward,
    .flow = flow,
    .reference_forward = reference_forward,
    .reference_backward = reference_backward,
    .reference_output = reference_output,
    .start = start,
    .tensors = tensors,
    .trial_pool = POOL_MAX,
};
