/* Looks at the derivatives that a backward loop has at hand, and adds up their squares. */
#include "unroll/nn/flow.h"

#include <math.h>
#include <string.h>

#include "model_private.h"

/* Sums of squares are taken while the backward loop has the derivatives at hand, VPAD hidden units by VPAD (blocks of panels
 * are of another width on other processors), into [T][lanes][parts of H][states]. */
static int parts_of(const struct model *model)
{
    return (model->H + VPAD - 1) / VPAD;
}

static double *squares_at(const struct model *model, int t, int lane, int part)
{
    return (double *)model->flow_notes + (((int64_t)t * model->lanes + lane) * parts_of(model) + part) * model->states;
}

static void note(void *context, const struct cell_step *step, int t, int lane0, int block)
{
    const struct model *model = context;
    void (*flow)(const struct cell_step *, int, int, int, double *) =
        model->cell->flow ? model->cell->flow : cell_flow_output;
    int units = model->H - block * GEMM_WIDE < GEMM_WIDE ? model->H - block * GEMM_WIDE : GEMM_WIDE;
    for (int b = 0; b < step->lanes; b++)
        for (int u = 0; u < units; u += VPAD) {
            double *squares = squares_at(model, t, lane0 + b, (block * GEMM_WIDE + u) / VPAD);
            memset(squares, 0, sizeof *squares * model->states);
            flow(step, b, u, u + VPAD < units ? u + VPAD : units, squares);
        }
}

/* What layer l's backward loop has noted. */
static void take_norms(const struct model *model, int l, int T, double *norms)
{
    int64_t state = (int64_t)T * model->lanes;
    for (int t = 0; t < T; t++)
        for (int lane = 0; lane < model->lanes; lane++) {
            int64_t row = (int64_t)t * model->lanes + lane;
            for (int s = 0; s < model->states; s++) {
                double sum = 0;
                for (int part = 0; part < parts_of(model); part++)
                    sum += squares_at(model, t, lane, part)[s];
                norms[(s * model->config.layers + l) * state + row] = sqrt(sum);
            }
        }
}

void model_flow(struct model *model, const struct window *window, double *norms)
{
    CHECK(model->shape.train);
    struct model_phases phases = model->phases; /* of training steps: this is none */
    model_forward_layers(model, window, -1);
    softmax_last(model, window);
    const struct step_hook hook = {note, model};
    for (int l = model->config.layers - 1; l >= 0; l--) {
        layer_backward(model, l, window, &hook);
        take_norms(model, l, window->T, norms);
        if (l > 0)
            layer_input_gradient(model, l, window);
    }
    model->phases = phases;
}
