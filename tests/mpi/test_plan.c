/* What a plan says a rank takes is what it takes: the resident set grows by that much when gradients, reducer,
 * workspace, optimizer, an evaluation's workspace and a sampler are made. Also that steps allocate nothing, over
 * several ranks. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/nn/model.h"
#include "unroll/use/bench.h"
#include "unroll/use/plan.h"
#include "unroll/use/sampler.h"

#define TOLERANCE 0.02 /* pages that round up, small blocks, and what MPI takes meanwhile */

static int failures;
static const struct comm *world;

static void expect(bool holds, const char *what, double planned, double measured)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "rank %d of %d: %s: planned %.0f, measured %.0f\n", world->rank, world->size, what, planned,
            measured);
}

/* Resident bytes that are neither of files nor shared. */
static double resident(void)
{
    long pages = 0, shared = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%*d %ld %ld", &pages, &shared) != 2)
        pages = shared = 0;
    if (statm)
        (void)fclose(statm);
    return (double)(pages - shared) * (double)sysconf(_SC_PAGESIZE);
}

static void compare(const char *what, double begin, size_t planned)
{
#if !defined __SANITIZE_ADDRESS__ /* it pads and keeps blocks */
    double measured = resident() - begin;
    expect(fabs(measured - (double)planned) <= TOLERANCE * (double)planned + (1 << 19), what, (double)planned,
           measured);
#else
    (void)what, (void)begin, (void)planned, (void)resident;
#endif
}

/* Words of eight bytes, numbers all of them. */
static struct vocab *make_vocab(int V)
{
    struct vocab *vocab = NULL;
    char *bytes = mem_alloc((size_t)V * 8 + 8, 1, "texts", NULL);
    uint64_t *offsets = mem_alloc((size_t)V + 1, sizeof *offsets, "offsets", NULL);
    uint64_t *counts = mem_alloc((size_t)V, sizeof *counts, "counts", NULL);
    memcpy(bytes, VOCAB_UNK_WORD, 5);
    offsets[1] = 5;
    for (int token = 1; token < V; token++) {
        offsets[token + 1] = offsets[token] + 8;
        for (int i = 0, left = token; i < 8; i++, left /= 10)
            bytes[offsets[token] + (uint64_t)i] = (char)('0' + left % 10);
    }
    struct error e = {0};
    expect(vocab_adopt(LEVEL_WORD, V, bytes, offsets, counts, STATUS_DATA, &vocab, &e) == STATUS_OK, e.text, 0, 0);
    return vocab;
}

/* Rank 0 alone writes them. */
static void samples_are_as_planned(struct plan_config config, size_t evaluator, const float *values)
{
    const struct sampler_config one = {.rule = {.temperature = 1, .top_p = 1}, .texts = 1, .threads = 1};
    struct plan_memory plan;
    struct error e = {0};
    struct sampler *sampler = NULL;
    struct vocab *vocab = make_vocab(config.step.model.vocab);
    config.sample = true;
    plan_rank(&config, world->rank, &plan);
    double begin = resident();
    if (world->rank == 0)
        expect(sampler_create(&config.step.model, values, vocab, &one, &sampler, &e) == STATUS_OK, e.text, 0, 0);
    compare("samples", begin, plan.evaluator - evaluator);
    sampler_free(sampler);
    vocab_free(vocab);
    malloc_trim(0); /* what comes next takes new pages */
}

static void memory_is_as_planned(enum cell cell, int hidden, int batch, int groups, int kind, bool tied,
                                 enum reduction reduction)
{
    struct plan_config config = {
        .step.model = {.cell = cell,
                       .layers = 2,
                       .embedding = hidden,
                       .hidden = hidden,
                       .vocab = 18 * hidden + 1,
                       .tied = tied,
                       .dropout = 0.1},
        .batch = batch,
        .step.bptt = 35,
        .groups = groups,
        .ranks = world->size,
        .step.threads = 2,
        .step.optimizer.kind = kind,
        .step.reduction = reduction,
        .run = true,
    };
    struct plan_memory plan;
    struct param_table table;
    struct error e = {0};
    struct reducer *reducer = NULL;
    struct optimizer *optimizer = NULL;
    struct model *model = NULL, *evaluator = NULL;
    struct optimizer_config update = {.kind = kind};
    plan_rank(&config, world->rank, &plan);
    param_table_build(&config.step.model, &table);
    struct model_shape shape = {
        .bptt = config.step.bptt,
        .share = lane_share_of(batch, groups, world->size, world->rank),
        .threads = config.step.threads,
        .train = true,
        .exact = reduction == REDUCTION_EXACT,
        .sparse = true,
    };
    struct gradient_layout layout;
    gradient_layout_build(&config.step.model, &table, batch, config.step.bptt, true, &layout);
    double begin = resident();
    expect(reducer_create(world, &table, &layout, groups, reduction, &reducer, &e) == STATUS_OK, e.text, 0, 0);
    compare("gradients and reducer", begin, plan.gradients + plan.reducer);
    begin = resident();
    expect(optimizer_create(&update, &table, &layout, &optimizer, &e) == STATUS_OK, e.text, 0, 0);
    compare("optimizer", begin, plan.optimizer);
    begin = resident();
    float *values = mem_alloc(table.total, sizeof *values, "parameters", &e);
    compare("parameters", begin, plan.parameters);
    begin = resident();
    expect(model_create(&config.step.model, values, &shape, &model, &e) == STATUS_OK, e.text, 0, 0);
    compare("workspace", begin, plan.workspace);
    begin = resident();
    shape.train = false;
    expect(model_create(&config.step.model, values, &shape, &evaluator, &e) == STATUS_OK, e.text, 0, 0);
    compare("evaluator", begin, plan.evaluator);
    samples_are_as_planned(config, plan.evaluator, values);
    model_free(evaluator);
    model_free(model);
    mem_free(values);
    optimizer_free(optimizer);
    reducer_free(reducer);
}

static void steps_allocate_nothing(enum reduction reduction)
{
    const struct bench_config config = {
        .step.model = {.cell = CELL_LSTM, .layers = 2, .embedding = 40, .hidden = 48, .vocab = 101, .tied = false},
        .step.seed = 1,
        .batch = 13,
        .step.bptt = 6,
        .groups = 11,
        .step.threads = 1,
        .step.optimizer = {.kind = OPTIMIZER_SGD},
        .lr = 0.1,
        .step.clip = 1,
        .step.reduction = reduction,
        .steps = 3,
    };
    struct bench_result result = {0};
    struct error e = {0};
    expect(bench_run(world, &config, &result, &e) == STATUS_OK, e.text, 0, 0);
    expect(result.allocations == 0, "allocations", 0, (double)result.allocations);
    double sum = 0;
    for (int phase = 0; phase < BENCH_PHASES; phase++)
        sum += result.phase[phase];
    expect(fabs(sum - result.step_seconds) <= 1e-9 * result.step_seconds, "sum of phases", result.step_seconds, sum);
    expect(world->size == 1 || result.phase[BENCH_REDUCTION] > 0, "reduction", 1, 0);
    expect(fabs(result.loss_first - log(101)) < 0.5, "loss", log(101), result.loss_first);
}

static void nothing(void *context, const struct team_member *me)
{
    (void)context;
    (void)me;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 16); /* what is freed leaves the resident set at once */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 16);
    if (comm_init(&comm, &e) != STATUS_OK)
        return 1;
    world = &comm;
    comm_barrier(&comm);
    struct comm host; /* what MPI takes at first use is not counted */
    if (comm_sum(&comm, 1) != comm.size || comm_split_host(&comm, &host, &e) != STATUS_OK)
        return 1;
    comm_release(&host);
    team_run(2, INT64_MAX, nothing, NULL); /* and what the team takes */
    memory_is_as_planned(CELL_LSTM, 16, 20, 10, OPTIMIZER_SGD, false,
                         REDUCTION_EXACT); /* the reducer's buffers stand out */
    memory_is_as_planned(CELL_LSTM, 512, 20, 10, optimizer_kind("adam"), false, REDUCTION_EXACT);
    memory_is_as_planned(CELL_GRU, 512, 7, 5, optimizer_kind("momentum"), true, REDUCTION_EXACT);
    memory_is_as_planned(CELL_RNN_TANH, 512, 32, 16, OPTIMIZER_SGD, false, REDUCTION_FAST);
    steps_allocate_nothing(REDUCTION_EXACT);
    steps_allocate_nothing(REDUCTION_FAST);
    int64_t all = comm_sum(&comm, failures);
    comm_finalize(&comm);
    return all > 0;
}
