/* What `sample` says about the text that it goes on from. */
#ifndef UNROLL_CLI_PRIME_H
#define UNROLL_CLI_PRIME_H

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"
#include "unroll/use/prime.h"

/* If the model does not know all of it, one line on standard error that says how much, and names the characters or words.
 * `markers` as the prime was read. */
enum status prime_warn(const struct prime *prime, const struct vocab *vocab, enum markers markers, struct error *e);

#endif
