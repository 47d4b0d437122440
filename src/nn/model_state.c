/* The states that a model carries from window to window, read and set from outside. */
#include <string.h>

#include "model_private.h"

static const struct layer_state *state_of(const struct model *model, int index)
{
    int layers = model->common.config.layers;
    return &model->layer[index % layers].state[index / layers];
}

void model_state_get(const struct model *model, int index, float *values)
{
    const struct layer_state *state = state_of(model, index);
    for (int64_t b = 0; b < model->common.lanes; b++)
        memcpy(values + b * state->width, state->carried + b * state->stride, sizeof *values * state->width);
}

void model_state_set(struct model *model, int index, const float *values)
{
    const struct layer_state *state = state_of(model, index);
    for (int64_t b = 0; b < model->common.lanes; b++)
        memcpy(state->carried + b * state->stride, values + b * state->width, sizeof *values * state->width);
}

void model_state_zero_lane(struct model *model, int lane)
{
    for (int i = 0; i < model_state_arrays(&model->common.config); i++) {
        const struct layer_state *state = state_of(model, i);
        memset(state->carried + (int64_t)lane * state->stride, 0, sizeof(float) * state->stride);
    }
}
