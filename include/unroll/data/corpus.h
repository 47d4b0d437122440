/* A corpus file: a vocabulary and up to three splits of token ids (format in corpus.c's head comment). What
 * is read may have been made by someone else: nothing is trusted. */
#ifndef UNROLL_DATA_CORPUS_H
#define UNROLL_DATA_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/labels.h"
#include "unroll/data/markers.h"
#include "unroll/data/split.h"
#include "unroll/data/vocab.h"
#include "unroll/sys/comm.h"
#include "unroll/sys/h5.h"

struct corpus {
    struct vocab *vocab;
    int64_t tokens[SPLITS];   /* tokens in each split, 0 if absent */
    int64_t unknowns[SPLITS]; /* how many of them are <unk> */
    struct labels
        *labels; /* NULL unless the corpus is labelled: then every split is a run of texts, each with a label */
    int64_t texts[SPLITS]; /* texts in each split of a labelled corpus, else 0 */
    bool lowercase;        /* the text was turned into lower case, and so must be what is compared with it */
    enum markers
        markers;     /* what became of "<s>" and "</s>" in the text; MARKERS_REFUSE: it had none, or nobody looked */
    char digest[33]; /* of the vocabulary and all splits, hexadecimal XXH3-128 */
    void *file;
};

/* Not collective. Opens and checks a corpus; reads the vocabulary but no tokens. Missing: STATUS_NOINPUT; not a corpus
 * or damaged: STATUS_DATA. */
enum status corpus_open(const char *path, struct corpus **out, struct error *e);
/* Collective. The same on all ranks, of one file that they all see: rank 0 reads what opening needs and tells the
 * others, who open the file but read no more of it than its digest. */
enum status corpus_open_shared(const struct comm *comm, const char *path, struct corpus **out, struct error *e);
/* Opens a corpus from an open HDF5 file, which becomes the corpus's (also on failure); `name` is for messages. */
enum status corpus_adopt(struct h5 *file, const char *name, struct corpus **out, struct error *e);
void corpus_close(struct corpus *corpus); /* NULL is allowed */

/* Reads tokens [start, start + count) of a split into `tokens`; ids outside the vocabulary are STATUS_DATA. */
enum status corpus_read(struct corpus *corpus, enum split split, int64_t start, int64_t count, uint32_t *tokens,
                        struct error *e);
/* How often each id occurs in a split, [V]: of vocabularies that do not say it (vocab_has_counts). */
enum status corpus_count(struct corpus *corpus, enum split split, uint64_t *counts, struct error *e);
/* Where the texts of a split of a labelled corpus begin, and their labels: text i is tokens [offsets[i], offsets[i +
 * 1]), the line end that closed it among them. The arrays, [texts + 1] and [texts], are the caller's (mem_free).
 * Checked against their digests; what contradicts itself is STATUS_DATA. */
enum status corpus_read_texts(struct corpus *corpus, enum split split, uint64_t **offsets, uint16_t **labels,
                              struct error *e);
/* Reads everything and compares with the stored digests: for `verify`. */
enum status corpus_verify(struct corpus *corpus, struct error *e);

#endif
