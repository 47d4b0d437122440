/* Computes digests with the xxHash library. */
#include "unroll/base/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"

struct digest {
    XXH3_state_t state;
};

static void hash_text(XXH128_hash_t hash, char hex[DIGEST_TEXT])
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    for (int i = 0; i < (int)sizeof bytes.digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes.digest[i]);
}

struct digest *digest_new(struct error *e)
{
    struct digest *digest = mem_alloc(1, sizeof *digest, "a digest", e);
    if (digest)
        (void)XXH3_128bits_reset(&digest->state); /* fails for NULL only */
    return digest;
}

void digest_add(struct digest *digest, const void *data, size_t bytes)
{
    if (bytes)
        (void)XXH3_128bits_update(&digest->state, data, bytes);
}

void digest_text(const struct digest *digest, char hex[DIGEST_TEXT])
{
    hash_text(XXH3_128bits_digest(&digest->state), hex);
}

void digest_free(struct digest *digest)
{
    mem_free(digest);
}

size_t digest_state_bytes(void)
{
    return sizeof(XXH3_state_t);
}

void digest_get_state(const struct digest *digest, void *state)
{
    memcpy(state, &digest->state, sizeof digest->state);
}

void digest_set_state(struct digest *digest, const void *state)
{
    const unsigned char *secret = digest->state.extSecret; /* a place in this process */
    memcpy(&digest->state, state, sizeof digest->state);
    digest->state.extSecret = secret;
}

void digest_of(const void *data, size_t bytes, char hex[DIGEST_TEXT])
{
    hash_text(XXH3_128bits(data, bytes), hex);
}
