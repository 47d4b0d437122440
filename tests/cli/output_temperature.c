/* A full softmax of outputs over a temperature: logits are W (h / t) + b. For tests/cli/output_layers.bats, which
 * builds the program with it. */
#include <string.h>

#include "decoder.h"
#include "output_private.h"

#define TEMPERATURE 2

struct temperature {
    struct output full;
    float *h; /* [T][B][stride of H] */
};

static int outputs(const struct model_config *config)
{
    return config->vocab;
}

static enum status check(const struct model_config *config, struct error *e)
{
    return output_kind_softmax.check(config, e);
}

static int params(const struct model_config *config, struct output_param list[PARAM_OUTPUT_MAX])
{
    return output_kind_softmax.params(config, list);
}

static void create(struct common *common, struct output *output)
{
    struct temperature *own = output->own = store_keep(&common->store, 1, sizeof *own, "the output layer");
    if (!own)
        return;
    own->full = *output;
    output_kind_softmax.create(common, &own->full);
    own->h = store_floats(&common->store,
                          (size_t)common->shape.bptt * common->lanes * gemm_stride(common->config.hidden), "outputs");
}

static void pack(const struct common *common, struct output *output)
{
    struct temperature *own = output->own;
    output_kind_softmax.pack(common, &own->full);
}

static void divide(const float *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] / TEMPERATURE;
}

static struct output_step cooled(const struct common *common, struct temperature *own, const struct output_step *step)
{
    struct output_step full = *step;
    divide(step->h, own->h, (size_t)common->window->T * common->lanes * gemm_stride(common->config.hidden));
    full.h = own->h;
    return full;
}

static void heat(const struct common *common, const struct output_step *step)
{
    divide(step->dh, step->dh, (size_t)common->window->T * common->lanes * gemm_stride(common->config.hidden));
}

static void window_losses(const struct common *common, struct output *output, const struct output_step *step)
{
    struct temperature *own = output->own;
    struct output_step full = cooled(common, own, step);
    output_kind_softmax.window(common, &own->full, &full);
    if (step->node_grads)
        heat(common, step);
}

static void last(const struct common *common, struct output *output, const struct output_step *step)
{
    struct temperature *own = output->own;
    struct output_step full = cooled(common, own, step);
    output_kind_softmax.last(common, &own->full, &full);
    heat(common, step);
}

static const float *logits(const struct common *common, struct output *output, const float *h, int *stride)
{
    struct temperature *own = output->own;
    divide(h, own->h, (size_t)common->lanes * gemm_stride(common->config.hidden));
    return output_kind_softmax.logits(common, &own->full, own->h, stride);
}

static size_t reference_work(const struct model_config *config)
{
    return 2 * (size_t)config->hidden + (size_t)config->vocab;
}

static double reference(const struct reference_output *lane)
{
    const struct reference_decoder decoder = reference_decoder_of(lane);
    double sum = 0, *y = lane->work, *dy = y + decoder.in, *d_logits = dy + decoder.in;
    for (int time = 0; time < lane->window->T; time++) {
        const int position = time * lane->window->lanes + lane->lane;
        const uint32_t target = lane->window->target[position];
        double loss = 0;
        memset(dy, 0, sizeof *dy * (size_t)decoder.in);
        for (int u = 0; u < decoder.in; u++)
            y[u] = lane->y[(size_t)time * lane->stride + (size_t)u] / TEMPERATURE;
        if (target != WINDOW_NO_TARGET)
            loss = reference_decoder_loss(&decoder, y, target, d_logits);
        if (lane->row)
            lane->row[position] = loss;
        sum += loss;
        if (lane->grad && target != WINDOW_NO_TARGET)
            reference_decoder_backward(&decoder, y, d_logits, dy);
        for (int u = 0; lane->grad && u < decoder.in; u++)
            lane->dy[(size_t)time * lane->stride + (size_t)u] = dy[u] / TEMPERATURE;
    }
    return sum;
}

const struct output_kind output_kind_temperature = {
    .name = "temperature",
    .task = TASK_LM,
    .outputs = outputs,
    .check = check,
    .params = params,
    .create = create,
    .pack = pack,
    .window = window_losses,
    .last = last,
    .logits = logits,
    .reference = reference,
    .reference_work = reference_work,
};
