/* A whole drawn text in memory, as bytes: what `unroll sample` prints token by token (use/sampler.h), without the
 * prime. */
#ifndef UNROLL_USE_SAMPLE_TEXT_H
#define UNROLL_USE_SAMPLE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/use/sampler.h"

struct sample_text_config {
    const struct model_config *model;
    const float *values;
    const struct vocab *vocab;
    struct sampler_config sampler; /* texts is taken to be 1 */
    const uint32_t *prime;         /* [primed] tokens to go on from */
    int64_t primed;
    int64_t length;              /* tokens to draw */
    void (*beat)(void *context); /* NULL, or called after each of them */
    void *beat_context;
};

/* *text [*length] may hold any bytes, is followed by a null byte, and is the caller's (mem_free; free does as well).
 * Failures are those of sampler_create and sampler_next; *text is NULL then. */
enum status sample_text(const struct sample_text_config *config, char **text, size_t *length, struct error *e);

#endif
