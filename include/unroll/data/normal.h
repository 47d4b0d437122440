/* One form for texts that look the same. Unicode writes many characters in two ways: "é" is one code point or an "e"
 * and an accent. Without a normal form both stand in the vocabulary, and a model has to learn everything twice.
 *
 * nfc: the Unicode Standard's Normalization Form C (UAX #15): composed as far as may be, accents in one order; what is
 *      equivalent becomes the same. Letters that only look alike or are compatible (ligatures, full-width forms) stay.
 *
 * The text comes in blocks cut anywhere between code points, and memory is bounded: of code points that depend on
 * what stands before them, NORMAL_RUN at most are seen together, more than any language writes. */
#ifndef UNROLL_DATA_NORMAL_H
#define UNROLL_DATA_NORMAL_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"

#define NORMAL_RUN 128 /* code points */

enum normal {
    NORMAL_NONE, /* the text as it is */
    NORMAL_NFC
};

const char *normal_name(enum normal normal); /* "none", "nfc" */
extern const struct choices normal_choices;
bool normal_parse(const char *name, enum normal *normal);

struct normalizer;

/* Into form C. With `lowercase` code points are turned into lower case, too (data/utf8.h): between two
 * normalizations, so that equivalent texts stay equivalent and the result is in form C. */
enum status normalizer_new(bool lowercase, struct normalizer **out, struct error *e);
void normalizer_free(struct normalizer *normalizer); /* NULL is allowed */

/* The next block of a text, valid UTF-8 in whole code points. What it makes belongs to the normalizer until its next
 * call; what may still combine with the next block comes later, but a line end is never held back. Never more code
 * points than there were bytes. */
enum status normalizer_feed(struct normalizer *normalizer, const char *bytes, size_t length, const char **made,
                            size_t *made_length, struct error *e);
/* What was still held back at the end of the text. */
enum status normalizer_end(struct normalizer *normalizer, const char **made, size_t *made_length, struct error *e);

#endif
