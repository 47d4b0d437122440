/* What cells share: sums of biases, derivatives, the start of parameters. */
#include "cell_private.h"

#include <string.h>

#include "unroll/base/arithmetic.h"

void cell_bias_sum(int gates, int H, const float *b_ih, const float *b_hh, int stride, float *out)
{
    for (int g = 0; g < gates; g++)
        for (int u = 0; u < H; u++)
            out[g * stride + u] = b_ih[g * H + u] + b_hh[g * H + u];
}

void cell_flow_output(const struct cell_step *step, int b, int begin, int end, double *squares)
{
    for (int u = begin; u < end; u++) {
        double dh = step->dout[b * step->state_stride[CELL_H] + u];
        if (!step->last) {
            dh += step->recurrent ? step->recurrent[b * GEMM_WIDE + u] : 0;
            dh += step->carry[b * step->state_stride[CELL_H] + u]; /* cells without such a path leave it 0 */
        }
        squares[CELL_H] += dh * dh;
    }
}

void cell_flow_gated(const struct cell_step *step, int gate, int c, int b, int begin, int end, double *squares)
{
    const float *gates = step->slots + b * step->slots_stride + gate * step->slot_stride;
    for (int u = begin; u < end; u++) {
        double dh = step->dout[b * step->state_stride[CELL_H] + u], dc = dh * gates[u];
        if (!step->last)
            dc += step->carry[b * step->state_stride[CELL_H] + u];
        squares[CELL_H] += dh * dh;
        squares[c] += dc * dc;
    }
}

double cell_tanh_slope(double x)
{
    double e = arithmetic_exp(-2 * fabs(x));
    return 4 * e / ((1 + e) * (1 + e));
}

struct rng_bits cell_start_bits(const struct cell_start *start, size_t block)
{
    return rng_philox(start->seed, RNG_INIT, (uint32_t)start->tensor, (uint32_t)((uint64_t)block >> 32), 0,
                      (uint32_t)block); /* the fourth word takes what does not fit into 32 bits */
}

bool cell_start_forget(const struct cell_start *start, int gates, int forget, float *x)
{
    if (start->init != INIT_ORTHOGONAL || start->param->role != PARAM_INPUT_BIAS)
        return false;
    const size_t H = start->param->count / (size_t)gates;
    memset(x, 0, sizeof *x * start->param->count);
    for (size_t u = 0; u < H; u++)
        x[(size_t)forget * H + u] = 1;
    return true;
}

void cell_start_uniform(const struct cell_start *start, double bound, float *x)
{
    size_t count = start->param->count;
    for (size_t k = 0; k < count; k += 4) {
        struct rng_bits bits = cell_start_bits(start, k / 4);
        for (size_t j = 0; j < 4 && k + j < count; j++)
            x[k + j] = (float)(bound * (2.0 * rng_uniform_float(bits.word[j]) - 1.0));
    }
}
