/* Sampled output layers, fast: what a step touches, logits of targets and samples, and the whole vocabulary for all but
 * training. */
#include "samples.h"

#include <string.h>

#include "row_products.h"
#include "unroll/base/team.h"
#include "unroll/nn/constants.h"

/* ---- what it is ---- */

int samples_outputs(const struct model_config *config)
{
    return config->vocab;
}

enum status samples_check(const struct model_config *config, struct error *e)
{
    if (config->samples > config->vocab)
        return error_set(e, STATUS_CONFIG,
                         "value out of range for '--samples': %d, but the vocabulary has %d entries; use 1 to %d",
                         config->samples, config->vocab, config->vocab);
    if (config->tied && config->embedding != config->hidden)
        return error_set(e, STATUS_CONFIG,
                         "widths differ under '--tied': --embedding %d, --hidden %d; make them equal or drop --tied",
                         config->embedding, config->hidden);
    return STATUS_OK;
}

int samples_params(const struct model_config *config, struct output_param params[PARAM_OUTPUT_MAX])
{
    params[0] = (struct output_param){
        .role = PARAM_OUTPUT, .name = "decoder.weight", .shape = {config->vocab, config->hidden}, .tied = config->tied};
    params[1] = (struct output_param){.role = PARAM_OUTPUT_BIAS, .name = "decoder.bias", .shape = {config->vocab}};
    return constants_params(config, params, 2);
}

double samples_weights(const struct model_config *config, double (*below)(int rank, int vocab))
{
    (void)below;
    return (config->samples + 1.0) * config->hidden; /* the samples, and the row's own target */
}

void samples_parts(const struct model_config *config, const struct param_table *table, int batch, int bptt, bool sparse,
                   struct gradient_layout *layout)
{
    (void)sparse;
    int targets = gradient_add_list(layout, config->vocab, (int64_t)batch * bptt, false);
    int samples = gradient_add_list(layout, config->vocab, config->samples, true);
    CHECK(targets == SAMPLES_TARGETS && samples == SAMPLES_SAMPLES);
    for (int param = table->output; param <= table->output + 1; param++)
        for (int list = 0; list < SAMPLES_LISTS; list++)
            gradient_add_part(layout, table, param, list);
}

/* ---- creation ---- */

static void create_law(struct common *common, struct samples *samples)
{
    struct store *store = &common->store;
    const struct model_config *config = &common->config;
    size_t V = (size_t)config->vocab;
    const int counts = constants_find(&common->table, CONSTANTS_COUNTS);
    const bool ordered = constants_find(&common->table, CONSTANTS_ORDER) >= 0;
    samples->order = ordered ? store_take(store, V, sizeof *samples->order, "the order of counts") : NULL;
    samples->rank = ordered ? store_take(store, V, sizeof *samples->rank, "the order of counts") : NULL;
    samples->law = (struct proposal_law){.kind = (enum proposal)config->proposal,
                                         .V = config->vocab,
                                         .order = samples->order,
                                         .rank = samples->rank,
                                         .counts = counts < 0 ? NULL : common_values(common, counts)};
    if (config->proposal == PROPOSAL_UNIGRAM)
        samples->law.cumulative = store_take(store, V, sizeof *samples->law.cumulative, "the proposal");
    samples->draw.K = config->samples;
    samples->draw.id = store_take(store, (size_t)config->samples, sizeof *samples->draw.id, "samples");
    samples->draw.work = store_take(store, 1, proposal_work_bytes(config->samples), "samples");
    samples->drawn = -1;
}

static void create_training(struct common *common, struct samples *samples)
{
    struct store *store = &common->store;
    size_t rows = (size_t)common->shape.bptt * common->lanes, K = (size_t)common->config.samples;
    create_law(common, samples);
    samples->sample_weight = store_floats(store, K * common->config.hidden, "samples");
    samples->sample_bias = store_floats(store, gemm_round((int)K), "samples");
    samples->own = store_floats(store, rows, "logits of targets");
    samples->d_own = store_floats(store, rows, "logits of targets");
    samples->left_out = store_take(store, rows, sizeof *samples->left_out, "logits of targets");
    samples->dy = store_floats(store, rows * samples->ordered.stride, "output gradients");
    struct targets *targets = &samples->targets;
    int H = common->config.hidden;
    targets->row = store_take(store, rows, sizeof *targets->row, "gradients of targets");
    targets->place = store_take(store, rows, sizeof *targets->place, "gradients of targets");
    targets->group_row = store_take(store, common->groups + 1, sizeof *targets->group_row, "gradients of targets");
    targets->weight = store_floats(store, rows * VROUND(H), "gradients of targets");
    targets->bias = store_floats(store, rows * VPAD, "gradients of targets");
    row_sums_create(common, &targets->sums, rows, rows, H);
}

void samples_create(struct common *common, struct output *output)
{
    struct store *store = &common->store;
    struct samples *samples = output->own = store_keep(store, 1, sizeof *samples, "the output layer");
    if (!samples)
        return;
    const int V = common->config.vocab, H = common->config.hidden;
    size_t rows = (size_t)common->shape.bptt * common->lanes;
    ordered_create(common, &samples->ordered);
    classes_create(common, &samples->classes, (int)rows, V);
    samples->weight = common->table.output;
    samples->bias = common->table.output + 1;
    samples->column = store_take(store, rows, sizeof *samples->column, "targets");
    samples->all = (struct classes_decoder){
        .weights = {.w = common_values(common, samples->weight), .ldw = H, .transposed = true, .k = H, .n = V},
        .bias = common_values(common, samples->bias)};
    if (common->shape.resident) {
        samples->logits_stride = gemm_stride(V);
        samples->logits = store_floats(store, (size_t)common->lanes * samples->logits_stride, "logits");
        samples->all.weights.panels = store_take(store, 1, gemm_panels_bytes(&common->gemm, H, V), "packed weights");
    }
    if (common->shape.train) {
        create_training(common, samples);
        return;
    }
    if (!(output->kind->uses & OUTPUT_NORMALISER) || common->shape.unnormalised)
        return;
    samples->log_sum = store_floats(store, rows, "normalisers");
    output->group_normaliser = store_take(store, common->groups, sizeof *output->group_normaliser, "normalisers");
    output->group_normaliser_squares =
        store_take(store, common->groups, sizeof *output->group_normaliser_squares, "normalisers");
}

void samples_pack(const struct common *common, struct output *output)
{
    struct samples *samples = output->own;
    if (samples->all.weights.panels)
        gemm_pack(&common->gemm, &samples->all.weights);
    if (!common->shape.train || samples->prepared)
        return;
    if (samples->order) {
        constants_order(&common->config, &common->table, common->values, samples->order);
        constants_ranks(&common->config, &common->table, common->values, samples->rank);
    }
    proposal_prepare(&samples->law);
    samples->prepared = true;
}

/* ---- what a step touches ---- */

static void draw(const struct common *common, struct samples *samples, int64_t step)
{
    CHECK(samples->prepared);
    if (samples->drawn != step)
        proposal_draw(&samples->law, common->shape.seed, step, &samples->draw);
    samples->drawn = step;
}

void samples_touch(const struct common *common, struct output *output, const struct window *window, int64_t step,
                   struct touched *touched)
{
    struct samples *samples = output->own;
    struct touched_list *targets = &touched->list[SAMPLES_TARGETS], *drawn = &touched->list[SAMPLES_SAMPLES];
    int64_t count = 0;
    for (int64_t i = 0; i < (int64_t)window->T * window->lanes; i++)
        if (window->target[i] != WINDOW_NO_TARGET)
            targets->row[count++] = window->target[i];
    targets->count = touched_sort(targets->row, count);
    draw(common, samples, step);
    memcpy(drawn->row, samples->draw.id, sizeof *drawn->row * (size_t)samples->draw.K);
    drawn->count = samples->draw.K;
}

/* ---- rows of a window ---- */

struct work {
    const struct common *common;
    const struct samples *samples;
};

static const float *weight_of(const struct work *work, uint32_t id)
{
    return work->samples->all.weights.w + (int64_t)id * work->samples->ordered.in;
}

static const void *row_of(const struct work *work, int64_t row)
{
    return ordered_rows(work->common, &work->samples->ordered, (int)row).base;
}

static float logit_of(const struct work *work, int64_t row, uint32_t id)
{
    return row_dot(&work->common->gemm, row_of(work, row), weight_of(work, id), work->samples->ordered.in) +
           work->samples->all.bias[id];
}

/* Rows of the samples, and their biases less the log of counts. */
static void gather_samples(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    const struct samples *samples = work->samples;
    size_t H = (size_t)samples->ordered.in;
    for (int64_t i = begin; i < end; i++) {
        uint32_t id = samples->draw.id[i];
        memcpy(samples->sample_weight + (size_t)i * H, weight_of(work, id), H * sizeof(float));
        samples->sample_bias[i] = samples->all.bias[id] - proposal_log_count(&samples->law, &samples->draw, id);
    }
}

static void find_own_logits(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    const struct samples *samples = work->samples;
    for (int64_t row = begin; row < end; row++) {
        uint32_t target = samples->ordered.target[row];
        samples->column[row] = target == WINDOW_NO_TARGET ? CLASSES_NONE : CLASSES_OWN;
        samples->left_out[row] = -1;
        samples->own[row] = 0;
        if (target == WINDOW_NO_TARGET)
            continue;
        samples->left_out[row] = proposal_place(&samples->draw, target);
        samples->own[row] = logit_of(work, row, target) - proposal_log_count(&samples->law, &samples->draw, target);
    }
}

/* From the gradient of own logits to those of the rows, and of the weights and biases of each row's target. */
static void follow_own_logits(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    const struct samples *samples = work->samples;
    const struct targets *targets = &samples->targets;
    const struct gemm *gemm = &work->common->gemm;
    const struct touched_list *list = &work->common->touched.list[SAMPLES_TARGETS];
    int H = samples->ordered.in;
    for (int64_t i = begin; i < end; i++) {
        int row = targets->row[i];
        uint32_t target = samples->ordered.target[row];
        float d = row_rounded(gemm, samples->d_own[row]);
        targets->place[i] = (uint32_t)touched_place(list, target);
        row_add_weights(gemm, d, weight_of(work, target), H, samples->dy + (int64_t)row * samples->ordered.stride);
        row_scale(gemm, d, row_of(work, row), H, targets->weight + i * VROUND(H));
        targets->bias[i * VPAD] = d;
    }
}

/* The rows that have a target, side by side. */
static void find_targets(const struct work *work)
{
    const struct samples *samples = work->samples;
    const struct targets *targets = &samples->targets;
    int count = 0;
    for (int g = 0; g < work->common->groups; g++) {
        targets->group_row[g] = count;
        for (int row = samples->ordered.group_row[g]; row < samples->ordered.group_row[g + 1]; row++)
            if (samples->ordered.target[row] != WINDOW_NO_TARGET)
                targets->row[count++] = row;
    }
    targets->group_row[work->common->groups] = count;
}

/* ---- a training step ---- */

/* Where the gradient of a parameter's rows of a list begins. */
static float *part_of(const struct work *work, int param, enum samples_list list, float *grad)
{
    const struct common *common = work->common;
    return grad + gradient_part_of(&common->layout, &common->table, param, list)->offset;
}

static void sample_losses(const struct work *work, const struct output_step *step, enum classes_loss loss)
{
    const struct common *common = work->common;
    const struct samples *samples = work->samples;
    int K = samples->draw.K, H = samples->ordered.in;
    int rows = samples->ordered.group_row[common->groups];
    int64_t flops = 4 * (int64_t)rows * H;
    float *weight[LANE_NODES_MAX], *bias[LANE_NODES_MAX];
    team_share(common->shape.threads, K, 2 * (int64_t)K * H, gather_samples, (void *)work);
    team_share(common->shape.threads, rows, flops, find_own_logits, (void *)work);
    struct classes_decoder decoder = {
        .weights = {.w = samples->sample_weight, .ldw = H, .transposed = true, .k = H, .n = K},
        .bias = samples->sample_bias};
    struct classes_rows of_rows = {.count = rows,
                                   .group_row = samples->ordered.group_row,
                                   .y = ordered_rows(common, &samples->ordered, 0),
                                   .target = samples->column,
                                   .own = samples->own,
                                   .left_out = samples->left_out};
    struct classes_result result = {.loss = samples->ordered.loss};
    for (int i = 0; i < common->nodes && step->node_grads; i++) {
        weight[i] = part_of(work, samples->weight, SAMPLES_SAMPLES, step->node_grads[i]);
        bias[i] = part_of(work, samples->bias, SAMPLES_SAMPLES, step->node_grads[i]);
    }
    if (step->node_grads) {
        result.dy = samples->dy;
        result.d_own = samples->d_own;
        result.weight = weight;
        result.bias = bias;
    }
    classes_window(common, &samples->classes, loss, &decoder, &of_rows, &result);
}

/* The gradients that follow from those of own logits. */
static void sum_targets(const struct work *work, float *const *node_grads)
{
    const struct common *common = work->common;
    const struct samples *samples = work->samples;
    const struct targets *targets = &samples->targets;
    int H = samples->ordered.in, groups = common->groups;
    find_targets(work);
    team_share(common->shape.threads, targets->group_row[groups], 4 * (int64_t)targets->group_row[groups] * H,
               follow_own_logits, (void *)work);
    struct row_sums of_weight = targets->sums, of_bias = of_weight;
    struct row_sums_task weight = {.rows = targets->weight,
                                   .stride = VROUND(H),
                                   .place = targets->place,
                                   .group_row = targets->group_row,
                                   .places = common->touched.list[SAMPLES_TARGETS].count},
                         bias = weight;
    bias.rows = targets->bias;
    bias.stride = VPAD;
    of_bias.width = 1;
    for (int i = 0; i < common->nodes; i++) {
        weight.sums = part_of(work, samples->weight, SAMPLES_TARGETS, node_grads[i]);
        bias.sums = part_of(work, samples->bias, SAMPLES_TARGETS, node_grads[i]);
        row_sums_node(common, &of_weight, &weight, common->node[i]);
        row_sums_node(common, &of_bias, &bias, common->node[i]);
    }
}

/* ---- the whole vocabulary ---- */

/* Losses of ordered rows. */
static void all_losses(const struct work *work)
{
    const struct common *common = work->common;
    const struct samples *samples = work->samples;
    int rows = samples->ordered.group_row[common->groups];
    for (int row = 0; row < rows; row++) {
        uint32_t target = samples->ordered.target[row];
        samples->column[row] = target == WINDOW_NO_TARGET ? CLASSES_NONE : (int32_t)target;
    }
    struct classes_rows of_rows = {.count = rows,
                                   .group_row = samples->ordered.group_row,
                                   .y = ordered_rows(common, &samples->ordered, 0),
                                   .target = samples->column};
    struct classes_result result = {.loss = samples->ordered.loss, .log_sum = samples->log_sum};
    classes_window(common, &samples->classes, CLASSES_SOFTMAX, &samples->all, &of_rows, &result);
}

/* Of groups; rows without a target have zeros. */
static void sum_normalisers(const struct work *work, struct output *output)
{
    const struct samples *samples = work->samples;
    for (int g = 0; samples->log_sum && g < work->common->groups; g++) {
        double sum = 0, squares = 0;
        for (int row = samples->ordered.group_row[g]; row < samples->ordered.group_row[g + 1]; row++) {
            sum += samples->log_sum[row];
            squares += (double)samples->log_sum[row] * samples->log_sum[row];
        }
        output->group_normaliser[g] = sum;
        output->group_normaliser_squares[g] = squares;
    }
}

/* Losses as if the normaliser were one. */
static void unnormalised_losses(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct work *work = context;
    const struct ordered *ordered = &work->samples->ordered;
    for (int64_t row = begin; row < end; row++)
        ordered->loss[row] = ordered->target[row] == WINDOW_NO_TARGET ? 0 : -logit_of(work, row, ordered->target[row]);
}

void samples_window(const struct common *common, struct output *output, const struct output_step *step,
                    enum classes_loss loss)
{
    struct samples *samples = output->own;
    struct work work = {common, samples};
    ordered_fill(common, &samples->ordered, step);
    int rows = samples->ordered.group_row[common->groups];
    if (common->shape.unnormalised) {
        team_share(common->shape.threads, rows, 2 * (int64_t)rows * samples->ordered.in, unnormalised_losses, &work);
    } else if (common->dropout.step < 0) {
        CHECK(!step->node_grads);
        all_losses(&work);
        sum_normalisers(&work, output);
    } else {
        draw(common, samples, common->dropout.step);
        sample_losses(&work, step, loss);
    }
    ordered_sum_losses(common, &samples->ordered, output);
    if (!step->node_grads)
        return;
    sum_targets(&work, step->node_grads);
    for (int i = 0; i < common->nodes; i++)
        ordered_scatter(common, &samples->ordered, common->node[i],
                        samples->dy + (int64_t)samples->ordered.group_row[common->node[i].begin - common->group0] *
                                          samples->ordered.stride,
                        step->dh);
    ordered_drop_gradients(common, &samples->ordered, step->dh);
}

void samples_last(const struct common *common, struct output *output, const struct output_step *step)
{
    const struct samples *samples = output->own;
    int T = common->window->T, stride = samples->ordered.stride;
    int64_t before = (int64_t)(T - 1) * common->lanes;
    float *loss = samples->ordered.loss;
    for (int lane = 0; lane < common->lanes; lane++) {
        uint32_t target = common->window->target[before + lane];
        samples->column[lane] = target == WINDOW_NO_TARGET ? CLASSES_NONE : (int32_t)target;
    }
    struct gemm_view y = step->rows;
    y.base = (const char *)y.base + before * y.stride;
    struct classes_rows rows = {
        .count = common->lanes, .group_row = common->group_lane, .y = y, .target = samples->column};
    struct classes_result result = {.loss = loss, .dy = step->dh + before * stride};
    memset(step->dh, 0, sizeof *step->dh * (size_t)(before * stride));
    classes_window(common, &samples->classes, CLASSES_SOFTMAX, &samples->all, &rows, &result);
}

static void add_biases(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct samples *samples = context;
    for (int64_t b = begin; b < end; b++)
        for (int v = 0; v < samples->all.weights.n; v++)
            samples->logits[b * samples->logits_stride + v] += samples->all.bias[v];
}

const float *samples_logits(const struct common *common, struct output *output, const float *h, int *stride)
{
    struct samples *samples = output->own;
    int lanes = common->lanes;
    CHECK(samples->logits);
    gemm_store(&common->gemm, h, lanes * samples->ordered.stride, samples->ordered.y);
    struct gemm_operand operand = {.segments = 1,
                                   .segment = {{ordered_rows(common, &samples->ordered, 0), &samples->all.weights}}};
    gemm_rows(&common->gemm, &operand, lanes, samples->logits, samples->logits_stride);
    team_share(common->shape.threads, lanes, (int64_t)lanes * samples->all.weights.n, add_biases, samples);
    *stride = samples->logits_stride;
    return samples->logits;
}
