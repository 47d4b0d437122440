/* The tokenizer as levels see it (src/data/level_*.c), and what they share (src/data/level_parts.c). */
#ifndef UNROLL_DATA_TOKENIZER_PRIVATE_H
#define UNROLL_DATA_TOKENIZER_PRIVATE_H

#include "unroll/data/level.h"
#include "unroll/data/tokenizer.h"

#define TOKENIZER_NO_ID UINT32_MAX

struct tokenizer {
    const struct level_kind *kind;
    void *state; /* the level's own */
    bool lowercase;
    struct normalizer *normalizer; /* NULL: the text as it is */
    const struct vocab *vocab;     /* one of these two */
    struct tally *tally;
    /* The id of a token's text. */
    enum status (*find)(struct tokenizer *tokenizer, const char *text, size_t length, uint32_t *id, struct error *e);
    bool strip; /* markers give no token */
    struct tokenizer_met met;
    int64_t lines; /* line ends since `met` began */
    uint32_t *ids; /* the tokens of the last block */
    size_t ids_capacity, count;
};

/* ---- where a text may be cut ---- */

ssize_t level_cut_code(char before, const char *bytes, size_t length); /* between code points, not within CR LF */
ssize_t level_cut_line(char before, const char *bytes, size_t length); /* after a line end */
/* After a line end or between two characters of ASCII: no grapheme cluster goes on there, and nothing is composed. */
ssize_t level_cut_apart(char before, const char *bytes, size_t length);

/* ---- code points ---- */

/* A code point's id, in lower case if the tokenizer wants that. */
enum status level_find_code(struct tokenizer *tokenizer, uint32_t code, uint32_t *id, struct error *e);
/* Length of the first character of a text, or of the first grapheme cluster if it may be composed; *skip is that of
 * a CR before a line end, which is read as the line end alone. 0 at the end of the text. */
size_t level_piece_code(const char *text, bool composed, size_t *skip);

/* Every entry of ids[count] is unknown so far. */
static inline void level_no_ids(uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = TOKENIZER_NO_ID;
}

#endif
