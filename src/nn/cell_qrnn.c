/* The quasi-recurrent cell of Bradbury, Merity, Xiong and Socher (2017, "Quasi-recurrent neural networks"), with their
 * fo-pooling: gate order z, f, o;
 *   z = tanh(x_t W_z + x_(t-1) V_z + b_z), f, o = sigmoid(...), c_t = f c_(t-1) + (1 - f) z, h_t = o c_t.
 * The window is two inputs wide in the first layer and one in those above, where there is no V, as in the authors'
 * language models. weight_ih holds W_z, W_f, W_o, and in the first layer then V_z, V_f, V_o.
 *
 * No gate sees the state, so there are neither weight_hh nor bias_hh. No input is copied beside the one before: both
 * products are over the rows of a window, and a step adds what the row before left in the blocks of V. Of a window's
 * last row that is a state, p, which the next window begins with, as a constant. */
#include <string.h>

#include "cell_private.h"

enum { STATE_H, STATE_C, STATE_P };
enum { GATE_Z, GATE_F, GATE_O, GATES };

static int before_width(int H, int inputs)
{
    (void)inputs;
    return GATES * H;
}

static bool reads_before(const struct cell_step *s)
{
    return s->input_blocks > GATES;
}

/* How many units of the block there are: a row of p has no padding. */
static size_t bytes_of_block(const struct cell_step *s)
{
    int rest = s->H - s->unit;
    return sizeof(float) * (size_t)(rest < GEMM_WIDE ? rest : GEMM_WIDE);
}

/* A state p at the block's units, gate by gate. */
struct carried {
    float gate[GATES][GEMM_WIDE] __attribute__((aligned(64)));
};

/* What the row before adds to the gates of lane b: the first one, the others `apart` further each. */
static const float *row_before(const struct cell_step *s, int b, struct carried *carried, int64_t *apart)
{
    *apart = GEMM_WIDE;
    if (reads_before(s) && !s->first && !(s->fresh && s->fresh[b])) {
        int64_t row = s->index ? s->index[b - s->time_rows] : b - s->time_rows;
        *apart = s->slot_stride;
        return s->projection + row * s->projection_stride + GATES * s->slot_stride;
    }
    memset(carried, 0, sizeof *carried);
    for (int g = 0; g < GATES && reads_before(s) && !(s->fresh && s->fresh[b]); g++)
        memcpy(carried->gate[g], s->before[STATE_P] + b * s->state_stride[STATE_P] + g * s->H + s->unit,
               bytes_of_block(s));
    return carried->gate[0];
}

static void keep_row(const struct cell_step *s, int b, const float *projection)
{
    for (int g = 0; g < GATES; g++)
        memcpy(s->state[STATE_P] + b * s->state_stride[STATE_P] + g * s->H + s->unit,
               projection + (GATES + g) * s->slot_stride, bytes_of_block(s));
}

static void forward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *projection = s->projection + (s->index ? s->index[b] : b) * s->projection_stride;
        const float *c_previous = cell_state_before(s, STATE_C, b);
        struct carried carried;
        int64_t apart;
        const float *row = row_before(s, b, &carried, &apart);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat gate[GATES];
            for (int g = 0; g < GATES; g++)
                gate[g] = vload(projection + g * s->slot_stride + u) + vload(row + g * apart + u) +
                          vload(s->bias + g * s->slot_stride + u);
            vfloat z = vtanh(gate[GATE_Z]), f = vsigmoid(gate[GATE_F]), o = vsigmoid(gate[GATE_O]);
            vfloat c = vfma(f, vload(c_previous + u), (1.0f - f) * z);
            vstore(slots + GATE_Z * s->slot_stride + u, z);
            vstore(slots + GATE_F * s->slot_stride + u, f);
            vstore(slots + GATE_O * s->slot_stride + u, o);
            vstore(s->state[STATE_C] + b * s->state_stride[STATE_C] + u, c);
            vstore(s->state[STATE_H] + b * s->state_stride[STATE_H] + u, o * c);
        }
        if (s->last && reads_before(s))
            keep_row(s, b, projection);
    }
}

/* The gates' gradients of lane b are also those of V's projection of the row before, which lie beside that row's. */
static void hand_back(const struct cell_step *s, int b)
{
    float *slots = s->slots + b * s->slots_stride, *before = slots - s->time_rows * s->slots_stride;
    for (int g = 0; g < GATES; g++) {
        int64_t slot = (GATES + g) * s->slot_stride;
        if (s->last)
            memset(slots + slot, 0, sizeof *slots * GEMM_WIDE);
        if (!s->first && s->fresh && s->fresh[b])
            memset(before + slot, 0, sizeof *slots * GEMM_WIDE);
        else if (!s->first)
            memcpy(before + slot, slots + g * s->slot_stride, sizeof *slots * GEMM_WIDE);
    }
}

static void backward(const struct cell_step *given)
{
    const struct cell_step here = *given, *s = &here; /* no store below can reach it: it stays in registers */
    for (int b = 0; b < s->lanes; b++) {
        const float *c_previous = cell_state_before(s, STATE_C, b);
        float *slots = s->slots + b * s->slots_stride;
        for (int u = 0; u < GEMM_WIDE; u += VLEN) {
            vfloat z = vload(slots + GATE_Z * s->slot_stride + u), f = vload(slots + GATE_F * s->slot_stride + u);
            vfloat o = vload(slots + GATE_O * s->slot_stride + u);
            vfloat c = vload(s->state[STATE_C] + b * s->state_stride[STATE_C] + u), one = vset(1.0f);
            vfloat dh = vload(s->dout + b * s->state_stride[STATE_H] + u), dc = dh * o;
            if (!s->last)
                dc += vload(s->carry + b * s->state_stride[STATE_H] + u);
            vstore(slots + GATE_O * s->slot_stride + u, dh * c * o * (1.0f - o));
            vstore(slots + GATE_F * s->slot_stride + u, dc * (vload(c_previous + u) - z) * f * (1.0f - f));
            vstore(slots + GATE_Z * s->slot_stride + u, dc * (1.0f - f) * vfma(-z, z, one));
            vstore(s->carry + b * s->state_stride[STATE_H] + u, dc * f);
        }
        if (reads_before(s))
            hand_back(s, b);
    }
}

/* p reaches the gates of the next step. */
static void flow(const struct cell_step *s, int b, int begin, int end, double *squares)
{
    const float *slots = s->slots + b * s->slots_stride;
    cell_flow_gated(s, GATE_O, STATE_C, b, begin, end, squares);
    for (int u = begin; u < end && reads_before(s) && !s->last; u++)
        for (int g = 0; g < GATES; g++) {
            double dp = slots[(GATES + g) * s->slot_stride + u];
            squares[STATE_P] += dp * dp;
        }
}

static void reference_forward(int H, const struct reference_step *s)
{
    double *z = s->gate, *f = z + H, *o = f + H;
    double x[GATES];
    for (int u = 0; u < H; u++) {
        for (int g = 0; g < GATES; g++)
            x[g] = s->from_input[g * H + u] + (s->input_blocks > GATES ? s->before[STATE_P][g * H + u] : 0);
        z[u] = tanh(x[GATE_Z]);
        f[u] = reference_sigmoid(x[GATE_F]);
        o[u] = reference_sigmoid(x[GATE_O]);
        s->state[STATE_C][u] = f[u] * s->before[STATE_C][u] + (1 - f[u]) * z[u];
        s->state[STATE_H][u] = o[u] * s->state[STATE_C][u];
    }
    if (s->input_blocks > GATES)
        memcpy(s->state[STATE_P], s->from_input + GATES * H, sizeof *s->from_input * GATES * (size_t)H);
}

static void reference_backward(int H, const struct reference_step *s, double *const *d, double *d_from_input,
                               double *d_from_state)
{
    (void)d_from_state;
    const double *z = s->gate, *f = z + H, *o = f + H;
    const size_t bytes = sizeof *d_from_input * GATES * (size_t)H;
    if (s->input_blocks > GATES)
        memcpy(d_from_input + GATES * H, d[STATE_P], bytes);
    for (int u = 0; u < H; u++) {
        double dh = d[STATE_H][u], d_o = dh * s->state[STATE_C][u], d_c = d[STATE_C][u] + dh * o[u];
        double d_f = d_c * (s->before[STATE_C][u] - z[u]), d_z = d_c * (1 - f[u]);
        d_from_input[u] = d_z * (1 - z[u] * z[u]);
        d_from_input[H + u] = d_f * f[u] * (1 - f[u]);
        d_from_input[2 * H + u] = d_o * o[u] * (1 - o[u]);
        d[STATE_C][u] = d_c * f[u];
        d[STATE_H][u] = 0;
    }
    if (s->input_blocks > GATES)
        memcpy(d[STATE_P], d_from_input, bytes);
}

static double reference_output(int H, const struct reference_step *s, int u)
{
    return s->gate[GATE_O * H + u] * s->state[STATE_C][u];
}

/* The paper does not say how weights start; the authors' program leaves it to nn.Linear, so UNIFORM is as near as any.
 * Under ORTHOGONAL the forget gate's biases are 1, as in an LSTM. */
static bool start(const struct cell_start *s, float *x)
{
    return cell_start_forget(s, GATES, GATE_F, x);
}

const struct cell_kind cell_kind_qrnn = {
    .name = "qrnn",
    .gates = GATES,
    .first_blocks = GATES,
    .state = {{.letter = 'h'}, {.letter = 'c'}, {.letter = 'p', .width = before_width, .first = true, .edges = true}},
    .slots = GATES,
    .input_slot = {0, 1, 2, 3, 4, 5},
    .biases = GATES,
    .forward = forward,
    .backward = backward,
    .flow = flow,
    .reference_forward = reference_forward,
    .reference_backward = reference_backward,
    .reference_output = reference_output,
    .start = start,
    .trial_pool = POOL_MEAN,
};
