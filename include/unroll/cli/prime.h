/* The text that `sample` goes on from, as tokens of the model's vocabulary. */
#ifndef UNROLL_CLI_PRIME_H
#define UNROLL_CLI_PRIME_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"

struct prime {
    const char *text; /* the caller's */
    uint32_t *tokens; /* [count]; owned, mem_free */
    int64_t count;
};

/* By the rules of use/line_reader.h; line ends inside the text are tokens. STATUS_DATA if it is no text. */
enum status prime_read(const char *text, const struct vocab *vocab, struct prime *prime, struct error *e);

/* If the model does not know all of it, one line on standard error that says how much, and names the characters or words. */
enum status prime_warn(const struct prime *prime, const struct vocab *vocab, struct error *e);

#endif
