/* The sampled softmax (Jean, Cho, Memisevic and Bengio 2015, "On using very large target vocabulary for neural machine
 * translation"): a training step's loss is the softmax's over the target and K samples of the vocabulary, with logits
 * less the log of expected counts, as TensorFlow's tf.nn.sampled_softmax_loss (remove_accidental_hits=True,
 * subtract_log_q). It is a biased estimate of the full softmax's, and below it. */
#include <math.h>

#include "output_private.h"
#include "samples.h"

static void window(const struct common *common, struct output *output, const struct output_step *step)
{
    samples_window(common, output, step, CLASSES_SOFTMAX);
}

/* -log softmax at the last one. */
static double loss_of(double *logits, int K, bool gradient)
{
    double largest = logits[K], sum = 0;
    for (int i = 0; i <= K; i++)
        largest = fmax(largest, logits[i]);
    for (int i = 0; i <= K; i++)
        sum += exp(logits[i] - largest);
    double log_sum = largest + log(sum), loss = log_sum - logits[K];
    for (int i = 0; i <= K && gradient; i++)
        logits[i] = exp(logits[i] - log_sum) - (i == K);
    return loss;
}

static double reference(const struct reference_output *lane)
{
    return samples_reference(lane, loss_of);
}

const struct output_kind output_kind_sampled = {
    .name = "sampled",
    .task = TASK_LM,
    .uses = OUTPUT_SAMPLES | OUTPUT_ORDER,
    .outputs = samples_outputs,
    .check = samples_check,
    .params = samples_params,
    .parts = samples_parts,
    .weights = samples_weights,
    .create = samples_create,
    .pack = samples_pack,
    .touch = samples_touch,
    .window = window,
    .last = samples_last,
    .logits = samples_logits,
    .reference = reference,
    .reference_work = samples_reference_work,
};
