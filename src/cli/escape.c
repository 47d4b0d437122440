/* Text of tokens and names of files, shown so that no byte of theirs moves the cursor or ends the line. */
#include "unroll/cli/escape.h"

#include <stdint.h>
#include <string.h>

#include "unroll/data/escape.h"
#include "unroll/data/utf8.h"

void escape_put(FILE *stream, const char *text, size_t length)
{
    char piece[ESCAPE_MAX];
    for (size_t at = 0; at < length;) {
        at += escape_next(text + at, length - at, piece);
        fputs(piece, stream);
    }
}

/* What stands for the first character or byte of `text` goes behind `to`; returns how many bytes of the text that
 * was. */
static size_t show_next(const char *text, size_t length, char *to)
{
    int bad, decoded, step = utf8_sequence(text, length, &bad), bytes = step > 0 ? step : 1;
    if (step > 0 && utf8_columns(utf8_decode(text, &decoded)) >= 0) {
        memcpy(to, text, (size_t)step);
        to[step] = '\0';
        return (size_t)step;
    }
    for (int i = 0; i < bytes; i++)
        sprintf(to + 4 * i, "\\x%02x", (unsigned char)text[i]);
    return (size_t)bytes;
}

const char *escape_shown(const char *text, char shown[ESCAPE_SHOWN])
{
    char piece[4 * 4 + 1]; /* of a character of four bytes */
    size_t length = strlen(text), used = 0;
    shown[0] = '\0';
    for (size_t at = 0; at < length;) {
        at += show_next(text + at, length - at, piece);
        size_t more = strlen(piece);
        if (used + more >= ESCAPE_SHOWN)
            break;
        memcpy(shown + used, piece, more + 1);
        used += more;
    }
    return shown;
}

void escape_tell(const char *text)
{
    char piece[4 * 4 + 1];
    fputs("unroll: ", stderr);
    for (size_t at = 0, length = strlen(text); at < length;) {
        at += show_next(text + at, length - at, piece);
        fputs(piece, stderr);
    }
    fputc('\n', stderr);
}
