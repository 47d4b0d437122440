/* UTF-8 as the Unicode Standard defines it (section 3.9, table 3-7): no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
#ifndef UNROLL_DATA_UTF8_H
#define UNROLL_DATA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_LONGEST 4           /* bytes of a code point */
#define UTF8_CODES 0x110000      /* code points */
#define UTF8_REPLACEMENT 0xfffdu /* U+FFFD */

/* Length of the longest beginning of `bytes` that is whole, valid code points: `length` if all of it is. */
size_t utf8_valid(const char *bytes, size_t length);

/* Looks at the code point that begins at bytes[0], of which `length` > 0 bytes are there. Returns its length if it is
 * valid and UTF8_CUT if it is valid as far as it goes; else UTF8_BAD, and *bad is the number of bytes that one
 * replacement character stands for (the "maximal subpart" of the standard, at least 1). */
enum { UTF8_BAD = 0, UTF8_CUT = -1 };
int utf8_sequence(const char *bytes, size_t length, int *bad);

/* The code point that begins at bytes[0], which must be valid; its length goes to *length. */
uint32_t utf8_decode(const char *bytes, int *length);

/* Writes a code point (not a surrogate, below UTF8_CODES) and returns its length. */
int utf8_encode(uint32_t code, char bytes[UTF8_LONGEST]);

/* Whether a code point is white space: Unicode's property White_Space. */
bool utf8_space(uint32_t code);

/* Columns of a terminal that a code point takes, 0 to 2; -1 if it would not stand there as text: control characters,
 * line and paragraph separators, and what changes the direction of the text after it. */
int utf8_columns(uint32_t code);

/* Whether a grapheme cluster ends between two code points that follow one another, by the rules of UAX #29 for extended
 * clusters. *state is what else they depend on: 0 at a text's beginning, then as the calls before left it. */
bool utf8_cluster_ends(uint32_t last, uint32_t next, int32_t *state);
/* Length of the grapheme cluster that begins at bytes[0]; the text is valid, and `length` > 0. */
size_t utf8_cluster(const char *bytes, size_t length);

/* The version of Unicode whose rules these are: "15.0.0". */
const char *utf8_unicode(void);

/* The code point's lower case; itself if it has none. One to one: no locale, no context. */
uint32_t utf8_lower(uint32_t code);
/* Those of a valid text into `to` [2 * length], for some are longer than what they stand for; returns how many bytes
 * they are. */
size_t utf8_lower_text(const char *text, size_t length, char *to);

#endif
