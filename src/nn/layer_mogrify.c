/* A layer with rounds: its memory, its weights as products take them, and their gradients, all of them over the rows
 * that the steps have stored. The steps are in layer_mogrify_steps.c. */
#include "layer_mogrify.h"

#include <string.h>

#include "unroll/base/team.h"

/* ---- creation ---- */

static size_t kept_rows(const struct common *common)
{
    return (common->shape.train ? (size_t)common->shape.bptt : 1) * common->lanes;
}

static void place_round(const struct common *common, const struct layer *layer, int i)
{
    struct mogrify *mogrify = layer->mogrify;
    struct mogrify_round *round = &mogrify->round[i];
    int place = mogrify_tensor(&common->config, i), rank = mogrify->rank;
    round->shape = mogrify_shape(i, layer->in, layer->H);
    round->stride = round->shape.of_x ? layer->in_stride : layer->h_stride;
    int m = round->shape.rows, n = round->shape.columns, k = rank > 0 ? rank : n;
    const float *left = common_weights(common, layer->offset.further[place]);
    round->left = (struct gemm_weights){left, k, true, k, m, NULL};
    round->left_back = (struct gemm_weights){left, k, false, m, k, NULL};
    round->left_gradient = layer->gradient.further[place];
    if (rank == 0)
        return;
    const float *right = common_weights(common, layer->offset.further[place + 1]);
    round->right = (struct gemm_weights){right, n, true, n, k, NULL};
    round->right_back = (struct gemm_weights){right, n, false, k, n, NULL};
    round->right_gradient = layer->gradient.further[place + 1];
}

static void place_input(const struct common *common, const struct layer *layer)
{
    int H = layer->H, in = layer->in;
    for (int g = 0; g < layer->cell->gates; g++) {
        const float *w = common_weights(common, layer->offset.w_ih + (size_t)g * H * in);
        layer->mogrify->input[g] = (struct gemm_weights){w, in, true, in, H, NULL};
        layer->mogrify->input_back[g] = (struct gemm_weights){w, in, false, H, in, NULL};
    }
}

/* Calls function with every matrix that is packed by this file: those of the rounds, and W_ih. */
typedef void weights_function(void *context, struct gemm_weights *weights);
static void each_weights(const struct common *common, const struct layer *layer, weights_function *function,
                         void *context)
{
    struct mogrify *mogrify = layer->mogrify;
    bool train = common->shape.train;
    for (int g = 0; g < layer->cell->gates; g++) {
        function(context, &mogrify->input[g]);
        if (train)
            function(context, &mogrify->input_back[g]);
    }
    for (int i = 1; i <= mogrify->rounds; i++) {
        struct mogrify_round *round = &mogrify->round[i];
        function(context, &round->left);
        if (mogrify->rank > 0)
            function(context, &round->right);
        if (train)
            function(context, &round->left_back);
        if (train && mogrify->rank > 0)
            function(context, &round->right_back);
    }
}

/* Panels are counted, then placed one behind another. */
struct panels {
    const struct gemm *gemm;
    size_t used;
    char *memory;
};

static void place_panels(void *context, struct gemm_weights *weights)
{
    struct panels *panels = context;
    weights->panels = panels->memory ? panels->memory + panels->used : NULL;
    panels->used += gemm_panels_bytes(panels->gemm, weights->k, weights->n);
}

static void create_panels(struct common *common, const struct layer *layer)
{
    struct panels panels = {&common->gemm, 0, NULL};
    each_weights(common, layer, place_panels, &panels);
    panels.memory = store_take(&common->store, 1, panels.used, "packed weights of rounds");
    panels.used = 0;
    each_weights(common, layer, place_panels, &panels);
}

/* Where each round's rows begin in one array for all; in evaluation layers share what the first has. */
static void create_rows(struct common *common, const struct layer *layer)
{
    struct mogrify *mogrify = layer->mogrify;
    struct store *store = &common->store;
    size_t rows = kept_rows(common), number = gemm_number_bytes(&common->gemm);
    for (int i = 1; i <= mogrify->rounds; i++) {
        struct mogrify_round *round = &mogrify->round[i];
        size_t wide = rows * round->stride, narrow = rows * mogrify->rank_stride;
        round->gate = store_floats(store, wide, "gates of rounds");
        round->value = store_floats(store, wide, "values of rounds");
        round->dense = number == sizeof(float) ? (void *)round->value
                                               : store_take(store, wide, number, "rounded values of rounds");
        if (mogrify->rank > 0) {
            round->narrow = store_take(store, narrow, number, "narrow rows of rounds");
            round->d_narrow = store_floats(store, narrow, "narrow rows of rounds");
        }
    }
}

static void create_scratch(struct common *common, struct layer *layers)
{
    struct store *store = &common->store;
    struct mogrify_scratch scratch = {0};
    size_t B = common->lanes, in = 0, h = 0;
    for (int l = 0; l < common->config.layers; l++) {
        in = (size_t)layers[l].in_stride > in ? (size_t)layers[l].in_stride : in;
        h = (size_t)layers[l].h_stride > h ? (size_t)layers[l].h_stride : h;
    }
    if (common->shape.train) {
        scratch.dh = store_floats(store, B * h, "carried gradients");
        scratch.product_stride = (int64_t)(in > h ? in : h);
        scratch.product = store_floats(store, B * scratch.product_stride, "carried gradients");
        scratch.dx = store_floats(store, common->shape.bptt * B * in, "input gradients");
    }
    for (int l = 0; l < common->config.layers; l++)
        layers[l].mogrify->scratch = scratch;
}

void mogrify_create(struct common *common, struct layer *layers)
{
    for (int l = 0; l < common->config.layers; l++) {
        struct layer *layer = &layers[l];
        struct mogrify *mogrify = layer->mogrify = store_keep(&common->store, 1, sizeof *layer->mogrify, "rounds");
        if (!mogrify)
            return;
        mogrify->rounds = common->config.mogrify;
        mogrify->rank = common->config.mogrify_rank;
        mogrify->rank_stride = gemm_stride(mogrify->rank);
        for (int i = 1; i <= mogrify->rounds; i++)
            place_round(common, layer, i);
        place_input(common, layer);
        create_panels(common, layer);
        create_rows(common, layer);
        mogrify->nothing = store_floats(&common->store, (size_t)layer->cell->gates * layer->slot_stride, "zeros");
    }
    create_scratch(common, layers);
}

static void pack(void *context, struct gemm_weights *weights)
{
    gemm_pack(context, weights);
}

void mogrify_pack(const struct common *common, struct layer *layer)
{
    layer_pack(common, layer);
    each_weights(common, layer, pack, (void *)&common->gemm);
}

/* ---- gradients ---- */

struct gemm_view mogrify_made(const struct common *common, const struct layer *layer, int i, int64_t row)
{
    const struct mogrify_round *round = &layer->mogrify->round[i];
    struct gemm_view view = gemm_dense(&common->gemm, round->dense, round->stride);
    view.base = (const char *)view.base + row * view.stride;
    return view;
}

/* What round i makes at all positions, and of round 0 the states that steps begin with. */
static struct gemm_view all_made(const struct common *common, const struct layer *layer, int i)
{
    return i > 0 ? mogrify_made(common, layer, i, 0) : layer_rows_from(common, layer, 0);
}

/* dW[m][n] = sum of d^T by. of_state: `by` is the state of the step before, that is zero at marks. */
static void weight_gradient(const struct common *common, struct lane_node node, struct gemm_view d, int m,
                            struct gemm_view by, int n, bool of_state, float *dW)
{
    struct gemm_factor factor = {.sum = common_sum(common, node),
                                 .b = gemm_lanes(by, common->lanes),
                                 .m = m,
                                 .n = n,
                                 .packed = common->scratch.factor};
    gemm_factor_pack(&common->gemm, &factor);
    if (of_state && common->fresh)
        gemm_factor_clear(&common->gemm, &factor, common->fresh, common->lanes);
    struct gemm_gradient gradient = {.factor = &factor, .a = gemm_lanes(d, common->lanes), .c = dW, .ldc = n};
    gemm_gradient(&common->gemm, &gradient);
}

static void round_gradients(const struct common *common, const struct layer *layer, int i, struct lane_node node,
                            float *grad)
{
    const struct mogrify *mogrify = layer->mogrify;
    const struct mogrify_round *round = &mogrify->round[i];
    const struct gemm *gemm = &common->gemm;
    struct gemm_view d = gemm_settled(gemm, round->gate, round->stride), by = all_made(common, layer, i - 1);
    int m = round->shape.rows, n = round->shape.columns, k = mogrify->rank;
    if (k == 0) {
        weight_gradient(common, node, d, m, by, n, i == 1, grad + round->left_gradient);
        return;
    }
    weight_gradient(common, node, d, m, gemm_dense(gemm, round->narrow, mogrify->rank_stride), k, false,
                    grad + round->left_gradient);
    weight_gradient(common, node, gemm_settled(gemm, round->d_narrow, mogrify->rank_stride), k, by, n, i == 1,
                    grad + round->right_gradient);
}

void mogrify_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                       struct lane_node node, float *grad)
{
    const struct mogrify *mogrify = layer->mogrify;
    struct layer_rows made = *rows;
    made.x = mogrify_made(common, layer, mogrify_last_x(mogrify), 0);
    made.h = dropout_active_states(&common->dropout) ? layer_states_from(common, layer, 0)
                                                     : all_made(common, layer, mogrify_last_h(mogrify));
    layer_gradients(common, layer, &made, node, grad);
    for (int i = 1; i <= mogrify->rounds; i++)
        round_gradients(common, layer, i, node, grad);
}

/* The steps have made it. */
void mogrify_input_gradient(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                            float *dx)
{
    (void)common;
    memcpy(dx, layer->mogrify->scratch.dx, sizeof *dx * rows->rows * layer->in_stride);
}
