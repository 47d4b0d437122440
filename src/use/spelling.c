#include "unroll/use/spelling.h"

#include <string.h>

#include "unroll/base/mem.h"

struct spelling spelling_of(const struct vocab *vocab, uint32_t token, bool *word_before)
{
    struct spelling spelling = {false, NULL, 0};
    spelling.bytes = vocab_text(vocab, token, &spelling.length);
    if (vocab->level != LEVEL_WORD)
        return spelling;
    if ((int)token == vocab->eos) {
        *word_before = false;
        return (struct spelling){false, "\n", 1};
    }
    spelling.blank = *word_before;
    *word_before = true;
    return spelling;
}

struct text_end {
    struct text_end_config config;
    size_t length;   /* of config.stop */
    size_t *shorter; /* [length] the longest proper beginning of `stop` that its first i + 1 bytes end with */
};

/* The table of Knuth, Morris and Pratt 1977. */
static void build_table(struct text_end *end)
{
    const char *stop = end->config.stop;
    for (size_t i = 1, matched = 0; i < end->length; i++) {
        while (matched > 0 && stop[i] != stop[matched])
            matched = end->shorter[matched - 1];
        matched += stop[i] == stop[matched];
        end->shorter[i] = matched;
    }
}

enum status text_end_create(const struct text_end_config *config, struct text_end **out, struct error *e)
{
    *out = NULL;
    CHECK(!config->stop || *config->stop);
    struct text_end *end = mem_alloc(1, sizeof *end, "the end of texts", e);
    if (!end)
        return STATUS_OS;
    end->config = *config;
    if (config->stop) {
        end->length = strlen(config->stop);
        end->shorter = mem_alloc(end->length, sizeof *end->shorter, "the end of texts", e);
        if (!end->shorter) {
            text_end_free(end);
            return STATUS_OS;
        }
        build_table(end);
    }
    *out = end;
    return STATUS_OK;
}

void text_end_free(struct text_end *end)
{
    if (!end)
        return;
    mem_free(end->shorter);
    mem_free(end);
}

/* True if `stop` is complete with one of these bytes. */
static bool match(const struct text_end *end, size_t *matched, const char *bytes, size_t length)
{
    bool complete = false;
    for (size_t i = 0; i < length; i++) {
        while (*matched > 0 && end->config.stop[*matched] != bytes[i])
            *matched = end->shorter[*matched - 1];
        *matched += end->config.stop[*matched] == bytes[i];
        if (*matched == end->length) {
            complete = true;
            *matched = end->shorter[*matched - 1];
        }
    }
    return complete;
}

bool text_end_reached(const struct text_end *end, struct text_progress *progress, uint32_t token)
{
    progress->length++;
    bool complete = false;
    if (end->config.stop) {
        struct spelling spelling = spelling_of(end->config.vocab, token, &progress->word_before);
        if (spelling.blank)
            complete = match(end, &progress->matched, " ", 1);
        complete = match(end, &progress->matched, spelling.bytes, spelling.length) || complete;
    }
    if (progress->length >= end->config.max_length)
        return true;
    bool line_end = end->config.at_eos && (int)token == end->config.vocab->eos;
    return (line_end || complete) && progress->length >= end->config.min_length;
}
