/* What `score` prints. All logarithms are natural.
 *
 *   tsv               a line's log-probability
 *   tsv, per token    line number, token (cli/escape.h) and log-probability, separated by tabs;
 *                     a line before them names the columns: "# line", "token of vocabulary DIGEST",
 *                     "log-probability", the last with " - X for <unk>" if --oov-penalty took off X;
 *                     cli/mixture.h reads that line
 *   json              {"line", "log_probability", "tokens", "unknown"}
 *   json, per token   {"line", "per_token": [{"token", "log_probability"}, ...],
 *                     "log_probability", "tokens", "unknown"} */
#ifndef UNROLL_CLI_SCORE_OUTPUT_H
#define UNROLL_CLI_SCORE_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/cache.h"
#include "unroll/sys/json.h"

#define SCORE_HEAD_LINE "# line"
#define SCORE_HEAD_TOKEN "token of vocabulary "
#define SCORE_HEAD_LOGP "log-probability"

struct score_sum {
    double logp;
    int64_t tokens;
};

struct score_output {
    const struct vocab *vocab;
    FILE *stream; /* standard output, unless the caller names another */
    bool per_token, json;
    bool silent;                              /* only sums and counts; excludes the other two */
    int64_t lines;                            /* complete ones */
    struct score_sum line, all, end, unknown; /* of the current line; of all tokens, and of two kinds of them */
    int64_t line_unknown;
    bool line_begun;
    struct json object;
    bool failed; /* a token's object found no memory: told at the line's end */
};

/* `vocab` stays the caller's. Release with score_output_release. */
void score_output_init(struct score_output *output, const struct vocab *vocab, bool per_token, bool json);
void score_output_release(struct score_output *output);

/* The line before the first, of tsv per token. */
void score_output_head(const struct score_output *output, double oov_penalty);

/* The next tokens of the current line with their log-probabilities; tokens[0], if any, is
 * context and has been told, or has no log-probability. */
void score_output_tokens(struct score_output *output, const uint32_t *tokens, const float *logp, int64_t count);

/* The line is complete. STATUS_CHECKPOINT if its log-probability is not finite; STATUS_OS. */
enum status score_output_end(struct score_output *output, struct error *e);

/* Counts and perplexities of all lines. */
void score_output_counts(const struct score_output *output, FILE *stream);
/* By what models of different tokens compare (data/measure.h): perplexity per word and bits per byte. */
void score_output_measure(const struct score_output *output, int64_t words, int64_t bytes, FILE *stream);
/* What each line was scored behind: nothing, the text of the file `context` (NULL: none), or with `carry` all lines
 * before it; and whether the model met its sentences alone in training, too. */
void score_output_reset(bool reset_at_eos, const char *context, bool carry, FILE *stream);
/* Of a cache: whether it holds the line alone, or all that was read `before` it, too. */
void score_output_cache(const struct cache_config *cache, bool before, FILE *stream);

#endif
