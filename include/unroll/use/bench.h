/* The speed of a training step on this machine: the real step (pack, forward, loss, backward, gradient sums, clipping,
 * update) over made-up tokens, beside BLIS's sgemm on the same cores in the same process.
 *
 * Steps are timed in repetitions, each followed by the sgemm, since machines are noisy and their speed drifts; what
 * is reported are medians over the repetitions. With several ranks a repetition takes as long as its slowest rank,
 * all ranks run the sgemm at the same time, and their sgemm speeds are summed. Both use huge pages (base/mem.h). */
#ifndef UNROLL_USE_BENCH_H
#define UNROLL_USE_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"
#include "unroll/train/step.h"
#include "unroll/use/network.h"

#define BENCH_SGEMM 2048 /* m, n and k of the product that steps are compared with */
#define BENCH_WINDOWS 8  /* different windows of tokens, used in turn */

/* What a step spends its time on. */
enum bench_phase {
    BENCH_INPUT_PROJECTION, /* input products of all layers, and their gradients towards the input */
    BENCH_RECURRENT_FORWARD,
    BENCH_OUTPUT_LAYER, /* logits, loss and their gradients */
    BENCH_RECURRENT_BACKWARD,
    BENCH_WEIGHT_GRADIENTS,
    BENCH_REDUCTION, /* sums of gradients and losses over ranks, waiting for them included */
    BENCH_OPTIMIZER, /* norm, clipping and update */
    BENCH_OTHER,     /* packing, embedding, dropout and all else */
    BENCH_PHASES
};
const char *bench_phase_name(enum bench_phase phase); /* "input_projection", ... */

struct bench_config {
    struct step_config step; /* what it computes, and with how many threads of each rank; share comes later */
    enum init init;
    int batch, groups; /* global lanes, lane groups (not 0) */
    double lr;
    int64_t steps;                  /* timed ones, in all; 0: as many as take a few seconds */
    struct network_report *network; /* filled where it is not NULL; the caller's (network_release) */
};

struct bench_result {
    int64_t steps, repetitions, warm_up;
    double step_seconds, step_seconds_min, step_seconds_max; /* median, and the extremes of the repetitions */
    /* Seconds per step in the median repetition, mean over ranks; they sum to step_seconds. */
    double phase[BENCH_PHASES];
    double tokens_per_second;
    double flops;       /* per second; 6 for each weight and token, see use/plan.h */
    double sgemm_flops; /* per second, of all ranks together */
    double fraction_of_sgemm;
    size_t peak_rss_bytes;        /* of the rank that took most, before the sgemm's operands were allocated */
    size_t planned_bytes;         /* of the rank for which most was planned */
    int64_t allocations;          /* made by all ranks in timed steps */
    int64_t page_faults;          /* minor ones, of all ranks in timed steps */
    double loss_first, loss_last; /* mean over the tokens of the first and of the last step */
    double add_rate;              /* floats per second that a rank adds to others; see use/network.h */
    const char *kernel;           /* BLIS's */
};

/* The token at a position of a lane: a function of (seed, position, lane) alone, in [0, V). Token v is drawn with a
 * probability that falls as 1 / (v + 0.1), after Zipf's law: with V = 10,000 a window then has as many distinct
 * tokens as one of War and Peace has (340 of 700, 1,350 of 4,096; the book: 338 and 1,290). */
#define BENCH_ZIPF_OFFSET 0.1
uint32_t bench_token(int V, uint64_t seed, uint32_t position, uint32_t lane);

/* Collective. All ranks get the same result. STATUS_CONFIG for what `train` would refuse, STATUS_OS if memory is short,
 * STATUS_DIVERGED if loss or gradient is not finite. */
enum status bench_run(const struct comm *comm, const struct bench_config *config, struct bench_result *result,
                      struct error *e);

#endif
