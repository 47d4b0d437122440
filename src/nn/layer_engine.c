/* Which engine computes the layers of a cell. */
#include "layer_mogrify.h"

static const struct layer_engine of_steps = {
    .pack = layer_pack,
    .project = layer_project,
    .forward = layer_forward,
    .backward = layer_backward,
    .gradients = layer_gradients,
    .input_gradient = layer_input_gradient,
};

static const struct layer_engine of_rounds = {
    .create = mogrify_create,
    .pack = mogrify_pack,
    .forward = mogrify_forward,
    .backward = mogrify_backward,
    .gradients = mogrify_gradients,
    .input_gradient = mogrify_input_gradient,
};

const struct layer_engine *layer_engine(const struct cell_kind *cell)
{
    return cell->rounds ? &of_rounds : &of_steps;
}
