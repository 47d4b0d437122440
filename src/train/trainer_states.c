/* Gathers the carried states of all lanes on rank 0, and scatters them. */
#include "trainer_states.h"

#include <math.h>
#include <stdbool.h>

#include "unroll/base/mem.h"

/* Where a state of all lanes begins in an array of them all; of the count of states, how long that is. */
static size_t state_offset(const struct states *states, int index)
{
    return (size_t)states->share.batch * model_state_offset(&states->config, index);
}

enum status states_create(const struct comm *comm, const struct model_config *config, const struct lane_share *share,
                          struct states *states, struct error *e)
{
    size_t lanes = (size_t)lane_share_lanes(share), widest = (size_t)model_state_widest(config);
    int count = model_state_count(config);
    *states = (struct states){.comm = comm, .config = *config, .share = *share};
    states->mine = mem_alloc(lanes * widest, sizeof(float), "the carried state", e);
    states->gather = mem_alloc((size_t)count, sizeof *states->gather, "the carried state", e);
    if (comm->rank == 0)
        states->all = mem_alloc(state_offset(states, count), sizeof(float), "the carried states of all lanes", e);
    if (!states->mine || !states->gather || (comm->rank == 0 && !states->all))
        return STATUS_OS;
    enum status status = STATUS_OK;
    for (int i = 0; i < count && !status; i++) {
        struct lane_bytes size = {.lane = (size_t)model_state_width(config, i) * sizeof(float)};
        status = lane_gather_create(share, size, &states->gather[i], e);
    }
    return status;
}

void states_release(struct states *states)
{
    for (int i = 0; states->gather && i < model_state_count(&states->config); i++)
        lane_gather_release(&states->gather[i]);
    mem_free(states->gather);
    mem_free(states->mine);
    mem_free(states->all);
    *states = (struct states){.comm = NULL};
}

void states_gather(struct states *states, const struct model *model)
{
    for (int i = 0; i < model_state_count(&states->config); i++) {
        const struct lane_gather *gather = &states->gather[i];
        float *all = states->all ? states->all + state_offset(states, i) : NULL;
        model_state_get(model, i, states->mine);
        comm_gatherv(states->comm, states->mine, all, gather->bytes, gather->offset, 0);
    }
}

void states_scatter(struct states *states, const float *all, struct model *model)
{
    bool first = states->comm->rank == 0, have = first && all;
    comm_broadcast(states->comm, &have, sizeof have, 0);
    for (int i = 0; have && i < model_state_count(&states->config); i++) {
        const struct lane_gather *gather = &states->gather[i];
        comm_scatterv(states->comm, first ? all + state_offset(states, i) : NULL, gather->bytes, gather->offset,
                      states->mine, 0);
        model_state_set(model, i, states->mine);
    }
}

void states_clear_bad(struct states *states, struct model *model)
{
    for (int i = 0; i < model_state_count(&states->config); i++) {
        size_t width = (size_t)model_state_width(&states->config, i);
        model_state_get(model, i, states->mine);
        for (int lane = 0; lane < lane_share_lanes(&states->share); lane++) {
            bool finite = true;
            for (size_t unit = 0; unit < width; unit++)
                finite = finite && isfinite(states->mine[(size_t)lane * width + unit]);
            if (!finite)
                model_state_zero_lane(model, lane);
        }
    }
}
