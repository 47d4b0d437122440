/* Removes byte order marks and CRs, and refuses or replaces invalid bytes. */
#include "unroll/data/clean.h"

#include <string.h>

#include "unroll/data/utf8.h"

static const char byte_order_mark[3] = "\xef\xbb\xbf";

size_t clean_mark(const char *text, size_t length)
{
    size_t bytes = sizeof byte_order_mark;
    return length >= bytes && memcmp(text, byte_order_mark, bytes) == 0 ? bytes : 0;
}

size_t clean_line(const char *line, size_t length)
{
    return length > 0 && line[length - 1] == '\r' ? length - 1 : length;
}

/* Bytes at the end of a block that only the next block completes. */
static size_t unfinished(const char *bytes, size_t length)
{
    if (length > 0 && bytes[length - 1] == '\r')
        return 1;
    for (size_t back = 1; back < UTF8_LONGEST && back <= length; back++) {
        int bad;
        if (((unsigned char)bytes[length - back] & 0xc0) != 0x80)
            return utf8_sequence(bytes + length - back, back, &bad) == UTF8_CUT ? back : 0;
    }
    return 0;
}

size_t clean_whole(struct clean *clean, const char *bytes, size_t length, bool last, size_t *mark)
{
    *mark = 0;
    if (!clean->begun && length > 0) {
        bool beginning = length < sizeof byte_order_mark && memcmp(bytes, byte_order_mark, length) == 0;
        if (beginning && !last) /* of a mark: it may go on */
            return 0;
        clean->begun = true;
        *mark = clean_mark(bytes, length);
    }
    length -= *mark;
    return last ? length : length - unfinished(bytes + *mark, length);
}

bool clean_is_needed(const char *bytes, size_t length)
{
    return memchr(bytes, '\r', length) || memchr(bytes, '\0', length) || utf8_valid(bytes, length) != length;
}

size_t clean_copy(struct clean *clean, const char *bytes, size_t length, char *to, size_t *made)
{
    char *begin = to;
    size_t at = 0;
    while (at < length) {
        int bad, step = utf8_sequence(bytes + at, length - at, &bad);
        if (step == UTF8_CUT) { /* the end of the text: other blocks are cut before such a thing */
            step = UTF8_BAD;
            bad = (int)(length - at);
        }
        if (step == UTF8_BAD || bytes[at] == '\0') {
            if (!clean->replace)
                break;
            to += utf8_encode(UTF8_REPLACEMENT, to);
            clean->replaced++;
            at += (size_t)(step == UTF8_BAD ? bad : 1);
        } else if (bytes[at] == '\r' && at + 1 < length && bytes[at + 1] == '\n') {
            clean->crlf++;
            at++;
        } else {
            memmove(to, bytes + at, (size_t)step);
            to += step;
            at += (size_t)step;
        }
    }
    *made = (size_t)(to - begin);
    return at;
}
