#include "unroll/data/tokenizer.h"

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/data/normal.h"
#include "unroll/data/utf8.h"

#define UNMAPPED UINT32_MAX

enum byte_class { BYTE_WORD, BYTE_SPACE, BYTE_LINE_END, BYTE_MAYBE_SPACE };

struct tokenizer {
    enum level level;
    bool lowercase;
    struct normalizer *normalizer; /* NULL: the text as it is */
    const struct vocab *vocab;     /* one of these two */
    struct tally *tally;
    uint32_t *map;      /* [UTF8_CODES or 256] ids met so far by code point or byte; not at word level */
    uint8_t class[256]; /* word level */
    uint32_t eos;       /* word level: id of "</s>", UNMAPPED before the first */
    char *open;         /* [TOKENIZER_WORD_MAX] the word that the last block cut; [VOCAB_CLUSTER_MAX] the cluster */
    size_t open_length;
    uint32_t last;  /* grapheme level: the open cluster's last code point, and */
    int32_t state;  /* what else its end depends on */
    bool line_open; /* words since the last line end */
    bool strip;     /* markers give no token */
    struct tokenizer_met met;
    int64_t lines; /* line ends since `met` began */
    char *lower;   /* [2 * TOKENIZER_WORD_MAX] */
    uint32_t *ids; /* the tokens of the last block */
    size_t ids_capacity, count;
};

static enum status lookup(struct tokenizer *tokenizer, const char *text, size_t length, uint32_t *id, struct error *e)
{
    if (tokenizer->tally)
        return tally_find(tokenizer->tally, text, length, id, e);
    *id = vocab_find(tokenizer->vocab, text, length);
    return STATUS_OK;
}

/* ---- characters and bytes ---- */

/* First meeting with a code point or byte: from now on its id is in the map. */
static enum status map_code(struct tokenizer *tokenizer, uint32_t code, struct error *e)
{
    char text[UTF8_LONGEST] = {(char)code};
    int length = 1;
    if (tokenizer->level != LEVEL_BYTE)
        length = utf8_encode(tokenizer->lowercase ? utf8_lower(code) : code, text);
    return lookup(tokenizer, text, (size_t)length, &tokenizer->map[code], e);
}

static enum status feed_bytes(struct tokenizer *tokenizer, const char *bytes, size_t length, struct error *e)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (tokenizer->map[byte] == UNMAPPED) {
            enum status status = map_code(tokenizer, byte, e);
            if (status != STATUS_OK)
                return status;
        }
        tokenizer->ids[i] = tokenizer->map[byte];
    }
    tokenizer->count = length;
    return STATUS_OK;
}

static enum status feed_chars(struct tokenizer *tokenizer, const char *bytes, size_t length, struct error *e)
{
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        int step;
        uint32_t code = utf8_decode(bytes + i, &step);
        if (tokenizer->map[code] == UNMAPPED) {
            enum status status = map_code(tokenizer, code, e);
            if (status != STATUS_OK)
                return status;
        }
        tokenizer->ids[count++] = tokenizer->map[code];
        i += (size_t)step;
    }
    tokenizer->count = count;
    return STATUS_OK;
}

/* ---- grapheme clusters ---- */

/* The open cluster becomes a token. */
static enum status close_cluster(struct tokenizer *tokenizer, struct error *e)
{
    int step = 0;
    enum status status = STATUS_OK;
    uint32_t *id = &tokenizer->ids[tokenizer->count], code = utf8_decode(tokenizer->open, &step);
    if ((size_t)step != tokenizer->open_length) {
        status = lookup(tokenizer, tokenizer->open, tokenizer->open_length, id, e);
    } else {
        if (tokenizer->map[code] == UNMAPPED)
            status = map_code(tokenizer, code, e);
        *id = tokenizer->map[code];
    }
    tokenizer->count += status == STATUS_OK;
    tokenizer->open_length = 0;
    tokenizer->state = 0;
    return status;
}

static enum status feed_clusters(struct tokenizer *tokenizer, const char *bytes, size_t length, struct error *e)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < length && status == STATUS_OK;) {
        int step;
        char text[UTF8_LONGEST];
        uint32_t code = utf8_decode(bytes + i, &step);
        i += (size_t)step;
        if (tokenizer->lowercase)
            code = utf8_lower(code);
        size_t more = (size_t)utf8_encode(code, text);
        if (tokenizer->open_length && (code == '\n' || utf8_cluster_ends(tokenizer->last, code, &tokenizer->state) ||
                                       tokenizer->open_length + more > VOCAB_CLUSTER_MAX))
            status = close_cluster(tokenizer, e);
        memcpy(tokenizer->open + tokenizer->open_length, text, more);
        tokenizer->open_length += more;
        tokenizer->last = code;
        if (code == '\n' && status == STATUS_OK)
            status = close_cluster(tokenizer, e); /* nothing goes on a line end */
    }
    return status;
}

/* ---- words ---- */

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* A word that begins with '<'. True if it is to give no token. */
static bool meet_marker(struct tokenizer *tokenizer, const char *text, size_t length)
{
    struct tokenizer_met *met = &tokenizer->met;
    if (is_word(text, length, VOCAB_UNK_WORD))
        met->markers.unknowns++;
    bool begin = is_word(text, length, MARKERS_BEGIN), end = is_word(text, length, VOCAB_EOS_WORD);
    if (!begin && !end)
        return false;
    met->markers.begins += begin;
    met->markers.ends += end;
    if (met->line == 0)
        met->line = tokenizer->lines + 1;
    return tokenizer->strip;
}

static enum status add_word(struct tokenizer *tokenizer, const char *text, size_t length, struct error *e)
{
    if (tokenizer->lowercase) {
        length = utf8_lower_text(text, length, tokenizer->lower);
        text = tokenizer->lower;
    }
    tokenizer->line_open = true;
    if (text[0] == '<' && meet_marker(tokenizer, text, length))
        return STATUS_OK;
    return lookup(tokenizer, text, length, &tokenizer->ids[tokenizer->count++], e);
}

static enum status add_line_end(struct tokenizer *tokenizer, struct error *e)
{
    if (tokenizer->eos == UNMAPPED) {
        enum status status = lookup(tokenizer, VOCAB_EOS_WORD, strlen(VOCAB_EOS_WORD), &tokenizer->eos, e);
        if (status != STATUS_OK)
            return status;
    }
    tokenizer->line_open = false;
    tokenizer->lines++;
    tokenizer->ids[tokenizer->count++] = tokenizer->eos;
    return STATUS_OK;
}

/* Length of the white space beyond ASCII that begins here; 0 if there is none. The text is valid UTF-8. */
static int wide_space(const char *bytes)
{
    int length;
    return utf8_space(utf8_decode(bytes, &length)) ? length : 0;
}

/* First position at or after `at` that is not inside a word: white space or `length`. */
static size_t word_end(const struct tokenizer *tokenizer, const char *bytes, size_t at, size_t length)
{
    while (at < length) {
        uint8_t class = tokenizer->class[(unsigned char)bytes[at]];
        if (class == BYTE_WORD || (class == BYTE_MAYBE_SPACE && wide_space(bytes + at) == 0))
            at++; /* the bytes that go on a code point are of class BYTE_WORD */
        else
            break;
    }
    return at;
}

/* Keeps the beginning of a word for the next block. */
static enum status keep_open(struct tokenizer *tokenizer, const char *text, size_t length, const char *name,
                             int64_t offset, struct error *e)
{
    if (length > TOKENIZER_WORD_MAX - tokenizer->open_length)
        return error_set(e, STATUS_DATA,
                         "cannot use '%s' at word level: word of more than %d bytes near byte offset "
                         "%lld; use --level char",
                         name, TOKENIZER_WORD_MAX, (long long)offset);
    memcpy(tokenizer->open + tokenizer->open_length, text, length);
    tokenizer->open_length += length;
    return STATUS_OK;
}

static enum status feed_words(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name,
                              int64_t offset, struct error *e)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < length && status == STATUS_OK;) {
        size_t end = word_end(tokenizer, bytes, i, length);
        if (end == length || tokenizer->open_length || end - i > TOKENIZER_WORD_MAX)
            status = keep_open(tokenizer, bytes + i, end - i, name, offset + (int64_t)i, e);
        else if (end > i)
            status = add_word(tokenizer, bytes + i, end - i, e);
        if (end == length || status != STATUS_OK)
            break;
        if (tokenizer->open_length) {
            status = add_word(tokenizer, tokenizer->open, tokenizer->open_length, e);
            tokenizer->open_length = 0;
        }
        uint8_t class = tokenizer->class[(unsigned char)bytes[end]];
        if (class == BYTE_LINE_END && status == STATUS_OK)
            status = add_line_end(tokenizer, e);
        i = end + (class == BYTE_MAYBE_SPACE ? (size_t)wide_space(bytes + end) : 1);
    }
    return status;
}

/* ---- the outside ---- */

static enum status create(struct tokenizer *tokenizer, struct tokenizer **out, struct error *e)
{
    *out = NULL;
    struct tokenizer *made = mem_alloc(1, sizeof *made, "a tokenizer", e);
    if (!made)
        return STATUS_OS;
    *made = *tokenizer;
    made->eos = UNMAPPED;
    if (made->level == LEVEL_WORD) {
        for (const char *space = " \t\v\f\r"; *space; space++)
            made->class[(unsigned char)*space] = BYTE_SPACE;
        made->class['\n'] = BYTE_LINE_END;
        made->class[0xc2] = made->class[0xe1] = made->class[0xe2] = made->class[0xe3] = BYTE_MAYBE_SPACE;
        made->open = mem_alloc(TOKENIZER_WORD_MAX, 1, "a tokenizer", e);
        made->lower = made->open ? mem_alloc(2 * TOKENIZER_WORD_MAX, 1, "a tokenizer", e) : NULL;
    } else {
        size_t codes = made->level == LEVEL_BYTE ? 256 : UTF8_CODES;
        made->map = mem_alloc(codes, sizeof *made->map, "a tokenizer", e);
        for (size_t i = 0; made->map && i < codes; i++)
            made->map[i] = UNMAPPED;
    }
    if (made->level == LEVEL_GRAPHEME)
        made->open = mem_alloc(VOCAB_CLUSTER_MAX, 1, "a tokenizer", e);
    if ((!made->map && !made->lower) || (made->level == LEVEL_GRAPHEME && !made->open)) {
        tokenizer_free(made);
        return STATUS_OS;
    }
    *out = made;
    return STATUS_OK;
}

enum status tokenizer_open(const struct vocab *vocab, bool lowercase, struct tokenizer **out, struct error *e)
{
    enum status status =
        create(&(struct tokenizer){.level = vocab->level, .lowercase = lowercase, .vocab = vocab}, out, e);
    if (status == STATUS_OK)
        status = tokenizer_normalize(*out, vocab->normal, e);
    if (status != STATUS_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}

enum status tokenizer_open_counting(struct tally *tally, enum level level, bool lowercase, struct tokenizer **out,
                                    struct error *e)
{
    return create(&(struct tokenizer){.level = level, .lowercase = lowercase, .tally = tally}, out, e);
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    normalizer_free(tokenizer->normalizer);
    mem_free(tokenizer->map);
    mem_free(tokenizer->open);
    mem_free(tokenizer->lower);
    mem_free(tokenizer->ids);
    mem_free(tokenizer);
}

enum status tokenizer_normalize(struct tokenizer *tokenizer, enum normal normal, struct error *e)
{
    CHECK(!tokenizer->normalizer && (normal == NORMAL_NONE || tokenizer->level != LEVEL_BYTE));
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

/* Cuts a block of text in normal form into tokens, the first of a call. */
static enum status cut(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                       struct error *e)
{
    tokenizer->count = 0;
    void *array = tokenizer->ids; /* no block has more tokens than bytes, but for a word that was open and a line end */
    enum status status = mem_grow(&array, &tokenizer->ids_capacity, length + 2, sizeof *tokenizer->ids, "tokens", e);
    tokenizer->ids = array;
    if (status != STATUS_OK)
        return status;
    switch (tokenizer->level) {
    case LEVEL_CHAR:
        return feed_chars(tokenizer, bytes, length, e);
    case LEVEL_BYTE:
        return feed_bytes(tokenizer, bytes, length, e);
    case LEVEL_WORD:
        return feed_words(tokenizer, bytes, length, name, offset, e);
    case LEVEL_GRAPHEME:
        return feed_clusters(tokenizer, bytes, length, e);
    }
    return STATUS_OK;
}

enum status tokenizer_feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name,
                           int64_t offset, const uint32_t **ids, size_t *count, struct error *e)
{
    enum status status = STATUS_OK;
    if (tokenizer->normalizer)
        status = normalizer_feed(tokenizer->normalizer, bytes, length, &bytes, &length, e);
    if (status == STATUS_OK)
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
    if (status == STATUS_OK)
        status = cut(tokenizer, bytes, length, "the end of the text", 0, e);
    if (status == STATUS_OK && tokenizer->open_length)
        status = tokenizer->level == LEVEL_WORD ? add_word(tokenizer, tokenizer->open, tokenizer->open_length, e)
                                                : close_cluster(tokenizer, e);
    tokenizer->open_length = 0;
    if (status == STATUS_OK && tokenizer->line_open)
        status = add_line_end(tokenizer, e);
    *ids = tokenizer->ids;
    *count = tokenizer->count;
    return status;
}
