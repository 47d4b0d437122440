/* What `sample` reads of the text that it goes on from, and says about it. */
#ifndef UNROLL_CLI_PRIME_H
#define UNROLL_CLI_PRIME_H

#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/cli/options.h"
#include "unroll/data/vocab.h"
#include "unroll/use/prime.h"

#define PRIME_BYTES_MAX ((size_t)1 << 26)

/* The text of --prime, or of the file of --prime-file ("-": standard input), or none; *held is to be released
 * (mem_free), NULL if nothing is. A file that is missing is STATUS_NOINPUT; of more than PRIME_BYTES_MAX bytes
 * STATUS_DATA; STATUS_IO. */
enum status prime_text(const struct options *options, char **held, const char **text, size_t *length, const char **name,
                       struct error *e);

/* If the model does not know all of it, one line on standard error that says how much, and names the characters or
 * words. `markers` as the prime was read. */
enum status prime_warn(const struct prime *prime, const struct vocab *vocab, enum markers markers, struct error *e);

#endif
