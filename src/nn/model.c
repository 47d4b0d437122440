/* The order of a step: embedding, layers, output, and back. What each part does stands in its own file. */
#include "unroll/nn/model.h"

#include <string.h>

#include "model_private.h"
#include "penalty.h"
#include "unroll/base/clock.h"
#include "unroll/base/mem.h"

/* ---- time, by phase ---- */

/* Adds the wall time since the last call to *phase. */
static void count_time(struct model *model, double *phase)
{
    double now = clock_seconds();
    *phase += now - model->clock;
    model->clock = now;
}

void model_take_phases(struct model *model, struct model_phases *phases)
{
    *phases = model->phases;
    model->phases = (struct model_phases){0};
}

/* ---- creation ---- */

static void create_output(struct model *model)
{
    struct common *common = &model->common;
    struct output *output = &model->output;
    output->kind = output_kind(&common->config);
    output->row_loss = store_floats(&common->store, (size_t)common->shape.bptt * common->lanes, "losses");
    output->group_loss = store_take(&common->store, common->groups, sizeof *output->group_loss, "losses");
    output->group_targets = store_take(&common->store, common->groups, sizeof *output->group_targets, "losses");
    output->kind->create(common, output);
}

/* The configuration, the shape and the store are there. */
static enum status build(struct model *model, struct error *e)
{
    struct common *common = &model->common;
    enum status status = common_create(common, e);
    if (status)
        return status;
    layers_create(common, model->layer, embedding_indexed_rows(common));
    for (int l = 0; l < common->config.layers; l++)
        model->layer[l].engine = layer_engine(model->layer[l].cell);
    if (model->layer[0].engine->create)
        model->layer[0].engine->create(common, model->layer);
    embedding_create(common, &model->embedding, model->layer[0].slots_stride);
    create_output(model);
    int stride = model_top(model)->h_stride, width = model_top(model)->H;
    for (int l = 0; l < common->config.layers; l++) {
        const struct layer *layer = &model->layer[l];
        stride = layer->in_stride > stride ? layer->in_stride : stride;
        width = layer->in > width ? layer->in : width;
    }
    common_create_scratch(common, stride, width);
    return e->status;
}

enum status model_create(const struct model_config *config, const float *values, const struct model_shape *shape,
                         struct model **out, struct error *e)
{
    struct error local;
    e = e ? e : &local;
    *out = NULL;
    enum status status = model_config_check(config, e);
    if (status)
        return status;
    struct model *model = mem_alloc(1, sizeof *model, "the model", e);
    if (!model)
        return STATUS_OS;
    model->common.config = *config;
    model->common.shape = *shape;
    model->common.values = values;
    status = build(model, e);
    if (status) {
        model_free(model);
        return status;
    }
    *out = model;
    return STATUS_OK;
}

size_t model_bytes(const struct model_config *config, const struct model_shape *shape)
{
    struct error e;
    struct model model = {.common = {.config = *config, .shape = *shape, .store = {.dry = true}}};
    size_t bytes = build(&model, &e) ? SIZE_MAX : model.common.store.bytes;
    store_free(&model.common.store);
    return bytes;
}

void model_free(struct model *model)
{
    if (!model)
        return;
    store_free(&model->common.store);
    mem_free(model);
}

void model_pack(struct model *model)
{
    for (int l = 0; l < model->common.config.layers; l++)
        model->layer[l].engine->pack(&model->common, &model->layer[l]);
    model->output.kind->pack(&model->common, &model->output);
}

/* ---- a step ---- */

/* The outputs of layer l - 1, through dropout. */
static struct layer_input input_from_below(struct model *model, int l)
{
    const struct common *common = &model->common;
    const struct layer *below = &model->layer[l - 1], *layer = &model->layer[l];
    struct layer_input input = {.x = layer_output_rows(common, below), .rows = common->window->T * common->lanes};
    if (dropout_active(&common->dropout, l)) {
        dropout_rows(&common->dropout, l,
                     (struct dropout_copy){.T = common->window->T,
                                           .units = layer->in,
                                           .from = layer_outputs(common, below),
                                           .from_stride = below->h_stride,
                                           .to = layer->dropped,
                                           .to_stride = layer->in_stride,
                                           .gemm = &common->gemm});
        input.x = gemm_dense(&common->gemm, layer->dropped, layer->in_stride);
    }
    return input;
}

void model_forward_layers(struct model *model, const struct window *window, int64_t step)
{
    struct common *common = &model->common;
    model->clock = clock_seconds();
    common_begin(common, window, step);
    if (window->reset)
        for (int lane = 0; lane < common->lanes; lane++)
            model_state_zero_lane(model, lane);
    for (int l = 0; l < common->config.layers; l++) {
        struct layer *layer = &model->layer[l];
        layer_begin(common, layer);
        layer->input = l == 0 ? embedding_forward(common, &model->embedding) : input_from_below(model, l);
        count_time(model, &model->phases.other);
        if (layer->engine->project)
            layer->engine->project(common, layer);
        count_time(model, &model->phases.input_projection);
        layer->engine->forward(common, layer);
        count_time(model, &model->phases.recurrent_forward);
    }
}

/* Losses, and with node_grads the gradient of the top layer's outputs. */
static void output_window(struct model *model, float *const *node_grads, struct model_loss *loss)
{
    struct output *output = &model->output;
    struct output_step step = {.h = layer_outputs(&model->common, model_top(model)),
                               .rows = layer_output_rows(&model->common, model_top(model)),
                               .node_grads = node_grads,
                               .dh = model->common.scratch.row_gradients};
    output->kind->window(&model->common, output, &step);
    if (node_grads)
        penalty_gradient(&model->common, step.h, model_top(model)->h_stride, step.dh);
    *loss = (struct model_loss){.group = output->group_loss,
                                .targets = output->group_targets,
                                .normaliser = node_grads ? NULL : output->group_normaliser,
                                .normaliser_squares = node_grads ? NULL : output->group_normaliser_squares,
                                .row = output->row_loss,
                                .correct = output->group_correct};
    count_time(model, &model->phases.output_layer);
}

/* From the gradient of layer l's outputs to that of its input, in the same place, and of its parameters. */
static void backward_layer(struct model *model, int l, float *const *node_grads)
{
    const struct common *common = &model->common;
    struct layer *layer = &model->layer[l];
    float *gradient = common->scratch.row_gradients;
    layer->engine->backward(common, layer, gradient, NULL);
    count_time(model, &model->phases.recurrent_backward);
    struct layer_rows rows = layer_positions(common, layer);
    if (l == 0)
        rows = embedding_rows(common, &model->embedding, rows);
    for (int i = 0; i < common->nodes; i++)
        layer->engine->gradients(common, layer, &rows, common->node[i], node_grads[i]);
    count_time(model, &model->phases.weight_gradients);
    layer->engine->input_gradient(common, layer, &rows, gradient);
    if (l == 0)
        embedding_drop_gradient(common, &model->embedding, gradient);
    else if (dropout_active(&common->dropout, l))
        dropout_rows(&common->dropout, l,
                     (struct dropout_copy){.T = common->window->T,
                                           .units = layer->in,
                                           .from = gradient,
                                           .from_stride = layer->in_stride,
                                           .to = gradient,
                                           .to_stride = layer->in_stride});
    count_time(model, &model->phases.input_projection);
}

const struct touched *model_touch(struct model *model, const struct window *window, int64_t step)
{
    struct common *common = &model->common;
    struct output *output = &model->output;
    int inputs = common->layout.inputs;
    CHECK(common->shape.train);
    if (inputs >= 0) {
        struct touched_list *list = &common->touched.list[inputs];
        int64_t positions = (int64_t)window->T * window->lanes;
        memcpy(list->row, window->input, (size_t)positions * sizeof *list->row);
        list->count = touched_sort(list->row, positions);
    }
    if (output->kind->touch)
        output->kind->touch(common, output, window, step, &common->touched);
    model->touched = window;
    return &common->touched;
}

void model_forward(struct model *model, const struct window *window, int64_t step, struct model_loss *loss)
{
    model_forward_layers(model, window, model->common.shape.train ? step : -1);
    output_window(model, NULL, loss);
}

void model_train(struct model *model, const struct window *window, int64_t step, float *const *node_grads,
                 struct model_loss *loss)
{
    const struct common *common = &model->common;
    CHECK(common->shape.train && step >= 0 && (!common->layout.lists || model->touched == window));
    model_forward_layers(model, window, step);
    output_window(model, node_grads, loss);
    for (int l = common->config.layers - 1; l >= 0; l--)
        backward_layer(model, l, node_grads);
    embedding_backward(common, &model->embedding, common->scratch.row_gradients, node_grads);
    count_time(model, &model->phases.weight_gradients);
}

const float *model_outputs(struct model *model, int *stride)
{
    *stride = model_top(model)->h_stride;
    return layer_outputs(&model->common, model_top(model));
}

void model_drop_gradient(struct model *model, int64_t step, float *array)
{
    const struct common *common = &model->common;
    for (int l = 0; l < common->config.layers; l++)
        layer_drop_gradient(common, &model->layer[l], step, array);
}

/* ---- what the output layer knows besides losses ---- */

const float *model_probabilities(const struct model *model, int *stride)
{
    const struct output *output = &model->output;
    CHECK(output->kind->probabilities);
    return output->kind->probabilities(output, stride);
}

const float *model_logits(struct model *model, int *stride)
{
    struct output *output = &model->output;
    CHECK(output->kind->logits);
    return output->kind->logits(&model->common, output, model_top(model)->state[CELL_H].carried, stride);
}
