/* What the encoding of a text may be that is not UTF-8: a guess, for messages only. */
#ifndef UNROLL_DATA_ENCODING_H
#define UNROLL_DATA_ENCODING_H

#include <stddef.h>
#include <stdint.h>

#define ENCODING_TEXT 260

/* Of bytes that stand at `offset` of the text, around what is no UTF-8, the more of them the better. What to do with the text, as it follows
 * "convert the text ": "with iconv" if nothing can be told, else "with iconv -f LATIN1 -t UTF-8, it looks like Latin-1". */
void encoding_advice(const char *bytes, size_t length, int64_t offset, char text[ENCODING_TEXT]);

#endif
