/* Losses and gradients over many classes, block after block. */
#include "classes.h"

#include <math.h>
#include <string.h>

#include "logits_row.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/team.h"

_Static_assert(CLASSES_BLOCK % GEMM_WIDE == 0, "a block begins with a panel");
_Static_assert(CLASSES_BLOCK % 32 == 0, "and with a block of bf16's order (nn/precision.h)");
_Static_assert(CLASSES_BLOCK / VPAD <= 64, "a chain's product of numbers up to 2 stays below 2^128");

void classes_create(struct common *common, struct classes *classes, int rows, int64_t most)
{
    struct store *store = &common->store;
    size_t columns = most < CLASSES_BLOCK ? (size_t)most : CLASSES_BLOCK;
    *classes = (struct classes){.rows = rows, .columns = (int)columns};
    classes->logits = store_floats(store, (size_t)rows * (size_t)gemm_stride((int)columns), "logits");
    classes->largest = store_floats(store, (size_t)rows, "logits");
    classes->sum = store_floats(store, (size_t)rows, "logits");
    classes->target_logit = store_floats(store, (size_t)rows, "logits");
    classes->no_bias = store_floats(store, (size_t)gemm_round((int)columns), "logits");
}

/* What is done with a block's logits. */
enum pass {
    PASS_LOSS,     /* they are taken into the row's loss */
    PASS_GRADIENT, /* again, once the loss is known: their gradient */
    PASS_BOTH
};

struct work {
    const struct common *common;
    const struct classes *classes;
    enum classes_loss kind;
    const struct classes_decoder *decoder;
    const struct classes_rows *rows;
    const struct classes_result *result;

    /* The block at hand. */
    enum pass pass;
    int first, columns, stride;
    bool last;
};

/* ---- one row of a block ---- */

static float exp_of(float x)
{
    return vexp(vset(x))[0];
}

/* Takes the block into the row's running maximum and sum. */
static void softmax_loss(const struct work *work, int row, float *logits, const float *bias, int padded)
{
    const struct classes *classes = work->classes;
    float before = classes->largest[row], here = logits_largest(logits, bias, padded);
    float largest = here > before ? here : before;
    int target = work->rows->target[row] - work->first;
    if (target >= 0 && target < work->columns)
        classes->target_logit[row] = logits[target] + bias[target];
    classes->sum[row] = classes->sum[row] * exp_of(before - largest) +
                        logits_exponentials(logits, bias, padded, largest, work->pass == PASS_BOTH);
    classes->largest[row] = largest;
}

static void softmax_finish(const struct work *work, int row)
{
    const struct classes *classes = work->classes;
    float log_sum = arithmetic_logf(classes->sum[row]), largest = classes->largest[row];
    work->result->loss[row] = log_sum + (largest - classes->target_logit[row]);
    if (work->result->log_sum)
        work->result->log_sum[row] = log_sum + largest;
}

static void softmax_gradient(const struct work *work, int row, float *logits, const float *bias, int padded)
{
    float largest = work->classes->largest[row], scale = 1.0f / work->classes->sum[row];
    int target = work->rows->target[row] - work->first;
    if (work->pass == PASS_GRADIENT)
        logits_exponentials(logits, bias, padded, largest, true);
    for (int v = 0; v < padded; v += VLEN)
        vstore(logits + v, vload(logits + v) * scale);
    if (target >= 0 && target < work->columns)
        logits[target] -= 1.0f;
    if (work->rows->own && work->last) {
        float p = exp_of(work->rows->own[row] - largest) * scale;
        work->result->d_own[row] = work->rows->target[row] == CLASSES_OWN ? p - 1.0f : p;
    }
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): the sum of the latter is the log of a product. */
static float noise_loss(const float *logits, const float *bias, int padded)
{
    vfloat zero = vset(0), sums[VCHAINS] = {{0}}, products[VCHAINS];
    for (int i = 0; i < VCHAINS; i++)
        products[i] = vset(1.0f);
    for (int v = 0; v < padded; v += VPAD)
        for (int i = 0; i < VCHAINS; i++) {
            vfloat x = vload(logits + v + i * VLEN) + vload(bias + v + i * VLEN);
            sums[i] += vmax(zero, x);
            products[i] *= 1.0f + vexp(vmin(-x, x));
        }
    double sum = 0, half[2] = {1, 1};
    for (int i = 0; i < VPAD; i++) {
        sum += (double)sums[i / VLEN][i % VLEN];
        half[i % 2] *= (double)products[i / VLEN][i % VLEN];
    }
    return (float)(sum + (arithmetic_log(half[0]) + arithmetic_log(half[1])));
}

static void noise_row(const struct work *work, int row, float *logits, const float *bias, int padded)
{
    work->result->loss[row] += noise_loss(logits, bias, padded);
    for (int v = 0; work->pass == PASS_BOTH && v < padded; v += VLEN)
        vstore(logits + v, vsigmoid(vload(logits + v) + vload(bias + v)));
}

/* ---- all rows of a block ---- */

static void row_pass(const struct work *work, int row, float *logits)
{
    const float *bias = work->decoder->bias ? work->decoder->bias + work->first : work->classes->no_bias;
    int padded = VROUND(work->columns), out = work->rows->left_out ? work->rows->left_out[row] - work->first : -1;
    if (work->rows->target[row] == CLASSES_NONE) {
        memset(logits, 0, sizeof *logits * (size_t)work->stride);
        return;
    }
    for (int v = work->columns; v < padded; v++)
        logits[v] = -INFINITY; /* the last vector's tail: probability zero */
    if (out >= 0 && out < work->columns)
        logits[out] = -INFINITY;
    if (work->kind == CLASSES_NOISE) {
        noise_row(work, row, logits, bias, padded);
    } else {
        if (work->pass != PASS_GRADIENT)
            softmax_loss(work, row, logits, bias, padded);
        if (work->pass != PASS_GRADIENT && work->last)
            softmax_finish(work, row);
        if (work->pass != PASS_LOSS)
            softmax_gradient(work, row, logits, bias, padded);
    }
    memset(logits + padded, 0, sizeof *logits * (size_t)(work->stride - padded));
}

static void rows_pass(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    for (int64_t row = begin; row < end; row++) {
        float *logits = work->classes->logits + row * work->stride;
        row_pass(work, (int)row, logits);
        if (work->pass != PASS_LOSS)
            gemm_settle(&work->common->gemm, logits, gemm_round(work->columns));
    }
}

#define LOSS_FLOPS 30 /* of a logit: the exponential */

/* The decoder's classes of the block: all of it, as rows are multiplied by it, or back. */
static struct gemm_weights block_weights(const struct work *work, bool back)
{
    const struct gemm_weights *all = &work->decoder->weights;
    struct gemm_weights weights = *all;
    weights.w = all->w + (int64_t)work->first * all->ldw;
    if (back)
        return (struct gemm_weights){.w = weights.w, .ldw = all->ldw, .k = work->columns, .n = all->k};
    weights.n = work->columns;
    if (all->panels)
        weights.panels = (char *)all->panels + gemm_panels_bytes(&work->common->gemm, all->k, work->first);
    return weights;
}

static void block_pass(struct work *work)
{
    struct gemm_weights weights = block_weights(work, false);
    struct gemm_operand operand = {.segments = 1, .segment = {{work->rows->y, &weights}}};
    gemm_rows(&work->common->gemm, &operand, work->rows->count, work->classes->logits, work->stride);
    team_share(work->common->shape.threads, work->rows->count, (int64_t)work->rows->count * work->columns * LOSS_FLOPS,
               rows_pass, work);
}

/* ---- gradients ---- */

/* Rows of the node, and its factor: those of all nodes lie one behind the other. */
static struct gemm_factor node_factor(const struct work *work, struct lane_node node)
{
    const struct common *common = work->common;
    int k = work->decoder->weights.k, group = node.begin - common->group0;
    const int *first = work->rows->group_row;
    struct gemm_factor factor = {.sum = common_sum(common, node),
                                 .b = gemm_lanes(work->rows->y, 0), /* group g's lanes are row numbers ... */
                                 .m = work->columns,
                                 .n = k};
    factor.sum.T = 1; /* ... at one time step */
    factor.sum.group_lane = first;
    factor.packed = (char *)common->scratch.factor + gemm_factor_bytes(&common->gemm, k, group, first[group]);
    return factor;
}

static void decoder_gradients(const struct work *work, bool packed)
{
    const struct common *common = work->common;
    for (int i = 0; i < common->nodes; i++) {
        struct gemm_factor factor = node_factor(work, common->node[i]);
        if (!packed)
            gemm_factor_pack(&common->gemm, &factor);
        struct gemm_gradient gradient = {
            .factor = &factor,
            .a = gemm_lanes(gemm_settled(&common->gemm, work->classes->logits, work->stride), 0),
            .c = work->result->weight[i] + (int64_t)work->first * factor.n,
            .ldc = factor.n,
            .bias = work->result->bias ? work->result->bias[i] + work->first : NULL};
        gemm_gradient(&common->gemm, &gradient);
    }
}

static void row_gradients(const struct work *work)
{
    struct gemm_weights weights = block_weights(work, true);
    struct gemm_operand operand = {
        .segments = 1,
        .add = work->first > 0,
        .segment = {{gemm_settled(&work->common->gemm, work->classes->logits, work->stride), &weights}}};
    gemm_rows(&work->common->gemm, &operand, work->rows->count, work->result->dy, gemm_stride(weights.n));
}

/* ---- a window ---- */

/* What the rows begin with; whether one takes part. */
static bool begin_rows(const struct work *work)
{
    const struct classes_rows *rows = work->rows;
    bool any = false;
    for (int row = 0; row < rows->count; row++) {
        bool none = rows->target[row] == CLASSES_NONE;
        float own = rows->own && !none ? rows->own[row] : -INFINITY;
        work->classes->largest[row] = work->classes->target_logit[row] = own;
        work->classes->sum[row] = rows->own ? 1.0f : 0.0f;
        work->result->loss[row] = 0;
        if (work->result->log_sum)
            work->result->log_sum[row] = 0;
        if (rows->own && work->result->dy)
            work->result->d_own[row] = 0;
        any = any || !none;
    }
    return any;
}

/* Own logits of data: log(1 + exp(-own)). */
static void own_data(const struct work *work)
{
    for (int row = 0; row < work->rows->count; row++) {
        if (work->rows->target[row] == CLASSES_NONE)
            continue;
        float x = work->rows->own[row], rest = exp_of(x < 0 ? x : -x);
        work->result->loss[row] += (x < 0 ? -x : 0) + (float)arithmetic_log1p(rest);
        if (work->result->dy)
            work->result->d_own[row] = vsigmoid(vset(x))[0] - 1.0f;
    }
}

static void walk_blocks(struct work *work, enum pass pass)
{
    int n = work->decoder->weights.n;
    work->pass = pass;
    for (work->first = 0; work->first < n; work->first += CLASSES_BLOCK) {
        int columns = work->columns = n - work->first < CLASSES_BLOCK ? n - work->first : CLASSES_BLOCK;
        work->stride = gemm_stride(columns);
        work->last = work->first + columns == n;
        block_pass(work);
        if (pass == PASS_LOSS)
            continue;
        row_gradients(work);
        if (work->result->weight)
            decoder_gradients(work,
                              work->first > 0 && columns == CLASSES_BLOCK); /* how it is packed depends on columns */
    }
}

/* Where no row takes part. */
static void clear_gradients(const struct work *work)
{
    size_t n = (size_t)work->decoder->weights.n, k = (size_t)work->decoder->weights.k;
    memset(work->result->dy, 0, sizeof(float) * (size_t)work->rows->count * (size_t)gemm_stride((int)k));
    for (int i = 0; i < work->common->nodes && work->result->weight; i++) {
        memset(work->result->weight[i], 0, sizeof(float) * n * k);
        if (work->result->bias)
            memset(work->result->bias[i], 0, sizeof(float) * n);
    }
}

void classes_window(const struct common *common, const struct classes *classes, enum classes_loss kind,
                    const struct classes_decoder *decoder, const struct classes_rows *rows,
                    const struct classes_result *result)
{
    struct work work = {
        .common = common, .classes = classes, .kind = kind, .decoder = decoder, .rows = rows, .result = result};
    int n = decoder->weights.n, columns = n < CLASSES_BLOCK ? n : CLASSES_BLOCK;
    CHECK(rows->count <= classes->rows && columns <= classes->columns && decoder->weights.transposed);
    CHECK(rows->own || (kind == CLASSES_SOFTMAX && !rows->left_out));
    if (!begin_rows(&work)) {
        if (result->dy)
            clear_gradients(&work);
        return;
    }
    bool one_pass = n <= CLASSES_BLOCK || kind == CLASSES_NOISE;
    walk_blocks(&work, result->dy && one_pass ? PASS_BOTH : PASS_LOSS);
    if (result->dy && !one_pass)
        walk_blocks(&work, PASS_GRADIENT);
    if (kind == CLASSES_NOISE)
        own_data(&work);
}
