/* The text that a sampled text goes on from, as tokens of the model's vocabulary. */
#ifndef UNROLL_USE_PRIME_H
#define UNROLL_USE_PRIME_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"

struct prime {
    const char *text; /* [length] the caller's */
    size_t length;
    const char *name; /* for messages; the caller's */
    uint32_t *tokens; /* [count]; owned, mem_free, also after a failure */
    int64_t count;
    struct marker_counts met;
};

/* By the rules of use/line_reader.h; line ends inside the text are tokens. STATUS_DATA if it is no text, with `name`
 * in the message; `markers` and `known` as there. */
enum status prime_read(const char *text, size_t length, const char *name, const struct vocab *vocab,
                       enum markers markers, enum markers known, struct prime *prime, struct error *e);

#endif
