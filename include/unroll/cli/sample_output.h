/* What `sample` prints: texts as they are made, behind their prime; with several texts a line '==> text K <=='
 * before each and an empty line between them. Per token: number of the text, token (cli/escape.h) and natural
 * log-probability, separated by tabs, and nothing else, but that behind a first token that comes from the counts of
 * the training text instead of the model stands a tab and "counts". Unless standard output is a regular file
 * everything leaves at once. */
#ifndef UNROLL_CLI_SAMPLE_OUTPUT_H
#define UNROLL_CLI_SAMPLE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/data/vocab.h"

struct sample_output {
    const struct vocab *vocab;
    const char *prime; /* [prime_length] */
    size_t prime_length;
    bool per_token, several;
    bool counts_first; /* a text's first token comes from counts (use/feeder.h); the caller's to set */
    bool first;        /* the next token is a text's first */
    bool at_once;      /* somebody may be watching */
    int64_t text;      /* the current one, from 1 */
    bool word_before;  /* on this line */
    bool line_open;
};

/* `vocab` and `prime` stay the caller's. */
void sample_output_init(struct sample_output *output, const struct vocab *vocab, const char *prime, size_t length,
                        bool per_token, bool several);

/* The next text, its tokens, and its end. `note` stands in its heading; "" for none. */
void sample_output_begin(struct sample_output *output, const char *note);
void sample_output_token(struct sample_output *output, uint32_t token, float logp);
void sample_output_end(struct sample_output *output);

/* Everything so far is to be seen. */
void sample_output_flush(const struct sample_output *output);

/* True if the text ends with a word, so that a blank follows before the next word. */
bool sample_output_ends_with_word(const char *text, size_t length);

#endif
