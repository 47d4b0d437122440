/* Writes a corpus file (format in corpus.c's head comment) through serial HDF5. Numbers of tokens are declared first;
 * the tokens follow in pieces, each split from front to back. */
#ifndef UNROLL_DATA_CORPUS_WRITER_H
#define UNROLL_DATA_CORPUS_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/data/vocab.h"

struct corpus_plan {
    const struct vocab *vocab;
    bool lowercase;
    int64_t tokens[SPLITS];       /* 0: no such split */
    int64_t source_bytes[SPLITS]; /* of the text that each split was made from */
    char source_digest[SPLITS][DIGEST_TEXT];
    const struct labels *labels; /* NULL: not labelled; else all of these for each split with tokens: */
    int64_t texts[SPLITS];
    const uint64_t *offsets[SPLITS];    /* [texts + 1] */
    const uint16_t *text_label[SPLITS]; /* [texts] */
};

struct corpus_writer;

/* `path` should be a temporary name; the plan must outlive the writer. STATUS_CANTCREATE, STATUS_IO. On failure of this
 * or any call below release with corpus_writer_discard; the file that is left is the caller's to remove. */
enum status corpus_writer_open(const char *path, const struct corpus_plan *plan, struct corpus_writer **out,
                               struct error *e);
/* The next `count` tokens of a split; more than declared are STATUS_IO (the text changed while it was read). */
enum status corpus_writer_add(struct corpus_writer *writer, enum split split, const uint32_t *tokens, size_t count,
                              struct error *e);
/* Completes and closes the file, and releases the writer whatever comes of it. Fewer tokens than declared are
 * STATUS_IO. unknowns [SPLITS] and the corpus's digest may be NULL. Does not sync. */
enum status corpus_writer_close(struct corpus_writer *writer, int64_t *unknowns, char digest[DIGEST_TEXT],
                                struct error *e);
void corpus_writer_discard(struct corpus_writer *writer); /* NULL is allowed */

#endif
