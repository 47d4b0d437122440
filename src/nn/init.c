/* How weights start. Every number is a pure function of (seed, tensor, element), so that all ranks make the same ones.
 *
 * Sources: uniform +-0.1 for encoder and decoder and +-1/sqrt(H) for the rest are PyTorch's word_language_model and
 * nn.RNN. Orthogonal W_hh: Saxe, McClelland and Ganguli (2014), "Exact solutions to the nonlinear dynamics of
 * learning"; forget bias 1: Gers, Schmidhuber and Cummins (2000) and Jozefowicz, Zaremba and Sutskever (2015).
 *
 * rnn-relu: Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks of rectified linear units",
 * start W_hh at the identity, biases at zero and W_ih small. Their sequences begin at a zero state; ours is carried
 * through a whole epoch, and with W_hh = I a state that only adds up positive terms grows without bound. So, as they
 * did for speech, the identity is scaled below one: W_hh = a I. A constant input x then drives the state to
 * relu(W_ih x) / (1 - a), and W_ih uniform in +-(1 - a) sqrt(6 / inputs) keeps mean(h^2) = mean(x^2) there (He et al.
 * 2015, whose sqrt(6 / inputs) is the case a = 0), whatever the number of layers and steps. */
#include "unroll/nn/param.h"

#include <math.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/team.h"

#define RELU_LEAK 0.9 /* a: the state forgets with a time constant of about ten steps */

static const char *const names[] = {[INIT_AUTO] = "auto", [INIT_UNIFORM] = "uniform", [INIT_ORTHOGONAL] = "orthogonal"};
#define NAMES ((int)(sizeof names / sizeof names[0]))

const char *init_name(enum init init)
{
    return names[init];
}

enum status init_parse(const char *name, enum init *init, struct error *e)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(name, names[i]) == 0) {
            *init = (enum init)i;
            return STATUS_OK;
        }
    return error_set(e, STATUS_CONFIG, "unknown initialisation '%s'; use auto, uniform or orthogonal", name);
}

/* The four words of elements 4*block .. 4*block+3 of a tensor; `lane` takes what does not fit into 32 bits. */
static struct rng_bits element_bits(uint64_t seed, int tensor, size_t block)
{
    return rng_philox(seed, RNG_INIT, (uint32_t)tensor, (uint32_t)((uint64_t)block >> 32), 0, (uint32_t)block);
}

static void fill_uniform(uint64_t seed, int tensor, size_t count, double bound, float *x)
{
    for (size_t k = 0; k < count; k += 4) {
        struct rng_bits bits = element_bits(seed, tensor, k / 4);
        for (size_t j = 0; j < 4 && k + j < count; j++)
            x[k + j] = (float)(bound * (2.0 * rng_uniform_float(bits.word[j]) - 1.0));
    }
}

static void fill_scaled_identity(int H, double scale, float *x)
{
    memset(x, 0, sizeof *x * (size_t)H * (size_t)H);
    for (int i = 0; i < H; i++)
        x[(size_t)i * (size_t)H + (size_t)i] = (float)scale;
}

/* Gaussian entries of elements [first, first + count) by Box and Muller (1958): one block of bits makes two. */
static void fill_gaussian(uint64_t seed, int tensor, size_t first, size_t count, double *x)
{
    for (size_t k = 0; k < count; k += 2) {
        struct rng_bits bits = element_bits(seed, tensor, (first + k) / 2);
        double u = rng_uniform_double(bits.word[0], bits.word[1]), radius = sqrt(-2 * arithmetic_log(1 - u)), sine,
               cosine;
        arithmetic_sincos(rng_uniform_double(bits.word[2], bits.word[3]), &sine, &cosine);
        x[k] = radius * cosine;
        if (k + 1 < count)
            x[k + 1] = radius * sine;
    }
}

/* Rows of H numbers that lose what they have along `row`. */
struct rows {
    int H;
    const double *row;
    double *rest;
};

static void subtract_row(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct rows *rows = context;
    int H = rows->H;
    for (int64_t j = begin; j < end; j++) {
        double *other = rows->rest + j * H;
        double along = arithmetic_dot(H, rows->row, other);
#pragma omp simd
        for (int k = 0; k < H; k++)
            other[k] -= along * rows->row[k];
    }
}

/* Makes the rows of a [H][H] orthonormal: modified Gram-Schmidt, right-looking, so that the rows still to come are
 * independent of each other and the bits do not depend on the number of threads. The loss of orthogonality is about
 * eps * cond(a) (Bjorck 1967), some 1e-11 for Gaussian entries: nothing against the float that is stored. */
static void orthonormalise(int H, double *a)
{
    for (int i = 0; i < H; i++) {
        double *row = a + (size_t)i * (size_t)H;
        double scale = 1 / sqrt(arithmetic_dot(H, row, row));
        for (int k = 0; k < H; k++)
            row[k] *= scale;
        struct rows rest = {H, row, row + H};
        team_share(TEAM_USUAL, H - i - 1, 4 * (int64_t)H * (H - i - 1), subtract_row, &rest);
    }
}

/* Every [H][H] block of W_hh [G*H][H] orthogonal and drawn uniformly from the orthogonal matrices. */
static void fill_orthogonal(uint64_t seed, int tensor, int gates, int H, double *work, float *x)
{
    const size_t block = (size_t)H * (size_t)H;
    for (int g = 0; g < gates; g++) {
        /* Blocks start at an even element, so that no pair of Gaussians is shared between two of them. */
        fill_gaussian(seed, tensor, (size_t)g * ((block + 1) / 2 * 2), block, work);
        orthonormalise(H, work);
        for (size_t k = 0; k < block; k++)
            x[(size_t)g * block + k] = (float)work[k];
    }
}

/* Encoder and decoder: the same for every cell and rule. */
static void init_ends(const struct param *p, int tensor, uint64_t seed, float *x)
{
    if (p->role == PARAM_OUTPUT_BIAS)
        memset(x, 0, sizeof *x * p->count);
    else
        fill_uniform(seed, tensor, p->count, 0.1, x);
}

static void init_relu(const struct model_config *config, const struct param *p, int tensor, uint64_t seed, float *x)
{
    if (p->role == PARAM_RECURRENT)
        fill_scaled_identity(config->hidden, RELU_LEAK, x);
    else if (p->role == PARAM_INPUT)
        fill_uniform(seed, tensor, p->count, (1 - RELU_LEAK) * sqrt(6.0 / (double)p->shape[1]), x);
    else
        memset(x, 0, sizeof *x * p->count);
}

static void init_orthogonal(const struct model_config *config, const struct param *p, int tensor, uint64_t seed,
                            double *work, float *x)
{
    const int H = config->hidden;
    if (p->role == PARAM_RECURRENT) {
        fill_orthogonal(seed, tensor, cell_gates(config->cell), H, work, x);
    } else if (p->role == PARAM_INPUT) {
        fill_uniform(seed, tensor, p->count, 1 / sqrt((double)H), x);
    } else {
        memset(x, 0, sizeof *x * p->count);
        if (config->cell == CELL_LSTM && p->role == PARAM_INPUT_BIAS)
            for (int u = 0; u < H; u++)
                x[H + u] = 1; /* gate f of i, f, g, o */
    }
}

enum status param_init(const struct model_config *config, const struct param_table *table, enum init init,
                       uint64_t seed, float *values, struct error *e)
{
    const size_t H = (size_t)config->hidden;
    double *work = NULL; /* [H][H] */
    if (init == INIT_ORTHOGONAL) {
        work = mem_alloc(H * H, sizeof *work, "orthogonal initialisation", e);
        if (!work)
            return STATUS_OS;
    }
    memset(values, 0, sizeof *values * table->total);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        float *x = values + p->offset;
        if (p->alias >= 0)
            continue;
        if (p->layer < 0)
            init_ends(p, i, seed, x);
        else if (init == INIT_ORTHOGONAL)
            init_orthogonal(config, p, i, seed, work, x);
        else if (init == INIT_AUTO && config->cell == CELL_RNN_RELU)
            init_relu(config, p, i, seed, x);
        else
            fill_uniform(seed, i, p->count, 1 / sqrt((double)H), x);
    }
    mem_free(work);
    return STATUS_OK;
}
