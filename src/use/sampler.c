/* Draws the next token of several texts. */
#include "unroll/use/sampler.h"

#include <math.h>

#include "draw.h"
#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/base/team.h"
#include "unroll/use/feeder.h"

struct sampler {
    struct sampler_config config;
    const struct vocab *vocab;
    struct feeder *feeder;
    struct sampler_candidate *scratch; /* [threads][V] */
    float *logp;                       /* [texts] of the tokens just drawn */
    uint32_t drawn;                    /* tokens drawn so far in each text */
};

/* ---- drawing one token ---- */

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
        if (items[i].weight >= least) {
            struct sampler_candidate held = items[i];
            items[i] = items[heavy];
            items[heavy++] = held;
        }
    draw_select(items, heavy, heavy);
    double sum = 0;
    for (int i = 0; i < heavy; i++) {
        sum += items[i].weight;
        if (sum >= share * total)
            return i + 1;
    }
    return heavy;
}

/* Tokens 1 .. V-1 as candidates, the weight of the `largest` logit being 1 and that of the forbidden token 0.
 * Returns the sum of the weights. */
static double weigh_tokens(const float *logits, int V, float largest, const struct sampler_rule *rule,
                           struct sampler_candidate *items)
{
    vdouble sums = {0};
    for (int begin = VOCAB_UNK + 1; begin < V; begin += VDOUBLES) {
        int count = V - begin < VDOUBLES ? V - begin : VDOUBLES, forbidden = (int)rule->forbidden - begin;
        vdouble x = vdouble_exp((load_logits(logits + begin, count) - (double)largest) / rule->temperature);
        if (forbidden >= 0 && forbidden < VDOUBLES)
            x[forbidden] = 0;
        sums += x;
        for (int i = 0; i < count; i++)
            items[i] = (struct sampler_candidate){x[i], (uint32_t)(begin + i)};
        items += count;
    }
    double sum = 0;
    for (int i = 0; i < VDOUBLES; i++)
        sum += sums[i];
    return sum;
}

/* The first of the tokens 1 .. V-1 with the largest logit, the forbidden one left out; or SAMPLER_NONE. */
static uint32_t likeliest_token(const float *logits, int V, uint32_t forbidden)
{
    float largest = -INFINITY;
    int nans = 0;
    for (int token = VOCAB_UNK + 1; token < V; token++) {
        float z = token == (int)forbidden ? -INFINITY : logits[token];
        nans |= logits[token] != logits[token];
        largest = z > largest ? z : largest;
    }
    if (nans || !isfinite(largest))
        return SAMPLER_NONE;
    uint32_t token = VOCAB_UNK + 1;
    while (token == forbidden || logits[token] != largest)
        token++;
    return token;
}

uint32_t sampler_choose(const float *logits, int V, const struct sampler_rule *rule, double u,
                        struct sampler_candidate *scratch)
{
    uint32_t best = likeliest_token(logits, V, rule->forbidden);
    if (best == SAMPLER_NONE || rule->temperature == 0)
        return best;

    int n = V - (VOCAB_UNK + 1);
    double total = weigh_tokens(logits, V, logits[best], rule, scratch);
    if (rule->top_k > 0 && rule->top_k < n) {
        draw_select(scratch, n, (int)rule->top_k);
        n = (int)rule->top_k;
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

enum status sampler_create(const struct model_config *model, const float *values, const struct vocab *vocab,
                           const struct sampler_config *config, struct sampler **out, struct error *e)
{
    *out = NULL;
    CHECK(config->texts >= 1 && config->threads >= 1);
    struct sampler *sampler = mem_alloc(1, sizeof *sampler, "a sampler", e);
    if (!sampler)
        return STATUS_OS;
    sampler->config = *config;
    if (sampler->config.threads > config->texts)
        sampler->config.threads = config->texts;
    sampler->vocab = vocab;
    int threads = sampler->config.threads;
    size_t scratch;
    enum status status = feeder_create(model, values, vocab, config->texts, threads, &sampler->feeder, e);
    if (!status && mem_mul_overflows((size_t)threads, (size_t)vocab->size, &scratch))
        status = error_set(e, STATUS_OS, "out of memory for sampling: too many threads; use fewer");
    if (!status) {
        sampler->scratch = mem_alloc(scratch, sizeof *sampler->scratch, "candidates for sampling", e);
        sampler->logp = mem_alloc((size_t)config->texts, sizeof *sampler->logp, "probabilities of the texts", e);
        if (!sampler->scratch || !sampler->logp)
            status = STATUS_OS;
    }
    if (status) {
        sampler_free(sampler);
        return status;
    }
    *out = sampler;
    return STATUS_OK;
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    feeder_free(sampler->feeder);
    mem_free(sampler->scratch);
    mem_free(sampler->logp);
    mem_free(sampler);
}

size_t sampler_bytes(const struct model_config *model)
{
    size_t bytes = feeder_bytes(model, 1, 1);
    return bytes == SIZE_MAX ? bytes : bytes + (size_t)model->vocab * sizeof(struct sampler_candidate);
}

void sampler_start(struct sampler *sampler, uint32_t first_text, const uint32_t *prime, int64_t count)
{
    sampler->config.first_text = first_text;
    sampler->drawn = 0;
    feeder_start(sampler->feeder, prime, count);
}

#define LOGIT_FLOPS 20 /* of a logit's exponential, at least */

struct drawing {
    struct sampler *sampler;
    const float *logits;
    size_t stride;
    const struct sampler_rule *rule;
    uint32_t *tokens;
};

static void draw_range(void *context, int64_t begin, int64_t end, int thread)
{
    const struct drawing *work = context;
    struct sampler *sampler = work->sampler;
    int V = sampler->vocab->size;
    for (int64_t text = begin; text < end; text++) {
        const float *row = work->logits + (size_t)text * work->stride;
        struct rng_bits bits = rng_philox(sampler->config.seed, RNG_SAMPLE, sampler->drawn,
                                          sampler->config.first_text + (uint32_t)text, 0, 0);
        work->tokens[text] = sampler_choose(row, V, work->rule, rng_uniform_double(bits.word[0], bits.word[1]),
                                            sampler->scratch + (size_t)thread * (size_t)V);
        if (sampler->config.logp && work->tokens[text] != SAMPLER_NONE)
            sampler->logp[text] = (float)((double)row[work->tokens[text]] - feeder_log_sum(row, V));
    }
}

enum status sampler_next(struct sampler *sampler, uint32_t *tokens, struct error *e)
{
    int texts = sampler->config.texts, stride;
    const float *logits = feeder_logits(sampler->feeder, &stride);
    struct sampler_rule rule = sampler->config.rule;
    if (sampler->drawn < sampler->config.no_end_before && sampler->vocab->eos >= 0)
        rule.forbidden = (uint32_t)sampler->vocab->eos;
    struct drawing work = {sampler, logits, (size_t)stride, &rule, tokens};
    team_share(sampler->config.threads, texts, LOGIT_FLOPS * (int64_t)texts * sampler->vocab->size, draw_range, &work);
    for (int text = 0; text < texts; text++)
        if (tokens[text] == SAMPLER_NONE)
            return feeder_no_probabilities(sampler->drawn, e);
    feeder_push(sampler->feeder, tokens);
    sampler->drawn++;
    return STATUS_OK;
}

const float *sampler_logp(const struct sampler *sampler)
{
    return sampler->logp;
}
