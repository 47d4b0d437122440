#include "unroll/data/encoding.h"

#include <stdbool.h>
#include <stdio.h>

#include "unroll/data/utf8.h"

struct census {            /* of a sample of text */
    size_t null[2];        /* NUL bytes at even and odd places */
    size_t high;           /* bytes beyond ASCII ... */
    size_t control;        /* ... of which Latin-1 has no letters for: 0x80 to 0x9f */
    size_t valid, invalid; /* sequences of UTF-8 beyond ASCII, and what is none */
};

static void count(const unsigned char *bytes, size_t length, int64_t offset, struct census *census)
{
    *census = (struct census){.high = 0};
    for (size_t i = 0; i < length; i++) {
        census->null[(offset + (int64_t)i) & 1] += bytes[i] == 0;
        census->high += bytes[i] >= 0x80;
        census->control += bytes[i] >= 0x80 && bytes[i] < 0xa0;
    }
    for (size_t at = 0; at < length;) {
        int bad, step = utf8_sequence((const char *)bytes + at, length - at, &bad);
        bool begun = step == UTF8_CUT && length - at > 1; /* the beginning of a character, at the end */
        census->valid += step > 1 || begun;
        census->invalid += step <= 0 && !begun;
        at += step == UTF8_BAD ? (size_t)bad : step == UTF8_CUT ? length - at : (size_t)step;
    }
}

/* Half of the bytes of a line end, a blank or a letter of Latin are NUL in UTF-16, always the same half. */
static const char *wide(const struct census *census, size_t length)
{
    size_t even = census->null[0], odd = census->null[1], most = even > odd ? even : odd;
    if (length < 8 || most < 3 || 20 * most < length || (even > 0 && odd > 0))
        return NULL;
    return odd ? "UTF-16LE" : "UTF-16BE";
}

void encoding_advice(const char *bytes, size_t length, int64_t offset, char text[ENCODING_TEXT])
{
    struct census census;
    count((const unsigned char *)bytes, length, offset, &census);
    const char *utf16 = wide(&census, length);
    if (utf16)
        snprintf(text, ENCODING_TEXT, "with iconv -f %s -t UTF-8, it looks like UTF-16 without a byte order mark",
                 utf16);
    else if (census.invalid == 0 || census.valid >= census.invalid)
        snprintf(text, ENCODING_TEXT, "with iconv");
    else if (4 * census.high > length && census.high > 8)
        snprintf(
            text, ENCODING_TEXT,
            "with iconv, from an encoding of no Latin script, such as GB18030, SHIFT_JIS, EUC-KR, KOI8-R or CP1251 "
            "(file -i guesses which)");
    else
        snprintf(text, ENCODING_TEXT, "with iconv -f %s -t UTF-8, it looks like %s",
                 census.control ? "CP1252" : "LATIN1", census.control ? "Windows-1252" : "Latin-1");
}
