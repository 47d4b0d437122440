/* Feeds a model one token a step in each lane. */
#include "unroll/use/feeder.h"

#include <math.h>
#include <string.h>

#include "draw.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"

struct feeder {
    const struct vocab *vocab;
    struct model *model;
    int lanes, states;
    struct model_config config;
    float *unigram;      /* [V] logits of the first token when there is nothing to feed; or NULL */
    uint32_t *input;     /* [lanes] to be fed before the next logits */
    uint32_t *no_target; /* [lanes] WINDOW_NO_TARGET */
    float *old, *new;    /* [lanes][width] states on their way from lane to lane */
    bool pending;        /* `input` waits to be fed */
    bool fresh;          /* nothing fed since the start */
};

/* Logarithms of the frequencies in the training text: -infinity for what never occurred. */
static enum status make_unigram(struct feeder *feeder, struct error *e)
{
    int V = feeder->vocab->size;
    feeder->unigram = mem_alloc((size_t)V, sizeof *feeder->unigram, "frequencies of the vocabulary", e);
    if (!feeder->unigram)
        return STATUS_OS;
    bool any = false;
    for (int token = VOCAB_UNK + 1; token < V; token++)
        any = any || feeder->vocab->counts[token] > 0;
    for (int token = 0; token < V; token++)
        feeder->unigram[token] = any ? arithmetic_logf((float)feeder->vocab->counts[token]) : 0;
    return STATUS_OK;
}

static enum status allocate_feeder(struct feeder *feeder, struct error *e)
{
    size_t lanes = (size_t)feeder->lanes;
    feeder->input = mem_alloc(lanes, sizeof *feeder->input, "tokens of the texts", e);
    feeder->no_target = mem_alloc(lanes, sizeof *feeder->no_target, "tokens of the texts", e);
    size_t widest = lanes * (size_t)model_state_widest(&feeder->config);
    feeder->old = mem_alloc(widest, sizeof *feeder->old, "states of the texts", e);
    feeder->new = mem_alloc(widest, sizeof *feeder->new, "states of the texts", e);
    if (!feeder->input || !feeder->no_target || !feeder->old || !feeder->new)
        return STATUS_OS;
    for (size_t lane = 0; lane < lanes; lane++)
        feeder->no_target[lane] = WINDOW_NO_TARGET;
    return feeder->vocab->eos < 0 ? make_unigram(feeder, e) : STATUS_OK;
}

static struct model_shape shape_of(int lanes, int threads)
{
    return (struct model_shape){
        .resident = true,
        .bptt = 1,
        .share = lane_share_whole(lanes, lanes),
        .threads = threads,
        .exact = true,
    };
}

size_t feeder_bytes(const struct model_config *model, int lanes, int threads)
{
    struct model_shape shape = shape_of(lanes, threads);
    return model_bytes(model, &shape);
}

enum status feeder_create(const struct model_config *model, const float *values, const struct vocab *vocab, int lanes,
                          int threads, struct feeder **out, struct error *e)
{
    *out = NULL;
    CHECK(model->vocab == vocab->size && lanes >= 1 && threads >= 1);
    if (vocab->size < 2)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot write text: the model's vocabulary has no entry but '<unk>'; train on a text with "
                         "a larger vocabulary");
    struct feeder *feeder = mem_alloc(1, sizeof *feeder, "a model to write with", e);
    if (!feeder)
        return STATUS_OS;
    feeder->vocab = vocab;
    feeder->lanes = lanes;
    feeder->states = model_state_count(model);
    feeder->config = *model;
    enum status status = allocate_feeder(feeder, e);
    struct model_shape shape = shape_of(lanes, threads);
    if (!status)
        status = model_create(model, values, &shape, &feeder->model, e);
    if (status) {
        feeder_free(feeder);
        return status;
    }
    model_pack(feeder->model);
    feeder_start(feeder, NULL, 0);
    *out = feeder;
    return STATUS_OK;
}

void feeder_free(struct feeder *feeder)
{
    if (!feeder)
        return;
    model_free(feeder->model);
    mem_free(feeder->unigram);
    mem_free(feeder->input);
    mem_free(feeder->no_target);
    mem_free(feeder->old);
    mem_free(feeder->new);
    mem_free(feeder);
}

/* One time step of all lanes on `input`. */
static void feed_step(struct feeder *feeder)
{
    struct window window = {
        .T = 1,
        .lanes = feeder->lanes,
        .lane0 = 0,
        .reset = feeder->fresh,
        .input = feeder->input,
        .target = feeder->no_target,
    };
    struct model_loss loss;
    model_forward(feeder->model, &window, -1, &loss);
    feeder->fresh = false;
    feeder->pending = false;
}

void feeder_push(struct feeder *feeder, const uint32_t *tokens)
{
    if (feeder->pending)
        feed_step(feeder);
    memcpy(feeder->input, tokens, (size_t)feeder->lanes * sizeof *tokens);
    feeder->pending = true;
}

/* The same token for all lanes. */
static void push_one(struct feeder *feeder, uint32_t token)
{
    if (feeder->pending)
        feed_step(feeder);
    for (int lane = 0; lane < feeder->lanes; lane++)
        feeder->input[lane] = token;
    feeder->pending = true;
}

void feeder_start(struct feeder *feeder, const uint32_t *prime, int64_t count)
{
    feeder->fresh = true;
    feeder->pending = false;
    if (feeder->vocab->eos >= 0)
        push_one(feeder, (uint32_t)feeder->vocab->eos);
    for (int64_t i = 0; i < count; i++)
        push_one(feeder, prime[i]);
}

const float *feeder_logits(struct feeder *feeder, int *stride)
{
    *stride = 0;
    if (feeder->pending)
        feed_step(feeder);
    if (feeder->fresh)
        return feeder->unigram;
    return model_logits(feeder->model, stride);
}

void feeder_permute(struct feeder *feeder, const int *from)
{
    CHECK(!feeder->pending);
    for (int index = 0; index < feeder->states && !feeder->fresh; index++) {
        size_t width = (size_t)model_state_width(&feeder->config, index), bytes = width * sizeof *feeder->new;
        model_state_get(feeder->model, index, feeder->old);
        for (int lane = 0; lane < feeder->lanes; lane++)
            memcpy(feeder->new + (size_t)lane *width, feeder->old + (size_t)from[lane] * width, bytes);
        model_state_set(feeder->model, index, feeder->new);
    }
}

double feeder_log_sum(const float *logits, int V)
{
    float largest = -INFINITY;
    for (int token = 0; token < V; token++)
        largest = logits[token] > largest ? logits[token] : largest;
    vdouble sums = {0};
    for (int begin = 0; begin < V; begin += VDOUBLES)
        sums += vdouble_exp(load_logits(logits + begin, V - begin) - (double)largest);
    double sum = 0;
    for (int i = 0; i < VDOUBLES; i++)
        sum += sums[i];
    return (double)largest + arithmetic_log(sum);
}

enum status feeder_no_probabilities(int64_t count, struct error *e)
{
    return error_set(e, STATUS_CHECKPOINT,
                     "cannot write text: the model gives no finite probabilities after %lld tokens; its "
                     "parameters are damaged or training diverged: use an earlier checkpoint",
                     (long long)count);
}
