/* Mean squares of gradients over the training split, and steps that are measured by them. */
#include "unroll/train/dynamic.h"

#include <math.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/data/stream.h"
#include "unroll/train/step.h"

struct dynamic {
    struct dynamic_config config;
    const struct param_table *table;
    float *root;     /* [trained] sqrt(MS); while statistics are collected the sum of g^2 */
    float *pull;     /* [trained] min(decay N, 1) */
    float *gradient; /* [trained] laid out like values */
};

/* ---- passes over all values ---- */

struct pass {
    const struct dynamic *dynamic;
    const float *trained;
    float *values;
    float scale, lr, epsilon;
};

static void add_squares(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct pass *pass = context;
    const float *gradient = pass->dynamic->gradient;
    float *sum = pass->dynamic->root, scale = pass->scale;
#pragma omp simd
    for (int64_t i = begin; i < end; i++) {
        float g = gradient[i] * scale;
        sum[i] += g * g;
    }
}

static void step_range(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct pass *pass = context;
    const float *gradient = pass->dynamic->gradient, *root = pass->dynamic->root, *pull = pass->dynamic->pull;
    const float *trained = pass->trained, scale = pass->scale, lr = pass->lr, epsilon = pass->epsilon;
    float *values = pass->values;
#pragma omp simd
    for (int64_t i = begin; i < end; i++) {
        float back = pull[i] * (trained[i] - values[i]);
        values[i] += back - lr * (gradient[i] * scale) / (root[i] + epsilon);
    }
}

void dynamic_update(struct dynamic *dynamic, const struct param_gradient *gradient, float scale, double lr,
                    const float *trained, float *values, int threads)
{
    struct pass pass = {dynamic, trained, values, scale, (float)lr, (float)dynamic->config.epsilon};
    gradient_lay_out(gradient, dynamic->table, dynamic->gradient);
    team_share(threads, (int64_t)dynamic->table->trained, 24 * (int64_t)dynamic->table->trained, step_range, &pass);
}

/* ---- statistics ---- */

/* From sums over so many windows to root and pull. */
static void finish(struct dynamic *dynamic, int64_t windows)
{
    const struct param_table *table = dynamic->table;
    double means = 0;
    int tensors = 0;
    for (size_t i = 0; i < table->trained; i++)
        dynamic->root[i] = sqrtf(dynamic->root[i] / (float)windows);
    for (int p = 0; p < table->count; p++) {
        const struct param *param = &table->param[p];
        double sum = 0;
        if (!param_is_own(param))
            continue;
        for (size_t i = 0; i < param->count; i++)
            sum += (double)dynamic->root[param->offset + i];
        means += sum / (double)param->count;
        tensors++;
    }
    const double average = means / tensors, decay = average > 0 ? dynamic->config.decay / average : 0;
    for (size_t i = 0; i < table->trained; i++) {
        double pull = decay * (double)dynamic->root[i];
        dynamic->pull[i] = (float)(pull > 1 ? 1 : pull);
    }
}

/* The training split through the step, window after window. Collective. */
static enum status run_windows(struct dynamic *dynamic, struct step *step, struct stream *stream, struct error *e)
{
    const struct step_config *config = &step->config;
    int64_t windows = stream_windows(stream), wanted = dynamic->config.windows;
    if (wanted > 0 && wanted < windows)
        windows = wanted;
    for (int64_t index = 0; index < windows; index++) {
        struct window window;
        struct model_loss loss;
        enum status status = comm_agree(step->comm, stream_next(stream, &window, e), e);
        if (status)
            return status;
        int64_t targets = stream_targets(stream, index, 0, config->share.batch);
        step_gradient(step, &window, index, &loss);
        (void)step_sum(step, targets);
        struct pass pass = {.dynamic = dynamic, .scale = (float)(1 / (double)targets)};
        gradient_lay_out(&step->gradient, dynamic->table, dynamic->gradient);
        team_share(config->threads, (int64_t)dynamic->table->trained, 12 * (int64_t)dynamic->table->trained,
                   add_squares, &pass);
    }
    finish(dynamic, windows);
    return STATUS_OK;
}

/* Collective. `values` are not changed. */
static enum status collect(const struct comm *comm, struct corpus *corpus, const struct model_config *model,
                           const float *values, int bptt, int threads, struct dynamic *dynamic, struct error *e)
{
    int64_t positions = corpus->tokens[SPLIT_TRAIN] - 1;
    int lanes = positions < dynamic->config.batch ? (int)positions : dynamic->config.batch;
    int groups = dynamic->config.groups < lanes ? dynamic->config.groups : lanes;
    struct step_config config = {
        .model = *model,
        .share = lane_share_of(lanes, groups, comm->size, comm->rank),
        .bptt = bptt,
        .threads = threads,
        .optimizer = {.kind = OPTIMIZER_SGD},
        .reduction = REDUCTION_EXACT,
    };
    struct stream *stream = NULL;
    struct step *step;
    /* the step keeps the pointer for its update, which is never called */
    enum status status = step_create(comm, &config, dynamic->table, (float *)(uintptr_t)values, &step, e);
    if (status)
        return status;
    struct stream_config slice = {.split = SPLIT_TRAIN,
                                  .batch = lanes,
                                  .lane0 = config.share.lane_begin,
                                  .lanes = lane_share_lanes(&config.share),
                                  .bptt = bptt,
                                  .before = VOCAB_UNK};
    status = comm_agree(comm, stream_open(corpus, &slice, &stream, e), e);
    if (!status) {
        model_pack(step->model);
        status = run_windows(dynamic, step, stream, e);
    }
    stream_close(stream);
    step_free(step);
    return status;
}

enum status dynamic_create(const struct comm *comm, struct corpus *corpus, const struct dynamic_config *config,
                           const struct model_config *model, const struct param_table *table, const float *values,
                           int bptt, int threads, struct dynamic **out, struct error *e)
{
    *out = NULL;
    if (corpus->tokens[SPLIT_TRAIN] < 2)
        return error_set(e, STATUS_DATA,
                         "cannot collect gradients of the training split: it has %lld tokens; use the corpus that the "
                         "model was trained on, or leave out --rms",
                         (long long)corpus->tokens[SPLIT_TRAIN]);
    struct dynamic *dynamic = mem_alloc(1, sizeof *dynamic, "dynamic evaluation", e);
    enum status status = STATUS_OS;
    if (dynamic) {
        dynamic->config = *config;
        dynamic->table = table;
        dynamic->root = mem_alloc(table->trained, sizeof *dynamic->root, "squares of gradients", e);
        dynamic->pull = mem_alloc(table->trained, sizeof *dynamic->pull, "squares of gradients", e);
        dynamic->gradient = mem_alloc(table->trained, sizeof *dynamic->gradient, "a gradient", e);
        status = dynamic->root && dynamic->pull && dynamic->gradient ? STATUS_OK : STATUS_OS;
    }
    status = comm_agree(comm, status, e);
    if (!status)
        status = collect(comm, corpus, model, values, bptt, threads, dynamic, e);
    if (status) {
        dynamic_free(dynamic);
        return status;
    }
    *out = dynamic;
    return STATUS_OK;
}

void dynamic_free(struct dynamic *dynamic)
{
    if (!dynamic)
        return;
    mem_free(dynamic->root);
    mem_free(dynamic->pull);
    mem_free(dynamic->gradient);
    mem_free(dynamic);
}

const float *dynamic_root(const struct dynamic *dynamic)
{
    return dynamic->root;
}
