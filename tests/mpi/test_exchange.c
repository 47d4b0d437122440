/* What the trainer's ranks send each other in a step and for a checkpoint. Losses of all lane groups stand in the
 * groups' order on every rank, their sum has the bits of the lane tree, and the strongest request counts whoever has
 * it. Carried states go to rank 0 in the order of lanes, for any number of ranks, and come back as they were; lanes
 * that are not finite start anew, and no others. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../../src/train/trainer_exchange.h"
#include "../../src/train/trainer_states.h"

#include "unroll/base/mem.h"

#define BATCH 9
#define GROUPS 7
#define HIDDEN 5
#define STATES 4 /* of an LSTM of two layers */

static int failed; /* what this rank found wrong */

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "test_exchange: %s\n", what);
        failed = 1;
    }
}

static double loss_of(int group)
{
    return 1.0 / (3 + group);
}

static void losses_and_requests(const struct comm *comm, const struct lane_share *share)
{
    struct exchange exchange;
    struct error e = {0};
    double mine[GROUPS], all[GROUPS];
    expect(exchange_create(&exchange, share, &e) == STATUS_OK, e.text);
    for (int group = 0; group < GROUPS; group++)
        all[group] = loss_of(group);
    for (int group = share->group_begin; group < share->group_end; group++)
        mine[group - share->group_begin] = loss_of(group);

    double sum = exchange_losses(&exchange, comm, REQUEST_NONE, mine), expected = lane_tree_sum(all, GROUPS);
    expect(memcmp(exchange.losses, all, sizeof all) == 0, "losses do not stand in the order of groups");
    expect(memcmp(&sum, &expected, sizeof sum) == 0, "the sum has other bits than that of the lane tree");
    expect(exchange.request == REQUEST_NONE, "a request that nobody had");

    for (int rank = 0; rank < comm->size; rank++) {
        int request = comm->rank == rank ? REQUEST_SIGNAL + 15 : REQUEST_TIME;
        (void)exchange_losses(&exchange, comm, request, comm->rank == rank ? NULL : mine);
        expect(exchange.request == REQUEST_SIGNAL + 15, "the strongest request does not count");
        exchange_request(&exchange, comm, REQUEST_NONE);
        expect(exchange.request == REQUEST_NONE, "a request that is over stays");
        exchange_request(&exchange, comm, request);
        expect(exchange.request == REQUEST_SIGNAL + 15, "the strongest request does not count between steps");
    }
    exchange_release(&exchange);
    expect(!exchange.mine && !exchange.gather.bytes, "something stays after the release");
}

static float state_of(int state, int lane, int unit)
{
    return (float)(1000 * state + 10 * lane + unit) + 0.5F;
}

/* Whether the model's states are state_of, but for `zero`, a lane of all, whose are 0. */
static void expect_states(const struct model *model, const struct lane_share *share, int zero, const char *what)
{
    float mine[BATCH * HIDDEN];
    for (int state = 0; state < STATES; state++) {
        bool same = true;
        model_state_get(model, state, mine);
        for (int lane = share->lane_begin; lane < share->lane_end; lane++)
            for (int unit = 0; unit < HIDDEN; unit++)
                same = same && mine[(lane - share->lane_begin) * HIDDEN + unit] ==
                                   (lane == zero ? 0 : state_of(state, lane, unit));
        expect(same, what);
    }
}

static void states_of_all_lanes(const struct comm *comm, const struct lane_share *share)
{
    struct model_config config = {.cell = CELL_LSTM, .layers = 2, .embedding = 4, .hidden = HIDDEN, .vocab = 11};
    struct model_shape shape = {.bptt = 3, .share = *share, .threads = 1, .train = true, .exact = true};
    struct param_table table;
    struct error e = {0};
    struct model *model = NULL;
    struct states states = {0};
    float all[STATES * BATCH * HIDDEN];
    for (int i = 0; i < STATES * BATCH * HIDDEN; i++)
        all[i] = state_of(i / (BATCH * HIDDEN), i / HIDDEN % BATCH, i % HIDDEN);
    param_table_build(&config, &table);
    float *values = mem_alloc(table.total, sizeof *values, "test", &e);
    expect(values && model_create(&config, values, &shape, &model, &e) == STATUS_OK, e.text);
    expect(states_create(comm, &config, share, &states, &e) == STATUS_OK, e.text);
    expect((states.all != NULL) == (comm->rank == 0), "rank 0 alone has the states of all lanes");
    if (failed)
        return;
    states_scatter(&states, comm->rank == 0 ? all : NULL, model);
    expect_states(model, share, -1, "states are not what rank 0 gave");
    states_scatter(&states, NULL, model);
    expect_states(model, share, -1, "states changed though rank 0 gave none");
    states_gather(&states, model);
    expect(!states.all || memcmp(states.all, all, sizeof all) == 0, "rank 0 does not have the states of all lanes");
    states_clear_bad(&states, model);
    expect_states(model, share, -1, "a lane that is finite was cleared");

    all[(2 * BATCH + 4) * HIDDEN + 3] = NAN; /* a unit of lane 4 */
    states_scatter(&states, comm->rank == 0 ? all : NULL, model);
    states_clear_bad(&states, model);
    expect_states(model, share, 4, "of lanes one that is not finite, and no other, starts anew");
    states_release(&states);
    model_free(model);
    mem_free(values);
}

int main(void)
{
    struct comm comm;
    struct error e = {0};
    if (comm_init(&comm, &e))
        return 1;
    struct lane_share share = lane_share_of(BATCH, GROUPS, comm.size, comm.rank);
    losses_and_requests(&comm, &share);
    states_of_all_lanes(&comm, &share);
    failed = comm_max(&comm, failed) != 0;
    comm_finalize(&comm);
    return failed;
}
