/* Noise contrastive estimation (Gutmann and Hyvarinen 2010; for language models Mnih and Teh 2012, "A fast and simple
 * algorithm for training neural probabilistic language models"; with a constant normaliser Chen, Liu, Gales and
 * Woodland 2015, "Recurrent neural network language model training with noise contrastive estimation for speech
 * recognition"): a training step learns to tell the target from K samples of noise, by logistic regression with logits
 * less the log of expected counts, as TensorFlow's tf.nn.nce_loss with remove_accidental_hits=True. What it learns are
 * logarithms of probabilities whose sum is near one by itself: biases start at -log V, where it is.
 *
 * Its training loss is that of the regression, and no perplexity follows from it. */
#include <math.h>

#include "output_private.h"
#include "samples.h"
#include "unroll/base/arithmetic.h"

static void window(const struct common *common, struct output *output, const struct output_step *step)
{
    samples_window(common, output, step, CLASSES_NOISE);
}

static int params(const struct model_config *config, struct output_param list[PARAM_OUTPUT_MAX])
{
    int count = samples_params(config, list);
    list[1].start = -arithmetic_log(config->vocab);
    return count;
}

/* log(1 + exp(x)) */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* The last one is of data, the others are noise. */
static double loss_of(double *logits, int K, bool gradient)
{
    double sum = softplus(-logits[K]);
    for (int i = 0; i < K; i++)
        sum += softplus(logits[i]);
    for (int i = 0; i <= K && gradient; i++)
        logits[i] = 1 / (1 + exp(-logits[i])) - (i == K);
    return sum;
}

static double reference(const struct reference_output *lane)
{
    return samples_reference(lane, loss_of);
}

const struct output_kind output_kind_nce = {
    .name = "nce",
    .task = TASK_LM,
    .uses = OUTPUT_SAMPLES | OUTPUT_ORDER | OUTPUT_NORMALISER,
    .outputs = samples_outputs,
    .check = samples_check,
    .params = params,
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
