/* XXH3-128 digests as 32 hexadecimal digits: what `xxh128sum` and Python's xxhash print for the same bytes. */
#ifndef UNROLL_BASE_DIGEST_H
#define UNROLL_BASE_DIGEST_H

#include <stddef.h>

#include "unroll/base/status.h"

#define DIGEST_TEXT 33 /* 32 digits and the end */

struct digest; /* a digest in the making */

/* NULL and STATUS_OS on exhaustion. Release with digest_free. */
struct digest *digest_new(struct error *e);
void digest_add(struct digest *digest, const void *data, size_t bytes);
/* The digest of all bytes added so far; more may be added afterwards. */
void digest_text(const struct digest *digest, char hex[DIGEST_TEXT]);
void digest_free(struct digest *digest); /* NULL is allowed */

/* What has been added so far, so that another process of this program may add what follows. */
size_t digest_state_bytes(void);
void digest_get_state(const struct digest *digest, void *state);
void digest_set_state(struct digest *digest, const void *state);

/* Of one piece of memory. */
void digest_of(const void *data, size_t bytes, char hex[DIGEST_TEXT]);

#endif
