/* The vocabulary that --vocab-from names: of a corpus, of a model, or a text with a token a line
 * (data/vocab_text.h). */
#ifndef UNROLL_CLI_VOCAB_ORIGIN_H
#define UNROLL_CLI_VOCAB_ORIGIN_H

#include <stdbool.h>

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/data/corpus.h"
#include "unroll/train/checkpoint.h"

struct vocab_origin {
    const struct vocab *vocab;   /* NULL without --vocab-from */
    const struct labels *labels; /* of a classifier or its corpus, else NULL */
    bool lowercase;              /* text for it is turned into lower case, as 'score' would */
    enum markers markers;        /* what became of those in its own text; REFUSE: it had none */

    struct corpus *corpus; /* what owns it: one of the three */
    struct checkpoint checkpoint;
    struct vocab *own;
};

/* Not collective. Missing: STATUS_NOINPUT; neither corpus, model nor such a text: STATUS_DATA; a text of unknown
 * level: STATUS_USAGE. With `strict` entries of a text that can never be met are refused (data/vocab_text.h).
 * Release with vocab_origin_release, also after a failure. */
enum status vocab_origin_load(const struct options *options, bool strict, struct vocab_origin *origin, struct error *e);
void vocab_origin_release(struct vocab_origin *origin);

/* Whether the file says itself what its tokens are: HDF5, as corpora and models are. */
bool vocab_origin_says_level(const char *path);

#endif
