/* Guesses the encoding of a text by counting its bytes. */
#include "unroll/data/encoding.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/data/utf8.h"

/* Of a sample of text. */
struct census {
    size_t null[4];        /* NUL bytes by place, modulo 4 */
    size_t control;        /* NUL and other bytes of ASCII that stand in no text */
    size_t high;           /* bytes beyond ASCII */
    size_t symbols;        /* of those, 0x80 to 0x9f, for which Latin-1 has no letters */
    size_t runs;           /* of the high ones, those that stand three and more in a row */
    size_t inner;          /* of the high ones, those amid letters that are no letters in Windows-1252 */
    size_t letters;        /* of ASCII */
    size_t valid, invalid; /* sequences of UTF-8 beyond ASCII, and what is none */
};

static bool is_letter(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Quotes, dashes, a soft hyphen, a middle dot and a few letters may stand in a word of Windows-1252. */
static bool is_inner(const unsigned char *bytes, size_t length, size_t i)
{
    static const char may[] = "\x83\x85\x8c\x91\x92\x93\x94\x96\x97\x9c\x9f\xa0\xaa\xad\xb4\xb7\xba";
    bool symbol = bytes[i] >= 0x80 && bytes[i] < 0xc0 && !strchr(may, bytes[i]);
    return symbol && i > 0 && i + 1 < length && is_letter(bytes[i - 1]) && is_letter(bytes[i + 1]);
}

static void count_bytes(const unsigned char *bytes, size_t length, int64_t offset, struct census *census)
{
    size_t run = 0;
    for (size_t i = 0; i < length; i++) {
        bool high = bytes[i] >= 0x80;
        census->null[(offset + (int64_t)i) & 3] += bytes[i] == 0;
        census->control += content_is_control(bytes[i]);
        census->high += high;
        census->symbols += high && bytes[i] < 0xa0;
        census->inner += is_inner(bytes, length, i);
        census->letters += is_letter(bytes[i]);
        run = high ? run + 1 : 0;
        census->runs += run == 3 ? 3 : run > 3;
    }
}

static void count_sequences(const char *bytes, size_t length, struct census *census)
{
    for (size_t at = 0; at < length;) {
        int bad, step = utf8_sequence(bytes + at, length - at, &bad);
        bool begun = step == UTF8_CUT && length - at > 1; /* the beginning of a character, at the end */
        census->valid += step > 1 || begun;
        census->invalid += step <= 0 && !begun;
        at += step == UTF8_BAD ? (size_t)bad : step == UTF8_CUT ? length - at : (size_t)step;
    }
}

/* In UTF-16, half of the bytes of a line end, a blank or a Latin letter are NUL, always the same half; in UTF-32 three
 * quarters are. */
static const char *wide(const struct census *census, size_t length)
{
    const size_t *null = census->null;
    size_t even = null[0] + null[2], odd = null[1] + null[3], most = even > odd ? even : odd;
    if (length >= 16 && null[0] == 0 && 4 * null[2] + 4 > length && 4 * null[3] + 4 > length)
        return "UTF-32LE";
    if (length >= 16 && null[3] == 0 && 4 * null[0] + 4 > length && 4 * null[1] + 4 > length)
        return "UTF-32BE";
    if (length < 8 || most < 3 || 20 * most < length || (even > 0 && odd > 0))
        return NULL;
    return odd ? "UTF-16LE" : "UTF-16BE";
}

/* Compressed and other binary data hold one control byte in nine; numbers and code hold more NUL. */
static bool binary(const struct census *census, size_t length)
{
    const size_t *null = census->null;
    return census->invalid > 0 &&
           (20 * census->control > length || 200 * (null[0] + null[1] + null[2] + null[3]) > length);
}

/* Letters of Latin beyond ASCII stand among those of ASCII, of other scripts among their own. */
static bool other_script(const struct census *census, size_t length)
{
    return census->high > 8 &&
           (2 * census->runs > census->high || (4 * census->high > length && census->letters < census->high));
}

static bool other_latin(const struct census *census, size_t length)
{
    return (4 * census->high > length && census->high > 8) || (census->inner > 0 && 24 * census->inner > census->high);
}

static void advise_iconv(const char *from, const char *file, const char *looks_like, char text[ENCODING_TEXT])
{
    if (file)
        snprintf(text, ENCODING_TEXT, "with 'iconv -f %s -t UTF-8 %.100s >TEXT', it looks like %s", from, file,
                 looks_like);
    else
        snprintf(text, ENCODING_TEXT, "with iconv -f %s -t UTF-8, it looks like %s", from, looks_like);
}

enum encoding encoding_advice(const char *bytes, size_t length, int64_t offset, const char *file,
                              char text[ENCODING_TEXT])
{
    struct census census = {.high = 0};
    count_bytes((const unsigned char *)bytes, length, offset, &census);
    count_sequences(bytes, length, &census);
    const char *name = wide(&census, length), *latin = census.symbols ? "CP1252" : "LATIN1";
    if (name)
        advise_iconv(name, file,
                     name[4] == '3' ? "UTF-32 without a byte order mark" : "UTF-16 without a byte order mark", text);
    else if (census.invalid == 0 || census.valid >= census.invalid || binary(&census, length))
        snprintf(text, ENCODING_TEXT, "with iconv");
    else if (other_script(&census, length))
        snprintf(
            text, ENCODING_TEXT,
            "with iconv, from an encoding of no Latin script, such as GB18030, SHIFT_JIS, EUC-KR, KOI8-R or CP1251 "
            "(file -i guesses which)");
    else if (other_latin(&census, length))
        snprintf(
            text, ENCODING_TEXT,
            "with iconv, from another 8-bit encoding, such as ISO-8859-2, CP1250 or CP850 (file -i guesses which)");
    else
        advise_iconv(latin, file, census.symbols ? "Windows-1252" : "Latin-1", text);
    return name ? ENCODING_WIDE : binary(&census, length) ? ENCODING_BINARY : ENCODING_BYTES;
}

const char *encoding_cut(const char *bytes, size_t length, size_t at)
{
    int bad;
    struct census census = {.high = 0};
    if (at >= length || utf8_sequence(bytes + at, length - at, &bad) != UTF8_CUT)
        return NULL;
    count_sequences(bytes, at, &census);
    bool letter = length - at == 1 && (unsigned char)bytes[at] >= 0xe0; /* small, of Latin-1 */
    return letter && census.valid == 0 ? "the text ends within a character, it was cut off, or it is Latin-1"
                                       : "the text ends within a character, it was cut off";
}
