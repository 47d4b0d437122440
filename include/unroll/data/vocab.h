/* A vocabulary: the table token <-> text. Token 0 is always "<unk>"; the others are ordered by falling count in the
 * training text, ties by first appearance. Entries are valid UTF-8, or single raw bytes at byte level. */
#ifndef UNROLL_DATA_VOCAB_H
#define UNROLL_DATA_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/limits.h"
#include "unroll/base/status.h"
#include "unroll/data/level.h"
#include "unroll/data/normal.h"
#include "unroll/sys/comm.h"

#define VOCAB_UNK 0
#define VOCAB_BYTES_MAX (1 << 26) /* of all texts */
#define VOCAB_ENTRY_MAX (1 << 16) /* bytes of one text */
#define VOCAB_UNK_WORD "<unk>"
#define VOCAB_EOS_WORD "</s>"

#define VOCAB_CLUSTER_MAX 128 /* bytes of a grapheme cluster: a letter with thirty accents has fewer */
#define VOCAB_UNICODE 16

struct vocab {
    enum level level;
    enum normal normal;          /* the form that texts are brought into before they are cut into tokens */
    char unicode[VOCAB_UNICODE]; /* version of Unicode that normal form or grapheme clusters were of; "": neither */
    int size;                    /* V, including <unk> */
    char *bytes;                 /* [offsets[size]] the entries one after another, not terminated; owned */
    uint64_t *offsets;           /* [size + 1]; owned */
    uint64_t *counts;            /* [size] occurrences in the training text; owned */
    int eos;                     /* the token of a line end; -1 if the vocabulary lacks it */
    void *index;                 /* hash from text to token; owned */
};

/* Takes ownership of the arrays (also on failure). Checks them: offsets rising from 0, no duplicate or empty entry,
 * entry 0 "<unk>", one byte at byte level, else valid UTF-8, one code point at char level, at most VOCAB_CLUSTER_MAX
 * bytes at grapheme level; a violation is `damaged`. offsets[size] must not be more than what `bytes` holds. */
enum status vocab_adopt(enum level level, int size, char *bytes, uint64_t *offsets, uint64_t *counts,
                        enum status damaged, struct vocab **out, struct error *e);

struct vocab_fault {
    const char *what; /* lasts; NULL: none */
    int entry;
};
/* The same for a text that a user wrote: what is wrong with an entry goes to *fault, and the caller makes the
 * message of STATUS_DATA. */
enum status vocab_adopt_text(enum level level, int size, char *bytes, uint64_t *offsets, uint64_t *counts,
                             struct vocab_fault *fault, struct vocab **out, struct error *e);
void vocab_free(struct vocab *vocab); /* NULL is allowed */
enum status vocab_copy(const struct vocab *vocab, struct vocab **out, struct error *e);

/* After vocab_adopt, which leaves the text as it is: the normal form of texts, and the version of Unicode; NULL: of
 * this program. */
void vocab_set_normal(struct vocab *vocab, enum normal normal, const char *unicode);
/* Whether its tokens depend on rules that earlier programs did not know: corpora and checkpoints with such a
 * vocabulary are of version 2, so that those refuse them. */
bool vocab_is_new(const struct vocab *vocab);

#define VOCAB_KIND 24
/* Level and normal form: "char", "char nfc". */
const char *vocab_kind(const struct vocab *vocab, char text[VOCAB_KIND]);

/* Collective. Gives every rank a copy of rank 0's vocabulary; the others' *vocab is set. The error is the same on all
 * ranks, and then only rank 0 has one. */
enum status vocab_broadcast(const struct comm *comm, struct vocab **vocab, struct error *e);

/* Whether its counts are known: those of a list that somebody brought, and of models with it, are all zero. */
bool vocab_has_counts(const struct vocab *vocab);

/* Token of a text of `length` bytes, or VOCAB_UNK. */
uint32_t vocab_find(const struct vocab *vocab, const char *text, size_t length);
const char *vocab_text(const struct vocab *vocab, uint32_t token, size_t *length);

/* XXH3-128 over the digests of kind, bytes and offsets, as 32 hexadecimal digits. */
void vocab_digest(const struct vocab *vocab, char hex[33]);

#endif
