/* Draws a whole text into memory. */
#include "unroll/use/sample_text.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/use/spelling.h"

struct text {
    void *bytes;
    size_t length, capacity;
    bool word_before; /* on this line */
};

static enum status append_bytes(struct text *text, const char *bytes, size_t length, struct error *e)
{
    enum status status =
        mem_grow(&text->bytes, &text->capacity, text->length + length + 1, 1, "a text; use a smaller length", e);
    if (status)
        return status;
    char *end = (char *)text->bytes + text->length;
    memcpy(end, bytes, length);
    end[length] = '\0';
    text->length += length;
    return STATUS_OK;
}

static enum status append_token(struct text *text, const struct vocab *vocab, uint32_t token, struct error *e)
{
    struct spelling spelling = spelling_of(vocab, token, &text->word_before);
    enum status status = spelling.blank ? append_bytes(text, " ", 1, e) : STATUS_OK;
    return status ? status : append_bytes(text, spelling.bytes, spelling.length, e);
}

static enum status draw_tokens(struct sampler *sampler, const struct sample_text_config *config, struct text *text,
                               struct error *e)
{
    enum status status = append_bytes(text, "", 0, e);
    sampler_start(sampler, config->sampler.first_text, config->prime, config->primed);
    for (int64_t n = 0; n < config->length && !status; n++) {
        uint32_t token;
        status = sampler_next(sampler, &token, e);
        if (!status)
            status = append_token(text, config->vocab, token, e);
        if (config->beat)
            config->beat(config->beat_context);
    }
    return status;
}

enum status sample_text(const struct sample_text_config *config, char **text, size_t *length, struct error *e)
{
    struct sampler_config one = config->sampler;
    struct sampler *sampler = NULL;
    struct text made = {NULL, 0, 0, false};
    one.texts = 1;
    enum status status = sampler_create(config->model, config->values, config->vocab, &one, &sampler, e);
    if (!status)
        status = draw_tokens(sampler, config, &made, e);
    sampler_free(sampler);
    if (status) {
        mem_free(made.bytes);
        made = (struct text){NULL, 0, 0, false};
    }
    *text = made.bytes;
    *length = made.length;
    return status;
}
