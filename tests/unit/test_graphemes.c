/* Grapheme clusters and Unicode's form C: against lines of Unicode's own GraphemeBreakTest, and utf8proc over whole
 * texts, however the text is cut into blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "unroll/data/normal.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"

#define ROOM 4096

static struct error error;

static bool is_inside(const char *text, size_t at)
{
    return ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* The tokens of a text that comes in two blocks, each with a stroke behind it. */
static void cut(enum level level, enum normal normal, const char *text, size_t block, char *out)
{
    struct tally *tally = tally_new(&error);
    struct tokenizer *tokenizer = NULL;
    struct vocab *vocab = NULL;
    size_t length = strlen(text);
    /* twice: the first time makes the vocabulary, whose tokens are told */
    for (int pass = 0; pass < 2; pass++) {
        const uint32_t *ids;
        size_t count;
        *out = '\0';
        if (pass == 0)
            assert_int_equal(tokenizer_open_counting(tally, level, false, &tokenizer, &error), STATUS_OK);
        else
            assert_int_equal(tokenizer_open(vocab, false, &tokenizer, &error), STATUS_OK);
        if (pass == 0)
            assert_int_equal(tokenizer_normalize(tokenizer, normal, &error), STATUS_OK);
        for (int part = 0; part < 3; part++) {
            const char *from = part == 0 ? text : text + block;
            if (part == 2)
                assert_int_equal(tokenizer_end(tokenizer, &ids, &count, &error), STATUS_OK);
            else
                assert_int_equal(
                    tokenizer_feed(tokenizer, from, part == 0 ? block : length - block, "t", 0, &ids, &count, &error),
                    STATUS_OK);
            tally_count(tally, ids, count);
            for (size_t i = 0; pass == 1 && i < count; i++) {
                size_t bytes;
                const char *token = vocab_text(vocab, ids[i], &bytes);
                assert_int_not_equal(ids[i], VOCAB_UNK);
                sprintf(out + strlen(out), "%.*s|", (int)bytes, token);
            }
        }
        tokenizer_free(tokenizer);
        if (pass == 0) {
            assert_int_equal(tally_vocab(tally, level, 0, 1, &vocab, &error), STATUS_OK);
            vocab_set_normal(vocab, normal, NULL);
        }
    }
    vocab_free(vocab);
    tally_free(tally);
}

static void expect(enum level level, enum normal normal, const char *text, const char *wanted)
{
    char got[ROOM];
    for (size_t block = 0; block <= strlen(text); block++) {
        if (is_inside(text, block))
            continue;
        cut(level, normal, text, block, got);
        assert_string_equal(got, wanted);
    }
}

/* Code points, and a 0 where Unicode's test file has a division sign. */
static void expect_breaks(const uint32_t *codes, int count)
{
    char text[ROOM] = "", wanted[ROOM] = "";
    for (int i = 0; i < count; i++) {
        char bytes[UTF8_LONGEST];
        int length = codes[i] ? utf8_encode(codes[i], bytes) : 0;
        if (codes[i])
            sprintf(text + strlen(text), "%.*s", length, bytes);
        sprintf(wanted + strlen(wanted), "%.*s%s", length, bytes, codes[i] ? "" : "|");
    }
    expect(LEVEL_GRAPHEME, NORMAL_NONE, text, wanted);
}

/* Of GraphemeBreakTest.txt, lines whose results are the same in versions 11 to 16. */
static void clusters_are_those_of_unicode(void **state)
{
    (void)state;
    static const uint32_t lines[][14] = {
        {0x20, 0, 0x20, 0},
        {0x20, 0x308, 0, 0x20, 0},
        {0x0d, 0, 0x0a, 0, 0x61, 0, 0x0a, 0, 0x308, 0}, /* but for CR LF, which texts are read without */
        {0x61, 0x308, 0, 0x0a, 0},
        {0x1100, 0x1160, 0x11a8, 0, 0x1100, 0},
        {0xac00, 0x11a8, 0, 0x1100, 0},
        {0xac01, 0x11a8, 0, 0x1100, 0},
        {0x1f1e6, 0x1f1e7, 0, 0x1f1e8, 0, 0x62, 0},
        {0x61, 0, 0x1f1e6, 0x1f1e7, 0, 0x1f1e8, 0x1f1e9, 0, 0x62, 0},
        {0x1f1e6, 0x1f1e7, 0x200d, 0, 0x1f1e8, 0, 0x62, 0},
        {0x61, 0x200d, 0},
        {0x61, 0x308, 0, 0x62, 0},
        {0x61, 0x903, 0, 0x62, 0},
        {0x61, 0, 0x600, 0x62, 0},
        {0x1f476, 0x1f3ff, 0, 0x1f476, 0},
        {0x61, 0x1f3ff, 0, 0x1f476, 0},
        {0x61, 0x1f3ff, 0, 0x1f476, 0x200d, 0x1f6d1, 0},
        {0x1f476, 0x1f3ff, 0x308, 0x200d, 0x1f476, 0x1f3ff, 0},
        {0x1f6d1, 0x200d, 0x1f6d1, 0},
        {0x61, 0x200d, 0, 0x1f6d1, 0},
        {0x2701, 0x200d, 0x2701, 0},
        {0x1f468, 0x200d, 0x1f469, 0x200d, 0x1f467, 0, 0x1f468, 0}, /* a family and a man */
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int count = sizeof *lines / sizeof **lines;
        while (count > 1 && lines[i][count - 1] == 0 && lines[i][count - 2] == 0)
            count--;
        expect_breaks(lines[i], count);
    }
}

/* A letter under ever more accents: of 128 bytes, and what is left over. */
static void a_cluster_without_end_is_cut(void **state)
{
    (void)state;
    char text[600] = "a", wanted[700] = "a";
    for (int i = 0; i < 130; i++) {
        strcat(text, "\xcc\x81");
        strcat(wanted, i == 63 || i == 127 ? "|\xcc\x81" : "\xcc\x81"); /* 1 + 63 * 2 bytes, then 64 * 2 */
    }
    strcat(text, "b\n");
    strcat(wanted, "|b|\n|");
    expect(LEVEL_GRAPHEME, NORMAL_NONE, text, wanted);
}

static void composed_and_decomposed_are_one(void **state)
{
    (void)state;
    expect(LEVEL_CHAR, NORMAL_NFC, "e\xcc\x81x\xcc\x81\n\xc3\xa9\xe2\x84\xab",
           "\xc3\xa9|x|\xcc\x81|\n|\xc3\xa9|\xc3\x85|");
    expect(LEVEL_GRAPHEME, NORMAL_NFC, "e\xcc\x81x\xcc\x81\n\xc3\xa9", "\xc3\xa9|x\xcc\x81|\n|\xc3\xa9|");
    expect(LEVEL_WORD, NORMAL_NFC, "e\xcc\x81 \xc3\xa9\n", "\xc3\xa9|\xc3\xa9|</s>|");
    /* accents of different classes in either order; Hangul */
    expect(LEVEL_CHAR, NORMAL_NFC, "q\xcc\x87\xcc\xa3q\xcc\xa3\xcc\x87", "q|\xcc\xa3|\xcc\x87|q|\xcc\xa3|\xcc\x87|");
    expect(LEVEL_CHAR, NORMAL_NFC, "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c|");
}

/* In blocks of `step` code points at most. */
static size_t normalized(struct normalizer *normalizer, const char *text, size_t length, int step, char *out)
{
    const char *made;
    size_t made_length, total = 0;
    for (size_t at = 0, end = 0; at < length; at = end) {
        for (int i = 0; i < step && end < length; i++)
            for (end++; end < length && is_inside(text, end);)
                end++;
        assert_int_equal(normalizer_feed(normalizer, text + at, end - at, &made, &made_length, &error), STATUS_OK);
        memcpy(out + total, made, made_length);
        total += made_length;
    }
    assert_int_equal(normalizer_end(normalizer, &made, &made_length, &error), STATUS_OK);
    memcpy(out + total, made, made_length);
    out[total + made_length] = '\0';
    return total + made_length;
}

/* Every code point, decomposed, between others: whatever is composed with what stands before it must be seen with
 * it. */
static void form_is_that_of_utf8proc(void **state)
{
    (void)state;
    struct normalizer *normalizer;
    assert_int_equal(normalizer_new(false, &normalizer, &error), STATUS_OK);
    for (uint32_t code = 1; code < UTF8_CODES; code++) {
        char text[64] = "a", got[256];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size_t length = 1 + (size_t)utf8_encode(code, text + 1);
        utf8proc_uint8_t *apart = utf8proc_NFD((utf8proc_uint8_t *)text), *whole;
        strcpy(text, (char *)apart);
        length = strlen(text);
        length += (size_t)utf8_encode(code, text + length);
        text[length] = '\0';
        whole = utf8proc_NFC((utf8proc_uint8_t *)text);
        for (int step = 1; step < 3; step++) {
            normalized(normalizer, text, length, step, got);
            assert_string_equal(got, (char *)whole);
        }
        free(apart);
        free(whole);
    }
    normalizer_free(normalizer);
}

static void random_texts_and_lower_case(void **state)
{
    (void)state;
    static const uint32_t codes[] = {'a',    'J',    'e',    ' ',     '\n',   0x301,  0x323,  0x307,  0x30c,   0x345,
                                     0x1100, 0x1161, 0x11a8, 0xac00,  0x0928, 0x093c, 0x09c7, 0x09be, 0x1f476, 0x200d,
                                     0x130,  0x212a, 0xfb2c, 0x1d160, 0x390,  0x344,  0x3099, 0x304b, 0x4e00,  0x1fb7};
    struct normalizer *plain, *lower;
    assert_int_equal(normalizer_new(false, &plain, &error), STATUS_OK);
    assert_int_equal(normalizer_new(true, &lower, &error), STATUS_OK);
    srand(1);
    for (int round = 0; round < 3000; round++) {
        char text[256] = "", got[1024], again[1024];
        size_t length = 0;
        for (int i = rand() % 40; i > 0; i--)
            length += (size_t)utf8_encode(codes[(size_t)rand() % (sizeof codes / sizeof *codes)], text + length);
        text[length] = '\0';
        utf8proc_uint8_t *whole = utf8proc_NFC((utf8proc_uint8_t *)text),
                         *apart = utf8proc_NFD((utf8proc_uint8_t *)text);
        size_t made = normalized(plain, text, length, 1 + rand() % 9, got), points = 0;
        assert_string_equal(got, (char *)whole);
        for (size_t i = 0; i < made; i++)
            points += !is_inside(got, i);
        assert_true(points <= length); /* what callers make room for */
        /* lower case: of equivalent texts it is the same, in form C, and its own lower case */
        made = normalized(lower, text, length, 1 + rand() % 9, got);
        normalized(lower, (char *)apart, strlen((char *)apart), 3, again);
        assert_string_equal(got, again);
        normalized(lower, got, made, 5, again);
        assert_string_equal(got, again);
        normalized(plain, got, made, 5, again);
        assert_string_equal(got, again);
        free(whole);
        free(apart);
    }
    normalizer_free(plain);
    normalizer_free(lower);
}

/* More accents than any language has: pieces whose ends depend on nothing but the text. */
static void a_run_without_end_is_bounded(void **state)
{
    (void)state;
    static char text[2 * 100000 + 2], first[700000], other[700000];
    struct normalizer *normalizer;
    assert_int_equal(normalizer_new(false, &normalizer, &error), STATUS_OK);
    size_t length = 0;
    text[length++] = 'e';
    for (int i = 0; i < 100000; i++)
        length += (size_t)utf8_encode(i % 3 ? 0x301 : 0x323, text + length);
    size_t made = normalized(normalizer, text, length, 1 << 20, first);
    assert_int_equal(normalized(normalizer, text, length, 7, other), made);
    assert_memory_equal(first, other, made);
    normalizer_free(normalizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_are_those_of_unicode),   cmocka_unit_test(a_cluster_without_end_is_cut),
        cmocka_unit_test(composed_and_decomposed_are_one), cmocka_unit_test(form_is_that_of_utf8proc),
        cmocka_unit_test(random_texts_and_lower_case),     cmocka_unit_test(a_run_without_end_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
