/* What the parts of a model share, made and set for a window. */
#include "common.h"

static enum status check_shape(const struct model_shape *shape, struct error *e)
{
    const struct lane_share *share = &shape->share;
    if (shape->bptt < 1 || share->batch < 1 || share->groups < 1 || share->groups > share->batch ||
        share->group_begin < 0 || share->group_end > share->groups || share->group_begin >= share->group_end ||
        shape->threads < 1)
        return error_set(e, STATUS_CONFIG,
                         "cannot lay out %d lanes in %d groups, %d to %d here, windows of %d, threads %d: all must be "
                         "positive and groups at most lanes",
                         share->batch, share->groups, share->group_begin, share->group_end, shape->bptt,
                         shape->threads);
    int lanes = lane_share_lanes(share);
    if ((int64_t)lanes * shape->bptt > INT32_MAX / 2)
        return error_set(
            e, STATUS_CONFIG,
            "a window of '%d' steps of '%d' lanes is too large: a rank takes at most %d tokens at once; use more "
            "ranks, or a smaller --batch or --bptt",
            shape->bptt, lanes, INT32_MAX / 2);
    return STATUS_OK;
}

static void create_lanes(struct common *common)
{
    const struct lane_share *share = &common->shape.share;
    common->group0 = share->group_begin;
    common->groups = lane_share_groups(share);
    common->lanes = lane_share_lanes(share);
    common->nodes = lane_share_nodes(share, common->node);
    common->group_lane = store_keep(&common->store, common->groups + 1, sizeof *common->group_lane, "lane groups");
    for (int g = 0; common->group_lane && g <= common->groups; g++)
        common->group_lane[g] = lane_share_group_lane(share, share->group_begin + g) - share->lane_begin;
}

/* Room for the ids that this rank's part of a window can name. */
static void create_lists(struct common *common)
{
    const struct gradient_layout *layout = &common->layout;
    int64_t positions = (int64_t)common->lanes * common->shape.bptt;
    for (int l = 0; l < layout->lists; l++) {
        const struct gradient_list *list = &layout->list[l];
        int64_t most = list->same || list->places < positions ? list->places : positions;
        common->touched.list[l].row =
            store_take(&common->store, (size_t)most, sizeof *common->touched.list[l].row, "touched rows");
    }
}

enum status common_create(struct common *common, struct error *e)
{
    enum status status = check_shape(&common->shape, e);
    if (!status)
        status = gemm_init(&common->gemm, gemm_kind(common->config.precision, common->config.bf16_order),
                           common->shape.threads, e);
    if (status)
        return status;
    common->store.e = e;
    e->status = STATUS_OK;
    param_table_build(&common->config, &common->table);
    create_lanes(common);
    if (common->shape.train) {
        gradient_layout_build(&common->config, &common->table, common->shape.share.batch, common->shape.bptt,
                              common->shape.sparse, &common->layout);
        create_lists(common);
    }
    if (common->config.reset_token)
        common->fresh = store_take(&common->store, (size_t)common->shape.bptt * common->lanes, sizeof *common->fresh,
                                   "marks of sentence ends");
    common->dropout = dropout_of(&common->config);
    common->dropout.seed = common->shape.seed;
    common->dropout.lanes = common->lanes;
    common->dropout.threads = common->shape.threads;
    return e->status;
}

void common_create_scratch(struct common *common, int row_stride, int width)
{
    struct scratch *scratch = &common->scratch;
    struct store *store = &common->store;
    size_t threads = common->shape.threads;
    int rows = common->shape.bptt * common->lanes;
    struct gemm *gemm = &common->gemm;
    gemm->scratch = store_take(store, threads, gemm_scratch_bytes(gemm), "weight panels");
    if (!common->shape.train)
        return;
    scratch->row_gradients = store_floats(store, (size_t)rows * row_stride, "output gradients");
    scratch->dropped_outputs = scratch->row_gradients;
    size_t factor = gemm_factor_bytes(gemm, width, common->groups, rows);
    size_t notes = sizeof(double) * CELL_STATES_MAX * rows * ((width + VPAD - 1) / VPAD);
    scratch->factor = store_take(store, 1, factor > notes ? factor : notes, "packed activations");
    scratch->flow_notes = scratch->factor;
    gemm->gradient_scratch =
        store_take(store, threads, gemm_gradient_scratch_bytes(gemm, common->groups, rows), "weight-gradient panels");
    common->dropout.mask_stride = row_stride;
    if (dropout_needs_masks(&common->dropout))
        common->dropout.mask = store_floats(store, 2 * threads * row_stride, "dropout masks");
}

void common_begin(struct common *common, const struct window *window, int64_t step)
{
    CHECK(window->T >= 1 && window->T <= common->shape.bptt && window->lanes == common->lanes);
    common->window = window;
    common->dropout.step = step;
    common->dropout.lane0 = window->lane0;
    for (int row = 0; common->fresh && row < window->T * common->lanes; row++)
        common->fresh[row] = window->input[row] == common->config.reset_token;
}
