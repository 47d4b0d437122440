/* Words are those that the tokenizer cuts, whatever a token is; bytes those of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"
#include "unroll/data/measure.h"
#include "unroll/data/tally.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"

static struct error error;

/* The text's tokens under a vocabulary of its own; the arrays are the caller's. */
static int64_t tokens_of(enum level level, const char *text, size_t length, struct vocab **vocab, uint32_t **tokens)
{
    struct tally *tally = tally_new(&error);
    struct tokenizer *tokenizer;
    const uint32_t *ids;
    size_t count = 0, more = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 0)
            assert_int_equal(tokenizer_open_counting(tally, level, false, &tokenizer, &error), STATUS_OK);
        else
            assert_int_equal(tokenizer_open(*vocab, false, &tokenizer, &error), STATUS_OK);
        assert_int_equal(tokenizer_feed(tokenizer, text, length, "text", 0, &ids, &count, &error), STATUS_OK);
        *tokens = calloc(count + 2, sizeof **tokens);
        memcpy(*tokens, ids, count * sizeof *ids);
        assert_int_equal(tokenizer_end(tokenizer, &ids, &more, &error), STATUS_OK);
        memcpy(*tokens + count, ids, more * sizeof *ids);
        tokenizer_free(tokenizer);
        if (pass == 1)
            break;
        tally_count(tally, *tokens, count + more);
        assert_int_equal(tally_vocab(tally, level, 0, 1, vocab, &error), STATUS_OK);
        free(*tokens);
    }
    tally_free(tally);
    return (int64_t)(count + more);
}

/* In pieces of `piece` tokens. */
static struct measure measured(enum level level, const char *text, size_t length, int64_t piece)
{
    struct vocab *vocab;
    uint32_t *tokens;
    struct measure measure;
    int64_t count = tokens_of(level, text, length, &vocab, &tokens);
    assert_int_equal(measure_init(vocab, &measure, &error), STATUS_OK);
    for (int64_t at = 0; at < count; at += piece)
        measure_add(&measure, tokens + at, count - at < piece ? count - at : piece);
    if (level == LEVEL_WORD)
        assert_int_equal(measure_words(&measure), count);
    measure_release(&measure);
    vocab_free(vocab);
    free(tokens);
    return measure;
}

/* A text of letters, of code points beside white space, and of every white space there is; it ends with a line end. */
static size_t make_text(uint64_t seed, char *text)
{
    static const uint32_t codes[] = {'a',    0x301,  'b',    0xe9,   0x80,   0x84,   0x86,   0x9f,    0xa1,
                                     0x2011, 0x200b, 0x2027, 0x202e, 0x205e, 0x3001, 0x1681, 0x1f600, ' ',
                                     '\n',   '\t',   '\v',   '\f',   '\r',   0x85,   0xa0,   0x1680,  0x2000,
                                     0x2005, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};
    char *to = text;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t bits = rng_philox(seed, RNG_SAMPLE, i, 0, 0, 0).word[0];
        to += utf8_encode(codes[bits % (sizeof codes / sizeof *codes)], to);
    }
    *to++ = '\n';
    return (size_t)(to - text);
}

static void words_are_those_of_the_tokenizer(void **state)
{
    (void)state;
    static char text[401 * UTF8_LONGEST];
    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t length = make_text(seed, text);
        struct measure words = measured(LEVEL_WORD, text, length, 7);
        for (int64_t piece = 1; piece < 2000; piece = piece * 7 + 1) {
            struct measure chars = measured(LEVEL_CHAR, text, length, piece),
                           bytes = measured(LEVEL_BYTE, text, length, piece),
                           graphemes = measured(LEVEL_GRAPHEME, text, length, piece);
            assert_int_equal(measure_words(&graphemes), measure_words(&words));
            assert_int_equal(graphemes.bytes, length);
            assert_int_equal(measure_words(&chars), measure_words(&words));
            assert_int_equal(measure_words(&bytes), measure_words(&words));
            assert_int_equal(chars.bytes, length);
            assert_int_equal(bytes.bytes, length);
        }
    }
}

static void bytes_of_words_are_those_of_a_plain_text(void **state)
{
    (void)state;
    static const char text[] = "a bc def\n\n\nxy\n z\n";
    assert_int_equal(measured(LEVEL_WORD, text, strlen(text), 1).bytes,
                     strlen(text) - 1); /* one blank more than needed */
    assert_int_equal(measured(LEVEL_WORD, text, strlen(text), 100).bytes, strlen(text) - 1);
    struct measure open = measured(LEVEL_CHAR, "ab cd", 5, 2);
    assert_int_equal(measure_words(&open), 2); /* the one that goes on among them */
}

static void an_unknown_token_is_of_a_word_and_has_no_bytes(void **state)
{
    (void)state;
    static const char text[] = "ab cd\n";
    struct vocab *vocab;
    uint32_t *tokens;
    struct measure measure;
    int64_t count = tokens_of(LEVEL_CHAR, text, strlen(text), &vocab, &tokens);
    tokens[1] = VOCAB_UNK;
    assert_int_equal(measure_init(vocab, &measure, &error), STATUS_OK);
    measure_add(&measure, tokens, count);
    assert_int_equal(measure_words(&measure), 3);
    assert_int_equal(measure.bytes, 5);
    assert_int_equal(measure.unknown, 1);
    measure_release(&measure);
    vocab_free(vocab);
    free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_tokenizer),
        cmocka_unit_test(bytes_of_words_are_those_of_a_plain_text),
        cmocka_unit_test(an_unknown_token_is_of_a_word_and_has_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
