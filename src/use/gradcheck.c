/* The drawn problem, comparisons, and the reference against central differences. */
#include "unroll/use/gradcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradcheck_private.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/nn/constants.h"

/* ---- the problem ---- */

static double draw_uniform(uint64_t seed, uint32_t what, uint32_t attempt, size_t element)
{
    struct rng_bits bits = rng_philox(seed, RNG_TEST, what, attempt, 0, (uint32_t)element);
    return 2 * rng_uniform_double(bits.word[0], bits.word[1]) - 1;
}

/* In bf16 a ReLU's input is to be farther from zero than its roundings move it: biases of size one, of either sign, and
 * small weights. */
static double draw_apart(const struct param *p, double drawn)
{
    if (p->layer < 0)
        return drawn;
    if (p->rank != 1)
        return 0.2 * drawn;
    return strncmp(p->name, "rnn.bias_ih", 11) == 0 ? copysign(1, drawn) + drawn / 2 : drawn / 10;
}

/* Weights keep the variance of what they multiply, so that every gate is used over its whole range and neither values
 * nor gradients fade or grow with depth and time. */
static void draw_values(struct gradcheck_problem *problem, int attempt)
{
    const struct model_config *model = &problem->config.model;
    bool apart = model->precision == PRECISION_BF16 && cell_kind(model->cell)->kinks;
    for (int i = 0; i < problem->table.count; i++) {
        const struct param *p = &problem->table.param[i];
        double bound = sqrt(3 / fmax(4, (double)p->shape[1]));
        if (p->role == PARAM_CONSTANT) {
            constants_make_up(model, p, problem->values + p->offset);
            continue;
        }
        if (strcmp(p->name, "encoder.weight") == 0 && !problem->config.model.tied)
            bound = 1;                  /* it multiplies ones and zeros */
        if (p->role == PARAM_RECURRENT) /* what is kept is scaled */
            bound *= sqrt((1 - model->dropout_state) * (1 - model->weight_drop));
        if (p->rank == 1)
            bound = 0.5;
        for (size_t k = 0; p->alias < 0 && k < p->count; k++) {
            const double drawn = bound * draw_uniform(problem->config.seed, (uint32_t)i, (uint32_t)attempt, k);
            problem->values[p->offset + k] = (float)(apart ? draw_apart(p, drawn) : drawn);
        }
    }
}

int64_t gradcheck_step(int index)
{
    return 1000 + index;
}

static int window_steps(const struct gradcheck_config *config, int index)
{
    const bool ragged = index == GRADCHECK_WINDOWS - 2;
    return ragged && config->bptt > 1 ? config->bptt - 1 - config->bptt / 4 : config->bptt;
}

static size_t window_start(const struct gradcheck_config *config, int index)
{
    return (size_t)index * (size_t)config->bptt * (size_t)config->batch;
}

struct window gradcheck_window(const struct gradcheck_problem *problem, int index)
{
    const struct gradcheck_config *config = &problem->config;
    return (struct window){.T = window_steps(config, index),
                           .lanes = config->batch,
                           .reset = index == 0 || index == GRADCHECK_WINDOWS - 1 || config->model.task == TASK_CLASSIFY,
                           .input = problem->input + window_start(config, index),
                           .target = problem->target + window_start(config, index)};
}

/* One label for each lane, at the end of a text of any length; lanes from the third on may be without. */
static void draw_texts(struct gradcheck_problem *problem)
{
    const struct gradcheck_config *config = &problem->config;
    for (int index = 0; index < GRADCHECK_WINDOWS; index++)
        for (int b = 0; b < config->batch; b++) {
            struct rng_bits bits = rng_philox(config->seed, RNG_TEST, UINT32_MAX - 1, (uint32_t)b, 0, (uint32_t)index);
            const int end = (int)(bits.word[0] % (uint32_t)window_steps(config, index));
            const bool none = b > 1 && bits.word[1] % 8 == 0;
            for (int t = 0; t < config->bptt; t++)
                problem->target[window_start(config, index) + (size_t)t * (size_t)config->batch + (size_t)b] =
                    t == end && !none ? bits.word[2] % (uint32_t)config->model.labels : WINDOW_NO_TARGET;
        }
}

/* Every eighth position, and the last of odd lanes, has no target; a window keeps at least one. */
static void draw_tokens(struct gradcheck_problem *problem)
{
    const struct gradcheck_config *config = &problem->config;
    const uint32_t V = (uint32_t)config->model.vocab;
    for (int index = 0; index < GRADCHECK_WINDOWS; index++)
        for (int t = 0; t < config->bptt; t++)
            for (int b = 0; b < config->batch; b++) {
                struct rng_bits bits =
                    rng_philox(config->seed, RNG_TEST, UINT32_MAX, (uint32_t)b, (uint32_t)t, (uint32_t)index);
                const size_t k = window_start(config, index) + (size_t)t * (size_t)config->batch + (size_t)b;
                const bool last = t == window_steps(config, index) - 1, first = t == 0 && b == 0;
                const bool none = !first && (bits.word[0] % 8 == 0 || (last && b % 2 == 1));
                problem->input[k] = bits.word[1] % V;
                problem->target[k] = none ? WINDOW_NO_TARGET : bits.word[2] % V;
            }
}

enum status gradcheck_problem_create(const struct gradcheck_config *config, struct gradcheck_problem *problem,
                                     struct error *e)
{
    memset(problem, 0, sizeof *problem);
    problem->config = *config;
    enum status status = model_config_check(&config->model, e);
    if (status)
        return status;
    param_table_build(&config->model, &problem->table);
    const size_t positions = (size_t)GRADCHECK_WINDOWS * (size_t)config->bptt * (size_t)config->batch;
    problem->values = mem_alloc(problem->table.total, sizeof *problem->values, "the parameters to check", e);
    problem->input = mem_alloc(positions, sizeof *problem->input, "the tokens to check with", e);
    problem->target = mem_alloc(positions, sizeof *problem->target, "the tokens to check with", e);
    if (!problem->values || !problem->input || !problem->target) {
        gradcheck_problem_release(problem);
        return STATUS_OS;
    }
    draw_values(problem, 0);
    draw_tokens(problem);
    if (config->model.task == TASK_CLASSIFY)
        draw_texts(problem);
    return STATUS_OK;
}

void gradcheck_problem_release(struct gradcheck_problem *problem)
{
    mem_free(problem->values);
    mem_free(problem->input);
    mem_free(problem->target);
    memset(problem, 0, sizeof *problem);
}

enum status gradcheck_reference_create(const struct gradcheck_problem *problem, struct reference **out, struct error *e)
{
    enum status status = reference_create(&problem->config.model, problem->config.seed, problem->config.batch, out, e);
    for (size_t k = 0; !status && k < problem->table.total; k++)
        (*out)->values[k] = problem->values[k];
    return status;
}

#define ATTEMPTS 1000

enum status gradcheck_draw_away_from_kinks(struct gradcheck_problem *problem, double margin, struct error *e)
{
    if (!cell_kind(problem->config.model.cell)->kinks)
        return STATUS_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct reference *reference = NULL;
        double nearest = INFINITY, loss;
        draw_values(problem, attempt);
        enum status status = gradcheck_reference_create(problem, &reference, e);
        for (int index = 0; !status && index < GRADCHECK_WINDOWS && nearest > margin; index++) {
            const struct window window = gradcheck_window(problem, index);
            status = reference_window(reference, &window, gradcheck_step(index), &loss, NULL, NULL, e);
            nearest = fmin(nearest, reference->nearest_kink);
        }
        reference_free(reference);
        if (status || nearest > margin)
            return status;
    }
    return error_set(e, STATUS_CONFIG,
                     "model too large to check with cell '%s': some ReLU input is always nearly zero; use fewer units",
                     cell_name(problem->config.model.cell));
}

/* ---- comparisons ---- */

double gradcheck_rms(const double *x, size_t count)
{
    double squares = 0;
    for (size_t k = 0; k < count; k++)
        squares += x[k] * x[k];
    return sqrt(squares / (double)(count ? count : 1));
}

bool gradcheck_holds(const struct gradcheck_worst *worst)
{
    return worst->error <= worst->tolerance; /* false for a NaN */
}

/* An element much smaller than its tensor is the rest of a sum that cancelled: it cannot be more exact than the sum's
 * terms, which are of the tensor's size. A tensor that must be zero has no size: there any difference is infinite. */
static double relative_error(double expected, double got, double rms)
{
    const double scale = fmax(fabs(expected), rms), difference = fabs(got - expected);
    return difference == 0 ? 0 : difference / scale;
}

void gradcheck_compare(struct gradcheck_worst *worst, const char *tensor, int window, int64_t element, double expected,
                       double got, double rms, double tolerance)
{
    const double error = relative_error(expected, got, rms);
    if (worst->tolerance > 0 && (isnan(worst->error) || error / tolerance <= worst->error / worst->tolerance))
        return;
    *worst = (struct gradcheck_worst){
        .error = error, .tolerance = tolerance, .element = element, .window = window, .expected = expected, .got = got};
    snprintf(worst->tensor, sizeof worst->tensor, "%s", tensor);
}

/* ---- the reference against central differences ---- */

/* f'(x) = (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h + h^4 f'''''(x) / 30.
 *
 * The loss f is a sum of some ten terms of size one, computed through a few hundred roundings of 2^-53: it carries some
 * 1e-14, which the difference turns into 1e-14 / h. At h = 1e-3 that is 1e-11, and the term left out is as small
 * (h^4 / 30 = 3e-14 times a fifth derivative). Gradients are of size 0.1 here, so the relative error is near 1e-10,
 * and a tolerance of 1e-6 leaves four digits for derivatives that are steeper than that. Deep in a stack of many layers
 * gradients fade; below 1e-5 it is the 1e-11 that is compared with.
 *
 * ReLU has a kink: if an input of one crosses zero between the five points, the formula does not hold. A smaller step
 * then avoids the kink (parameters are drawn such that none is nearer than KINK_MARGIN) and costs digits: 1e-9 at
 * h = 1e-5, still enough. A wrong gradient is wrong at every step. */
#define DIFFERENCE_TOLERANCE 1e-6
#define DIFFERENCE_FLOOR 1e-5
#define KINK_MARGIN 1e-3
static const double difference_steps[] = {1e-3, 1e-4, 1e-5};
#define DIFFERENCE_STEPS ((int)(sizeof difference_steps / sizeof difference_steps[0]))

struct differences {
    struct reference *reference;
    const struct window *window;
    int64_t step;
    const double *state; /* what the window starts from */
    size_t state_count;
};

static enum status loss_at(const struct differences *d, size_t element, double value, double *loss, struct error *e)
{
    const double kept = d->reference->values[element];
    memcpy(d->reference->state, d->state, sizeof *d->state * d->state_count);
    d->reference->values[element] = value;
    enum status status = reference_window(d->reference, d->window, d->step, loss, NULL, NULL, e);
    *loss += d->reference->penalty;
    d->reference->values[element] = kept;
    return status;
}

static enum status central_difference(const struct differences *d, size_t element, double h, double *slope,
                                      struct error *e)
{
    static const double place[] = {-2, -1, 1, 2};
    const double x = d->reference->values[element];
    double f[4] = {0};
    enum status status = STATUS_OK;
    for (int i = 0; i < 4 && !status; i++)
        status = loss_at(d, element, x + place[i] * h, &f[i], e);
    *slope = (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h);
    return status;
}

/* All elements of one parameter; `grad` is its gradient by back-propagation. */
static enum status check_param(const struct differences *d, const struct param *p, int index, const double *grad,
                               struct gradcheck_worst *worst, struct error *e)
{
    const double own = gradcheck_rms(grad, p->count), rms = own > 0 ? fmax(own, DIFFERENCE_FLOOR) : 0;
    for (size_t k = 0; k < p->count; k++) {
        double best = NAN, best_error = INFINITY;
        for (int i = 0; i < DIFFERENCE_STEPS && !(best_error <= DIFFERENCE_TOLERANCE / 100); i++) {
            double slope;
            enum status status = central_difference(d, p->offset + k, difference_steps[i], &slope, e);
            if (status)
                return status;
            const double error = relative_error(slope, grad[k], rms);
            if (error <= best_error) {
                best_error = error;
                best = slope;
            }
        }
        gradcheck_compare(worst, p->name, index, (int64_t)k, best, grad[k], rms, DIFFERENCE_TOLERANCE);
    }
    return STATUS_OK;
}

static void fold_aliases(const struct param_table *table, double *grad)
{
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        for (size_t k = 0; p->alias >= 0 && k < p->count; k++)
            grad[table->param[p->alias].grad_offset + k] += grad[p->grad_offset + k];
    }
}

/* Window `index`, from the state that `before` [state_count] keeps; leaves the state that follows in the reference. */
static enum status check_window(const struct gradcheck_problem *problem, struct reference *reference, int index,
                                double *before, double *after, size_t state_count, double *grad,
                                struct gradcheck_worst *worst, struct error *e)
{
    const struct window window = gradcheck_window(problem, index);
    const struct differences d = {reference, &window, gradcheck_step(index), before, state_count};
    double loss;
    memcpy(before, reference->state, sizeof *before * state_count);
    enum status status = reference_window(reference, &window, d.step, &loss, NULL, grad, e);
    memcpy(after, reference->state, sizeof *after * state_count);
    fold_aliases(&problem->table, grad);
    for (int i = 0; !status && i < problem->table.count; i++) {
        const struct param *p = &problem->table.param[i];
        if (param_is_own(p))
            status = check_param(&d, p, index, grad + p->grad_offset, worst, e);
    }
    memcpy(reference->state, after, sizeof *after * state_count);
    return status;
}

enum status gradcheck_reference(const struct gradcheck_config *config, struct gradcheck_worst *worst, struct error *e)
{
    struct gradcheck_problem problem;
    struct reference *reference = NULL;
    memset(worst, 0, sizeof *worst);
    enum status status = gradcheck_problem_create(config, &problem, e);
    if (!status)
        status = gradcheck_draw_away_from_kinks(&problem, KINK_MARGIN, e);
    if (!status)
        status = gradcheck_reference_create(&problem, &reference, e);
    if (!status) {
        const size_t state_count =
            (size_t)config->batch * model_state_offset(&config->model, model_state_arrays(&config->model));
        double *work = mem_alloc(2 * state_count + problem.table.grad_total, sizeof *work, "a gradient check", e);
        if (!work)
            status = STATUS_OS;
        for (int index = 0; !status && index < GRADCHECK_WINDOWS; index++)
            status = check_window(&problem, reference, index, work, work + state_count, state_count,
                                  work + 2 * state_count, worst, e);
        mem_free(work);
    }
    reference_free(reference);
    gradcheck_problem_release(&problem);
    return status;
}
