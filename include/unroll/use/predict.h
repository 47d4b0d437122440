/* Predicts time, tokens per second and efficiency of a training step on many ranks. The inputs are the phases of steps
 * that `unroll bench` measured on one rank, and a model of the sum of gradients (use/network_model.h).
 *
 * A step is computing, then the exchange of losses, then the sum, then the update: nothing of it overlaps. The rank
 * with most lanes is the slowest. Computing depends on the lanes of a rank: each phase is interpolated or extrapolated
 * linearly from the nearest two measured numbers of lanes. With a single measurement it is proportional to the lanes.
 * The phases of BENCH_OPTIMIZER and BENCH_OTHER (norm, clipping, update, packing of weights) do not become shorter with
 * fewer lanes; nor does what BENCH_REDUCTION holds on one rank.
 *
 * Strong scaling keeps the batch and cuts it among the ranks, weak scaling gives each rank the lanes of the first
 * measurement. Efficiency is the speed of a row, divided by the speed of one rank and by the number of ranks. */
#ifndef UNROLL_USE_PREDICT_H
#define UNROLL_USE_PREDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/use/bench.h"
#include "unroll/use/network_model.h"
#include "unroll/use/plan.h"

#define PREDICT_MEASURED_MAX 64
#define PREDICT_ROWS_MAX 40
#define PREDICT_RANKS_MAX (1 << 20)
#define PREDICT_BATCH_MAX (1 << 30) /* lanes in all */

struct predict_measured {
    int lanes;                  /* of the one rank */
    int files;                  /* that measured so many; their mean counts */
    double phase[BENCH_PHASES]; /* seconds a step */
};

/* The settings of the measurements; all files must have the same. */
struct predict_setting {
    struct model_config model;
    int bptt, threads;
    int optimizer;
    enum reduction reduction;
};

struct predict_config {
    int batch, groups; /* of strong scaling; groups 0: lane_groups_choose */
    int nodes;         /* at most; with ranks_per_node at most PREDICT_RANKS_MAX ranks */
    /* by predict_read: */
    struct predict_setting setting;
    int count;
    struct predict_measured measured[PREDICT_MEASURED_MAX]; /* ascending lanes, no number twice */
    int first_lanes;                                        /* of the first file */
    bool has_between, has_inside;                           /* links of the first file that knows them */
    struct network network; /* add_rate: the least that was measured; ranks_per_node: the caller's */
};

struct predict_row {
    int ranks, nodes;
    int batch, lanes; /* in all; of the rank with most */
    double computing; /* seconds: phases that follow the lanes */
    double update;    /* those that do not */
    double losses, sum;
    size_t sum_floats; /* of the gradient, as far as they are summed */
    double step;       /* of all this */
    double tokens_per_second, efficiency;
    double ring, doubling, bound; /* the same sum by other algorithms, and the least it can take */
};

/* Reads one file of bench --json. One of a single rank is a measurement; one of more ranks, made with --network,
 * tells of links. STATUS_NOINPUT, STATUS_IO, STATUS_DATA; STATUS_CONFIG for one that is neither, for another setting
 * than that of the files before, and for too many. */
enum status predict_read(const char *path, struct predict_config *config, struct error *e);

/* Seconds of a phase with so many lanes. */
double predict_phase(const struct predict_config *config, enum bench_phase phase, double lanes);

/* Rows for 1, 2, 4 ... ranks of one node, then 2, 4 ... nodes and `nodes`; returns how many. Strong scaling ends
 * where lane groups do, weak scaling at PREDICT_BATCH_MAX. At least one measurement must have been read. */
int predict_rows(const struct predict_config *config, bool strong, struct predict_row rows[PREDICT_ROWS_MAX]);

#endif
