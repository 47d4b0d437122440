/* Checks and decodes UTF-8, and knows the properties of code points. */
#include "unroll/data/utf8.h"

#include <string.h>
#include <utf8proc.h>

static int in_range(unsigned char byte, unsigned char low, unsigned char high)
{
    return byte >= low && byte <= high;
}

int utf8_sequence(const char *bytes, size_t length, int *bad)
{
    const unsigned char *at = (const unsigned char *)bytes;
    unsigned char lead = at[0], low = 0x80, high = 0xbf; /* of the second byte */
    int want;
    *bad = 1;
    if (lead < 0x80)
        return 1;
    if (in_range(lead, 0xc2, 0xdf))
        want = 2;
    else if (in_range(lead, 0xe0, 0xef))
        want = 3;
    else if (in_range(lead, 0xf0, 0xf4))
        want = 4;
    else
        return UTF8_BAD;
    if (lead == 0xe0)
        low = 0xa0; /* below: overlong */
    else if (lead == 0xed)
        high = 0x9f; /* above: surrogates */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f; /* above: beyond U+10FFFF */
    for (int i = 1; i < want; i++) {
        if ((size_t)i >= length)
            return UTF8_CUT;
        if (!in_range(at[i], low, high)) {
            *bad = i;
            return UTF8_BAD;
        }
        low = 0x80;
        high = 0xbf;
    }
    return want;
}

size_t utf8_valid(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        if (length - at >= sizeof word) { /* mostly ASCII text: eight bytes at a time */
            memcpy(&word, bytes + at, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                at += sizeof word;
                continue;
            }
        }
        int bad, step = utf8_sequence(bytes + at, length - at, &bad);
        if (step <= 0)
            return at;
        at += (size_t)step;
    }
    return at;
}

uint32_t utf8_decode(const char *bytes, int *length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (at[0] < 0x80) {
        *length = 1;
        return at[0];
    }
    if (at[0] < 0xe0) {
        *length = 2;
        return (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
    }
    if (at[0] < 0xf0) {
        *length = 3;
        return (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    }
    *length = 4;
    return (at[0] & 0x07u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
}

int utf8_encode(uint32_t code, char bytes[UTF8_LONGEST])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    bytes[0] = (char)(0xf0 | code >> 18);
    bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
    bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
    bytes[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

bool utf8_space(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
           code == 0x3000;
}

int utf8_columns(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    bool turns = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    if (turns || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
        category == UTF8PROC_CATEGORY_ZP)
        return -1;
    return utf8proc_charwidth((utf8proc_int32_t)code);
}

bool utf8_cluster_ends(uint32_t last, uint32_t next, int32_t *state)
{
    bool ends = true;
    if (last >= 0x80 || next >= 0x80)
        ends = utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)next, state);
    else
        ends = last != '\r' || next != '\n';
    if (ends)
        *state = 0; /* what a new cluster depends on stands in it */
    return ends;
}

size_t utf8_cluster(const char *bytes, size_t length)
{
    int step;
    int32_t state = 0;
    uint32_t last = utf8_decode(bytes, &step);
    size_t at = (size_t)step;
    while (at < length) {
        uint32_t next = utf8_decode(bytes + at, &step);
        if (utf8_cluster_ends(last, next, &state))
            break;
        last = next;
        at += (size_t)step;
    }
    return at;
}

const char *utf8_unicode(void)
{
    return utf8proc_unicode_version();
}

uint32_t utf8_lower(uint32_t code)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}

size_t utf8_lower_text(const char *text, size_t length, char *to)
{
    size_t made = 0;
    for (size_t i = 0; i < length;) {
        if ((unsigned char)text[i] < 0x80) {
            char c = text[i++];
            to[made++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        } else {
            int step;
            uint32_t code = utf8_decode(text + i, &step);
            made += (size_t)utf8_encode(utf8_lower(code), to + made);
            i += (size_t)step;
        }
    }
    return made;
}
