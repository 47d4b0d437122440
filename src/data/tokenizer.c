/* What tokenizers of all levels do: normal form, markers, lines, and the ids of token texts. */
#include <string.h>

#include "tokenizer_private.h"

#include "unroll/base/mem.h"
#include "unroll/data/normal.h"

static enum status find_in_tally(struct tokenizer *tokenizer, const char *text, size_t length, uint32_t *id,
                                 struct error *e)
{
    return tally_find(tokenizer->tally, text, length, id, e);
}

static enum status find_in_vocab(struct tokenizer *tokenizer, const char *text, size_t length, uint32_t *id,
                                 struct error *e)
{
    (void)e;
    *id = vocab_find(tokenizer->vocab, text, length);
    return STATUS_OK;
}

static enum status create(const struct tokenizer *tokenizer, enum level level, struct tokenizer **out, struct error *e)
{
    const struct level_kind *kind = level_kind(level);
    *out = NULL;
    struct tokenizer *made = mem_alloc(1, sizeof *made, "a tokenizer", e);
    if (!made)
        return STATUS_OS;
    *made = *tokenizer;
    made->kind = kind;
    made->find = made->tally ? find_in_tally : find_in_vocab;
    made->state = mem_alloc(kind->state_bytes, 1, "a tokenizer", e);
    if (!made->state) {
        tokenizer_free(made);
        return STATUS_OS;
    }
    if (kind->begin)
        kind->begin(made);
    *out = made;
    return STATUS_OK;
}

enum status tokenizer_open(const struct vocab *vocab, bool lowercase, struct tokenizer **out, struct error *e)
{
    enum status status = create(&(struct tokenizer){.lowercase = lowercase, .vocab = vocab}, vocab->level, out, e);
    if (!status)
        status = tokenizer_normalize(*out, vocab->normal, e);
    if (status) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}

enum status tokenizer_open_counting(struct tally *tally, enum level level, bool lowercase, struct tokenizer **out,
                                    struct error *e)
{
    return create(&(struct tokenizer){.lowercase = lowercase, .tally = tally}, level, out, e);
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    normalizer_free(tokenizer->normalizer);
    mem_free(tokenizer->state);
    mem_free(tokenizer->ids);
    mem_free(tokenizer);
}

enum status tokenizer_normalize(struct tokenizer *tokenizer, enum normal normal, struct error *e)
{
    CHECK(!tokenizer->normalizer && (normal == NORMAL_NONE || tokenizer->kind->utf8));
    return normal == NORMAL_NONE ? STATUS_OK : normalizer_new(tokenizer->lowercase, &tokenizer->normalizer, e);
}

void tokenizer_set_markers(struct tokenizer *tokenizer, enum markers markers)
{
    tokenizer->strip = markers == MARKERS_STRIP;
}

void tokenizer_take_met(struct tokenizer *tokenizer, struct tokenizer_met *met)
{
    *met = tokenizer->met;
    tokenizer->met = (struct tokenizer_met){.line = 0};
    tokenizer->lines = 0;
}

/* Room for the tokens of so many bytes of text, and for a word and a line end that were open. */
static enum status make_room(struct tokenizer *tokenizer, size_t length, struct error *e)
{
    void *array = tokenizer->ids;
    enum status status = mem_grow(&array, &tokenizer->ids_capacity, length + 2, sizeof *tokenizer->ids, "tokens", e);
    tokenizer->ids = array;
    tokenizer->count = 0;
    return status;
}

/* Cuts a block of text in normal form into tokens, the first of a call. */
static enum status cut(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                       struct error *e)
{
    enum status status = make_room(tokenizer, length, e);
    return status ? status : tokenizer->kind->feed(tokenizer, bytes, length, name, offset, e);
}

enum status tokenizer_feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name,
                           int64_t offset, const uint32_t **ids, size_t *count, struct error *e)
{
    enum status status = STATUS_OK;
    if (tokenizer->normalizer)
        status = normalizer_feed(tokenizer->normalizer, bytes, length, &bytes, &length, e);
    if (!status)
        status = cut(tokenizer, bytes, length, name, offset, e);
    *ids = tokenizer->ids;
    *count = tokenizer->count;
    return status;
}

enum status tokenizer_end(struct tokenizer *tokenizer, const uint32_t **ids, size_t *count, struct error *e)
{
    const char *bytes = "";
    size_t length = 0;
    enum status status = STATUS_OK;
    if (tokenizer->normalizer)
        status = normalizer_end(tokenizer->normalizer, &bytes, &length, e);
    if (!status)
        status = cut(tokenizer, bytes, length, "the end of the text", 0, e);
    if (!status && tokenizer->kind->end)
        status = tokenizer->kind->end(tokenizer, e);
    *ids = tokenizer->ids;
    *count = tokenizer->count;
    return status;
}
