/* The fast path against the reference, as one model and as several ranges of lane groups. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradcheck_private.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/mem.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"

/* ---- what a window comes to, over all lanes ---- */

struct outcome {
    double *group_loss; /* [groups] */
    float *row;         /* [T][batch] */
    float *state;       /* [states][batch][width] */
    float *grad;        /* [grad_total], aliases not folded */
};

struct outcomes {
    struct gradient_layout layout;
    struct outcome window[GRADCHECK_WINDOWS];
    size_t groups, rows, states, grads; /* counts */
};

static void outcomes_release(struct outcomes *o)
{
    for (int i = 0; i < GRADCHECK_WINDOWS; i++) {
        mem_free(o->window[i].group_loss);
        mem_free(o->window[i].row);
        mem_free(o->window[i].state);
        mem_free(o->window[i].grad);
    }
}

static enum status outcomes_create(const struct gradcheck_problem *problem, struct outcomes *o, struct error *e)
{
    const struct gradcheck_config *config = &problem->config;
    const size_t batch = (size_t)config->batch;
    *o = (struct outcomes){
        .groups = (size_t)config->groups,
        .rows = (size_t)config->bptt * batch,
        .states = batch * model_state_total(&config->model),
        .grads = problem->table.grad_total,
    };
    gradient_layout_build(&config->model, &problem->table, config->batch, config->bptt, false, &o->layout);
    bool complete = true;
    for (int i = 0; i < GRADCHECK_WINDOWS; i++) {
        struct outcome *w = &o->window[i];
        w->group_loss = mem_alloc(o->groups, sizeof *w->group_loss, "a gradient check", e);
        w->row = mem_alloc(o->rows, sizeof *w->row, "a gradient check", e);
        w->state = mem_alloc(o->states, sizeof *w->state, "a gradient check", e);
        w->grad = mem_alloc(o->grads, sizeof *w->grad, "a gradient check", e);
        complete = complete && w->group_loss && w->row && w->state && w->grad;
    }
    return complete ? STATUS_OK : STATUS_OS;
}

/* memcmp: a difference in the sign of a zero counts too. */
static bool outcomes_equal(const struct outcomes *a, const struct outcomes *b)
{
    bool equal = true;
    for (int i = 0; i < GRADCHECK_WINDOWS; i++) {
        const struct outcome *x = &a->window[i], *y = &b->window[i];
        equal = equal && memcmp(x->group_loss, y->group_loss, sizeof *x->group_loss * a->groups) == 0 &&
                memcmp(x->row, y->row, sizeof *x->row * a->rows) == 0 &&
                memcmp(x->state, y->state, sizeof *x->state * a->states) == 0 &&
                memcmp(x->grad, y->grad, sizeof *x->grad * a->grads) == 0;
    }
    return equal;
}

/* ---- gradients in parts (nn/gradient.h) ---- */

static size_t part_floats(const struct gradient_layout *layout, int part)
{
    const struct gradient_part *p = &layout->part[part];
    return (size_t)layout->list[p->list].rows * p->width;
}

/* For sums over ranges, whose lists of rows differ: the dense part, then each part with all rows of its parameter. */
static size_t wide_floats(const struct gradient_layout *layout)
{
    size_t floats = layout->dense;
    for (int part = 0; part < layout->parts; part++)
        floats += part_floats(layout, part);
    return floats;
}

static void spread(const struct gradient_layout *layout, const struct touched *touched, const float *grad, float *wide)
{
    memset(wide, 0, wide_floats(layout) * sizeof *wide);
    memcpy(wide, grad, layout->dense * sizeof *wide);
    wide += layout->dense;
    for (int part = 0; part < layout->parts; wide += part_floats(layout, part++)) {
        const struct gradient_part *p = &layout->part[part];
        const struct touched_list *list = &touched->list[p->list];
        for (int64_t i = 0; i < list->count; i++)
            memcpy(wide + list->row[i] * p->width, grad + p->offset + (size_t)i * p->width, p->width * sizeof *wide);
    }
}

/* To the table's places: parts are added in their order. */
static void gather(const struct gradient_layout *layout, const struct param_table *table, const float *wide,
                   float *grad)
{
    memset(grad, 0, table->grad_total * sizeof *grad);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->param[i];
        if (p->role != PARAM_CONSTANT && !layout->width[i])
            memcpy(grad + p->grad_offset, wide + layout->offset[i], p->count * sizeof *grad);
    }
    wide += layout->dense;
    for (int part = 0; part < layout->parts; wide += part_floats(layout, part++)) {
        float *to = grad + table->param[layout->part[part].param].grad_offset;
        for (size_t k = 0; k < part_floats(layout, part); k++)
            to[k] += wide[k];
    }
}

/* ---- one range of lane groups, what a rank holds ---- */

struct range {
    struct lane_share share;
    int lanes;
    struct model *model;
    int nodes;
    struct lane_node node[LANE_NODES_MAX];
    const struct touched *touched;
    float *grad[LANE_NODES_MAX]; /* [layout.total] each */
    float *wide[LANE_NODES_MAX]; /* the same, with parts as wide as their parameters: see spread */
    uint32_t *input, *target;    /* [bptt][lanes] */
    float *state;                /* [lanes][H] */
};

static void range_release(struct range *r)
{
    model_free(r->model);
    for (int n = 0; n < r->nodes; n++)
        mem_free(r->grad[n]);
    for (int n = 0; n < r->nodes; n++)
        mem_free(r->wide[n]);
    mem_free(r->input);
    mem_free(r->target);
    mem_free(r->state);
}

static enum status range_create(const struct gradcheck_problem *problem, const struct gradient_layout *layout,
                                int ranks, int rank, int threads, struct range *r, struct error *e)
{
    const struct gradcheck_config *config = &problem->config;
    r->share = lane_share_of(config->batch, config->groups, ranks, rank);
    r->lanes = lane_share_lanes(&r->share);
    r->nodes = lane_share_nodes(&r->share, r->node);
    const struct model_shape shape = {.bptt = config->bptt,
                                      .share = r->share,
                                      .threads = threads,
                                      .train = true,
                                      .exact = true,
                                      .seed = config->seed};
    enum status status = model_create(&config->model, problem->values, &shape, &r->model, e);
    if (status)
        return status;
    const size_t positions = (size_t)config->bptt * (size_t)r->lanes;
    r->input = mem_alloc(positions, sizeof *r->input, "a gradient check", e);
    r->target = mem_alloc(positions, sizeof *r->target, "a gradient check", e);
    r->state = mem_alloc((size_t)r->lanes * (size_t)model_state_widest(&config->model), sizeof *r->state,
                         "a gradient check", e);
    bool complete = r->input && r->target && r->state;
    for (int n = 0; n < r->nodes; n++) {
        r->grad[n] = mem_alloc(layout->total, sizeof(float), "a gradient check", e);
        r->wide[n] = mem_alloc(wide_floats(layout), sizeof(float), "a gradient check", e);
        complete = complete && r->grad[n] && r->wide[n];
    }
    if (!complete)
        return STATUS_OS;
    model_pack(r->model);
    return STATUS_OK;
}

/* One window on one range; its part of losses, rows and states goes to `outcome`, gradients stay in the nodes. */
static void range_train(struct range *r, const struct gradcheck_problem *problem, const struct gradient_layout *layout,
                        int index, struct outcome *outcome)
{
    const struct window all = gradcheck_window(problem, index);
    struct window window = all;
    window.lanes = r->lanes;
    window.lane0 = r->share.lane_begin;
    window.input = r->input;
    window.target = r->target;
    for (int t = 0; t < all.T; t++)
        for (int b = 0; b < r->lanes; b++) {
            r->input[t * r->lanes + b] = all.input[t * all.lanes + r->share.lane_begin + b];
            r->target[t * r->lanes + b] = all.target[t * all.lanes + r->share.lane_begin + b];
        }
    struct model_loss loss;
    r->touched = model_touch(r->model, &window, gradcheck_step(index));
    model_train(r->model, &window, gradcheck_step(index), r->grad, &loss);
    for (int n = 0; n < r->nodes; n++)
        spread(layout, r->touched, r->grad[n], r->wide[n]);
    memcpy(outcome->group_loss + r->share.group_begin, loss.group,
           sizeof *loss.group * (size_t)lane_share_groups(&r->share));
    for (int t = 0; t < all.T; t++)
        memcpy(outcome->row + t * all.lanes + r->share.lane_begin, loss.row + t * r->lanes,
               sizeof *loss.row * (size_t)r->lanes);
    const struct model_config *model = &problem->config.model;
    for (int s = 0; s < model_state_count(model); s++) {
        const size_t width = (size_t)model_state_width(model, s);
        model_state_get(r->model, s, r->state);
        memcpy(outcome->state + (size_t)all.lanes * model_state_offset(model, s) + (size_t)r->share.lane_begin * width,
               r->state, sizeof *r->state * (size_t)r->lanes * width);
    }
}

/* The sum of groups [begin, end) up the tree, from the nodes that the ranges have computed. Overwrites them. */
static float *node_sum(struct range *ranges, int ranks, int begin, int end, size_t count)
{
    for (int rank = 0; rank < ranks; rank++)
        for (int n = 0; n < ranges[rank].nodes; n++)
            if (ranges[rank].node[n].begin == begin && ranges[rank].node[n].end == end)
                return ranges[rank].wide[n];
    const int middle = lane_node_middle(begin, end);
    float *left = node_sum(ranges, ranks, begin, middle, count);
    const float *right = node_sum(ranges, ranks, middle, end, count);
    for (size_t k = 0; k < count; k++)
        left[k] += right[k];
    return left;
}

static enum status run_fast(const struct gradcheck_problem *problem, int ranks, int threads, struct outcomes *outcomes,
                            struct error *e)
{
    struct range *ranges = mem_alloc((size_t)ranks, sizeof *ranges, "a gradient check", e);
    enum status status = ranges ? STATUS_OK : STATUS_OS;
    for (int rank = 0; !status && rank < ranks; rank++)
        status = range_create(problem, &outcomes->layout, ranks, rank, threads, &ranges[rank], e);
    for (int index = 0; !status && index < GRADCHECK_WINDOWS; index++) {
        for (int rank = 0; rank < ranks; rank++)
            range_train(&ranges[rank], problem, &outcomes->layout, index, &outcomes->window[index]);
        float *sum = node_sum(ranges, ranks, 0, problem->config.groups, wide_floats(&outcomes->layout));
        model_drop_gradient(ranges[0].model, gradcheck_step(index), sum);
        gather(&outcomes->layout, &problem->table, sum, outcomes->window[index].grad);
    }
    for (int rank = 0; ranges && rank < ranks; rank++)
        range_release(&ranges[rank]);
    mem_free(ranges);
    return status;
}

/* ---- the comparison with the reference ---- */

/* Layers of sums that a number has passed through, one behind the other. A cluster's rows pass through one more, its
 * projection, on their way there and back. */
static double depth_of(const struct gradcheck_config *config)
{
    const int output = output_kind(&config->model)->uses & OUTPUT_CLUSTERS ? 4 : 2;
    return (double)GRADCHECK_WINDOWS * config->bptt + 2 * config->model.layers + output;
}

/* Every float operation rounds by at most u = 2^-24. A dot product of n terms carries about sqrt(n) u times the size of
 * its terms (roundings are as good as independent), and so do the sums of a gradient over T B rows; a value or gradient
 * has passed through at most `depth` layers of them, one behind the other, each of which (with the weights drawn here)
 * passes errors on about as large as they came. Together sqrt(n depth) u, for the longest n. This is a root mean
 * square; the largest of some 1e5 elements is five times that, and the gates' own exp and tanh add a few roundings of
 * theirs. The factor 16 covers these. It is 1e-5 for the smallest models here and below 1e-4 for the largest, while any
 * mistake in a formula, an index or an order of gates changes the first or second digit. */
static double float_tolerance(const struct gradcheck_config *config)
{
    const struct model_config *m = &config->model;
    const double lengths[] = {m->embedding, model_widest(m), m->vocab, (double)config->bptt * config->batch};
    double longest = 0;
    for (int i = 0; i < 4; i++)
        longest = fmax(longest, lengths[i]);
    return 16 * sqrt(longest * depth_of(config)) * 0x1p-24;
}

/* In bf16 the roundings of what products read outweigh all others. One is at most 2^-9 of the number, and as a root
 * mean square half of that. Both factors of a term are rounded, so that a dot product is off by sqrt(2) 2^-10 of its
 * size, however long it is, for its terms' errors are as good as independent; and by sqrt(2 depth) 2^-10 behind `depth`
 * of them. That is the error of a whole tensor, as a root mean square: below a hundredth for all models here. The
 * factor 4, for the reason above, leaves it below four. A wrong or missing term changes a tensor by a share of the
 * first digit. */
static double bf16_tolerance(const struct gradcheck_config *config)
{
    return 4 * sqrt(2 * depth_of(config)) * 0x1p-10;
}

/* Between two maxima a derivative jumps: where the larger two of T numbers are as near to each other as their errors,
 * w, the other one may win. That is a share of about s = w T of the n maxima, or s + 3 sqrt(s / n) where chance is
 * unkind. Such a derivative is off by all of it, so that a gradient is off by the root of the share, and a single
 * element by any part of it. (ReLUs have kinks; parameters are drawn such that no input is near one.) */
static double jump_tolerance(const struct gradcheck_config *config)
{
    const double maxima = (double)model_widest(&config->model) * config->batch,
                 share = bf16_tolerance(config) * config->bptt;
    return sqrt(share + 3 * sqrt(share / maxima));
}

/* 0: not compared. */
struct tolerances {
    double whole;   /* of a tensor's error as a root mean square, were it of many elements */
    double element; /* of each element */
};

static struct tolerances tolerances_of(const struct gradcheck_config *config, bool gradients)
{
    if (config->model.precision == PRECISION_FLOAT32)
        return (struct tolerances){.element = float_tolerance(config)};
    double whole = bf16_tolerance(config);
    if (gradients && config->model.task == TASK_CLASSIFY && config->model.pool == POOL_MAX)
        return (struct tolerances){.whole = jump_tolerance(config)};
    return (struct tolerances){whole, 6 * whole};
}

struct expectation {
    double *row, *state, *grad; /* as in struct outcome */
    double loss;
};

/* A tensor of few elements may cancel as a whole, and its error is then large against what is left. So errors are
 * related to at least a tenth of the terms' own size. That is one for losses and states (logits, gates). A gradient is
 * a sum over all targets of products with p - 1[target], of mixed signs; that all of n elements cancel is the less
 * likely the more they are, so the floor falls with sqrt(n). What must be all zero must be so exactly. */
#define FLOOR 0.1

static void compare_array(struct gradcheck_worst *worst, const char *name, int window, size_t count,
                          const double *expected, const float *got, double floor, struct tolerances tolerances)
{
    const double own = gradcheck_rms(expected, count);
    const bool jumps = tolerances.element == 0; /* it may be zero on one side alone */
    const double rms = own > 0 || jumps ? fmax(own, floor) : 0;
    double squares = 0;
    for (size_t k = 0; k < count; k++) {
        if (tolerances.element > 0)
            gradcheck_compare(worst, name, window, (int64_t)k, expected[k], got[k], rms, tolerances.element);
        squares += (got[k] - expected[k]) * (got[k] - expected[k]);
    }
    if (tolerances.whole > 0) /* a root mean square of n numbers scatters by 1 / sqrt(2n) of itself; five times that */
        gradcheck_compare(worst, name, window, GRADCHECK_WHOLE, 0, sqrt(squares / (double)count), rms,
                          tolerances.whole * (1 + 5 / sqrt(2 * (double)count)));
}

static int count_targets(const struct window *window)
{
    int count = 0;
    for (int k = 0; k < window->T * window->lanes; k++)
        count += window->target[k] != WINDOW_NO_TARGET;
    return count;
}

static void compare_window(const struct gradcheck_problem *problem, int index, const struct expectation *expected,
                           const struct outcome *got, struct gradcheck_fast *result)
{
    const struct gradcheck_config *config = &problem->config;
    const struct window window = gradcheck_window(problem, index);
    const struct tolerances tolerances = tolerances_of(config, false), of_gradients = tolerances_of(config, true);
    const double sum = lane_tree_sum(got->group_loss, config->groups);
    gradcheck_compare(&result->loss, "loss", index, 0, expected->loss, sum, 0, tolerances.element);
    compare_array(&result->loss, "loss of position", index, (size_t)window.T * (size_t)window.lanes, expected->row,
                  got->row, FLOOR, tolerances);
    const size_t lanes = (size_t)window.lanes;
    for (int s = 0; s < model_state_count(&config->model); s++) {
        char name[16];
        const size_t at = lanes * model_state_offset(&config->model, s);
        compare_array(&result->state, model_state_name(&config->model, s, name), index,
                      lanes * (size_t)model_state_width(&config->model, s), expected->state + at, got->state + at,
                      FLOOR, tolerances);
    }
    for (int i = 0; i < problem->table.count; i++) {
        const struct param *p = &problem->table.param[i];
        if (p->role == PARAM_CONSTANT)
            continue;
        const double floor = FLOOR * sqrt((double)count_targets(&window) / (double)p->count);
        compare_array(&result->gradient, p->name, index, p->count, expected->grad + p->grad_offset,
                      got->grad + p->grad_offset, floor, of_gradients);
    }
}

/* The gradients of aliases whose rows are in parts are those of the parameters they share. */
static void fold_aliases(const struct gradcheck_problem *problem, const struct gradient_layout *layout, double *grad)
{
    for (int i = 0; i < problem->table.count; i++) {
        const struct param *p = &problem->table.param[i];
        double *from = grad + p->grad_offset;
        for (size_t k = 0; p->alias >= 0 && layout->width[i] && k < p->count; k++) {
            grad[problem->table.param[p->alias].grad_offset + k] += from[k];
            from[k] = 0;
        }
    }
}

static enum status compare_with_reference(const struct gradcheck_problem *problem, const struct outcomes *outcomes,
                                          struct gradcheck_fast *result, struct error *e)
{
    struct reference *reference = NULL;
    struct expectation expected = {0};
    double *work = mem_alloc(outcomes->rows + outcomes->grads, sizeof *work, "a gradient check", e);
    enum status status = work ? gradcheck_reference_create(problem, &reference, e) : STATUS_OS;
    for (int index = 0; !status && index < GRADCHECK_WINDOWS; index++) {
        const struct window window = gradcheck_window(problem, index);
        expected.row = work;
        expected.grad = work + outcomes->rows;
        expected.state = reference->state;
        status =
            reference_window(reference, &window, gradcheck_step(index), &expected.loss, expected.row, expected.grad, e);
        if (!status)
            fold_aliases(problem, &outcomes->layout, expected.grad);
        if (!status)
            compare_window(problem, index, &expected, &outcomes->window[index], result);
    }
    reference_free(reference);
    mem_free(work);
    return status;
}

enum status gradcheck_fast(const struct gradcheck_config *config, struct gradcheck_fast *result, struct error *e)
{
    struct gradcheck_problem problem;
    struct outcomes alone = {0}, split = {0};
    memset(result, 0, sizeof *result);
    enum status status = gradcheck_problem_create(config, &problem, e);
    if (status)
        return status;
    double near = config->model.precision == PRECISION_BF16 ? bf16_tolerance(config) : float_tolerance(config) / 4;
    status = gradcheck_draw_away_from_kinks(&problem, near, e);
    if (!status)
        status = outcomes_create(&problem, &alone, e);
    if (!status)
        status = outcomes_create(&problem, &split, e);
    if (!status)
        status = run_fast(&problem, 1, 1, &alone, e);
    if (!status)
        status = run_fast(&problem, config->ranks, config->threads, &split, e);
    if (!status) {
        result->same_bits = outcomes_equal(&alone, &split);
        status = compare_with_reference(&problem, &split, result, e);
    }
    outcomes_release(&split);
    outcomes_release(&alone);
    gradcheck_problem_release(&problem);
    return status;
}
