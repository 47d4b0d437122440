/* Another model's probabilities of the same text, to be mixed with one's own: linear interpolation,
 * p = lambda * own + (1 - lambda) * other, token by token, as in the RNNLM toolkit (Mikolov et al. 2011).
 *
 * The other's come from a file as `score --per-token` prints it (cli/score_output.h): number of the line, token
 * (cli/escape.h) and natural log-probability, separated by tabs, a token a line, in the order of the text. Numbers and
 * tokens must agree.
 *
 * Both models must have the same vocabulary: only then is the mixture a distribution. Where one says p(<unk>) for
 * all the words that it does not know and the other tells them apart, the sum over words is above 1. The file's
 * first line names the vocabulary by its digest, and that must be the model's. Of a file without such a line
 * (earlier versions wrote none) this is taken for granted, with a notice, and only a word that one of the two does
 * not know can give it away. */
#ifndef UNROLL_CLI_MIXTURE_H
#define UNROLL_CLI_MIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"

struct mixture;

/* `path`, `model` (its name in messages) and `vocab` stay the caller's. Missing: STATUS_NOINPUT; of another
 * vocabulary, or with a penalty for unknown words in it: STATUS_DATA. Release with mixture_close. */
enum status mixture_open(const char *path, double lambda, const char *model, const struct vocab *vocab,
                         struct mixture **out, struct error *e);
void mixture_close(struct mixture *mixture); /* NULL is allowed */

/* Replaces logp[1 .. count-1], those of tokens[1 .. count-1] in line `line`, by the mixture's. STATUS_DATA, with the
 * file's line, if it ends or has something else there. */
enum status mixture_apply(struct mixture *mixture, int64_t line, const uint32_t *tokens, float *logp, int64_t count,
                          struct error *e);

/* STATUS_DATA if the file goes on. */
enum status mixture_end(struct mixture *mixture, struct error *e);

/* ln(lambda * exp(own) + (1 - lambda) * exp(other)). */
double mixture_logp(double lambda, double own, double other);

#endif
