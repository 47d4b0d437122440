/* The loss of a split, with fixed values or with values that go on learning. */
#include "unroll/train/evaluator.h"

#include <math.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/lane_gather.h"
#include "unroll/base/mem.h"
#include "unroll/data/feed.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/train/step.h"

enum sum { LOSS, NORMALISER, NORMALISER_SQUARES, SUMS };

struct evaluator {
    const struct comm *comm;
    struct evaluator_config config;
    struct lane_share share; /* of this rank; empty if there are more ranks than groups */
    int bptt;                /* the longest window */
    int64_t
        windows; /* of this rank's lanes, the same on all ranks; 0 on a rank without lanes, unless there is a beat */
    struct model *model;  /* NULL without groups, and if dynamic */
    struct cache *cache;  /* NULL: none, or no lanes */
    struct feed feed;     /* empty without groups */
    int64_t correct, cut; /* to classify: texts whose label was the likeliest, and texts too long */
    const float *given;   /* dynamic: the values that a run starts with */
    float *values;        /* dynamic: [table.total] those that change */
    struct param_table table;
    struct step *step;         /* dynamic: of plain SGD */
    struct dynamic *rms;       /* NULL: that is the rule */
    bool part;                 /* not all windows are run */
    double *mine;              /* [groups of this rank][SUMS] of their targets */
    double *all;               /* [groups][SUMS] */
    double *group;             /* [groups] one sum of each */
    double sum[SUMS];          /* of all, in the last run */
    int64_t targets;           /* ... over so many */
    struct lane_gather gather; /* from `mine` to `all` */
};

#define MEETING 4 /* windows between two exchanges of all ranks: they take as long as a step or two */

/* Reasons to end an evaluation early; the largest of all ranks counts. */
enum leave { LEAVE_NOT, LEAVE_STOP, LEAVE_ERROR };

int evaluator_lanes(int64_t tokens, int batch)
{
    int64_t fit = (tokens - 1) / EVALUATOR_LANE_MIN;
    if (fit < 1)
        return 1;
    return fit < batch ? (int)fit : batch;
}

int evaluator_groups(int lanes, int groups)
{
    return groups < lanes ? groups : lanes;
}

static bool classifies(const struct evaluator *evaluator)
{
    return evaluator->config.model.task == TASK_CLASSIFY;
}

static enum status create_losses(struct evaluator *evaluator, struct error *e)
{
    const struct lane_share *share = &evaluator->share;
    const char *what = "losses of lane groups";
    const size_t sums = SUMS * sizeof *evaluator->all;
    evaluator->mine = mem_alloc((size_t)lane_share_groups(share), sums, what, e);
    evaluator->all = mem_alloc((size_t)share->groups, sums, what, e);
    evaluator->group = mem_alloc((size_t)share->groups, sizeof *evaluator->group, what, e);
    if (!evaluator->mine || !evaluator->all || !evaluator->group)
        return STATUS_OS;
    return lane_gather_create(share, (struct lane_bytes){.group = sums}, &evaluator->gather, e);
}

/* Stream over this rank's lanes, and a model that only evaluates. Not collective. */
static enum status open_lanes(struct evaluator *evaluator, struct corpus *corpus, const float *values, struct error *e)
{
    const struct evaluator_config *config = &evaluator->config;
    const struct lane_share *share = &evaluator->share;
    struct examples_config slice = {.split = config->split,
                                    .batch = share->batch,
                                    .lane0 = share->lane_begin,
                                    .lanes = lane_share_lanes(share),
                                    .longest = evaluator->bptt,
                                    .before = config->before};
    enum status status = feed_open(corpus, classifies(evaluator), &slice, &evaluator->feed, e);
    if (!status && config->cache.size > 0)
        status =
            cache_create(&config->cache, &config->model, share, evaluator->bptt, config->threads, &evaluator->cache, e);
    if (status || config->dynamic)
        return status;
    struct model_shape shape = {
        .bptt = evaluator->bptt,
        .share = *share,
        .threads = config->threads,
        .exact = true,
    };
    return model_create(&config->model, values, &shape, &evaluator->model, e);
}

/* Collective. The arrays of dynamic evaluation. */
static enum status open_dynamic(struct evaluator *evaluator, struct corpus *corpus, const float *values,
                                struct error *e)
{
    struct step_config config = {
        .model = evaluator->config.model,
        .share = evaluator->share,
        .bptt = evaluator->bptt,
        .threads = evaluator->config.threads,
        .optimizer = {.kind = OPTIMIZER_SGD},
        .reduction = REDUCTION_EXACT,
    };
    model_config_evaluated(&config.model);
    output_plain(&config.model);
    evaluator->given = values;
    param_table_build(&config.model, &evaluator->table);
    evaluator->values = mem_alloc(evaluator->table.total, sizeof *evaluator->values, "parameters", e);
    enum status status = comm_agree(evaluator->comm, evaluator->values ? STATUS_OK : STATUS_OS, e);
    if (status)
        return status;
    status = step_create(evaluator->comm, &config, &evaluator->table, evaluator->values, &evaluator->step, e);
    if (status || !evaluator->config.rms)
        return status;
    return dynamic_create(evaluator->comm, corpus, &evaluator->config.statistics, &config.model, &evaluator->table,
                          values, config.bptt, config.threads, &evaluator->rms, e);
}

/* How many lanes there are, and the longest window. */
static enum status choose_lanes(struct evaluator *evaluator, struct corpus *corpus, int *lanes, struct error *e)
{
    const struct evaluator_config *config = &evaluator->config;
    int64_t tokens = corpus->tokens[config->split], positions = tokens - (config->before == VOCAB_UNK);
    evaluator->bptt = config->bptt;
    if (classifies(evaluator)) {
        int64_t texts = corpus->texts[config->split];
        double mean;
        *lanes = texts < config->batch ? (int)texts : config->batch;
        return examples_lengths(corpus, config->split, config->bptt, &evaluator->bptt, &evaluator->cut, &mean, e);
    }
    *lanes = config->exact_lanes ? config->batch : evaluator_lanes(tokens, config->batch);
    if (*lanes <= positions)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot cut the %s split into '%d' lanes: it has %lld tokens; write --batch 1 to %lld",
                     split_name(config->split), *lanes, (long long)tokens, (long long)positions);
}

/* Checks the split, then deals its lanes to the ranks. Not collective. */
static enum status check_and_share(struct evaluator *evaluator, struct corpus *corpus, struct error *e)
{
    const struct evaluator_config *config = &evaluator->config;
    const struct comm *comm = evaluator->comm;
    int64_t tokens = corpus->tokens[config->split];
    int lanes;
    if (tokens < 2)
        return error_set(e, STATUS_DATA,
                         "cannot evaluate on the %s split: it has %lld tokens, at least 2 are needed; prepare the "
                         "corpus with a longer %s text",
                         split_name(config->split), (long long)tokens, split_name(config->split));
    if (config->model.vocab != corpus->vocab->size)
        return error_set(e, STATUS_DATA,
                         "cannot evaluate on the %s split: the corpus has %d vocabulary entries and the model %d; use "
                         "the corpus that the model was trained on",
                         split_name(config->split), corpus->vocab->size, config->model.vocab);
    if (classifies(evaluator) && (!corpus->labels || corpus->labels->count != config->model.labels))
        return error_set(
            e, STATUS_DATA,
            "cannot evaluate on the %s split: the corpus has %d labels and the model %d; use the corpus that "
            "the model was trained on",
            split_name(config->split), corpus->labels ? corpus->labels->count : 0, config->model.labels);
    if (classifies(evaluator) && (config->dynamic || config->cache.size > 0))
        return error_set(e, STATUS_CONFIG, "cannot use '--%s' with a classifier, to which each text stands alone",
                         config->dynamic ? "dynamic" : "cache");
    enum status status = choose_lanes(evaluator, corpus, &lanes, e);
    if (status)
        return status;
    evaluator->share = lane_share_of(lanes, evaluator_groups(lanes, config->groups), comm->size, comm->rank);
    return create_losses(evaluator, e);
}

enum status evaluator_create(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *config,
                             const float *values, struct evaluator **out, struct error *e)
{
    *out = NULL;
    struct evaluator *evaluator = mem_alloc(1, sizeof *evaluator, "an evaluator", e);
    enum status status = STATUS_OS;
    if (evaluator) {
        evaluator->comm = comm;
        evaluator->config = *config;
        status = check_and_share(evaluator, corpus, e);
    }
    status = comm_agree(comm, status, e);
    if (!status && config->dynamic)
        status = open_dynamic(evaluator, corpus, values, e);
    if (!status && lane_share_groups(&evaluator->share) > 0)
        status = open_lanes(evaluator, corpus, values, e);
    status = comm_agree(comm, status, e);
    if (status) {
        evaluator_free(evaluator);
        return status;
    }
    evaluator->windows = lane_share_groups(&evaluator->share) > 0 ? feed_windows(&evaluator->feed) : 0;
    evaluator->part = config->windows > 0 && comm_max(comm, evaluator->windows) > config->windows;
    if (evaluator->part && evaluator->windows > config->windows)
        evaluator->windows = config->windows;
    if (config->beat)
        evaluator->windows = comm_max(comm, evaluator->windows);
    *out = evaluator;
    return STATUS_OK;
}

void evaluator_free(struct evaluator *evaluator)
{
    if (!evaluator)
        return;
    model_free(evaluator->model);
    cache_free(evaluator->cache);
    feed_close(&evaluator->feed);
    step_free(evaluator->step);
    dynamic_free(evaluator->rms);
    mem_free(evaluator->values);
    mem_free(evaluator->mine);
    mem_free(evaluator->all);
    mem_free(evaluator->group);
    lane_gather_release(&evaluator->gather);
    mem_free(evaluator);
}

/* Adds the texts of a window to the confusion matrix. */
static void count_labels(struct evaluator *evaluator, const struct window *window)
{
    int labels = evaluator->config.model.labels, stride;
    const float *p = model_probabilities(evaluator->model, &stride);
    for (int k = 0; k < window->T * window->lanes; k++) {
        const float *row = p + (int64_t)(k % window->lanes) * stride;
        int likeliest = 0;
        if (window->target[k] == WINDOW_NO_TARGET)
            continue;
        for (int j = 1; j < labels; j++)
            if (row[j] > row[likeliest])
                likeliest = j;
        evaluator->config.confusion[(int64_t)window->target[k] * labels + likeliest]++;
    }
}

/* Collective. The sum over ranks, row by row. */
static void add_confusion(struct evaluator *evaluator, int64_t *row_of_all)
{
    int labels = evaluator->config.model.labels;
    for (int i = 0; i < labels; i++) {
        int64_t *row = evaluator->config.confusion + (int64_t)i * labels;
        comm_allgather(evaluator->comm, row, (size_t)labels * sizeof *row, row_of_all);
        memset(row, 0, (size_t)labels * sizeof *row);
        for (int rank = 0; rank < evaluator->comm->size; rank++)
            for (int j = 0; j < labels; j++)
                row[j] += row_of_all[(int64_t)rank * labels + j];
    }
}

/* Of a window that the model has seen, over this rank's lanes. */
static void add_sums(struct evaluator *evaluator, struct model *model, const struct window *window,
                     struct model_loss *loss, int64_t *targets)
{
    if (evaluator->cache)
        cache_window(evaluator->cache, model, window, loss);
    if (evaluator->config.look)
        evaluator->config.look(evaluator->config.look_context, window, loss->row);
    for (int group = 0; group < lane_share_groups(&evaluator->share); group++) {
        double *mine = evaluator->mine + (size_t)group * SUMS;
        mine[LOSS] += loss->group[group];
        mine[NORMALISER] += loss->normaliser ? loss->normaliser[group] : 0;
        mine[NORMALISER_SQUARES] += loss->normaliser ? loss->normaliser_squares[group] : 0;
        *targets += loss->targets[group];
        evaluator->correct += loss->correct ? loss->correct[group] : 0;
    }
}

static void clear_sums(struct evaluator *evaluator)
{
    memset(evaluator->mine, 0, (size_t)lane_share_groups(&evaluator->share) * SUMS * sizeof *evaluator->mine);
}

/* Collective. Over the fixed tree. */
static void sum_groups(struct evaluator *evaluator)
{
    int groups = evaluator->share.groups;
    comm_allgatherv(evaluator->comm, evaluator->mine, evaluator->all, evaluator->gather.bytes,
                    evaluator->gather.offset);
    for (int sum = 0; sum < SUMS; sum++) {
        for (int group = 0; group < groups; group++)
            evaluator->group[group] = evaluator->all[(size_t)group * SUMS + (size_t)sum];
        evaluator->sum[sum] = lane_tree_sum(evaluator->group, groups);
    }
}

/* One window over this rank's lanes. Not collective. */
static enum status run_window(struct evaluator *evaluator, int64_t *targets, struct error *e)
{
    struct window window;
    struct model_loss loss;
    enum status status = feed_next(&evaluator->feed, &window, e);
    if (status)
        return status;
    CHECK(window.T > 0);
    model_forward(evaluator->model, &window, -1, &loss);
    add_sums(evaluator, evaluator->model, &window, &loss, targets);
    if (evaluator->config.confusion)
        count_labels(evaluator, &window);
    return STATUS_OK;
}

/* Collective. Whether all ranks end the evaluation now; `status` is this rank's. */
static enum leave agree_to_leave(const struct evaluator *evaluator, enum status status)
{
    const struct evaluator_config *config = &evaluator->config;
    bool stop = config->stop && config->stop(config->beat_context);
    return (enum leave)comm_max(evaluator->comm, status ? LEAVE_ERROR : stop ? LEAVE_STOP : LEAVE_NOT);
}

/* Runs all windows over this rank's lanes and adds up its groups. With a beat it is collective: ranks
 * with few or no lanes exchange with the others from time to time, so that their beat goes on while the others work. */
static enum status run_lanes(struct evaluator *evaluator, int64_t *targets, struct error *e)
{
    int groups = lane_share_groups(&evaluator->share);
    bool works = groups > 0, meets = evaluator->config.beat;
    enum status status = STATUS_OK;
    clear_sums(evaluator);
    if (works) {
        model_pack(evaluator->model);
        feed_seek(&evaluator->feed, 0, 0);
    }
    int meeting = evaluator->comm->size > 1 ? MEETING : 1;
    enum leave leave = LEAVE_NOT;
    for (int64_t done = 1; done <= evaluator->windows && leave == LEAVE_NOT && (meets || !status); done++) {
        if (works && !status)
            status = run_window(evaluator, targets, e);
        if (meets)
            evaluator->config.beat(evaluator->config.beat_context);
        if (meets && done < evaluator->windows && done % meeting == 0)
            leave = agree_to_leave(evaluator, status);
    }
    return leave == LEAVE_STOP ? error_set(e, STATUS_STOPPED, "stopped within an evaluation") : status;
}

/* The values after a window. */
static void learn(struct evaluator *evaluator, int64_t targets)
{
    struct step *step = evaluator->step;
    if (!evaluator->rms) {
        step_update(step, evaluator->config.lr);
        return;
    }
    dynamic_update(evaluator->rms, &step->gradient, (float)(1 / (double)targets), evaluator->config.lr,
                   evaluator->given, evaluator->values, step->config.threads);
    model_pack(step->model);
}

/* Collective. The same, with a step after each window: all ranks have lanes. */
static enum status run_dynamic(struct evaluator *evaluator, int64_t *targets, struct error *e)
{
    step_settle(evaluator->step);
    memcpy(evaluator->values, evaluator->given, evaluator->table.total * sizeof *evaluator->values);
    model_pack(evaluator->step->model);
    clear_sums(evaluator);
    feed_seek(&evaluator->feed, 0, 0);
    for (int64_t index = 0; index < feed_windows(&evaluator->feed); index++) {
        struct window window;
        struct model_loss loss;
        enum status status = comm_agree(evaluator->comm, feed_next(&evaluator->feed, &window, e), e);
        if (status)
            return status;
        step_gradient(evaluator->step, &window, index, &loss);
        add_sums(evaluator, evaluator->step->model, &window, &loss, targets);
        int64_t all = feed_targets(&evaluator->feed, index, 0, evaluator->share.batch);
        (void)step_sum(evaluator->step, all);
        learn(evaluator, all);
        if (evaluator->config.beat)
            evaluator->config.beat(evaluator->config.beat_context);
    }
    return STATUS_OK;
}

enum status evaluator_run(struct evaluator *evaluator, double *loss_sum, int64_t *targets, struct error *e)
{
    int64_t seen = 0, *confusion = evaluator->config.confusion, *row = NULL;
    size_t labels = (size_t)evaluator->config.model.labels;
    enum status status = STATUS_OK;
    evaluator->correct = 0;
    if (confusion) {
        memset(confusion, 0, labels * labels * sizeof *confusion);
        row = mem_alloc((size_t)evaluator->comm->size * labels, sizeof *row, "a row of the confusion matrix", e);
        status = row ? STATUS_OK : STATUS_OS;
    }
    if (!status)
        status = evaluator->config.dynamic ? run_dynamic(evaluator, &seen, e) : run_lanes(evaluator, &seen, e);
    status = comm_agree(evaluator->comm, status, e);
    if (!status && confusion)
        add_confusion(evaluator, row);
    mem_free(row);
    if (status)
        return status;
    evaluator->correct = comm_sum(evaluator->comm, evaluator->correct);
    sum_groups(evaluator);
    *loss_sum = arithmetic_nan(evaluator->sum[LOSS]);
    *targets = evaluator->targets = comm_sum(evaluator->comm, seen);
    return STATUS_OK;
}

bool evaluator_is_part(const struct evaluator *evaluator)
{
    return evaluator->part;
}

bool evaluator_normaliser(const struct evaluator *evaluator, double *mean, double *deviation)
{
    double n = (double)evaluator->targets;
    *mean = evaluator->sum[NORMALISER] / n;
    double variance = evaluator->sum[NORMALISER_SQUARES] / n - *mean * *mean;
    *deviation = sqrt(variance > 0 ? variance : 0);
    return output_kind(&evaluator->config.model)->uses & OUTPUT_NORMALISER && !evaluator->config.dynamic;
}

int64_t evaluator_windows(const struct evaluator *evaluator)
{
    return evaluator->windows;
}

int evaluator_lane_count(const struct evaluator *evaluator)
{
    return evaluator->share.batch;
}

int64_t evaluator_cut(const struct evaluator *evaluator)
{
    return evaluator->cut;
}

int64_t evaluator_correct(const struct evaluator *evaluator)
{
    return evaluator->correct;
}
