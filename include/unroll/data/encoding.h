/* Guesses the encoding of a text that is not UTF-8, for messages only. */
#ifndef UNROLL_DATA_ENCODING_H
#define UNROLL_DATA_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENCODING_TEXT 260

enum encoding {
    ENCODING_BYTES, /* of one byte or more a character, without NUL */
    ENCODING_WIDE,  /* UTF-16 or UTF-32: NUL bytes are of the text */
    ENCODING_BINARY /* no text: it holds what is no UTF-8 and NUL or many control bytes */
};

/* Looks at bytes from `offset` of the text on, around what is not UTF-8; more bytes give a better guess. Unless it is
 * ENCODING_BINARY, `text` says what to do, and completes "convert the text ": "with iconv" if nothing can be told, else
 * "with iconv -f LATIN1 -t UTF-8, it looks like Latin-1". With the `file` that the command is to read, as a shell takes
 * it, or NULL, it is whole: "with 'iconv -f LATIN1 -t UTF-8 FILE >TEXT', it looks like Latin-1". */
enum encoding encoding_advice(const char *bytes, size_t length, int64_t offset, const char *file,
                              char text[ENCODING_TEXT]);

/* Of the text's last bytes, of which bytes[at] is the first that is no UTF-8: "the text ends within a character, it
 * was cut off" if what stands from there to the end is the beginning of a character, else NULL. */
const char *encoding_cut(const char *bytes, size_t length, size_t at);

#endif
