/* Masks of the states that W_hh multiplies, and of W_hh. */
#include "layer_drop.h"

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

#define MASK_FLOPS 10 /* a number's random bits */

static int64_t weight_rows(const struct layer *layer)
{
    return (int64_t)layer->cell->recurrent_gates * layer->H;
}

/* Once it is packed, W_hh of a step is read no more. */
static void create_weights(struct common *common, struct layer *layers)
{
    size_t widest = 0;
    for (int l = 0; l < common->config.layers; l++) {
        size_t size = (size_t)(weight_rows(&layers[l]) * layers[l].H);
        widest = size > widest ? size : widest;
    }
    for (int l = 0; l < common->config.layers; l++)
        layers[l].dropped_weights = l > 0 && TUNE_PACK_ONCE ? layers[0].dropped_weights
                                                            : store_floats(&common->store, widest, "dropped weights");
}

void layer_drop_create(struct common *common, struct layer *layers)
{
    struct store *store = &common->store;
    size_t rows = (common->shape.bptt + (size_t)1) * common->lanes;
    if (!common->shape.train || layers[0].cell->recurrent_gates == 0)
        return;
    if (common->dropout.weights)
        create_weights(common, layers);
    for (int l = 0; l < common->config.layers && common->dropout.states; l++) {
        struct layer *layer = &layers[l];
        layer->dropped_rows =
            store_take(store, rows * layer->h_stride, gemm_number_bytes(&common->gemm), "dropped states");
        layer->state_mask = store_floats(store, (size_t)common->lanes * layer->h_stride, "masks of states");
    }
}

/* What the team works on. */
struct dropping {
    const struct common *common;
    const struct layer *layer;
    const float *from; /* rows of W_hh or of its gradient */
    float *to;         /* may be `from` */
    int64_t step;
};

/* ---- states ---- */

static void draw_states(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct dropping *work = context;
    const struct layer *layer = work->layer;
    const struct dropout *dropout = &work->common->dropout;
    for (int64_t lane = begin; lane < end; lane++)
        dropout_state_mask(dropout->seed, layer->number, (uint32_t)dropout->step, (uint32_t)(dropout->lane0 + lane),
                           layer->H, dropout->states, layer->state_mask + lane * layer->h_stride);
}

void layer_drop_states(const struct common *common, struct layer *layer)
{
    struct dropping work = {.common = common, .layer = layer};
    if (dropout_active_states(&common->dropout))
        team_share(common->shape.threads, common->lanes, (int64_t)common->lanes * layer->H * MASK_FLOPS, draw_states,
                   &work);
}

/* A block of units. */
static void drop_block(const struct common *common, const struct layer *layer, int64_t row, int lane, int unit,
                       const float *h)
{
    const float *mask = layer->state_mask + (int64_t)lane * layer->h_stride + unit;
    int64_t place = row * layer->h_stride + unit;
    float dropped[GEMM_WIDE] __attribute__((aligned(64)));
    for (int u = 0; u < GEMM_WIDE; u++)
        dropped[u] = h[u] * mask[u];
    gemm_store(&common->gemm, dropped, GEMM_WIDE,
               (char *)layer->dropped_rows + place * (int64_t)gemm_number_bytes(&common->gemm));
}

void layer_drop_rows(const struct common *common, const struct layer *layer, int block, int begin, int end, int unit)
{
    for (int lane = begin; lane < end; lane++) {
        int64_t row = (int64_t)block * common->lanes + lane;
        drop_block(common, layer, row, lane, unit, layer->h + row * layer->h_stride + unit);
    }
}

void layer_drop_row(const struct common *common, const struct layer *layer, int64_t row, int lane, const float *h)
{
    for (int unit = 0; unit < layer->H; unit += GEMM_WIDE)
        drop_block(common, layer, row, lane, unit, h + unit);
}

void layer_drop_recurrent(const struct layer *layer, int lane, int lanes, int unit, float *recurrent, int64_t stride)
{
    for (int b = 0; b < lanes; b++) {
        const float *mask = layer->state_mask + (int64_t)(lane + b) * layer->h_stride + unit;
        for (int u = 0; u < GEMM_WIDE; u++)
            recurrent[b * stride + u] *= mask[u];
    }
}

/* ---- weights ---- */

static void drop_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const struct dropping *work = context;
    const struct dropout *dropout = &work->common->dropout;
    int H = work->layer->H;
    float *mask = dropout_room(dropout, thread);
    for (int64_t row = begin; row < end; row++) {
        dropout_weight_mask(dropout->seed, work->layer->number, (uint32_t)work->step, (uint32_t)row, H,
                            dropout->weights, mask);
        const float *from = work->from + row * H;
        float *to = work->to + row * H;
        for (int u = 0; u < H; u++)
            to[u] = from[u] * mask[u];
    }
}

static void drop_all(const struct dropping *work)
{
    const struct layer *layer = work->layer;
    team_share(work->common->shape.threads, weight_rows(layer), weight_rows(layer) * layer->H * MASK_FLOPS, drop_rows,
               (void *)work);
}

bool layer_drop_weights(const struct common *common, struct layer *layer)
{
    int64_t step = common->dropout.step < 0 ? LAYER_WHOLE : common->dropout.step;
    if (!layer->dropped_weights || layer->packed == step)
        return false;
    const float *w = common_weights(common, layer->offset.w_hh);
    if (step != LAYER_WHOLE) {
        drop_all(&(struct dropping){common, layer, w, layer->dropped_weights, step});
        w = layer->dropped_weights;
    }
    for (int g = 0; g < layer->cell->recurrent_gates; g++)
        layer->recurrent[g].w = layer->recurrent_back[g].w = w + (int64_t)g * layer->H * layer->H;
    layer->packed = step;
    return true;
}

void layer_drop_gradient(const struct common *common, const struct layer *layer, int64_t step, float *array)
{
    float *gradient = array + layer->gradient.w_hh;
    if (layer->dropped_weights)
        drop_all(&(struct dropping){common, layer, gradient, gradient, step});
}
