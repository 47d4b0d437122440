/* What levels share: rules where a text may be cut, and the ids of code points. */
#include <string.h>

#include "tokenizer_private.h"

#include "unroll/data/utf8.h"

/* ---- where a text may be cut ---- */

ssize_t level_cut_code(char before, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && i < UTF8_LONGEST; i++) {
        char last = i == 0 ? before : bytes[i - 1];
        if (((unsigned char)bytes[i] & 0xc0) != 0x80 && !(last == '\r' && bytes[i] == '\n'))
            return (ssize_t)i;
    }
    return length < UTF8_LONGEST ? -1 : UTF8_LONGEST - 1; /* not UTF-8: any place will do */
}

ssize_t level_cut_line(char before, const char *bytes, size_t length)
{
    if (before == '\n')
        return 0;
    const char *end = memchr(bytes, '\n', length);
    return end ? end - bytes + 1 : -1;
}

static bool is_ascii(char byte)
{
    return ((unsigned char)byte & 0x80) == 0;
}

ssize_t level_cut_apart(char before, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char last = i == 0 ? before : bytes[i - 1], next = bytes[i];
        bool line_end = last == '\r' && next == '\n';
        if (!line_end && (last == '\n' || (is_ascii(last) && is_ascii(next))))
            return (ssize_t)i;
    }
    return -1;
}

/* ---- code points ---- */

enum status level_find_code(struct tokenizer *tokenizer, uint32_t code, uint32_t *id, struct error *e)
{
    char text[UTF8_LONGEST];
    int length = utf8_encode(tokenizer->lowercase ? utf8_lower(code) : code, text);
    return tokenizer->find(tokenizer, text, (size_t)length, id, e);
}

size_t level_piece_code(const char *text, bool composed, size_t *skip)
{
    int bad;
    *skip = strncmp(text, "\r\n", 2) == 0;
    text += *skip;
    if (!*text)
        return 0;
    return composed ? utf8_cluster(text, strlen(text)) : (size_t)utf8_sequence(text, strlen(text), &bad);
}
