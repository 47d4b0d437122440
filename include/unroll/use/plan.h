/* What a run will need, known before it starts: memory of each rank, flops and bytes on the wire of each step. `unroll
 * plan` prints it; `unroll bench` compares it with what was measured.
 *
 * The memory of a rank is the sum of
 *
 *   parameters  4 bytes for each
 *   gradients   4 bytes for each parameter (twice the decoder's with tied weights), for each lane-tree node of the
 *               rank: one node where the ranks are a power of two, else at most 2 log2(lane groups)
 *   optimizer   4 bytes for each parameter and slot: 0 slots for sgd, 2 for adam; and 4 for each where weights are
 *               averaged, which are then evaluated where they lie
 *   workspace   model_bytes (nn/model.h)
 *   reducer     slices received from other ranks and sent to them; bounded, whatever the model
 *   streams     tokens read ahead, for training and validation
 *   evaluator   a second workspace for validation, without a backward pass; on rank 0 also that of samples
 *               (--sample-every)
 *   checkpoint  on rank 0: the states of all lanes; the rest is written from where it lies
 *   process     code and data of the program and its libraries before anything is computed: measured once, see
 *               plan.c
 *
 * No part grows with the corpus, with one exception: to classify, every text takes PLAN_TEXT_BYTES more in `streams`.
 */
#ifndef UNROLL_USE_PLAN_H
#define UNROLL_USE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/param.h"
#include "unroll/train/step.h"

#define PLAN_TEXT_BYTES 26 /* where it begins, its label, its place in the order */

struct plan_config {
    struct step_config step; /* what a step computes; `share` is not used */
    bool vary;               /* windows' lengths vary around step.bptt (data/cuts.h); the longest counts */
    int batch, groups;       /* global lanes, lane groups (not 0) */
    int ranks;
    bool run;      /* reads a corpus and validates; else steps alone, as in bench */
    bool flow;     /* --gradflow-every is on */
    bool sample;   /* --sample-every is on */
    bool averages; /* an average of the weights is kept */
};

struct plan_memory { /* bytes of one rank */
    size_t parameters, gradients, optimizer, workspace, reducer, streams, evaluator, checkpoint, process;
    size_t total;
};

struct plan {
    struct param_table table;
    int bptt;                 /* the longest window */
    int64_t tokens_per_step;  /* where lengths vary, about */
    double flops_per_token;   /* 6 for each weight; the embedding is looked up, not multiplied */
    int lanes_max;            /* of the rank that has most */
    struct plan_memory first; /* rank 0 */
    struct plan_memory most;  /* the largest of the other ranks; all zero if there is none */
    size_t wire_bytes;        /* sent by a rank, and received, for one step's gradients: of the rank that sends most */
};

/* 6 flops for each weight of a matrix product: two in the forward pass, four in the backward pass. Of an output layer
 * that takes some rows alone, those that it takes on average, of tokens as bench draws them. */
double plan_flops_per_token(const struct model_config *model, const struct param_table *table);

/* Floats that are summed over ranks in a step: those of the gradient. Of parameters in parts (nn/gradient.h) the
 * expected number of touched rows counts; tokens are assumed to occur as bench draws them. */
size_t plan_summed_floats(const struct model_config *model, int batch, int bptt);

/* STATUS_CONFIG, with a remedy, for what `train` would refuse: a wrong model, more lane groups than lanes, more
 * ranks than groups, a window too large. STATUS_OS if the arrays could not be addressed. */
enum status plan_build(const struct plan_config *config, struct plan *plan, struct error *e);

/* The memory of one rank of a configuration that plan_build accepts. */
void plan_rank(const struct plan_config *config, int rank, struct plan_memory *memory);

/* A way to use a number of cores. */
struct plan_split {
    int ranks, threads;
    double busy;       /* share of the cores' time that has work: lanes over ranks and hidden units over threads may not
                          come out even */
    size_t rank_bytes; /* of the largest rank */
    size_t wire_bytes;
};

#define PLAN_SPLITS_MAX 64

/* All splits of `cores` cores into ranks x threads that `config` allows, with at most `threads_max` threads; returns
 * how many, fewest ranks first. *best is the one to try first: the busiest, and of nearly equal ones the one with
 * the fewest ranks, since threads share parameters and need no wire. */
int plan_splits(const struct plan_config *config, int cores, int threads_max, struct plan_split splits[PLAN_SPLITS_MAX],
                int *best);

#endif
