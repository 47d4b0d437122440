/* THE rule for the bytes of a text that is UTF-8, in a file, a pipe or memory: a byte order mark at its beginning is
 * left out, CR LF becomes LF, and what is no UTF-8 or a NUL byte is refused, or with `replace` becomes U+FFFD.
 *
 * A text comes in blocks cut anywhere. Of each block clean_whole says how much can be cleaned; what is left,
 * CLEAN_REST bytes at most, must stand at the beginning of the next. */
#ifndef UNROLL_DATA_CLEAN_H
#define UNROLL_DATA_CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEAN_REST 3      /* a code point that is cut, a CR, a part of a mark */
#define CLEAN_EXPANSION 3 /* U+FFFD has three bytes and may stand for one */

struct clean { /* all zero at a text's beginning */
    bool replace;
    bool begun;       /* the beginning, where a mark may stand, is past */
    int64_t replaced; /* invalid sequences and NUL bytes so far that became U+FFFD */
    int64_t crlf;     /* CR LF so far that became LF */
};

/* Bytes of a block that can be cleaned, with a byte order mark of *mark bytes before them that is to be left out;
 * `last`: the text ends with the block. */
size_t clean_whole(struct clean *clean, const char *bytes, size_t length, bool last, size_t *mark);

/* False if the whole bytes of a block, after the mark, need no cleaning. */
bool clean_is_needed(const char *bytes, size_t length);

/* Cleans whole bytes into `to`, of CLEAN_EXPANSION * length bytes, or unless `replace` of `length`, and then it may
 * be `bytes`. *made bytes are there. Returns how many it took: all, or those before what is refused. */
size_t clean_copy(struct clean *clean, const char *bytes, size_t length, char *to, size_t *made);

/* Length of the byte order mark that a whole text begins with, or 0. */
size_t clean_mark(const char *text, size_t length);
/* Length of a line whose LF is taken off already, without the CR that may stand before it. */
size_t clean_line(const char *line, size_t length);

#endif
