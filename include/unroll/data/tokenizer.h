/* From text to token ids, block by block: the same rules for training texts, for lines to be scored, for primes.
 *
 * What one token is, the level says (data/level.h): src/data/level_char.c, level_word.c, level_byte.c,
 * level_grapheme.c. With `lowercase` each code point is replaced by its lower case first, and before that a normal form
 * (data/normal.h) is made of the text if the vocabulary has one; not where texts are bytes.
 *
 * Words that are markers (data/markers.h) are counted, and kept unless tokenizer_set_markers says otherwise: a line of
 * nothing but markers is then a line without words, and its line end still gives a token. */
#ifndef UNROLL_DATA_TOKENIZER_H
#define UNROLL_DATA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/markers.h"
#include "unroll/data/tally.h"
#include "unroll/data/vocab.h"

#define TOKENIZER_WORD_MAX 32768 /* bytes; lower case may double it */

struct tokenizer;

/* One that gives the tokens of a vocabulary, VOCAB_UNK for what it lacks. The vocabulary must outlive it. */
enum status tokenizer_open(const struct vocab *vocab, bool lowercase, struct tokenizer **out, struct error *e);
/* One that gives the numbers of a tally, which takes in every new text. The tally must outlive it. */
enum status tokenizer_open_counting(struct tally *tally, enum level level, bool lowercase, struct tokenizer **out,
                                    struct error *e);
void tokenizer_free(struct tokenizer *tokenizer); /* NULL is allowed */

/* From now on "<s>" and "</s>" in the text give no token if they are to be left out. To refuse them is for whoever asks
 * tokenizer_take_met. */
void tokenizer_set_markers(struct tokenizer *tokenizer, enum markers markers);

/* Before the first block, of one that counts: texts are brought into this form, as those of a vocabulary are by
 * themselves. */
enum status tokenizer_normalize(struct tokenizer *tokenizer, enum normal normal, struct error *e);

struct tokenizer_met {
    struct marker_counts markers;
    int64_t line; /* of the first "<s>" or "</s>", from 1; 0: none */
};
/* What has been met since the last call; lines are counted from there on. Nothing at levels that know no markers. */
void tokenizer_take_met(struct tokenizer *tokenizer, struct tokenizer_met *met);

/* Ids of the next block of a text: valid UTF-8 in whole code points, except at byte level. They belong to the
 * tokenizer and stay valid until its next call. A word cut by the block's end comes with the next block, as does a
 * grapheme cluster or a character that may still be composed; of what was fed there are never more tokens than
 * bytes. A word that is too long is STATUS_DATA, named with `name` and the offset that the block has in it. */
enum status tokenizer_feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name,
                           int64_t offset, const uint32_t **ids, size_t *count, struct error *e);
/* Ids of what was still open at the end of a text; the next block begins a new one. */
enum status tokenizer_end(struct tokenizer *tokenizer, const uint32_t **ids, size_t *count, struct error *e);

#endif
