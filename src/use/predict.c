/* Predicts the time of a step on many ranks from measured phases. */
#include "unroll/use/predict.h"

#include <math.h>

#include "unroll/base/lane_share.h"

static bool follows_lanes(enum bench_phase phase)
{
    return phase != BENCH_REDUCTION && phase != BENCH_OPTIMIZER && phase != BENCH_OTHER;
}

double predict_phase(const struct predict_config *config, enum bench_phase phase, double lanes)
{
    const struct predict_measured *measured = config->measured;
    if (config->count == 1)
        return measured[0].phase[phase] * (follows_lanes(phase) ? lanes / measured[0].lanes : 1);
    int upper = 1; /* the line through measured[upper - 1] and [upper] */
    while (upper < config->count - 1 && measured[upper].lanes < lanes)
        upper++;
    const struct predict_measured *a = &measured[upper - 1], *b = &measured[upper];
    double share = (lanes - a->lanes) / (b->lanes - a->lanes);
    double seconds = a->phase[phase] + share * (b->phase[phase] - a->phase[phase]);
    /* A line through noise may fall below zero, or below what fewer lanes took. */
    if (lanes < a->lanes)
        return fmin(fmax(seconds, a->phase[phase] * lanes / a->lanes), a->phase[phase]);
    return lanes > b->lanes ? fmax(seconds, b->phase[phase]) : seconds;
}

static int ceil_share(int whole, int parts)
{
    return (int)(((int64_t)whole + parts - 1) / parts);
}

static int lanes_most(int batch, int groups, int ranks)
{
    int most = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct lane_share share = lane_share_of(batch, groups, ranks, rank);
        int lanes = lane_share_lanes(&share);
        most = lanes > most ? lanes : most;
    }
    return most;
}

static void fill_row(const struct predict_config *config, size_t floats, int groups, struct predict_row *row)
{
    const struct predict_setting *setting = &config->setting;
    const struct network *network = &config->network;
    struct reducer_traffic traffic = {row->ranks, groups, setting->reduction, floats};
    row->lanes = lanes_most(row->batch, groups, row->ranks);
    for (int phase = 0; phase < BENCH_PHASES; phase++)
        *(follows_lanes((enum bench_phase)phase) ? &row->computing : &row->update) +=
            predict_phase(config, (enum bench_phase)phase, row->lanes);
    /* a rank's request and the losses of its lane groups */
    row->losses =
        network_gather_seconds(network, row->ranks, sizeof(double) * (size_t)(1 + ceil_share(groups, row->ranks)));
    row->sum_floats = floats;
    row->sum = network_sum_seconds(network, &traffic);
    row->ring = network_ring_seconds(network, &traffic);
    row->doubling = network_doubling_seconds(network, &traffic);
    row->bound = network_bound_seconds(network, &traffic);
    row->step = row->computing + row->update + row->losses + row->sum;
    row->tokens_per_second = (double)row->batch * setting->bptt / row->step;
}

/* 1, 2, 4 ... ranks of a node and the whole node, then nodes likewise; 0 after the last. */
static int next_ranks(int ranks, int per_node, int nodes)
{
    if (ranks < per_node)
        return 2 * ranks < per_node ? 2 * ranks : per_node;
    int have = ranks / per_node;
    return have == nodes ? 0 : (2 * have < nodes ? 2 * have : nodes) * per_node;
}

int predict_rows(const struct predict_config *config, bool strong, struct predict_row rows[PREDICT_ROWS_MAX])
{
    const struct predict_setting *setting = &config->setting;
    int count = 0, per_node = config->network.ranks_per_node;
    int batch = strong ? config->batch : config->first_lanes;
    int groups = lane_groups_choose(strong ? config->groups : 0, batch, setting->bptt);
    for (int ranks = 1; ranks > 0 && count < PREDICT_ROWS_MAX; ranks = next_ranks(ranks, per_node, config->nodes)) {
        if (strong ? ranks > groups : (int64_t)ranks * batch > PREDICT_BATCH_MAX)
            break;
        int times = strong ? 1 : ranks;
        struct predict_row *row = &rows[count++];
        *row = (struct predict_row){.ranks = ranks, .nodes = ceil_share(ranks, per_node), .batch = times * batch};
        fill_row(config, plan_summed_floats(&setting->model, row->batch, setting->bptt), times * groups, row);
        row->efficiency = row->tokens_per_second / (rows[0].tokens_per_second * ranks);
    }
    return count;
}
