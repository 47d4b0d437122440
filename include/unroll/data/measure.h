/* How much text some tokens are, whatever the level, so that models of different tokens compare: by bits per byte, and
 * by perplexity per word.
 *
 * Words are counted as data/tokenizer.h cuts them: the runs of characters between white space, and every line end,
 * which is predicted like a word. At word level that is the number of tokens. A character or byte that is "<unk>"
 * belongs to a word.
 *
 * Bytes of a split are those of its text as it stood in its files (the attribute source_bytes), so they are the same
 * at every level, whatever "<unk>" stands for (less those of markers that were left out, data/markers.h); of a
 * labelled corpus, whose files hold labels too, those of the tokens, words with one blank between them: not known if
 * there are unknown ones. */
#ifndef UNROLL_DATA_MEASURE_H
#define UNROLL_DATA_MEASURE_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/data/vocab.h"

#define MEASURE_NOT_KNOWN (-1)

struct measure {
    const struct vocab *vocab; /* the caller's; must outlive it */
    uint8_t *kind;             /* [V]; owned */
    int64_t words;             /* whole ones, and line ends */
    int64_t bytes, unknown;    /* of the tokens, spelled out; unknown ones, which add none */
    int64_t run;               /* tokens of the word that goes on */
    uint32_t last;             /* the last four bytes of a text at byte level, the newest lowest */
};

/* STATUS_OS if memory is short. Release with measure_release. */
enum status measure_init(const struct vocab *vocab, struct measure *measure, struct error *e);
void measure_release(struct measure *measure);

/* The next tokens of a text. */
void measure_add(struct measure *measure, const uint32_t *tokens, int64_t count);
/* Words and line ends so far, a word that goes on among them. */
int64_t measure_words(const struct measure *measure);

struct text_measure {
    int64_t words; /* and line ends */
    int64_t bytes; /* MEASURE_NOT_KNOWN if there is no way to know */
};

/* Not collective. Of a split's tokens from `first` on, 0 or 1: what precedes them is no target (train/evaluator.h),
 * and of a first token that is unknown the bytes stay in. Reads all tokens: STATUS_IO, STATUS_DATA. */
enum status measure_split(struct corpus *corpus, enum split split, int64_t first, struct text_measure *found,
                          struct error *e);

#endif
