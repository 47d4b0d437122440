/* How weights start. Every number is a pure function of (seed, tensor, element), so that all ranks make the same ones.
 *
 * Sources: uniform +-0.1 for encoder and decoder and +-1/sqrt(H) for the rest are PyTorch's word_language_model and
 * nn.RNN. Orthogonal W_hh: Saxe, McClelland and Ganguli (2014), "Exact solutions to the nonlinear dynamics of
 * learning"; forget bias 1: Gers, Schmidhuber and Cummins (2000) and Jozefowicz, Zaremba and Sutskever (2015).
 * What a cell does otherwise stands in its file. */
#include "cell_private.h"

#include <math.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/team.h"
#include "unroll/nn/constants.h"

static const char *const names[] = {[INIT_AUTO] = "auto", [INIT_UNIFORM] = "uniform", [INIT_ORTHOGONAL] = "orthogonal"};

static const char *name_of(int init)
{
    return names[init];
}
const struct choices init_choices = {"initialisation", sizeof names / sizeof *names, name_of};

/* Gaussian entries of elements [first, first + count) by Box and Muller (1958): one block of bits makes two. */
static void fill_gaussian(const struct cell_start *start, size_t first, size_t count, double *x)
{
    for (size_t k = 0; k < count; k += 2) {
        struct rng_bits bits = cell_start_bits(start, (first + k) / 2);
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
static void fill_orthogonal(const struct cell_start *start, double *work, float *x)
{
    const int H = (int)start->param->shape[1], gates = cell_kind(start->config->cell)->recurrent_gates;
    const size_t block = (size_t)H * (size_t)H;
    for (int g = 0; g < gates; g++) {
        /* Blocks start at an even element, so that no pair of Gaussians is shared between two of them. */
        fill_gaussian(start, (size_t)g * ((block + 1) / 2 * 2), block, work);
        orthonormalise(H, work);
        for (size_t k = 0; k < block; k++)
            x[(size_t)g * block + k] = (float)work[k];
    }
}

/* Encoder and decoder: the same for every cell and rule. */
static void init_ends(const struct cell_start *start, const struct param_table *table, float *x)
{
    struct output_param list[PARAM_OUTPUT_MAX] = {0}, *of_output = list;
    if (start->tensor >= table->output) {
        (void)output_kind(start->config)->params(start->config, list);
        of_output = &list[start->tensor - table->output];
    }
    float bias = (float)of_output->start;
    if (start->param->role == PARAM_CONSTANT)
        constants_make_up(start->config, start->param, x);
    else if (start->param->role == PARAM_OUTPUT_BIAS)
        for (size_t k = 0; k < start->param->count; k++)
            x[k] = bias;
    else if (of_output->linear)
        cell_start_uniform(start, 1 / sqrt((double)start->param->shape[1]), x);
    else
        cell_start_uniform(start, 0.1, x);
}

/* The rule for layers of all cells. */
static void init_layer(const struct cell_start *start, double *work, float *x)
{
    const enum param_role role = start->param->role;
    if (start->init == INIT_ORTHOGONAL && role == PARAM_RECURRENT)
        fill_orthogonal(start, work, x);
    else if (start->init == INIT_ORTHOGONAL && role != PARAM_INPUT)
        memset(x, 0, sizeof *x * start->param->count);
    else
        cell_start_uniform(start, 1 / sqrt((double)model_width(start->config, start->param->layer)), x);
}

/* As its cell says. */
static void init_further(const struct cell_start *start, const struct param_table *table, float *x)
{
    struct cell_tensor list[CELL_TENSORS_MAX] = {0};
    int l = start->param->layer;
    (void)cell_kind(start->config->cell)->tensors(start->config, l, list);
    cell_start_uniform(start, list[start->tensor - table->layer[l].further].bound, x);
}

enum status param_init(const struct model_config *config, const struct param_table *table, enum init init,
                       uint64_t seed, float *values, struct error *e)
{
    const struct cell_kind *kind = cell_kind(config->cell);
    const size_t H = (size_t)model_widest(config);
    double *work = NULL; /* [H][H] */
    if (init == INIT_ORTHOGONAL) {
        work = mem_alloc(H * H, sizeof *work, "orthogonal initialisation", e);
        if (!work)
            return STATUS_OS;
    }
    memset(values, 0, sizeof *values * table->total);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        const struct cell_start start = {config, p, init, seed, i};
        float *x = values + p->offset;
        if (p->alias >= 0)
            continue;
        if (p->layer < 0)
            init_ends(&start, table, x);
        else if (kind->start && kind->start(&start, x))
            continue;
        else if (p->role == PARAM_CELL)
            init_further(&start, table, x);
        else
            init_layer(&start, work, x);
    }
    mem_free(work);
    return STATUS_OK;
}
