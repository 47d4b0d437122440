/* Computes memory, flops and bytes on the wire of a run before it starts. */
#include "unroll/use/plan.h"

#include <math.h>

#include "unroll/base/lane_share.h"
#include "unroll/data/cuts.h"
#include "unroll/data/examples.h"
#include "unroll/data/stream.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"
#include "unroll/train/average.h"
#include "unroll/train/lag_norms.h"
#include "unroll/train/reducer_traffic.h"
#include "unroll/use/bench.h"
#include "unroll/use/sampler.h"

/* The resident set before anything is computed: program and libraries, the heap they fill while they start, and with
 * more than one rank what MPI maps to talk to the others. Measured with Open MPI 4.1, HDF5 1.10 and BLIS 0.9. */
#define PROCESS_ALONE ((size_t)14 << 20)
#define PROCESS_MPI ((size_t)25 << 20)
#define PROCESS_THREAD ((size_t)64 << 10) /* the part of a thread's stack that is used */

#define HOST_RANKS 128 /* most ranks of a host that one exchanges with */

#define NEARLY_EQUAL 0.02 /* of two splits' busy shares */

/* ---- flops and wire ---- */

/* Of the tokens that bench draws. */
static double share_below(int rank, int vocab)
{
    return log1p(rank / BENCH_ZIPF_OFFSET) / log1p(vocab / BENCH_ZIPF_OFFSET);
}

double plan_flops_per_token(const struct model_config *model, const struct param_table *table)
{
    const struct output_kind *output = output_kind(model);
    double weights = output->weights ? output->weights(model, share_below) : 0;
    int count = output->weights ? table->output : table->count;
    for (int i = 0; i < count; i++)
        if (table->param[i].rank == 2 && table->param[i].role != PARAM_EMBEDDING)
            weights += (double)table->param[i].count;
    return 6 * weights;
}

static struct lane_share share_of(const struct plan_config *config, int rank)
{
    return lane_share_of(config->batch, config->groups, config->ranks, rank);
}

/* The longest window of a training step. */
static int longest(const struct plan_config *config)
{
    return cuts_longest(config->step.bptt, config->vary);
}

/* How gradients lie on the ranks. */
struct layout {
    int64_t nodes;  /* of all ranks */
    int nodes_max;  /* of one rank */
    bool butterfly; /* one node each, and halves that pair up */
};

static struct layout layout_of(const struct plan_config *config)
{
    struct layout layout;
    layout.butterfly = reducer_traffic_nodes(config->groups, config->ranks, &layout.nodes, &layout.nodes_max);
    return layout;
}

/* Distinct tokens among `draws` of bench_token. */
static double distinct_tokens(int V, int draws)
{
    double sum = 0;
    for (int v = 0; v < V; v++) {
        double p = log1p(1 / (v + BENCH_ZIPF_OFFSET)) / log1p(V / BENCH_ZIPF_OFFSET);
        sum += -expm1(draws * log1p(-p));
    }
    return sum;
}

/* Rows of a list that a step is expected to touch. */
static double expected_rows(const struct gradient_list *list)
{
    if (list->same || list->rows == 1)
        return (double)list->most;
    return ceil(distinct_tokens((int)list->rows, (int)list->places));
}

size_t plan_summed_floats(const struct model_config *model, int batch, int bptt)
{
    struct param_table table;
    struct gradient_layout layout;
    param_table_build(model, &table);
    gradient_layout_build(model, &table, batch, bptt, true, &layout);
    double floats = (double)layout.dense;
    for (const struct gradient_part *part = layout.part; part < layout.part + layout.parts; part++)
        floats += expected_rows(&layout.list[part->list]) * (double)part->width;
    return (size_t)floats;
}

/* A rank gives away all but its own slice of each node, then hands its slice of the sum to all others. */
static size_t wire_bytes(const struct plan_config *config, const struct layout *layout)
{
    double ranks = config->ranks;
    double gradient = (double)plan_summed_floats(&config->step.model, config->batch, longest(config)) * sizeof(float);
    int nodes = config->step.reduction == REDUCTION_EXACT ? layout->nodes_max : 1;
    return (size_t)((nodes + 1) * gradient * (ranks - 1) / ranks);
}

/* ---- memory ---- */

/* A rank's own outbox, and those it reads, if all its peers are on its host. */
static size_t mailbox_bytes(const struct plan_config *config, const struct layout *layout)
{
    size_t peers = 0;
    if (layout->butterfly)
        for (int distance = 1; distance < config->ranks; distance *= 2)
            peers++;
    else
        peers = (size_t)(config->ranks < HOST_RANKS ? config->ranks : HOST_RANKS) - 1;
    return config->ranks > 1 ? (1 + peers) * COMM_OUTBOX : 0;
}

static struct model_shape shape_of(const struct plan_config *config, int rank, bool train)
{
    return (struct model_shape){
        .bptt = train ? longest(config) : config->step.bptt,
        .share = share_of(config, rank),
        .threads = config->step.threads,
        .train = train,
        .exact = config->step.reduction == REDUCTION_EXACT,
        .sparse = true,
    };
}

static int lanes_of(const struct plan_config *config, int rank)
{
    struct lane_share share = share_of(config, rank);
    return lane_share_lanes(&share);
}

/* The states gathered to be put into the file; all else goes into it from where it lies. */
static size_t saving_bytes(const struct plan_config *config)
{
    return model_state_total(&config->step.model) * (size_t)config->batch * sizeof(float);
}

static size_t flow_bytes(const struct plan_config *config, int rank)
{
    const struct lag_norms_config flow = {
        .model = config->step.model, .share = share_of(config, rank), .bptt = config->step.bptt};
    return lag_norms_bytes(&flow);
}

static void rank_memory(const struct plan_config *config, const struct layout *layout, const struct param_table *table,
                        int rank, struct plan_memory *memory)
{
    struct model_shape train = shape_of(config, rank, true), evaluate = shape_of(config, rank, false);
    const struct stream_config stream = {
        .batch = config->batch, .lanes = lanes_of(config, rank), .bptt = config->step.bptt, .vary = config->vary};
    const struct examples_config examples = {
        .batch = config->batch, .lanes = lanes_of(config, rank), .longest = config->step.bptt};
    bool classify = config->step.model.task == TASK_CLASSIFY;
    struct gradient_layout gradient;
    gradient_layout_build(&config->step.model, table, config->batch, longest(config), true, &gradient);
    *memory = (struct plan_memory){
        .parameters = table->total * sizeof(float),
        .gradients = reducer_gradient_bytes(&gradient, config->groups, config->ranks, rank),
        .optimizer = optimizer_bytes(config->step.optimizer.kind, table, &gradient) +
                     average_bytes(config->averages ? AVERAGE_UPDATES : AVERAGE_NONE, table),
        .workspace = model_bytes(&config->step.model, &train),
        .reducer = reducer_bytes(table, &gradient, config->groups, config->ranks, rank, config->step.reduction),
        .streams = !config->run ? 0 : 2 * (classify ? examples_bytes(&examples, 0) : stream_bytes(&stream)),
        .evaluator = config->run ? model_bytes(&config->step.model, &evaluate) : 0,
        .checkpoint = config->run && rank == 0 ? saving_bytes(config) : 0,
        .process = (config->ranks > 1 ? PROCESS_MPI : PROCESS_ALONE) + mailbox_bytes(config, layout) +
                   (size_t)config->step.threads * PROCESS_THREAD,
    };
    if (config->run && config->flow && !classify)
        memory->streams += stream_bytes(&stream) + flow_bytes(config, rank);
    if (config->run && config->sample && !classify && rank == 0)
        memory->evaluator += sampler_bytes(&config->step.model);
    if (memory->workspace == SIZE_MAX || memory->evaluator == SIZE_MAX) {
        memory->total = SIZE_MAX;
        return;
    }
    memory->total = memory->parameters + memory->gradients + memory->optimizer + memory->workspace + memory->reducer +
                    memory->streams + memory->evaluator + memory->checkpoint + memory->process;
}

void plan_rank(const struct plan_config *config, int rank, struct plan_memory *memory)
{
    struct layout layout = layout_of(config);
    struct param_table table;
    param_table_build(&config->step.model, &table);
    rank_memory(config, &layout, &table, rank, memory);
}

/* ---- the whole ---- */

static enum status check_config(const struct plan_config *config, struct error *e)
{
    enum status status = model_config_check(&config->step.model, e);
    if (status)
        return status;
    if (config->groups > config->batch)
        return error_set(e, STATUS_CONFIG, "cannot cut '%d' lanes into '%d' groups; use --lane-groups 1 to %d",
                         config->batch, config->groups, config->batch);
    if (config->ranks > config->batch)
        return error_set(e, STATUS_CONFIG,
                         "cannot share '%d' lanes among '%d' ranks; use at most %d ranks, or a "
                         "--batch of %d or more",
                         config->batch, config->ranks, config->groups, config->ranks);
    if (config->ranks > config->groups)
        return error_set(e, STATUS_CONFIG,
                         "cannot share '%d' lane groups among '%d' ranks; use at most %d ranks, or "
                         "--lane-groups %d or more",
                         config->groups, config->ranks, config->groups, config->ranks);
    for (int rank = 0; rank < config->ranks; rank++)
        if ((int64_t)lanes_of(config, rank) * longest(config) > INT32_MAX / 2)
            return error_set(
                e, STATUS_CONFIG,
                "a window of '%d' steps of '%d' lanes is too large: a rank takes at most %d tokens at once; use more "
                "ranks, or a smaller --batch or --bptt",
                longest(config), lanes_of(config, rank), INT32_MAX / 2);
    return STATUS_OK;
}

enum status plan_build(const struct plan_config *config, struct plan *plan, struct error *e)
{
    *plan = (struct plan){0};
    enum status status = check_config(config, e);
    if (status)
        return status;
    param_table_build(&config->step.model, &plan->table);
    plan->bptt = longest(config);
    plan->tokens_per_step = (int64_t)config->batch * config->step.bptt;
    plan->flops_per_token = plan_flops_per_token(&config->step.model, &plan->table);
    struct layout layout = layout_of(config);
    plan->wire_bytes = wire_bytes(config, &layout);
    rank_memory(config, &layout, &plan->table, 0, &plan->first);
    for (int rank = 0; rank < config->ranks; rank++) {
        struct plan_memory memory = plan->first;
        if (rank > 0)
            rank_memory(config, &layout, &plan->table, rank, &memory);
        if (memory.total == SIZE_MAX)
            return error_set(e, STATUS_OS,
                             "out of memory for rank '%d': its arrays cannot be addressed; use a smaller "
                             "model, --batch or --bptt",
                             rank);
        if (rank > 0 && memory.total > plan->most.total)
            plan->most = memory;
        if (lanes_of(config, rank) > plan->lanes_max)
            plan->lanes_max = lanes_of(config, rank);
    }
    return STATUS_OK;
}

/* ---- splits ---- */

/* Share of the time in which `parts` workers have work if `items` go to them whole. */
static double evenness(int items, int parts)
{
    int most = (items + parts - 1) / parts;
    return (double)items / ((double)parts * most);
}

/* Threads own blocks of hidden units; more threads than blocks share the lanes of a block (nn/layer.c). */
static double busy_share(const struct plan_config *config, int lanes_max)
{
    int blocks = gemm_round(model_widest(&config->step.model)) / GEMM_WIDE;
    int rows = config->step.threads > blocks ? config->step.threads / blocks : 1;
    rows = rows > lanes_max ? lanes_max : rows;
    int columns = config->step.threads / rows;
    columns = columns > blocks ? blocks : columns;
    double ranks = (double)config->batch / ((double)config->ranks * lanes_max);
    return ranks * evenness(blocks, columns) * evenness(lanes_max, rows) * rows * columns / config->step.threads;
}

int plan_splits(const struct plan_config *config, int cores, int threads_max, struct plan_split splits[PLAN_SPLITS_MAX],
                int *best)
{
    int count = 0;
    *best = 0;
    for (int ranks = 1; ranks <= cores && count < PLAN_SPLITS_MAX; ranks++) {
        struct plan plan;
        struct plan_config split = *config;
        split.ranks = ranks;
        split.step.threads = cores / ranks;
        if (cores % ranks || split.step.threads > threads_max || plan_build(&split, &plan, NULL))
            continue;
        splits[count] = (struct plan_split){
            .ranks = ranks,
            .threads = split.step.threads,
            .busy = busy_share(&split, plan.lanes_max),
            .rank_bytes = plan.first.total > plan.most.total ? plan.first.total : plan.most.total,
            .wire_bytes = plan.wire_bytes,
        };
        if (splits[count].busy > splits[*best].busy + NEARLY_EQUAL)
            *best = count;
        count++;
    }
    return count;
}
