/* Writes tokens as text, and finds where a text ends. */
#include "unroll/use/spelling.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/data/clean.h"
#include "unroll/data/normal.h"
#include "unroll/data/utf8.h"
#include "unroll/use/line_reader.h"

struct spelling spelling_of(const struct vocab *vocab, uint32_t token, bool *word_before)
{
    struct spelling spelling = {false, NULL, 0};
    spelling.bytes = vocab_text(vocab, token, &spelling.length);
    if (!*level_kind(vocab->level)->separator)
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
    char *stop;      /* NULL: none */
    size_t length;   /* of it */
    size_t *shorter; /* [length] the longest proper beginning of `stop` that its first i + 1 bytes end with */
};

/* Into form C, in lower case if `lowercase`. */
static enum status normalize(struct text_end *end, const char *text, size_t length, bool lowercase, struct error *e)
{
    struct normalizer *normalizer;
    const char *made;
    void *stop = end->stop;
    size_t more, capacity = 0;
    end->length = 0;
    end->stop = NULL;
    mem_free(stop);
    enum status status = normalizer_new(lowercase, &normalizer, e);
    for (int part = 0; part < 2 && !status; part++) {
        status = part == 0 ? normalizer_feed(normalizer, text, length, &made, &more, e)
                           : normalizer_end(normalizer, &made, &more, e);
        stop = end->stop;
        if (!status)
            status = mem_grow(&stop, &capacity, end->length + more + 1, 1, "the end of texts", e);
        end->stop = stop;
        if (!status)
            memcpy(end->stop + end->length, made, more);
        end->length += status ? 0 : more;
    }
    normalizer_free(normalizer);
    return status;
}

/* As a text for the model is read. */
static enum status read_stop(struct text_end *end, struct error *e)
{
    const struct vocab *vocab = end->config.vocab;
    const char *text = end->config.stop;
    size_t length = strlen(text);
    end->length = length;
    end->stop = mem_alloc(2 * length + 1, 1, "the end of texts", e); /* lower case may take more bytes */
    if (!end->stop)
        return STATUS_OS;
    memcpy(end->stop, text, length);
    if (!level_kind(vocab->level)->utf8 || utf8_valid(text, length) != length)
        return STATUS_OK;
    bool lowercase = line_reader_lowers(vocab);
    struct clean rule = {.begun = true};
    enum status status = STATUS_OK;
    if (vocab->normal != NORMAL_NONE)
        status = normalize(end, text, length, lowercase, e);
    else if (lowercase)
        end->length = utf8_lower_text(text, length, end->stop);
    if (!status)
        (void)clean_copy(&rule, end->stop, end->length, end->stop, &end->length);
    return status;
}

/* The table of Knuth, Morris and Pratt 1977. */
static void build_table(struct text_end *end)
{
    const char *stop = end->stop;
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
    enum status status = config->stop ? read_stop(end, e) : STATUS_OK;
    if (config->stop && !status) {
        end->shorter = mem_alloc(end->length, sizeof *end->shorter, "the end of texts", e);
        status = end->shorter ? STATUS_OK : STATUS_OS;
    }
    if (status) {
        text_end_free(end);
        return status;
    }
    if (end->stop)
        build_table(end);
    *out = end;
    return STATUS_OK;
}

void text_end_free(struct text_end *end)
{
    if (!end)
        return;
    mem_free(end->stop);
    mem_free(end->shorter);
    mem_free(end);
}

/* True if `stop` is complete with one of these bytes. */
static bool match_stop(const struct text_end *end, size_t *matched, const char *bytes, size_t length)
{
    bool complete = false;
    for (size_t i = 0; i < length; i++) {
        while (*matched > 0 && end->stop[*matched] != bytes[i])
            *matched = end->shorter[*matched - 1];
        *matched += end->stop[*matched] == bytes[i];
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
    if (end->stop) {
        struct spelling spelling = spelling_of(end->config.vocab, token, &progress->word_before);
        if (spelling.blank)
            complete = match_stop(end, &progress->matched, " ", 1);
        complete = match_stop(end, &progress->matched, spelling.bytes, spelling.length) || complete;
    }
    if (progress->length >= end->config.max_length)
        return true;
    bool line_end = end->config.at_eos && (int)token == end->config.vocab->eos;
    return (line_end || complete) && progress->length >= end->config.min_length;
}
