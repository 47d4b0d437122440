/* THE table of levels: what one token of a text is. A level is one row here and one file, src/data/level_*.c, which
 * says all that is known of it. Others ask its kind. */
#ifndef UNROLL_DATA_LEVEL_H
#define UNROLL_DATA_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "unroll/base/status.h"
#include "unroll/data/normal.h"

/* row(NUMBER, kind): the number is LEVEL_NUMBER, and the kind lies in level_kind_kind. */
#define LEVEL_TABLE(row) row(CHAR, char) row(WORD, word) row(BYTE, byte) row(GRAPHEME, grapheme)

#define LEVEL_NUMBER(number, kind) LEVEL_##number,
enum level { LEVEL_TABLE(LEVEL_NUMBER) };
#undef LEVEL_NUMBER

#define LEVEL_ONE(number, kind) +1
#define LEVELS (0 LEVEL_TABLE(LEVEL_ONE)) /* how many there are */

struct tokenizer; /* data/tokenizer.h */

/* Where a text may be cut: the position in bytes[0 .. length), given the byte before it; -1: not among these. */
typedef ssize_t level_cut(char before, const char *bytes, size_t length);

struct level_kind {
    const char *name;      /* of --level, and in files: "char" */
    const char *unit;      /* what a token is: "character" */
    const char *fix;       /* what to do about an entry of a vocabulary that is none */
    const char *line_end;  /* the entry that a line end is: "\n" */
    const char *separator; /* what stands between two tokens of a line where they are written: "" or " " */
    bool utf8;    /* texts are UTF-8 (data/clean.h), may be in a normal form or in lower case; else bytes as they are */
    bool markers; /* "<s>" and "</s>" in a text may be markers (data/markers.h) */
    bool ends_lines; /* a text whose last line has no end gives the token of one */
    bool rare;       /* what occurs once is rare, and trains <unk> (PREPARE_MIN_COUNT_AUTO) */
    int version;     /* of corpus files and checkpoints: the first that knew it */

    /* What is wrong with an entry, which is UTF-8 where texts are; lasts. NULL: nothing. */
    const char *(*fault)(const char *text, size_t length);
    /* NULL: anywhere. `cut_normal` is of texts that are brought into a normal form, where code points combine. */
    level_cut *cut, *cut_normal;
    /* Length of the first piece of a text that is a token, or its reason to be <unk>; 0: none. `text` ends with a
     * null byte; *skip bytes before the piece are part of none; `composed`: it may be combined with what follows. */
    size_t (*piece)(const char *text, bool composed, size_t *skip);

    /* A tokenizer of it (src/data/tokenizer_private.h): bytes that it keeps, zeroed at first, and what it does with
     * them. Each adds tokens; `begin` and `end` may be NULL. */
    size_t state_bytes;
    void (*begin)(struct tokenizer *tokenizer);
    /* The next block: no more tokens than bytes, and two. `name` and `offset` are for messages. */
    enum status (*feed)(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                        struct error *e);
    /* What is open at the end of the text; the next block begins a new one, also after a failure. */
    enum status (*end)(struct tokenizer *tokenizer, struct error *e);
};

#define LEVEL_KIND(number, kind) extern const struct level_kind level_kind_##kind;
LEVEL_TABLE(LEVEL_KIND)
#undef LEVEL_KIND

const struct level_kind *level_kind(enum level level); /* 0 <= level < LEVELS */
const char *level_name(enum level level);
extern const struct choices level_choices;
enum status level_parse(const char *name, enum level *level, struct error *e); /* STATUS_CONFIG if unknown */

#define LEVEL_NAMES 128
/* "char, word, byte or grapheme"; `utf8`: only those whose texts are UTF-8. Returns `text`. */
const char *level_names(bool utf8, char text[LEVEL_NAMES]);

/* Where a text may be cut that will be in this form; NULL: anywhere. */
level_cut *level_cut_of(enum level level, enum normal normal);

#endif
