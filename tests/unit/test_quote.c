/* A text as lines of a log: where it is cut, and that nothing in it reaches a terminal but text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/rng.h"
#include "unroll/data/quote.h"
#include "unroll/data/utf8.h"

static char lines[1 << 16]; /* each behind the other, with '|' at its end */

static void put(void *context, const char *line)
{
    (void)context;
    strcat(strcat(lines, line), "|");
}

static void quoted(const char *text, size_t length, const char *wanted)
{
    lines[0] = '\0';
    quote_lines(text, length, 16, put, NULL);
    assert_string_equal(lines, wanted);
}

#define QUOTED(text, wanted) quoted(text, sizeof text - 1, wanted)

static void lines_are_kept(void **state)
{
    (void)state;
    QUOTED("", "");
    QUOTED("one", "one|");
    QUOTED("one\ntwo\r\n\nthree\n", "one|two||three|");
    QUOTED("\n", "|");
    QUOTED("  two blanks in\nfront ", "  two blanks in|front|");
    QUOTED("a\tb\n\tc", "a       b|        c|");
    QUOTED("C:\\n", "C:\\n|");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    QUOTED("a line of sixteen", "a line of|sixteen|");
    QUOTED("one of sixteen!!", "one of sixteen!!|");
    QUOTED("one of sixteen!! and more", "one of sixteen!!|and more|");
    QUOTED("one of sixteen!!   \nx", "one of sixteen!!|x|"); /* blanks behind a full line make no new one */
    QUOTED("0123456789abcdefgh", "0123456789abcdef|gh|");
    QUOTED("x 0123456789abcdefgh", "x|0123456789abcdef|gh|");
    QUOTED("   0123456789abcdefgh", "   0123456789abc|defgh|"); /* no cut within the indentation */
    QUOTED("01234567\tabc\tdef", "01234567|abc     def|");
    /* by columns, not by bytes: six of two, accents of none */
    QUOTED("\u6f22\u5b57\u6f22\u5b57\u6f22\u5b57\u6f22\u5b57\u6f22",
           "\u6f22\u5b57\u6f22\u5b57\u6f22\u5b57\u6f22\u5b57|\u6f22|");
    QUOTED("e\u0301e\u0301 aaaaaaaaaaaaa b", "e\u0301e\u0301 aaaaaaaaaaaaa|b|");
}

static void nothing_moves_the_cursor(void **state)
{
    (void)state;
    QUOTED("\033[2J", "\\x1b[2J|");
    QUOTED("a\rb\bc\x7f", "a\\x0db\\x08c\\x7f|");
    QUOTED("\0", "\\x00|");
    QUOTED("\xc2\x9b"
           "1m",
           "\\xc2\\x9b1m|");
    QUOTED("\u202etxt", "\\xe2\\x80\\xaetxt|");
    QUOTED("\xff\xc3", "\\xff\\xc3|");
    QUOTED("\xe2\x82", "\\xe2\\x82|");
}

/* Of any bytes: valid UTF-8, no line above the limit, none with a control character. */
static void any_bytes(void **state)
{
    (void)state;
    char text[300];
    for (uint32_t n = 0; n < 2000; n++) {
        size_t length = rng_philox(1, RNG_TEST, n, 0, 0, 0).word[0] % sizeof text;
        for (size_t i = 0; i < length; i++) {
            uint32_t bits = rng_philox(1, RNG_TEST, n, 1, 0, (uint32_t)i).word[0];
            text[i] = n % 3 == 0 ? (char)bits : n % 3 == 1 ? "ab \t\n\r\\\xcc\x81"[bits % 9] : "a b  c"[bits % 6];
        }
        lines[0] = '\0';
        quote_lines(text, length, 16, put, NULL);
        assert_int_equal(utf8_valid(lines, strlen(lines)), strlen(lines));
        int columns = 0, bytes;
        for (const char *at = lines; *at; at += bytes) {
            uint32_t code = utf8_decode(at, &bytes);
            assert_true(utf8_columns(code) >= 0);
            columns = code == '|' ? 0 : columns + utf8_columns(code);
            assert_true(columns <= 16);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(nothing_moves_the_cursor),
        cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
