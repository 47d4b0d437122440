/* The decoder: its products and their derivatives. */
#include "decoder.h"

#include <math.h>
#include <string.h>

#include "affine.h"
#include "unroll/base/team.h"

int decoder_params(const struct model_config *config, int outputs, struct output_param params[PARAM_OUTPUT_MAX])
{
    params[0] = (struct output_param){
        .role = PARAM_OUTPUT, .name = "decoder.weight", .shape = {outputs, config->hidden}, .tied = config->tied};
    params[1] = (struct output_param){.role = PARAM_OUTPUT_BIAS, .name = "decoder.bias", .shape = {outputs}};
    return 2;
}

void decoder_create(struct common *common, struct decoder *decoder, int outputs)
{
    int H = common->config.hidden;
    *decoder = (struct decoder){
        .in = H,
        .in_stride = gemm_stride(H),
        .outputs = outputs,
        .stride = gemm_stride(outputs),
        .weight = common->table.output,
        .bias = common->table.output + 1,
        .padded_bias = store_floats(&common->store, gemm_stride(outputs), "decoder bias"),
    };
    const float *w = common_values(common, decoder->weight);
    decoder->forward = (struct gemm_weights){.w = w, .ldw = H, .transposed = true, .k = H, .n = outputs};
    decoder->back = (struct gemm_weights){.w = w, .ldw = H, .k = outputs, .n = H};
    if (common->shape.resident)
        decoder->forward.panels =
            store_take(&common->store, 1, gemm_panels_bytes(&common->gemm, H, outputs), "packed weights");
}

void decoder_pack(const struct common *common, struct decoder *decoder)
{
    if (decoder->forward.panels)
        gemm_pack(&common->gemm, &decoder->forward);
    memcpy(decoder->padded_bias, common_values(common, decoder->bias), sizeof(float) * decoder->outputs);
}

void decoder_logits(const struct common *common, const struct decoder *decoder, struct gemm_view y, int rows,
                    float *logits)
{
    struct gemm_operand operand = {.segments = 1, .segment = {{y, &decoder->forward}}};
    gemm_rows(&common->gemm, &operand, rows, logits, decoder->stride);
}

struct biasing {
    const struct decoder *decoder;
    float *logits;
};

static void add_biases(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct biasing *work = context;
    for (int64_t b = begin; b < end; b++)
        for (int v = 0; v < work->decoder->outputs; v++)
            work->logits[b * work->decoder->stride + v] += work->decoder->padded_bias[v];
}

void decoder_add_bias(const struct common *common, const struct decoder *decoder, int rows, float *logits)
{
    struct biasing work = {decoder, logits};
    team_share(common->shape.threads, rows, (int64_t)rows * decoder->outputs, add_biases, &work);
}

void decoder_row_gradients(const struct common *common, const struct decoder *decoder, const float *d, int rows,
                           float *dy)
{
    struct gemm_operand operand = {.segments = 1,
                                   .segment = {{gemm_settled(&common->gemm, d, decoder->stride), &decoder->back}}};
    gemm_rows(&common->gemm, &operand, rows, dy, decoder->in_stride);
}

void decoder_gradients(const struct common *common, const struct decoder *decoder, const struct decoder_sum *sum)
{
    struct gemm_factor factor = {sum->sum, sum->y, decoder->outputs, decoder->in, common->scratch.factor};
    gemm_factor_pack(&common->gemm, &factor);
    struct gemm_gradient gradient = {
        .factor = &factor, .a = sum->d, .add = sum->add, .c = sum->weight, .ldc = decoder->in, .bias = sum->bias};
    gemm_gradient(&common->gemm, &gradient);
}

/* ---- in double precision ---- */

struct reference_decoder reference_decoder_of(const struct reference_output *lane)
{
    const struct param_table *table = lane->table;
    const struct param *weight = &table->param[table->output], *bias = weight + 1;
    return (struct reference_decoder){
        .in = lane->config->hidden,
        .outputs = (int)weight->shape[0],
        .weight = lane->values + weight->offset,
        .bias = lane->values + bias->offset,
        .d_weight = lane->grad ? lane->grad + weight->grad_offset : NULL,
        .d_bias = lane->grad ? lane->grad + bias->grad_offset : NULL,
    };
}

double reference_decoder_loss(const struct reference_decoder *decoder, const double *y, uint32_t target, double *logits)
{
    const int V = decoder->outputs;
    affine(V, decoder->in, decoder->weight, y, decoder->bias, logits);
    double largest = logits[0], sum = 0;
    for (int v = 1; v < V; v++)
        if (logits[v] > largest)
            largest = logits[v];
    for (int v = 0; v < V; v++)
        sum += exp(logits[v] - largest);
    double log_sum = largest + log(sum);
    double loss = log_sum - logits[target];
    for (int v = 0; v < V; v++)
        logits[v] = exp(logits[v] - log_sum) - ((uint32_t)v == target);
    return loss;
}

void reference_decoder_backward(const struct reference_decoder *decoder, const double *y, const double *d_logits,
                                double *dy)
{
    affine_backward(decoder->outputs, decoder->in, decoder->weight, y, d_logits, decoder->d_weight, decoder->d_bias,
                    dy);
}
