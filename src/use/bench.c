/* Measures training steps, beside matrix products of the same cores. */
#include "unroll/use/bench.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/lane_gather.h"
#include "unroll/base/mem.h"
#include "unroll/base/quantile.h"
#include "unroll/base/rng.h"
#include "unroll/base/window.h"
#include "unroll/sys/blas.h"
#include "unroll/train/step.h"
#include "unroll/use/plan.h"

#define REPETITIONS 7       /* odd: the median is one of them */
#define REPETITIONS_GIVEN 5 /* at most, with --steps */
#define REPETITION_SECONDS 0.6
#define WARM_UP_SECONDS 0.4
#define WARM_UP_MIN 2

/* What one rank measured in one repetition. */
struct sample {
    double seconds; /* per step */
    double phase[BENCH_PHASES];
    double sgemm_seconds;
};

struct bench {
    const struct comm *comm;
    struct bench_config config;
    struct param_table table;
    struct plan_config plan;
    struct lane_share share;
    int lanes; /* of this rank */
    float *values;
    struct step *step;
    uint32_t *tokens;          /* [BENCH_WINDOWS][2][T][lanes]: inputs, then targets */
    double *group_loss;        /* [groups] of all ranks */
    struct lane_gather gather; /* of group_loss */
    float *sgemm;              /* [3][BENCH_SGEMM][BENCH_SGEMM] */
    struct sample sample[REPETITIONS];
    struct sample *all;     /* [ranks][REPETITIONS] */
    int64_t steps, targets; /* steps so far; targets of a step, of all ranks */
    double first_loss, last_loss;
    bool diverged;
    double exchange; /* of losses: seconds since the repetition began */
};

const char *bench_phase_name(enum bench_phase phase)
{
    static const char *const names[BENCH_PHASES] = {
        "input_projection", "recurrent_forward", "output_layer", "recurrent_backward",
        "weight_gradients", "reduction",         "optimizer",    "other",
    };
    return names[phase];
}

uint32_t bench_token(int V, uint64_t seed, uint32_t position, uint32_t lane)
{
    double u = rng_uniform_float(rng_philox(seed, RNG_BENCH, position, lane, 0, 0).word[0]);
    double token = BENCH_ZIPF_OFFSET *
                   (arithmetic_pow(1 + V / BENCH_ZIPF_OFFSET, u) - 1); /* inverse of the sum of 1 / (v + offset) */
    return token < V - 1 ? (uint32_t)token : (uint32_t)(V - 1);
}

/* ---- creation ---- */

static void make_tokens(struct bench *bench)
{
    int T = bench->config.step.bptt, lanes = bench->lanes, V = bench->config.step.model.vocab;
    for (int w = 0; w < BENCH_WINDOWS; w++)
        for (int next = 0; next < 2; next++)
            for (int t = 0; t < T; t++)
                for (int b = 0; b < lanes; b++)
                    bench->tokens[(((size_t)w * 2 + next) * T + t) * lanes + b] =
                        bench_token(V, bench->config.step.seed, (uint32_t)(w * T + t + next),
                                    (uint32_t)(bench->share.lane_begin + b));
}

/* To classify: texts as long as a window, and a label at the end of each. */
static void make_labels(struct bench *bench)
{
    int T = bench->config.step.bptt, lanes = bench->lanes, labels = bench->config.step.model.labels;
    for (int w = 0; w < BENCH_WINDOWS; w++)
        for (int t = 0; t < T; t++)
            for (int b = 0; b < lanes; b++)
                bench->tokens[(((size_t)w * 2 + 1) * T + t) * lanes + b] =
                    t < T - 1 ? WINDOW_NO_TARGET
                              : bench_token(labels, bench->config.step.seed, (uint32_t)w,
                                            (uint32_t)(bench->share.lane_begin + b));
}

/* Not collective. */
static enum status create_own(struct bench *bench, struct error *e)
{
    const struct bench_config *config = &bench->config;
    size_t ranks = (size_t)bench->comm->size, window = (size_t)config->step.bptt * (size_t)bench->lanes;
    bench->values = mem_alloc(bench->table.total, sizeof(float), "parameters", e);
    bench->tokens = mem_alloc(BENCH_WINDOWS * 2 * window, sizeof *bench->tokens, "tokens", e);
    bench->group_loss = mem_alloc((size_t)config->groups, sizeof *bench->group_loss, "losses", e);
    bench->all = mem_alloc(ranks * REPETITIONS, sizeof *bench->all, "timings", e);
    if (!bench->values || !bench->tokens || !bench->group_loss || !bench->all)
        return STATUS_OS;
    struct lane_bytes loss = {.group = sizeof *bench->group_loss};
    enum status status = lane_gather_create(&bench->share, loss, &bench->gather, e);
    if (!status)
        status = param_init(&config->step.model, &bench->table, config->init, config->step.seed, bench->values, e);
    if (!status) {
        make_tokens(bench);
        if (bench->config.step.model.task == TASK_CLASSIFY)
            make_labels(bench);
    }
    return status;
}

/* Collective. */
static enum status create_step(struct bench *bench, struct error *e)
{
    struct step_config step = bench->config.step;
    step.share = bench->share;
    step.norm = true;
    return step_create(bench->comm, &step, &bench->table, bench->values, &bench->step, e);
}

/* Collective. */
static enum status bench_create(struct bench *bench, struct plan *plan, struct error *e)
{
    const struct bench_config *config = &bench->config;
    bench->plan = (struct plan_config){
        .step = config->step,
        .batch = config->batch,
        .groups = config->groups,
        .ranks = bench->comm->size,
    };
    enum status status = plan_build(&bench->plan, plan, e); /* the same on all ranks */
    if (status)
        return status;
    bench->table = plan->table;
    bench->targets = config->step.model.task == TASK_CLASSIFY ? config->batch : plan->tokens_per_step;
    bench->share = lane_share_of(config->batch, config->groups, bench->comm->size, bench->comm->rank);
    bench->lanes = lane_share_lanes(&bench->share);
    status = comm_agree(bench->comm, create_own(bench, e), e);
    if (!status)
        status = create_step(bench, e);
    if (!status)
        model_pack(bench->step->model);
    return status;
}

static void bench_release(struct bench *bench)
{
    step_free(bench->step);
    mem_free(bench->values);
    mem_free(bench->tokens);
    mem_free(bench->group_loss);
    lane_gather_release(&bench->gather);
    mem_free(bench->sgemm);
    mem_free(bench->all);
}

/* ---- the step ---- */

/* The mean loss over all ranks. Collective. */
static void exchange_losses(struct bench *bench, const struct model_loss *loss)
{
    double begun = omp_get_wtime();
    comm_allgatherv(bench->comm, loss->group, bench->group_loss, bench->gather.bytes, bench->gather.offset);
    bench->last_loss = lane_tree_sum(bench->group_loss, bench->config.groups) / (double)bench->targets;
    if (bench->steps == 0)
        bench->first_loss = bench->last_loss;
    bench->exchange += omp_get_wtime() - begun;
}

static void run_step(struct bench *bench)
{
    size_t window_tokens = (size_t)bench->config.step.bptt * (size_t)bench->lanes;
    int w = (int)(bench->steps % BENCH_WINDOWS);
    const uint32_t *input = bench->tokens + 2 * (size_t)w * window_tokens;
    struct window window = {
        .T = bench->config.step.bptt,
        .lanes = bench->lanes,
        .lane0 = bench->share.lane_begin,
        .reset = w == 0 || bench->config.step.model.task == TASK_CLASSIFY,
        .input = input,
        .target = input + window_tokens,
    };
    struct model_loss loss;
    step_gradient(bench->step, &window, bench->steps, &loss);
    exchange_losses(bench, &loss);
    double norm = step_sum(bench->step, bench->targets);
    bool finite = isfinite(norm) && isfinite(bench->last_loss);
    bench->diverged = bench->diverged || !finite;
    if (finite)
        step_update(bench->step, bench->config.lr);
    bench->steps++;
}

/* ---- measuring ---- */

static int64_t minor_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_minflt : 0;
}

/* The high-water mark of this program alone: ru_maxrss would count what started it, too. */
static size_t peak_rss(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    if (status)
        (void)fclose(status);
    if (!kib) {
        struct rusage usage;
        kib = getrusage(RUSAGE_SELF, &usage) == 0 ? (unsigned long long)usage.ru_maxrss : 0;
    }
    return (size_t)kib << 10;
}

/* Runs until everything is in place, and decides how many steps a repetition has. Collective. */
static void warm_up(struct bench *bench, struct bench_result *result)
{
    double begin = omp_get_wtime();
    run_step(bench);
    double seconds = omp_get_wtime() - begin;
    int64_t more = WARM_UP_MIN - 1, repetitions = REPETITIONS, steps = bench->config.steps;
    if (!steps) {
        if (bench->comm->rank == 0 && seconds * (double)more < WARM_UP_SECONDS)
            more = (int64_t)(WARM_UP_SECONDS / seconds) + 1;
        comm_broadcast(bench->comm, &more, sizeof more, 0);
    }
    comm_barrier(bench->comm);
    begin = omp_get_wtime();
    for (int64_t i = 0; i < more; i++)
        run_step(bench);
    seconds = (omp_get_wtime() - begin) / (double)more;
    if (!steps) {
        steps = repetitions * (int64_t)ceil(REPETITION_SECONDS / seconds);
        comm_broadcast(bench->comm, &steps, sizeof steps, 0);
    } else
        repetitions = steps < REPETITIONS_GIVEN ? (steps - 1) / 2 * 2 + 1 : REPETITIONS_GIVEN;
    result->warm_up = more + 1;
    result->steps = steps;
    result->repetitions = repetitions;
}

/* Collective: begins on all ranks at once. */
static void time_steps(struct bench *bench, int64_t steps, struct sample *sample, struct bench_result *result)
{
    struct model_phases phases;
    struct step_seconds others;
    comm_barrier(bench->comm);
    model_take_phases(bench->step->model, &phases);
    step_take_seconds(bench->step, &others);
    bench->exchange = 0;
    int64_t allocations = mem_allocation_count(), faults = minor_faults();
    double begin = omp_get_wtime();
    for (int64_t i = 0; i < steps; i++)
        run_step(bench);
    double seconds = omp_get_wtime() - begin;
    result->allocations += mem_allocation_count() - allocations;
    result->page_faults += minor_faults() - faults;
    model_take_phases(bench->step->model, &phases);
    step_take_seconds(bench->step, &others);
    double *phase = sample->phase, n = (double)steps;
    sample->seconds = seconds / n;
    phase[BENCH_INPUT_PROJECTION] = phases.input_projection / n;
    phase[BENCH_RECURRENT_FORWARD] = phases.recurrent_forward / n;
    phase[BENCH_OUTPUT_LAYER] = phases.output_layer / n;
    phase[BENCH_RECURRENT_BACKWARD] = phases.recurrent_backward / n;
    phase[BENCH_WEIGHT_GRADIENTS] = phases.weight_gradients / n;
    phase[BENCH_REDUCTION] = (bench->exchange + others.sum) / n;
    phase[BENCH_OPTIMIZER] = others.optimizer / n;
}

static double time_sgemm(struct bench *bench)
{
    const int n = BENCH_SGEMM;
    float *a = bench->sgemm, *b = a + (size_t)n * n, *c = b + (size_t)n * n;
    comm_barrier(bench->comm);
    double begin = omp_get_wtime();
    blas_sgemm(n, n, n, a, b, c, bench->config.step.threads);
    double seconds = omp_get_wtime() - begin;
    (void)omp_pause_resource_all(omp_pause_soft); /* BLIS's threads would go on spinning on the team's cores */
    return seconds;
}

/* Collective. */
static enum status measure_repetitions(struct bench *bench, struct bench_result *result, struct error *e)
{
    const size_t n = BENCH_SGEMM;
    warm_up(bench, result);
    result->peak_rss_bytes = (size_t)comm_max(bench->comm, (int64_t)peak_rss());
    bench->sgemm = mem_alloc(3 * n * n, sizeof *bench->sgemm, "the sgemm's operands", e);
    enum status status = comm_agree(bench->comm, bench->sgemm ? STATUS_OK : STATUS_OS, e);
    if (status)
        return status;
    for (size_t i = 0; i < 2 * n * n; i++)
        bench->sgemm[i] = (float)(i % 7) - 3;
    (void)time_sgemm(bench);
    for (int64_t i = 0; i < result->repetitions; i++) {
        int64_t begin = result->steps * i / result->repetitions, end = result->steps * (i + 1) / result->repetitions;
        time_steps(bench, end - begin, &bench->sample[i], result);
        bench->sample[i].sgemm_seconds = time_sgemm(bench);
    }
    result->add_rate = network_add_rate(bench->comm, bench->sgemm);
    if (bench->diverged)
        status = error_set(e, STATUS_DIVERGED,
                           "cannot measure: the loss or the gradient is not finite after '%lld' "
                           "steps; use a smaller --lr",
                           (long long)bench->steps);
    return comm_agree(bench->comm, status, e);
}

/* ---- evaluation ---- */

/* Collective. */
static void fill_result(struct bench *bench, const struct plan *plan, struct bench_result *result)
{
    int ranks = bench->comm->size;
    int64_t repetitions = result->repetitions;
    double step[REPETITIONS], ordered[REPETITIONS], sgemm[REPETITIONS];
    const double n = BENCH_SGEMM;
    comm_allgather(bench->comm, bench->sample, sizeof bench->sample, bench->all);
    for (int64_t i = 0; i < repetitions; i++) {
        step[i] = sgemm[i] = 0;
        for (int rank = 0; rank < ranks; rank++) {
            const struct sample *sample = &bench->all[rank * REPETITIONS + i];
            step[i] = fmax(step[i], sample->seconds);
            sgemm[i] += 2 * n * n * n / sample->sgemm_seconds;
        }
    }
    memcpy(ordered, step, sizeof ordered);
    result->step_seconds = median(ordered, repetitions);
    result->step_seconds_min = ordered[0];
    result->step_seconds_max = ordered[repetitions - 1];
    int64_t chosen = 0;
    while (step[chosen] < result->step_seconds || step[chosen] > result->step_seconds)
        chosen++;
    result->phase[BENCH_OTHER] = result->step_seconds;
    for (int phase = 0; phase < BENCH_OTHER; phase++) {
        for (int rank = 0; rank < ranks; rank++)
            result->phase[phase] += bench->all[rank * REPETITIONS + chosen].phase[phase] / ranks;
        result->phase[BENCH_OTHER] -= result->phase[phase];
    }
    result->tokens_per_second = (double)plan->tokens_per_step / result->step_seconds;
    result->flops = result->tokens_per_second * plan->flops_per_token;
    result->sgemm_flops = median(sgemm, repetitions);
    result->fraction_of_sgemm = result->flops / result->sgemm_flops;
    result->planned_bytes = plan->first.total > plan->most.total ? plan->first.total : plan->most.total;
    result->allocations = comm_sum(bench->comm, result->allocations);
    result->page_faults = comm_sum(bench->comm, result->page_faults);
    result->loss_first = bench->first_loss;
    result->loss_last = bench->last_loss;
}

/* Collective. After evaluate. */
static enum status measure_network(struct bench *bench, const struct bench_result *result, struct error *e)
{
    const struct bench_config *config = &bench->config;
    struct network_subject subject = {
        .mine = {.lanes = bench->lanes},
        .reducer = bench->step->reducer,
        .groups = config->groups,
        .reduction = config->step.reduction,
        .grad_total = bench->step->layout.total,
        .touched = bench->step->touched,
        .add_rate = result->add_rate,
    };
    double computing[REPETITIONS], sgemm = INFINITY, n = BENCH_SGEMM;
    for (int64_t i = 0; i < result->repetitions; i++) {
        computing[i] = bench->sample[i].seconds - bench->sample[i].phase[BENCH_REDUCTION];
        sgemm = fmin(sgemm, bench->sample[i].sgemm_seconds);
    }
    subject.mine.compute_seconds = median(computing, result->repetitions);
    subject.mine.sgemm_flops = 2 * n * n * n / sgemm;
    (void)gethostname(subject.mine.host, sizeof subject.mine.host - 1);
    return network_measure(bench->comm, &subject, config->network, e);
}

enum status bench_run(const struct comm *comm, const struct bench_config *config, struct bench_result *result,
                      struct error *e)
{
    *result = (struct bench_result){0};
    struct bench *bench = mem_alloc(1, sizeof *bench, "a benchmark", e);
    struct plan *plan = mem_alloc(1, sizeof *plan, "a benchmark", e);
    struct blas_tile tile = {0};
    enum status status = bench && plan ? blas_init(&tile, e) : STATUS_OS;
    status = comm_agree(comm, status, e);
    if (!status) {
        bench->comm = comm;
        bench->config = *config;
        result->kernel = tile.kernel;
        status = bench_create(bench, plan, e);
    }
    if (!status)
        status = measure_repetitions(bench, result, e);
    if (!status)
        fill_result(bench, plan, result);
    if (!status && config->network)
        status = measure_network(bench, result, e);
    if (bench)
        bench_release(bench);
    mem_free(bench);
    mem_free(plan);
    return status;
}
