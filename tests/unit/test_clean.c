/* The rule for the bytes of a text: what it makes of each kind of byte, and that blocks make no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"
#include "unroll/data/clean.h"
#include "unroll/data/utf8.h"

#define MOST 64

struct result {
    char text[CLEAN_EXPANSION * MOST];
    size_t length;
    int64_t replaced, crlf;
    int64_t fault; /* offset of what is refused; -1: nothing */
};

/* In blocks of `step` bytes. */
static void clean_by(const char *text, size_t length, bool replace, size_t step, struct result *result)
{
    struct clean clean = {.replace = replace};
    char block[MOST];
    size_t have = 0;
    *result = (struct result){.fault = -1};
    for (size_t at = 0; at < length;) {
        size_t more = length - at < step ? length - at : step, mark, made;
        memcpy(block + have, text + at, more);
        at += more;
        have += more;
        size_t whole = clean_whole(&clean, block, have, at == length, &mark);
        assert_true(mark + whole <= have && have - mark - whole <= CLEAN_REST);
        size_t taken = clean_copy(&clean, block + mark, whole, result->text + result->length, &made);
        result->length += made;
        if (taken < whole) {
            result->fault = (int64_t)(at - have + mark + taken);
            break;
        }
        have -= mark + whole;
        memmove(block, block + mark + whole, have);
    }
    result->replaced = clean.replaced;
    result->crlf = clean.crlf;
}

static void expect(const char *text, size_t length, bool replace, const char *made, int64_t fault)
{
    struct result result;
    clean_by(text, length, replace, MOST, &result);
    assert_int_equal(result.fault, fault);
    assert_int_equal(result.length, strlen(made));
    assert_memory_equal(result.text, made, result.length);
}

static void each_kind_of_byte(void **state)
{
    (void)state;
    expect("\xef\xbb\xbf"
           "a\xef\xbb\xbf",
           7, false, "a\xef\xbb\xbf", -1);
    expect("\xef\xbb", 2, false, "", 0);
    expect("a\r\nb\rc\r\r\n\r", 10, false, "a\nb\rc\r\n\r", -1);
    expect("a\0b", 3, false, "a", 1);
    expect("a\0b", 3, true,
           "a\xef\xbf\xbd"
           "b",
           -1);
    expect("\xc3\xa9\xff\xc3", 4, false, "\xc3\xa9", 2);
    expect("\xc3\xa9\xff\xc3", 4, true, "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd", -1);
    expect("\xf0\x9f\x98", 3, true, "\xef\xbf\xbd", -1); /* one for what might have become one character */
    expect("", 0, false, "", -1);
    assert_false(clean_is_needed("a\n\xc3\xa9", 4));
    assert_true(clean_is_needed("a\r", 2) && clean_is_needed("a\0", 2) && clean_is_needed("\xc3", 1));
    assert_int_equal(clean_mark("\xef\xbb\xbf", 3), 3);
    assert_int_equal(clean_mark("\xef\xbb", 2), 0);
    assert_int_equal(clean_line("a\r\r", 3), 2);
    assert_int_equal(clean_line("", 0), 0);
}

static void blocks_give(char *text, size_t length, bool replace)
{
    struct result whole, by;
    clean_by(text, length, replace, length, &whole);
    assert_true(!replace || (whole.fault < 0 && utf8_valid(whole.text, whole.length) == whole.length));
    for (size_t step = 1; step < length; step++) {
        clean_by(text, length, replace, step, &by);
        assert_int_equal(by.fault, whole.fault);
        assert_int_equal(by.length, whole.length);
        assert_memory_equal(by.text, whole.text, whole.length);
        assert_int_equal(by.replaced, whole.replaced);
        assert_int_equal(by.crlf, whole.crlf);
    }
    if (replace)
        return;
    struct clean clean = {.replace = false};
    size_t mark, made, all = clean_whole(&clean, text, length, true, &mark);
    (void)clean_copy(&clean, text + mark, all, text, &made); /* in place: the text is no more */
    assert_int_equal(made, whole.length);
    assert_memory_equal(text, whole.text, made);
}

/* Random texts of what the rule knows, cut into blocks of every size; in place, too, where nothing is replaced. */
static void blocks_make_no_difference(void **state)
{
    static const char *const parts[] = {"a",    "\r",   "\n",      "\xc3\xa9", "\xef\xbb\xbf", "\xf0\x9f\x98\x80",
                                        "\xe2", "\xff", "\xf0\x80"};
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        char text[MOST];
        size_t length = 0;
        for (int i = 0; i < 15; i++) {
            const char *part = parts[rng_philox(seed, RNG_TEST, (uint32_t)i, 0, 0, 0).word[0] % (seed % 2 ? 6 : 9)];
            length += (size_t)sprintf(text + length, "%s", part);
        }
        for (int replace = 1; replace >= 0; replace--)
            blocks_give(text, length, replace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_byte),
        cmocka_unit_test(blocks_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
