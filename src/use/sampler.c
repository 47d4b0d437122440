#include "unroll/use/sampler.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"

struct sampler {
    struct sampler_config config;
    const struct vocab *vocab;
    struct model *model;
    struct sampler_candidate *scratch; /* [threads][V] */
    float *unigram;                    /* [V] logits of the first token when there is nothing to feed; or NULL */
    uint32_t *input;                   /* [texts] to be fed before the next draw */
    uint32_t *no_target;               /* [texts] WINDOW_NO_TARGET */
    bool pending;                      /* `input` waits to be fed */
    bool fresh;                        /* nothing fed since the start */
    uint32_t drawn;                    /* tokens drawn so far in each text */
};

/* ---- drawing one token ---- */

/* Strict order of candidates: heavier first, then the lower id, so that no two are equal. */
static bool comes_before(const struct sampler_candidate *a, const struct sampler_candidate *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->token < b->token);
}

static int compare_candidates(const void *a, const void *b)
{
    return comes_before(a, b) ? -1 : comes_before(b, a);
}

static void swap_candidates(struct sampler_candidate *a, struct sampler_candidate *b)
{
    struct sampler_candidate held = *a;
    *a = *b;
    *b = held;
}

/* Brings the first k of n candidates in comes_before order to the front (Hoare's quickselect, middle pivot). */
static void select_first(struct sampler_candidate *items, int n, int k)
{
    int begin = 0, end = n; /* the boundary k lies in [begin, end) */
    while (end - begin > 1) {
        swap_candidates(&items[begin], &items[begin + (end - begin) / 2]);
        int kept = begin; /* items (begin, kept] come before the pivot */
        for (int i = begin + 1; i < end; i++)
            if (comes_before(&items[i], &items[begin]))
                swap_candidates(&items[++kept], &items[i]);
        swap_candidates(&items[begin], &items[kept]);
        if (kept >= k)
            end = kept;
        else
            begin = kept + 1;
        if (kept == k || begin >= k)
            return;
    }
}

static double sum_weights(const struct sampler_candidate *items, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += items[i].weight;
    return sum;
}

/* Keeps the nucleus in front and returns its size: the fewest largest whose weight is at least `share` of all. */
static int keep_nucleus(struct sampler_candidate *items, int n, double share)
{
    double total = sum_weights(items, n);
    /* All items lighter than (1 - share) * total / n together weigh less than what may be cut: none is in the nucleus,
     * and the sort is of the few others. */
    double least = (1 - share) * total / n;
    int heavy = 0;
    for (int i = 0; i < n; i++)
        if (items[i].weight >= least)
            swap_candidates(&items[heavy++], &items[i]);
    qsort(items, (size_t)heavy, sizeof *items, compare_candidates);
    double sum = 0;
    for (int i = 0; i < heavy; i++) {
        sum += items[i].weight;
        if (sum >= share * total)
            return i + 1;
    }
    return heavy;
}

/* Eight doubles. exp for x <= 0 by Cody-Waite reduction and a Taylor polynomial of degree 13 on [-ln2/2, ln2/2] (remainder
 * below 1e-17); results below 2^-1022 are zero. */
#define WEIGHTS 8
typedef double weights __attribute__((vector_size(8 * WEIGHTS)));
typedef int64_t exponents __attribute__((vector_size(8 * WEIGHTS)));

static inline weights exp_of(weights x)
{
    const double round_magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    exponents underflow = x < -708.0;
    x = (weights)(~underflow & (exponents)x);
    weights shifted = x * 1.4426950408889634074 + round_magic;
    weights n = shifted - round_magic;
    weights r = x - n * 6.93147180369123816490e-01;
    r = r - n * 1.90821492927058770002e-10;
    weights p = r * (1.0 / 6227020800) + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    exponents scale = ((exponents)shifted - (exponents)((weights){0} + round_magic) + 1023) << 52;
    return (weights)(~underflow & (exponents)(p * (weights)scale));
}

/* Tokens 1 .. V-1 as candidates, the weight of the `largest` logit being 1. Returns the sum of the weights. */
static double weigh(const float *logits, int V, float largest, double temperature, struct sampler_candidate *items)
{
    typedef float part __attribute__((vector_size(4 * WEIGHTS)));
    weights sums = {0};
    for (int begin = VOCAB_UNK + 1; begin < V; begin += WEIGHTS) {
        int count = V - begin < WEIGHTS ? V - begin : WEIGHTS;
        part z = (part){0} - INFINITY; /* behind the last token: weight zero */
        if (count == WEIGHTS)
            memcpy(&z, logits + begin, sizeof z);
        else
            memcpy(&z, logits + begin, sizeof *logits * (size_t)count);
        weights x = exp_of((__builtin_convertvector(z, weights) - (double)largest) / temperature);
        sums += x;
        for (int i = 0; i < count; i++)
            items[i] = (struct sampler_candidate){x[i], (uint32_t)(begin + i)};
        items += count;
    }
    double sum = 0;
    for (int i = 0; i < WEIGHTS; i++)
        sum += sums[i];
    return sum;
}

/* The first of the tokens 1 .. V-1 with the largest logit, or SAMPLER_NONE. */
static uint32_t likeliest(const float *logits, int V)
{
    float largest = -INFINITY;
    int nans = 0;
#pragma omp simd reduction(max : largest) reduction(| : nans)
    for (int token = VOCAB_UNK + 1; token < V; token++) {
        nans |= logits[token] != logits[token];
        largest = logits[token] > largest ? logits[token] : largest;
    }
    if (nans || !isfinite(largest))
        return SAMPLER_NONE;
    uint32_t token = VOCAB_UNK + 1;
    while (logits[token] != largest)
        token++;
    return token;
}

uint32_t sampler_choose(const float *logits, int V, const struct sampler_rule *rule, double u,
                        struct sampler_candidate *scratch)
{
    uint32_t best = likeliest(logits, V);
    if (best == SAMPLER_NONE || rule->temperature == 0)
        return best;

    int n = V - (VOCAB_UNK + 1);
    double total = weigh(logits, V, logits[best], rule->temperature, scratch);
    if (rule->top_k > 0 && rule->top_k < n) {
        select_first(scratch, n, (int)rule->top_k);
        n = (int)rule->top_k;
        qsort(scratch, (size_t)n, sizeof *scratch, compare_candidates);
        total = sum_weights(scratch, n);
    }
    if (rule->top_p < 1) {
        n = keep_nucleus(scratch, n, rule->top_p);
        total = sum_weights(scratch, n);
    }

    double target = u * total, sum = 0;
    for (int i = 0; i < n; i++) {
        sum += scratch[i].weight;
        if (sum > target)
            return scratch[i].token;
    }
    return best; /* rounding put the target at the very end */
}

/* ---- many texts ---- */

/* Logits of the frequencies in the training text: -infinity for what never occurred. */
static enum status make_unigram(struct sampler *sampler, struct error *e)
{
    int V = sampler->vocab->size;
    sampler->unigram = mem_alloc((size_t)V, sizeof *sampler->unigram, "frequencies of the vocabulary", e);
    if (!sampler->unigram)
        return STATUS_OS;
    bool any = false;
    for (int token = VOCAB_UNK + 1; token < V; token++)
        any = any || sampler->vocab->counts[token] > 0;
    for (int token = 0; token < V; token++)
        sampler->unigram[token] = any ? logf((float)sampler->vocab->counts[token]) : 0;
    return STATUS_OK;
}

static enum status allocate(struct sampler *sampler, struct error *e)
{
    size_t texts = (size_t)sampler->config.texts, V = (size_t)sampler->vocab->size, scratch;
    if (mem_mul_overflows((size_t)sampler->config.threads, V, &scratch))
        return error_set(e, STATUS_OS, "out of memory for sampling: too many threads; use fewer");
    sampler->scratch = mem_alloc(scratch, sizeof *sampler->scratch, "candidates for sampling", e);
    sampler->input = mem_alloc(texts, sizeof *sampler->input, "tokens of the texts", e);
    sampler->no_target = mem_alloc(texts, sizeof *sampler->no_target, "tokens of the texts", e);
    if (!sampler->scratch || !sampler->input || !sampler->no_target)
        return STATUS_OS;
    for (size_t text = 0; text < texts; text++)
        sampler->no_target[text] = WINDOW_NO_TARGET;
    return sampler->vocab->eos < 0 ? make_unigram(sampler, e) : STATUS_OK;
}

enum status sampler_create(const struct model_config *model, const float *values, const struct vocab *vocab,
                           const struct sampler_config *config, struct sampler **out, struct error *e)
{
    *out = NULL;
    CHECK(model->vocab == vocab->size && config->texts >= 1 && config->threads >= 1);
    if (vocab->size < 2)
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot write text: the model's vocabulary has no entry but '<unk>'; train on a text with "
                         "a larger vocabulary");
    struct sampler *sampler = mem_alloc(1, sizeof *sampler, "a sampler", e);
    if (!sampler)
        return STATUS_OS;
    sampler->config = *config;
    if (sampler->config.threads > config->texts)
        sampler->config.threads = config->texts;
    sampler->vocab = vocab;
    enum status status = allocate(sampler, e);
    struct model_shape shape = {
        .resident = true,
        .bptt = 1,
        .batch = config->texts,
        .groups = config->texts,
        .group_begin = 0,
        .group_end = config->texts,
        .threads = config->threads,
        .exact = true,
    };
    if (!status)
        status = model_create(model, values, &shape, &sampler->model, e);
    if (status) {
        sampler_free(sampler);
        return status;
    }
    model_pack(sampler->model);
    sampler_start(sampler, config->first_text, NULL, 0);
    *out = sampler;
    return STATUS_OK;
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    model_free(sampler->model);
    mem_free(sampler->scratch);
    mem_free(sampler->unigram);
    mem_free(sampler->input);
    mem_free(sampler->no_target);
    mem_free(sampler);
}

/* One time step of all texts on `input`. */
static void feed(struct sampler *sampler)
{
    struct window window = {
        .T = 1,
        .lanes = sampler->config.texts,
        .lane0 = 0,
        .reset = sampler->fresh,
        .input = sampler->input,
        .target = sampler->no_target,
    };
    struct model_loss loss;
    model_forward(sampler->model, &window, -1, &loss);
    sampler->fresh = false;
    sampler->pending = false;
}

/* The same token for all texts, fed when the next one comes or is drawn. */
static void push(struct sampler *sampler, uint32_t token)
{
    if (sampler->pending)
        feed(sampler);
    for (int text = 0; text < sampler->config.texts; text++)
        sampler->input[text] = token;
    sampler->pending = true;
}

void sampler_start(struct sampler *sampler, uint32_t first_text, const uint32_t *prime, int64_t count)
{
    sampler->config.first_text = first_text;
    sampler->drawn = 0;
    sampler->fresh = true;
    sampler->pending = false;
    if (sampler->vocab->eos >= 0)
        push(sampler, (uint32_t)sampler->vocab->eos);
    for (int64_t i = 0; i < count; i++)
        push(sampler, prime[i]);
}

enum status sampler_next(struct sampler *sampler, uint32_t *tokens, struct error *e)
{
    int V = sampler->vocab->size, texts = sampler->config.texts, stride = 0;
    const float *logits = sampler->unigram; /* stride 0: the same for all */
    if (sampler->pending) {
        feed(sampler);
        logits = model_logits(sampler->model, &stride);
    }
#pragma omp parallel for num_threads(sampler->config.threads) schedule(static)
    for (int text = 0; text < texts; text++) {
        struct rng_bits bits = rng_philox(sampler->config.seed, RNG_SAMPLE, sampler->drawn,
                                          sampler->config.first_text + (uint32_t)text, 0, 0);
        tokens[text] = sampler_choose(logits + (size_t)text * (size_t)stride, V, &sampler->config.rule,
                                      rng_uniform_double(bits.word[0], bits.word[1]),
                                      sampler->scratch + (size_t)omp_get_thread_num() * (size_t)V);
    }
    for (int text = 0; text < texts; text++)
        if (tokens[text] == SAMPLER_NONE)
            return error_set(e, STATUS_CHECKPOINT,
                             "cannot write text: the model gives no finite probabilities after %u tokens; its "
                             "parameters are damaged or training diverged: use an earlier checkpoint",
                             sampler->drawn);
    memcpy(sampler->input, tokens, (size_t)texts * sizeof *tokens);
    sampler->pending = true;
    sampler->drawn++;
    return STATUS_OK;
}
