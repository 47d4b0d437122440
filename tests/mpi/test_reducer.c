/* The reducer gives the same bits at any number of ranks. Oracle: the lane tree walked on one rank. Group g contributes
 * pseudo-random numbers of wildly different size, so that any other order of additions shows. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/sys/comm.h"
#include "unroll/train/reducer.h"

static float contribution(int group, size_t i)
{
    struct rng_bits bits = rng_philox(1, RNG_TEST, 0, (uint32_t)group, 0, (uint32_t)i);
    float size = (float)(1 << bits.word[1] % 24);
    return (rng_uniform_float(bits.word[0]) - 0.5f) * size;
}

static float tree_sum(struct lane_node node, size_t i)
{
    if (node.end - node.begin == 1)
        return contribution(node.begin, i);
    int middle = lane_node_middle(node.begin, node.end);
    return tree_sum((struct lane_node){node.begin, middle}, i) + tree_sum((struct lane_node){middle, node.end}, i);
}

static bool is_padding(const struct param_table *table, size_t place)
{
    for (int i = 0; i < table->count; i++)
        if (place >= table->param[i].offset && place < table->param[i].offset + table->param[i].count)
            return false;
    return true;
}

static int check(const struct comm *comm, const struct param_table *table, const struct gradient_layout *layout,
                 int groups, bool tied)
{
    struct error e = {0};
    struct reducer *reducer;
    enum status status = reducer_create(comm, table, layout, groups, REDUCTION_EXACT, &reducer, &e);
    if (comm->size > groups) {
        if (status != STATUS_CONFIG || !strstr(e.text, "use at most"))
            return fprintf(stderr, "%d ranks on %d groups: status %d '%s'\n", comm->size, groups, status, e.text), 1;
        return 0;
    }
    if (status)
        return fprintf(stderr, "%s\n", e.text), 1;
    float *const *grads;
    int count = reducer_nodes(reducer, &grads);
    struct lane_node nodes[LANE_NODES_MAX];
    struct lane_share share = lane_share_of(groups, groups, comm->size, comm->rank);
    int expected = lane_share_nodes(&share, nodes);
    if (count != expected)
        return fprintf(stderr, "%d nodes instead of %d\n", count, expected), 1;
    for (int n = 0; n < count; n++)
        for (size_t i = 0; i < table->grad_total; i++)
            grads[n][i] = tree_sum(nodes[n], i);
    const float *sum = reducer_sum(reducer, NULL).dense;
    int wrong = 0;
    double norm2 = 0;
    for (size_t i = 0; i < table->total; i++) {
        float want = tree_sum((struct lane_node){0, groups}, i);
        const struct param *encoder = &table->param[0], *decoder = &table->param[table->count - 2];
        if (tied && i >= encoder->offset && i < encoder->offset + encoder->count)
            want += tree_sum((struct lane_node){0, groups}, decoder->grad_offset + i - encoder->offset);
        wrong += memcmp(&want, &sum[i], sizeof want) != 0;
        norm2 += is_padding(table, i) ? 0 : (double)want * want;
    }
    double got = reducer_norm2(reducer, 1);
    if (wrong || !(got > norm2 * (1 - 1e-12) && got < norm2 * (1 + 1e-12)) || got != reducer_norm2(reducer, 3))
        fprintf(stderr, "%d ranks, %d groups: %d of %zu sums differ, norm %g for %g\n", comm->size, groups, wrong,
                table->total, got, norm2),
            wrong++;
    reducer_free(reducer);
    return wrong != 0;
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e))
        return fprintf(stderr, "%s\n", e.text), 1;
    int failures = 0;
    for (int tied = 0; tied < 2; tied++) {
        struct model_config config = {
            .cell = CELL_GRU, .layers = 1, .embedding = 9, .hidden = 9, .vocab = 31, .tied = tied};
        struct param_table table;
        struct gradient_layout layout;
        param_table_build(&config, &table);
        gradient_layout_build(&config, &table, 1, 1, false, &layout);
        for (int groups = 1; groups <= 13; groups++)
            failures += check(&comm, &table, &layout, groups, tied);
        failures += check(&comm, &table, &layout, 64, tied);
    }
    comm_finalize(&comm);
    return failures != 0;
}
