/* Prints log-probabilities of lines and tokens, and at the end counts, perplexities and bits per byte. */
#include "unroll/cli/score_output.h"

#include <math.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/number.h"
#include "unroll/cli/escape.h"

void score_output_init(struct score_output *output, const struct vocab *vocab, bool per_token, bool json)
{
    *output = (struct score_output){.vocab = vocab, .stream = stdout, .per_token = per_token, .json = json};
    json_init(&output->object);
}

void score_output_release(struct score_output *output)
{
    json_release(&output->object);
}

static void add(struct score_sum *sum, float logp)
{
    sum->logp += (double)logp;
    sum->tokens++;
}

/* ---- one token ---- */

static void put_token(struct score_output *output, uint32_t token, float logp, bool first)
{
    size_t length;
    const char *text = vocab_text(output->vocab, token, &length);
    if (!output->json) {
        fprintf(output->stream, "%lld\t", (long long)output->lines + 1);
        escape_put(output->stream, text, length);
        fprintf(output->stream, "\t%.6f\n", arithmetic_nan(logp));
        return;
    }
    struct json *json = &output->object;
    const char *object;
    json_clear(json);
    json_object_begin(json, NULL);
    json_put_string_n(json, "token", text, length);
    json_put_double(json, "log_probability", (double)logp);
    if (token == VOCAB_UNK)
        json_put_bool(json, "unknown", true);
    json_object_end(json);
    output->failed = output->failed || json_text(json, &object, NULL);
    if (!output->failed)
        fprintf(output->stream, "%s%s", first ? "" : ", ", object);
}

/* ---- one line ---- */

void score_output_head(const struct score_output *output, double oov_penalty)
{
    char digest[33], number[NUMBER_TEXT];
    if (!output->per_token || output->json)
        return;
    vocab_digest(output->vocab, digest);
    fprintf(output->stream, SCORE_HEAD_LINE "\t" SCORE_HEAD_TOKEN "%s\t" SCORE_HEAD_LOGP, digest);
    if (oov_penalty > 0)
        fprintf(output->stream, " - %s for <unk>", number_format(oov_penalty, number));
    fprintf(output->stream, "\n");
}

static void begin_line(struct score_output *output)
{
    output->line = (struct score_sum){0};
    output->line_unknown = 0;
    output->line_begun = true;
    if (output->json && output->per_token)
        fprintf(output->stream, "{\"line\": %lld, \"per_token\": [", (long long)output->lines + 1);
}

void score_output_tokens(struct score_output *output, const uint32_t *tokens, const float *logp, int64_t count)
{
    if (!output->line_begun)
        begin_line(output);
    for (int64_t i = 1; i < count; i++) {
        bool first = output->line.tokens == 0;
        add(&output->line, logp[i]);
        if (tokens[i] == VOCAB_UNK) {
            add(&output->unknown, logp[i]);
            output->line_unknown++;
        }
        if ((int)tokens[i] == output->vocab->eos)
            add(&output->end, logp[i]);
        if (output->per_token)
            put_token(output, tokens[i], logp[i], first);
    }
}

/* The members that stand behind a line's tokens, or alone. */
static enum status put_line_object(struct score_output *output, struct error *e)
{
    struct json *json = &output->object;
    const char *object;
    json_clear(json);
    json_object_begin(json, NULL);
    if (!output->per_token)
        json_put_int(json, "line", output->lines + 1);
    json_put_double(json, "log_probability", output->line.logp);
    json_put_int(json, "tokens", output->line.tokens);
    json_put_int(json, "unknown", output->line_unknown);
    json_object_end(json);
    json->failed = json->failed || output->failed;
    enum status status = json_text(json, &object, e);
    if (!status)
        fprintf(output->stream, "%s%s\n", output->per_token ? "], " : "", object + (output->per_token ? 1 : 0));
    return status;
}

enum status score_output_end(struct score_output *output, struct error *e)
{
    enum status status = STATUS_OK;
    if (!isfinite(output->line.logp))
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot score line %lld: its log-probability is not finite; the model's "
                         "training diverged: use an earlier checkpoint",
                         (long long)output->lines + 1);
    if (output->silent)
        status = STATUS_OK;
    else if (output->json)
        status = put_line_object(output, e);
    else if (!output->per_token)
        fprintf(output->stream, "%.6f\n", output->line.logp);
    output->all.logp += output->line.logp;
    output->all.tokens += output->line.tokens;
    output->lines++;
    output->line_begun = false;
    return status;
}

/* ---- all lines ---- */

/* exp of the mean -ln p of what is in `all` but not in `without`. */
static void put_perplexity(FILE *stream, const char *name, struct score_sum all, struct score_sum without)
{
    int64_t tokens = all.tokens - without.tokens;
    if (tokens > 0)
        fprintf(stream, "%s%.6g", name, arithmetic_exp(-(all.logp - without.logp) / (double)tokens));
    else
        fprintf(stream, "%sundefined", name);
}

void score_output_counts(const struct score_output *output, FILE *stream)
{
    struct score_sum none = {0};
    if (output->vocab->eos < 0)
        fprintf(stream,
                "unroll: the model's vocabulary has no line end: lines are scored from their second token on\n");
    fprintf(stream, "lines %lld, tokens %lld (unknown %lld, end %lld), natural log-probability %.6f\n",
            (long long)output->lines, (long long)output->all.tokens, (long long)output->unknown.tokens,
            (long long)output->end.tokens, output->all.logp);
    put_perplexity(stream, "perplexity ", output->all, none);
    put_perplexity(stream, ", without end tokens ", output->all, output->end);
    put_perplexity(stream, ", without unknown tokens ", output->all, output->unknown);
    fprintf(stream, "\n");
}

void score_output_measure(const struct score_output *output, int64_t words, int64_t bytes, FILE *stream)
{
    double loss = -output->all.logp;
    fprintf(stream, "perplexity per word %.6g (%lld words and line ends), bits per byte %.6f (%lld bytes%s)\n",
            arithmetic_exp(loss / (double)words), (long long)words, loss / M_LN2 / (double)bytes, (long long)bytes,
            output->unknown.tokens > 0 ? "; too few bits: <unk> does not spell what it stands for" : "");
}

void score_output_reset(bool reset_at_eos, const char *context, bool carry, FILE *stream)
{
    char shown[ESCAPE_SHOWN];
    if ((context || carry) && reset_at_eos)
        fprintf(stream, "each line alone, whatever is before it: a model of --reset-at eos\n");
    else if (carry)
        fprintf(stream, "each line behind those before it%s%s%s, in one lane on one rank\n",
                context ? " and the text of '" : "", context ? escape_shown(context, shown) : "", context ? "'" : "");
    else if (context)
        fprintf(stream, "each line behind the text of '%s', whose tokens do not count\n", escape_shown(context, shown));
    else
        fprintf(stream, "%s\n",
                reset_at_eos ? "each line alone, as the model was trained (--reset-at eos)"
                             : "each line alone; the model was trained on running text (--reset-at none)");
}

void score_output_cache(const struct cache_config *cache, bool before, FILE *stream)
{
    fprintf(stream, "cache of the last %d positions, of %s: theta %g, lambda %g\n", cache->size,
            before ? "the line and what was read before it" : "the line alone", cache->theta, cache->lambda);
}
