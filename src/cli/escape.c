#include "unroll/cli/escape.h"

#include "unroll/data/escape.h"

void escape_put(FILE *stream, const char *text, size_t length)
{
    char piece[ESCAPE_MAX];
    for (size_t at = 0; at < length;) {
        at += escape_next(text + at, length - at, piece);
        fputs(piece, stream);
    }
}
