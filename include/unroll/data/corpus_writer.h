/* Writes a corpus file (format in corpus.c's head comment). Numbers of tokens are declared first; the tokens follow in
 * pieces, each split from front to back, and each rank from the beginning of its share.
 *
 * Rank 0 alone uses HDF5, and fixes the places of the tokens before any is written. The tokens go straight to those
 * places, by pwrite: through HDF5's buffers, which reach beyond what is written, one rank could undo what its
 * neighbour wrote. So the file has the same bytes for any number of ranks. */
#ifndef UNROLL_DATA_CORPUS_WRITER_H
#define UNROLL_DATA_CORPUS_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/data/corpus.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"
#include "unroll/sys/comm.h"

struct corpus_plan {
    const struct vocab *vocab;
    bool lowercase;
    enum markers markers;         /* what became of those in the text; MARKERS_REFUSE: it had none */
    int64_t tokens[SPLITS];       /* 0: no such split */
    int64_t source_bytes[SPLITS]; /* of the text that each split was made from */
    char source_digest[SPLITS][DIGEST_TEXT];
    int64_t stripped_bytes[SPLITS]; /* of them those of markers that were left out */
    const struct labels *labels;    /* NULL: not labelled; else all of these for each split with tokens: */
    int64_t texts[SPLITS];
    const uint64_t *offsets[SPLITS];    /* [texts + 1] */
    const uint16_t *text_label[SPLITS]; /* [texts] */
};

struct corpus_share { /* what one rank writes: tokens [begin, end) of each split */
    int64_t begin[SPLITS], end[SPLITS];
};

struct corpus_writer;

/* Collective. Shares follow one another in rank order and cover the plan. `path` should be a temporary name; it and
 * the plan must outlive the writer and be the same on all ranks (plan->vocab and the sources' digests count on rank
 * 0). STATUS_CANTCREATE, STATUS_IO. On failure of this or any call below release with corpus_writer_discard; the
 * file that is left is the caller's to remove. */
enum status corpus_writer_open_shared(const struct comm *comm, const char *path, const struct corpus_plan *plan,
                                      const struct corpus_share *share, struct corpus_writer **out, struct error *e);
/* The same without other ranks. */
enum status corpus_writer_open(const char *path, const struct corpus_plan *plan, struct corpus_writer **out,
                               struct error *e);
/* Not collective. The next `count` tokens of a split; more than declared are STATUS_IO (the text changed while it
 * was read). */
enum status corpus_writer_add(struct corpus_writer *writer, enum split split, const uint32_t *tokens, size_t count,
                              struct error *e);
/* Collective. Completes and closes the file, and releases the writer whatever comes of it. Fewer tokens than
 * declared are STATUS_IO. unknowns [SPLITS] and the corpus's digest may be NULL; they and the error are the same on
 * all ranks. Ranks but the first sync what they wrote; the file as a whole is the caller's to sync. */
enum status corpus_writer_close(struct corpus_writer *writer, int64_t *unknowns, char digest[DIGEST_TEXT],
                                struct error *e);
void corpus_writer_discard(struct corpus_writer *writer); /* not collective; NULL is allowed */

#endif
