/* Vocabularies: how they are counted, cut and checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/data/tally.h"
#include "unroll/data/vocab.h"

/* A tally of words given as one text with single blanks. */
static struct tally *count_words(const char *text)
{
    struct error error;
    struct tally *tally = tally_new(&error);
    assert_non_null(tally);
    while (*text) {
        size_t length = strcspn(text, " ");
        uint32_t number;
        assert_int_equal(tally_find(tally, text, length, &number, &error), STATUS_OK);
        tally_count(tally, &number, 1);
        text += length + (text[length] == ' ');
    }
    return tally;
}

static void expect_vocab(const struct tally *tally, int64_t size, int64_t min_count, const char *want)
{
    struct error error;
    struct vocab *vocab = NULL;
    char got[1000] = "";
    assert_int_equal(tally_vocab(tally, LEVEL_WORD, size, min_count, &vocab, &error), STATUS_OK);
    for (uint32_t i = 0; i < (uint32_t)vocab->size; i++) {
        size_t length;
        const char *text = vocab_text(vocab, i, &length);
        sprintf(got + strlen(got), "%.*s:%d ", (int)length, text, (int)vocab->counts[i]);
        assert_int_equal(vocab_find(vocab, text, length), i);
    }
    assert_string_equal(got, want);
    assert_int_equal(vocab_find(vocab, "absent", 6), VOCAB_UNK);
    vocab_free(vocab);
}

static void most_frequent_first_ties_by_first_appearance(void **state)
{
    (void)state;
    struct tally *tally = count_words("zoo b a b zoo c </s> b <unk> a q </s>");
    assert_int_equal(tally_entries(tally), 6);
    expect_vocab(tally, 0, 1, "<unk>:1 b:3 zoo:2 a:2 </s>:2 c:1 q:1 ");
    expect_vocab(tally, 0, 2, "<unk>:3 b:3 zoo:2 a:2 </s>:2 ");
    expect_vocab(tally, 3, 1, "<unk>:7 b:3 zoo:2 ");
    expect_vocab(tally, 4, 3, "<unk>:9 b:3 ");
    expect_vocab(tally, 100, 0, "<unk>:1 b:3 zoo:2 a:2 </s>:2 c:1 q:1 ");
    expect_vocab(tally, 1, 1, "<unk>:12 ");
    tally_free(tally);
}

static void merged_parts_are_the_whole(void **state)
{
    (void)state;
    struct error error;
    struct tally *first = count_words("x y y <unk>"), *second = count_words("z x w z z <unk>");
    assert_int_equal(tally_merge(first, second, &error), STATUS_OK);
    expect_vocab(first, 0, 1, "<unk>:2 z:3 x:2 y:2 w:1 ");
    tally_free(first);
    tally_free(second);
}

static void many_words_are_found_again(void **state)
{
    (void)state;
    enum { WORDS = 200000 };
    struct error error;
    struct tally *tally = tally_new(&error);
    uint32_t number;
    char word[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < WORDS; i++) {
            int length = snprintf(word, sizeof word, "w%d", i * 7919);
            assert_int_equal(tally_find(tally, word, (size_t)length, &number, &error), STATUS_OK);
            assert_int_equal(number, i + 1);
            tally_count(tally, &number, 1);
        }
    }
    struct vocab *vocab = NULL;
    assert_int_equal(tally_vocab(tally, LEVEL_WORD, 0, 2, &vocab, &error), STATUS_OK);
    assert_int_equal(vocab->size, WORDS + 1);
    for (int i = 0; i < WORDS; i++) {
        int length = snprintf(word, sizeof word, "w%d", i * 7919);
        assert_int_equal(vocab_find(vocab, word, (size_t)length), i + 1);
    }
    vocab_free(vocab);
    tally_free(tally);
}

/* ---- adoption ---- */

/* Entries as literal pieces; at most 8. `offsets` replaces the true ones if given. */
static enum status adopt(enum level level, const char *const *entry, const uint64_t *offsets, struct vocab **out,
                         struct error *e)
{
    int size = 0;
    size_t total = 0;
    for (; entry[size]; size++)
        total += strlen(entry[size]);
    char *bytes = mem_alloc(total, 1, "test", e);
    uint64_t *places = mem_alloc((size_t)size + 1, sizeof *places, "test", e);
    uint64_t *counts = mem_alloc((size_t)size, sizeof *counts, "test", e);
    for (int i = 0; i < size; i++) {
        memcpy(bytes + places[i], entry[i], strlen(entry[i]));
        places[i + 1] = places[i] + strlen(entry[i]);
    }
    if (offsets)
        memcpy(places, offsets, ((size_t)size + 1) * sizeof *places);
    return vocab_adopt(level, size, bytes, places, counts, STATUS_CHECKPOINT, out, e);
}

static void line_ends_are_known(void **state)
{
    (void)state;
    struct error error;
    struct vocab *vocab = NULL;
    assert_int_equal(adopt(LEVEL_WORD, (const char *[]){"<unk>", "a", "</s>", NULL}, NULL, &vocab, &error), STATUS_OK);
    assert_int_equal(vocab->eos, 2);
    vocab_free(vocab);
    assert_int_equal(adopt(LEVEL_CHAR, (const char *[]){"<unk>", "\n", "\xe2\x82\xac", NULL}, NULL, &vocab, &error),
                     STATUS_OK);
    assert_int_equal(vocab->eos, 1);
    vocab_free(vocab);
    assert_int_equal(adopt(LEVEL_BYTE, (const char *[]){"<unk>", "\xff", "\xfe", NULL}, NULL, &vocab, &error),
                     STATUS_OK);
    assert_int_equal(vocab->eos, -1);
    vocab_free(vocab);
}

static void hostile_vocabularies_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum level level;
        const char *entry[5];
        const char *words;
    } bad[] = {
        {LEVEL_WORD, {"a", "b"}, "entry '0' is not '<unk>'"},
        {LEVEL_WORD, {"<unk>", "a", "b", "a"}, "entry '3' is there twice"},
        {LEVEL_WORD, {"<unk>", "a", "<unk>"}, "entry '2' is there twice"},
        {LEVEL_WORD, {"<unk>", ""}, "entry '1' is empty"},
        {LEVEL_WORD, {"<unk>", "\xff"}, "entry '1' is not UTF-8"},
        {LEVEL_CHAR, {"<unk>", "\xed\xa0\x80"}, "entry '1' is not UTF-8"},
        {LEVEL_CHAR, {"<unk>", "ab"}, "entry '1' is not one character"},
        {LEVEL_BYTE, {"<unk>", "ab"}, "entry '1' is not one byte"},
        {LEVEL_CHAR, {NULL}, "'0' entries"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        struct vocab *vocab = NULL;
        assert_int_equal(adopt(bad[i].level, bad[i].entry, NULL, &vocab, &error), STATUS_CHECKPOINT);
        assert_null(vocab);
        if (!strstr(error.text, bad[i].words))
            fail_msg("'%s' does not say '%s'", error.text, bad[i].words);
    }
    static const uint64_t offsets[][4] = {
        {1, 5, 6, 7}, {0, 5, 4, 7}, {0, 5, 7, 6}, {0, 5, UINT64_MAX, 7}, {0, 5, 60000, 7}, {0, 8, 9, 7},
    };
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct error error;
        struct vocab *vocab = NULL;
        assert_int_equal(adopt(LEVEL_WORD, (const char *[]){"<unk>", "a", "b", NULL}, offsets[i], &vocab, &error),
                         STATUS_CHECKPOINT);
    }
}

static void digest_tells_vocabularies_apart(void **state)
{
    (void)state;
    struct error error;
    struct vocab *vocab[6];
    char hex[6][33];
    assert_int_equal(adopt(LEVEL_WORD, (const char *[]){"<unk>", "ab", "c", NULL}, NULL, &vocab[0], &error), STATUS_OK);
    assert_int_equal(adopt(LEVEL_WORD, (const char *[]){"<unk>", "a", "bc", NULL}, NULL, &vocab[1], &error), STATUS_OK);
    assert_int_equal(adopt(LEVEL_WORD, (const char *[]){"<unk>", "a", "b", NULL}, NULL, &vocab[2], &error), STATUS_OK);
    assert_int_equal(adopt(LEVEL_CHAR, (const char *[]){"<unk>", "a", "b", NULL}, NULL, &vocab[3], &error), STATUS_OK);
    assert_int_equal(adopt(LEVEL_CHAR, (const char *[]){"<unk>", "a", "b", NULL}, NULL, &vocab[4], &error), STATUS_OK);
    vocab_set_normal(vocab[4], NORMAL_NFC, NULL);
    assert_int_equal(adopt(LEVEL_GRAPHEME, (const char *[]){"<unk>", "a", "b", NULL}, NULL, &vocab[5], &error),
                     STATUS_OK);
    assert_string_equal(vocab[3]->unicode, "");
    assert_string_not_equal(vocab[4]->unicode, "");
    assert_string_not_equal(vocab[5]->unicode, "");
    for (int i = 0; i < 6; i++) {
        vocab_digest(vocab[i], hex[i]);
        assert_int_equal(strspn(hex[i], "0123456789abcdef"), 32);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hex[i], hex[k]);
    }
    for (int i = 0; i < 6; i++)
        vocab_free(vocab[i]);
}

static void levels_have_names(void **state)
{
    (void)state;
    struct error error;
    enum level level;
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(level_parse(level_name((enum level)i), &level, &error), STATUS_OK);
        assert_int_equal(level, i);
    }
    char names[LEVEL_NAMES];
    assert_int_equal(level_parse("sentence", &level, &error), STATUS_CONFIG);
    assert_string_equal(error.text, "unknown level 'sentence'; use char, word, byte or grapheme");
    assert_string_equal(level_names(true, names), "char, word or grapheme");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_frequent_first_ties_by_first_appearance),
        cmocka_unit_test(merged_parts_are_the_whole),
        cmocka_unit_test(many_words_are_found_again),
        cmocka_unit_test(line_ends_are_known),
        cmocka_unit_test(hostile_vocabularies_are_refused),
        cmocka_unit_test(digest_tells_vocabularies_apart),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
