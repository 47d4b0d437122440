/* How tokens become text again, and when a text that is being written ends.
 *
 * Characters and bytes are written as they are; words with a blank between them, and "</s>" as a line's end. */
#ifndef UNROLL_USE_SPELLING_H
#define UNROLL_USE_SPELLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"

/* What one token adds to a text. */
struct spelling {
    bool blank; /* a blank comes first */
    const char *bytes;
    size_t length;
};

/* `word_before` says whether a word stands before it on the line, and is brought up to date. */
struct spelling spelling_of(const struct vocab *vocab, uint32_t token, bool *word_before);

/* When a text ends: with its `max_length`-th token; with its first line end if `at_eos`; with the token that
 * completes `stop` in its text, the prime not counted. As other texts for the model `stop` is brought into the
 * vocabulary's normal form and lower case first, and its CR LF become line ends. Of the first min_length - 1 tokens
 * none is an end. */
struct text_end_config {
    const struct vocab *vocab;
    bool at_eos;
    const char *stop; /* not empty; NULL: none */
    int64_t min_length, max_length;
};

struct text_end;

/* `vocab` stays the caller's and must outlive it. STATUS_OS if memory is short. Release with text_end_free. */
enum status text_end_create(const struct text_end_config *config, struct text_end **out, struct error *e);
void text_end_free(struct text_end *end); /* NULL is allowed */

/* How far one text has come; zero at its beginning, but for a word of the prime before it. A plain value: copies go
 * on by themselves. */
struct text_progress {
    int64_t length; /* tokens so far */
    size_t matched; /* bytes of `stop` that the text ends with */
    bool word_before;
};

/* The text's next token; true if the text ends with it. */
bool text_end_reached(const struct text_end *end, struct text_progress *progress, uint32_t token);

#endif
