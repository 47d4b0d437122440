/* The rounds of the Mogrifier in double precision, straight from the formulas. */
#include "mogrify.h"

#include "affine.h"
#include "cell_private.h"

/* Of a round on the tape: its gate, what it gates afterwards, and what the narrow matrix makes. */
struct round {
    struct mogrify_shape shape;
    int rank; /* 0: full matrices */
    double *gate, *value, *narrow;
};

static size_t widest(int inputs, int H)
{
    return (size_t)(inputs > H ? inputs : H);
}

size_t mogrify_reference_tape(const struct model_config *config, int inputs, int H)
{
    return (size_t)config->mogrify * (2 * widest(inputs, H) + (size_t)config->mogrify_rank);
}

static struct round round_at(const struct model_config *config, int inputs, int H, double *tape, int i)
{
    const size_t W = widest(inputs, H), size = 2 * W + (size_t)config->mogrify_rank;
    double *at = tape + (size_t)(i - 1) * size;
    return (struct round){mogrify_shape(i, inputs, H), config->mogrify_rank, at, at + W, at + 2 * W};
}

void mogrify_reference_forward(const struct model_config *config, int inputs, int H, double *const *weights,
                               const double **x, const double **h, double *tape)
{
    for (int i = 1; i <= config->mogrify; i++) {
        const struct round round = round_at(config, inputs, H, tape, i);
        double *const *W = weights + mogrify_tensor(config, i);
        const int rows = round.shape.rows, columns = round.shape.columns;
        const double **gated = round.shape.of_x ? x : h, *by = round.shape.of_x ? *h : *x;
        if (round.rank > 0)
            affine(round.rank, columns, W[1], by, NULL, round.narrow);
        affine(rows, round.rank > 0 ? round.rank : columns, W[0], round.rank > 0 ? round.narrow : by, NULL, round.gate);
        for (int u = 0; u < rows; u++) {
            round.gate[u] = reference_sigmoid(round.gate[u]);
            round.value[u] = 2 * round.gate[u] * (*gated)[u];
        }
        *gated = round.value;
    }
}

void mogrify_reference_made(const struct model_config *config, int inputs, int H, double *tape, const double **x,
                            const double **h)
{
    for (int i = 1; i <= config->mogrify; i++) {
        const struct round round = round_at(config, inputs, H, tape, i);
        *(round.shape.of_x ? x : h) = round.value;
    }
}

/* From the gradient of what round i gates, `d`, to that of the same before it; adds to that of what it reads, d_by. */
static void round_backward(const struct round *round, double *const *W, double *const *dW, const double *before,
                           const double *by, double *d, double *d_by)
{
    const int rows = round->shape.rows, columns = round->shape.columns;
    double *d_gate = round->value; /* that is read no more */
    for (int u = 0; u < rows; u++) {
        const double gate = round->gate[u];
        d_gate[u] = d[u] * 2 * before[u] * gate * (1 - gate);
        d[u] *= 2 * gate;
    }
    if (round->rank == 0) {
        affine_backward(rows, columns, W[0], by, d_gate, dW[0], NULL, d_by);
        return;
    }
    double *d_narrow = round->gate;
    for (int j = 0; j < round->rank; j++)
        d_narrow[j] = 0;
    affine_backward(rows, round->rank, W[0], round->narrow, d_gate, dW[0], NULL, d_narrow);
    affine_backward(round->rank, columns, W[1], by, d_narrow, dW[1], NULL, d_by);
}

/* What the round reads or gates before it: the value of an earlier round, or what the step was given. */
static const double *value_before(const struct model_config *config, int inputs, int H, double *tape, int i,
                                  const double *x, const double *h)
{
    return i == -1 ? x : i == 0 ? h : round_at(config, inputs, H, tape, i).value;
}

void mogrify_reference_backward(const struct model_config *config, int inputs, int H, double *const *weights,
                                const double *x, const double *h, double *tape, double *const *d_weights, double *dx,
                                double *dh)
{
    for (int i = config->mogrify; i >= 1; i--) {
        const struct round round = round_at(config, inputs, H, tape, i);
        const int place = mogrify_tensor(config, i);
        round_backward(&round, weights + place, d_weights + place, value_before(config, inputs, H, tape, i - 2, x, h),
                       value_before(config, inputs, H, tape, i - 1, x, h), round.shape.of_x ? dx : dh,
                       round.shape.of_x ? dh : dx);
    }
}
