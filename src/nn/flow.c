/* Looks at the derivatives that a backward loop has at hand, and adds up their squares. */
#include "unroll/nn/flow.h"

#include <math.h>
#include <string.h>

#include "model_private.h"

/* Of one layer at a time. Sums of squares are taken while the backward loop has the derivatives at hand, VPAD hidden
 * units by VPAD (blocks of panels are of another width on other processors). */
struct flow {
    const struct common *common;
    const struct layer *layer;
    double *squares; /* [T][lanes][parts][states] */
    int parts;       /* of H */
};

static double *squares_at(const struct flow *flow, int t, int lane, int part)
{
    return flow->squares + (((int64_t)t * flow->common->lanes + lane) * flow->parts + part) * flow->layer->states;
}

static void note(void *context, const struct cell_step *step, int t, int lane0, int block)
{
    const struct flow *flow = context;
    const struct layer *layer = flow->layer;
    void (*add)(const struct cell_step *, int, int, int, double *) =
        layer->cell->flow ? layer->cell->flow : cell_flow_output;
    int rest = layer->H - block * GEMM_WIDE, units = rest < GEMM_WIDE ? rest : GEMM_WIDE;
    for (int b = 0; b < step->lanes; b++)
        for (int u = 0; u < units; u += VPAD) {
            double *squares = squares_at(flow, t, lane0 + b, (block * GEMM_WIDE + u) / VPAD);
            memset(squares, 0, sizeof *squares * layer->states);
            add(step, b, u, u + VPAD < units ? u + VPAD : units, squares);
        }
}

/* What layer l's backward loop has noted. */
static void take_norms(const struct flow *flow, int l, double *norms)
{
    const struct common *common = flow->common;
    int64_t state = (int64_t)common->window->T * common->lanes;
    for (int t = 0; t < common->window->T; t++)
        for (int lane = 0; lane < common->lanes; lane++) {
            int64_t row = (int64_t)t * common->lanes + lane;
            for (int s = 0; s < flow->layer->states; s++) {
                double sum = 0;
                for (int part = 0; part < flow->parts; part++)
                    sum += squares_at(flow, t, lane, part)[s];
                norms[(s * common->config.layers + l) * state + row] = sqrt(sum);
            }
        }
}

void model_flow(struct model *model, const struct window *window, double *norms)
{
    const struct common *common = &model->common;
    struct output *output = &model->output;
    CHECK(common->shape.train && output->kind->last);
    struct model_phases phases = model->phases; /* of training steps: this is none */
    float *gradient = common->scratch.row_gradients;
    model_forward_layers(model, window, -1);
    struct output_step step = {.h = layer_outputs(common, model_top(model)),
                               .rows = layer_output_rows(common, model_top(model)),
                               .dh = gradient};
    output->kind->last(common, output, &step);
    for (int l = common->config.layers - 1; l >= 0; l--) {
        struct layer *layer = &model->layer[l];
        struct flow flow = {common, layer, common->scratch.flow_notes, (layer->H + VPAD - 1) / VPAD};
        const struct step_hook hook = {note, &flow};
        layer->engine->backward(common, layer, gradient, &hook);
        take_norms(&flow, l, norms);
        struct layer_rows rows = layer_positions(common, layer);
        if (l > 0)
            layer->engine->input_gradient(common, layer, &rows, gradient);
    }
    model->phases = phases;
}
