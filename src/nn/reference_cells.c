#include "unroll/nn/reference_cells.h"

#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* nn.RNN:  h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu in place of tanh */
static void rnn_forward(enum cell cell, int H, const struct reference_step *s)
{
    for (int u = 0; u < H; u++) {
        double a = s->from_input[u] + s->from_state[u];
        s->gate[u] = cell == CELL_RNN_TANH ? tanh(a) : a > 0 ? a : 0;
        s->h[u] = s->gate[u];
    }
}

static void rnn_backward(enum cell cell, int H, const struct reference_step *s, const double *dh, double *d_from_input,
                         double *d_from_state, double *dh_prev)
{
    for (int u = 0; u < H; u++) {
        double slope = cell == CELL_RNN_TANH ? 1 - s->h[u] * s->h[u] : s->h[u] > 0;
        d_from_input[u] = d_from_state[u] = dh[u] * slope;
        dh_prev[u] = 0;
    }
}

/* nn.LSTM:  i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
 *           f = sigmoid(W_if x + b_if + W_hf h + b_hf)
 *           g = tanh   (W_ig x + b_ig + W_hg h + b_hg)
 *           o = sigmoid(W_io x + b_io + W_ho h + b_ho)
 *           c' = f * c + i * g
 *           h' = o * tanh(c') */
static void lstm_forward(int H, const struct reference_step *s)
{
    double *i = s->gate, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        i[u] = sigmoid(s->from_input[u] + s->from_state[u]);
        f[u] = sigmoid(s->from_input[H + u] + s->from_state[H + u]);
        g[u] = tanh(s->from_input[2 * H + u] + s->from_state[2 * H + u]);
        o[u] = sigmoid(s->from_input[3 * H + u] + s->from_state[3 * H + u]);
        s->c[u] = f[u] * s->c_prev[u] + i[u] * g[u];
        s->h[u] = o[u] * tanh(s->c[u]);
    }
}

static void lstm_backward(int H, const struct reference_step *s, const double *dh, double *dc, double *d_from_input,
                          double *d_from_state, double *dh_prev)
{
    const double *i = s->gate, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        double tanh_c = tanh(s->c[u]);
        double d_o = dh[u] * tanh_c;
        double d_c = dc[u] + dh[u] * o[u] * (1 - tanh_c * tanh_c);
        double d_i = d_c * g[u], d_g = d_c * i[u], d_f = d_c * s->c_prev[u];
        d_from_input[u] = d_i * i[u] * (1 - i[u]);
        d_from_input[H + u] = d_f * f[u] * (1 - f[u]);
        d_from_input[2 * H + u] = d_g * (1 - g[u] * g[u]);
        d_from_input[3 * H + u] = d_o * o[u] * (1 - o[u]);
        dc[u] = d_c * f[u];
        dh_prev[u] = 0;
    }
    for (int k = 0; k < 4 * H; k++)
        d_from_state[k] = d_from_input[k];
}

/* nn.GRU:  r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
 *          z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
 *          n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
 *          h' = (1 - z) * n + z * h */
static void gru_forward(int H, const struct reference_step *s)
{
    double *r = s->gate, *z = r + H, *n = z + H;
    for (int u = 0; u < H; u++) {
        r[u] = sigmoid(s->from_input[u] + s->from_state[u]);
        z[u] = sigmoid(s->from_input[H + u] + s->from_state[H + u]);
        n[u] = tanh(s->from_input[2 * H + u] + r[u] * s->from_state[2 * H + u]);
        s->h[u] = (1 - z[u]) * n[u] + z[u] * s->h_prev[u];
    }
}

static void gru_backward(int H, const struct reference_step *s, const double *dh, double *d_from_input,
                         double *d_from_state, double *dh_prev)
{
    const double *r = s->gate, *z = r + H, *n = z + H;
    for (int u = 0; u < H; u++) {
        double d_z = dh[u] * (s->h_prev[u] - n[u]), d_n = dh[u] * (1 - z[u]);
        dh_prev[u] = dh[u] * z[u];
        double d_tanh = d_n * (1 - n[u] * n[u]); /* of the argument of n's tanh */
        double d_r = d_tanh * s->from_state[2 * H + u];
        d_from_input[u] = d_from_state[u] = d_r * r[u] * (1 - r[u]);
        d_from_input[H + u] = d_from_state[H + u] = d_z * z[u] * (1 - z[u]);
        d_from_input[2 * H + u] = d_tanh;
        d_from_state[2 * H + u] = d_tanh * r[u];
    }
}

void reference_cell_forward(enum cell cell, int H, const struct reference_step *step)
{
    switch (cell) {
    case CELL_RNN_TANH:
    case CELL_RNN_RELU:
        rnn_forward(cell, H, step);
        break;
    case CELL_LSTM:
        lstm_forward(H, step);
        break;
    case CELL_GRU:
        gru_forward(H, step);
        break;
    }
}

void reference_cell_backward(enum cell cell, int H, const struct reference_step *step, const double *dh, double *dc,
                             double *d_from_input, double *d_from_state, double *dh_prev)
{
    switch (cell) {
    case CELL_RNN_TANH:
    case CELL_RNN_RELU:
        rnn_backward(cell, H, step, dh, d_from_input, d_from_state, dh_prev);
        break;
    case CELL_LSTM:
        lstm_backward(H, step, dh, dc, d_from_input, d_from_state, dh_prev);
        break;
    case CELL_GRU:
        gru_backward(H, step, dh, d_from_input, d_from_state, dh_prev);
        break;
    }
}
