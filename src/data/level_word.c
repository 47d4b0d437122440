/* Level word: the runs of characters between white space (Unicode's property White_Space) are tokens, of at most
 * TOKENIZER_WORD_MAX bytes, and every line end is the token "</s>"; so is the end of a text whose last line has
 * words but no line end. */
#include <string.h>

#include "tokenizer_private.h"

#include "unroll/data/utf8.h"

enum byte_class { BYTE_WORD, BYTE_SPACE, BYTE_LINE_END, BYTE_MAYBE_SPACE };

struct words {
    uint8_t class[256];
    uint32_t eos;                  /* id of "</s>", TOKENIZER_NO_ID before the first */
    char open[TOKENIZER_WORD_MAX]; /* the word that the last block cut */
    size_t length;                 /* of it */
    bool line_open;                /* words since the last line end */
    char lower[2 * TOKENIZER_WORD_MAX];
};

static void begin(struct tokenizer *tokenizer)
{
    struct words *words = tokenizer->state;
    for (const char *space = " \t\v\f\r"; *space; space++)
        words->class[(unsigned char)*space] = BYTE_SPACE;
    words->class['\n'] = BYTE_LINE_END;
    words->class[0xc2] = words->class[0xe1] = words->class[0xe2] = words->class[0xe3] = BYTE_MAYBE_SPACE;
    words->eos = TOKENIZER_NO_ID;
}

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
    struct words *words = tokenizer->state;
    if (tokenizer->lowercase) {
        length = utf8_lower_text(text, length, words->lower);
        text = words->lower;
    }
    words->line_open = true;
    if (text[0] == '<' && meet_marker(tokenizer, text, length))
        return STATUS_OK;
    return tokenizer->find(tokenizer, text, length, &tokenizer->ids[tokenizer->count++], e);
}

static enum status add_line_end(struct tokenizer *tokenizer, struct error *e)
{
    struct words *words = tokenizer->state;
    if (words->eos == TOKENIZER_NO_ID) {
        enum status status = tokenizer->find(tokenizer, VOCAB_EOS_WORD, strlen(VOCAB_EOS_WORD), &words->eos, e);
        if (status)
            return status;
    }
    words->line_open = false;
    tokenizer->lines++;
    tokenizer->ids[tokenizer->count++] = words->eos;
    return STATUS_OK;
}

/* Length of the white space beyond ASCII that begins here; 0 if there is none. The text is valid UTF-8. */
static int wide_space(const char *bytes)
{
    int length;
    return utf8_space(utf8_decode(bytes, &length)) ? length : 0;
}

/* First position at or after `at` that is not inside a word: white space or `length`. */
static size_t word_end(const struct words *words, const char *bytes, size_t at, size_t length)
{
    while (at < length) {
        uint8_t class = words->class[(unsigned char)bytes[at]];
        if (class == BYTE_WORD || (class == BYTE_MAYBE_SPACE && wide_space(bytes + at) == 0))
            at++; /* the bytes that go on a code point are of class BYTE_WORD */
        else
            break;
    }
    return at;
}

/* Keeps the beginning of a word for the next block. */
static enum status keep_open(struct words *words, const char *text, size_t length, const char *name, int64_t offset,
                             struct error *e)
{
    if (length > TOKENIZER_WORD_MAX - words->length)
        return error_set(e, STATUS_DATA,
                         "cannot use '%s' at word level: word of more than %d bytes near byte offset "
                         "%lld; use --level char",
                         name, TOKENIZER_WORD_MAX, (long long)offset);
    memcpy(words->open + words->length, text, length);
    words->length += length;
    return STATUS_OK;
}

static enum status feed(struct tokenizer *tokenizer, const char *bytes, size_t length, const char *name, int64_t offset,
                        struct error *e)
{
    struct words *words = tokenizer->state;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < length && !status;) {
        size_t stop = word_end(words, bytes, i, length);
        if (stop == length || words->length || stop - i > TOKENIZER_WORD_MAX)
            status = keep_open(words, bytes + i, stop - i, name, offset + (int64_t)i, e);
        else if (stop > i)
            status = add_word(tokenizer, bytes + i, stop - i, e);
        if (stop == length || status)
            break;
        if (words->length) {
            status = add_word(tokenizer, words->open, words->length, e);
            words->length = 0;
        }
        uint8_t class = words->class[(unsigned char)bytes[stop]];
        if (class == BYTE_LINE_END && !status)
            status = add_line_end(tokenizer, e);
        i = stop + (class == BYTE_MAYBE_SPACE ? (size_t)wide_space(bytes + stop) : 1);
    }
    return status;
}

static enum status end(struct tokenizer *tokenizer, struct error *e)
{
    struct words *words = tokenizer->state;
    enum status status = words->length ? add_word(tokenizer, words->open, words->length, e) : STATUS_OK;
    words->length = 0;
    return !status && words->line_open ? add_line_end(tokenizer, e) : status;
}

static size_t piece(const char *text, bool composed, size_t *skip)
{
    static const char spaces[] = " \t\n\v\f\r";
    (void)composed;
    *skip = strspn(text, spaces);
    return strcspn(text + *skip, spaces);
}

static const char *fault(const char *text, size_t length)
{
    (void)text, (void)length;
    return NULL;
}

const struct level_kind level_kind_word = {
    .name = "word",
    .unit = "word",
    .fix = "correct or remove it",
    .line_end = VOCAB_EOS_WORD,
    .separator = " ",
    .utf8 = true,
    .markers = true,
    .ends_lines = true,
    .rare = true,
    .version = 1,
    .fault = fault,
    .cut = level_cut_line,
    .cut_normal = level_cut_line,
    .piece = piece,
    .state_bytes = sizeof(struct words),
    .begin = begin,
    .feed = feed,
    .end = end,
};
