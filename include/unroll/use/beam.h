/* Beam search: finds likely continuations of a prime by keeping the `width` best beginnings of each length. Nothing is
 * drawn at random.
 *
 * A continuation's log-probability is the sum of ln p of its tokens, as the model has it over the whole vocabulary;
 * "<unk>" is never written. The extensions of all beginnings by one token are taken from the likeliest on, until
 * `width` of them go on as the beginnings of the next length; extensions that end the text (use/spelling.h
 * says when) are set aside. Of these the `width` best are kept by their score, log-probability / length^alpha: alpha 0
 * is the log-probability itself, which favours short texts, alpha 1 the mean over the tokens. The search ends when no
 * beginning can reach the worst of them any more (log-probabilities only fall, so none gets above log-probability /
 * max_length^alpha). Ties go to the better beginning, then to the lower token. Width 1 takes the likeliest token
 * each time; with a width of at least the number of beginnings of each length the search is exhaustive. */
#ifndef UNROLL_USE_BEAM_H
#define UNROLL_USE_BEAM_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/nn/param.h"
#include "unroll/use/spelling.h"

#define BEAM_WIDTH_MAX 1024

struct beam_config {
    int width; /* 1 .. BEAM_WIDTH_MAX */
    double alpha;
    struct text_end_config end; /* its vocab is the model's */
    bool word_before;           /* the prime ends with a word, to which `stop` looks back as to a blank */
    int threads;
};

struct beam_text {
    const uint32_t *tokens; /* [length] */
    const float *logp;      /* [length] ln p of each token */
    int64_t length;
    double total, score; /* sum of ln p, and what the texts are ordered by */
};

struct beam;

/* Searches behind the prime's tokens. `values` and the vocabulary stay the caller's. STATUS_CHECKPOINT if the
 * vocabulary holds nothing to write or the model gives no finite probabilities; STATUS_OS if memory is short.
 * Release with beam_free. */
enum status beam_search(const struct model_config *model, const float *values, const struct beam_config *config,
                        const uint32_t *prime, int64_t count, struct beam **out, struct error *e);
void beam_free(struct beam *beam); /* NULL is allowed */

/* How many texts were found, at most `width`; and the one of rank `index`, 0 being the best. Owned by the beam. */
int beam_texts(const struct beam *beam);
struct beam_text beam_text(const struct beam *beam, int index);

#endif
