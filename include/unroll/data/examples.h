/* From labelled texts to windows: a rank's view of one split during one epoch.
 *
 * A window holds up to `batch` whole texts, one in each lane from its first step on, and is as long as the longest of
 * them: `target` is the label at a text's last token and WINDOW_NO_TARGET elsewhere. What follows is padding; lanes
 * that the last batch leaves empty are all padding. A text of more than `longest` tokens is cut to the first `longest`.
 *
 * Order. Shuffled: texts are put in a random order, stretches of EXAMPLES_POOL batches of it are sorted by length and
 * cut into batches, so that a batch's texts are about equally long, and the batches are put in a random order. That is
 * a pure function of (seed, epoch), as is which words are read as <unk>. Not shuffled: from the longest to the
 * shortest. Nothing here depends on the number of ranks except which lanes are read. */
#ifndef UNROLL_DATA_EXAMPLES_H
#define UNROLL_DATA_EXAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/data/corpus.h"

#define EXAMPLES_POOL 32

struct examples;

struct examples_config {
    enum split split;
    int batch;        /* global lanes */
    int lane0, lanes; /* this rank's range of them */
    int longest;      /* tokens of a text */
    uint32_t before;  /* of running text alone (data/feed.h): data/stream.h ... */
    bool vary;        /* ... with `seed` */
    bool shuffle;
    uint64_t seed;
    double word_dropout; /* probability that a word other than the line end is read as <unk> */
};

/* Not collective. The corpus, which must be labelled and have the split, stays the caller's and must outlive the
 * examples. Begins with epoch 0. */
enum status examples_open(struct corpus *corpus, const struct examples_config *config, struct examples **out,
                          struct error *e);
void examples_close(struct examples *examples); /* NULL is allowed */
/* Bytes that examples of so many texts take; `split` does not matter. */
size_t examples_bytes(const struct examples_config *config, int64_t texts);

/* The longest text of a split in tokens, at most `longest`; *cut is how many texts are longer, and *mean the mean
 * length after the cut. */
enum status examples_lengths(struct corpus *corpus, enum split split, int longest, int *found, int64_t *cut,
                             double *mean, struct error *e);

int64_t examples_windows(const struct examples *examples); /* of one epoch */
/* Texts of window `index` of the current epoch in the lanes [lane_begin, lane_end) of the whole batch. */
int64_t examples_targets(const struct examples *examples, int64_t index, int lane_begin, int lane_end);

/* Puts the texts in the order of an epoch, and goes to its first window. */
void examples_begin(struct examples *examples, int64_t epoch);
void examples_seek(struct examples *examples, int64_t index);

/* Fills `window` with the next one; its arrays belong to the examples and stay valid until the next call. After the
 * last window returns T == 0. */
enum status examples_next(struct examples *examples, struct window *window, struct error *e);

#endif
