/* Measures the norm of the gradient by time lag over the windows of a split. */
#include "unroll/train/lag_norms.h"

#include "unroll/base/lane_gather.h"
#include "unroll/base/mem.h"
#include "unroll/data/stream.h"
#include "unroll/nn/flow.h"

struct work {
    const struct comm *comm;
    const struct lag_norms_config *config;
    struct model *model;
    struct stream *stream;
    int lanes, states;
    float *kept;               /* [states][lanes][width] the states that were carried before */
    double *lane;              /* [states][bptt][lanes] of one window */
    double *mine, *all;        /* [groups][states][bptt] sums, of this rank's groups and of all */
    double *group;             /* [groups] of one number */
    struct lane_gather gather; /* from `mine` to `all` */
};

bool lag_norms_fit(int64_t tokens, int batch, int bptt)
{
    return (tokens - 1) / batch >= bptt;
}

/* Not collective. */
static enum status open_work(struct work *work, struct corpus *corpus, struct error *e)
{
    const struct lag_norms_config *config = work->config;
    size_t lanes = (size_t)work->lanes;
    size_t sums = (size_t)work->states * (size_t)config->bptt, groups = (size_t)config->share.groups;
    const char *what = "gradients by time lag";
    if (!lag_norms_fit(corpus->tokens[config->split], config->share.batch, config->bptt))
        return error_set(e, STATUS_CONFIG,
                         "cannot follow gradients over %d steps: the %s split has %lld tokens, less than a window for "
                         "each of %d lanes; use a longer %s text, at most %lld steps, or at most %lld lanes",
                         config->bptt, split_name(config->split), (long long)corpus->tokens[config->split],
                         config->share.batch, split_name(config->split),
                         (long long)(corpus->tokens[config->split] - 1) / config->share.batch,
                         (long long)(corpus->tokens[config->split] - 1) / config->bptt);
    work->kept = mem_alloc(lanes * model_state_total(&config->model), sizeof *work->kept, what, e);
    work->lane = work->kept ? mem_alloc(sums * lanes, sizeof *work->lane, what, e) : NULL;
    work->mine =
        work->lane ? mem_alloc((size_t)lane_share_groups(&config->share) * sums, sizeof *work->mine, what, e) : NULL;
    work->all = work->mine ? mem_alloc(groups * sums, sizeof *work->all, what, e) : NULL;
    work->group = work->all ? mem_alloc(groups, sizeof *work->group, what, e) : NULL;
    struct lane_bytes part = {.group = sums * sizeof *work->all};
    if (!work->group || lane_gather_create(&config->share, part, &work->gather, e))
        return STATUS_OS;
    struct stream_config slice = {.split = config->split,
                                  .batch = config->share.batch,
                                  .lane0 = config->share.lane_begin,
                                  .lanes = work->lanes,
                                  .bptt = config->bptt,
                                  .before = VOCAB_UNK};
    return work->model ? stream_open(corpus, &slice, &work->stream, e) : STATUS_OK;
}

static void close_work(struct work *work)
{
    stream_close(work->stream);
    mem_free(work->kept);
    mem_free(work->lane);
    mem_free(work->mine);
    mem_free(work->all);
    mem_free(work->group);
    lane_gather_release(&work->gather);
}

/* Adds a window's norms to the sums of this rank's groups, by lag instead of by time. */
static void add_window(struct work *work, const struct window *window)
{
    const struct lag_norms_config *config = work->config;
    const struct lane_share *share = &config->share;
    int lags = config->bptt;
    double *sum = work->mine;
    for (int group = share->group_begin; group < share->group_end; group++) {
        int begin = lane_share_group_lane(share, group) - share->lane_begin;
        int end = lane_share_group_lane(share, group + 1) - share->lane_begin;
        for (int state = 0; state < work->states; state++)
            for (int lag = 0; lag < lags; lag++, sum++)
                for (int lane = begin; lane < end; lane++)
                    *sum += work->lane[((int64_t)state * lags + window->T - 1 - lag) * work->lanes + lane];
    }
}

static size_t kept_at(const struct work *work, int state)
{
    return (size_t)work->lanes * model_state_offset(&work->config->model, state);
}

/* Not collective. */
static enum status run_lanes(struct work *work, int64_t windows, struct error *e)
{
    const struct lag_norms_config *config = work->config;
    for (int i = 0; i < work->states; i++)
        model_state_get(work->model, i, work->kept + kept_at(work, i));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < windows && !status; i++) {
        struct window window;
        status = stream_next(work->stream, &window, e);
        if (status)
            break;
        model_flow(work->model, &window, work->lane);
        add_window(work, &window);
        if (config->beat)
            config->beat(config->beat_context);
    }
    for (int i = 0; i < work->states; i++)
        model_state_set(work->model, i, work->kept + kept_at(work, i));
    return status;
}

enum status lag_norms_measure(const struct comm *comm, struct corpus *corpus, const struct lag_norms_config *config,
                              struct model *model, double *norms, int64_t *samples, struct error *e)
{
    struct work work = {.comm = comm, .config = config, .model = model, .states = model_state_count(&config->model)};
    int batch = config->share.batch, groups = config->share.groups;
    work.lanes = lane_share_lanes(&config->share);
    enum status status = open_work(&work, corpus, e);
    /* Windows that are whole in the shortest lane: every lane has a target in the last step of each. */
    int64_t whole = (corpus->tokens[config->split] - 1) / batch / config->bptt;
    int64_t windows = config->windows < whole ? config->windows : whole;
    if (!status && model)
        status = run_lanes(&work, windows, e);
    status = comm_agree(comm, status, e);
    if (!status) {
        comm_allgatherv(comm, work.mine, work.all, work.gather.bytes, work.gather.offset);
        *samples = windows * batch;
        for (int i = 0; i < work.states * config->bptt; i++) {
            for (int group = 0; group < groups; group++)
                work.group[group] = work.all[(size_t)group * (size_t)(work.states * config->bptt) + (size_t)i];
            norms[i] = lane_tree_sum(work.group, groups) / (double)*samples;
        }
    }
    close_work(&work);
    return status;
}

size_t lag_norms_bytes(const struct lag_norms_config *config)
{
    size_t lanes = (size_t)lane_share_lanes(&config->share), groups = (size_t)config->share.groups;
    size_t own = (size_t)lane_share_groups(&config->share);
    size_t states = (size_t)model_state_count(&config->model), sums = states * (size_t)config->bptt;
    return lanes * model_state_total(&config->model) * sizeof(float) +
           (sums * (lanes + own + groups + 1) + groups) * sizeof(double);
}
