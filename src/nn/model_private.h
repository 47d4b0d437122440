/* The fast model: what model.c, model_state.c and flow.c share. Its parts see only their own struct and struct
 * common. */
#ifndef UNROLL_NN_MODEL_PRIVATE_H
#define UNROLL_NN_MODEL_PRIVATE_H

#include "embedding.h"
#include "layer.h"
#include "output_private.h"

struct model {
    struct common common;
    struct embedding embedding;
    struct layer layer[MODEL_LAYERS_MAX];
    struct output output;
    const struct window *touched; /* the window of the last model_touch */
    struct model_phases phases;
    double clock;
};

static inline struct layer *model_top(struct model *model)
{
    return &model->layer[model->common.config.layers - 1];
}

/* Makes the window the one at hand and runs it through embedding and layers: the carried states advance. */
void model_forward_layers(struct model *model, const struct window *window, int64_t step);

#endif
