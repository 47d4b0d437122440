/* One line of an n-best list.
 *
 * Moses: `id ||| text ||| features ||| score`, and further fields behind, which are kept; blanks around the bars are
 * optional. Kaldi: `utterance-N text`, the key being all before the first blank; the list's name is the key up to
 * its last '-'. A list is what lines in a row with the same id or name form. */
#ifndef UNROLL_CLI_HYPOTHESIS_H
#define UNROLL_CLI_HYPOTHESIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/cli/options.h"

struct span {
    size_t begin, end; /* bytes of the line */
};

struct hypothesis {
    char *line;             /* owned: free */
    struct span key, list;  /* what names it, and its list */
    struct span text;       /* what is scored */
    struct span features;   /* moses */
    struct span score_text; /* moses */
    double score;           /* moses: as given */
    double logp;            /* the model's, once it is known */
};

/* Takes ownership of `line`, which has no line end, if it succeeds. STATUS_DATA naming the input's `name` and line. */
enum status hypothesis_parse(enum nbest format, char *line, const char *name, int64_t number, struct hypothesis *out,
                             struct error *e);

bool hypothesis_same_list(const struct hypothesis *a, const struct hypothesis *b);

/* What they are ordered by: given score plus weight * logp; for kaldi logp. */
double hypothesis_rank(const struct hypothesis *hypothesis, enum nbest format, double weight);

/* Whether its line has a feature of that name already. */
bool hypothesis_has_feature(const struct hypothesis *hypothesis, const char *name);

/* Whether it can be the name of a feature: printable, without blanks, '=' and '|'. */
bool hypothesis_is_feature(const char *name);

/* One line on standard output. Moses: the line with ' FEATURE= LOGP' behind its features, and the rank in place of
 * the score if `rescored`. Kaldi: key and -logp, a cost; or with `best` list and text. */
void hypothesis_put(const struct hypothesis *hypothesis, enum nbest format, const char *feature, double weight,
                    bool rescored, bool best);

#endif
