/* INI files: what libinih reads, what TOML adds, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/sys/ini.h"

struct seen {
    char text[8192]; /* "section|name|value|element|line\n" for each call */
    const char *refuse;
};

static enum status note(void *context, const char *section, const char *name, const char *value, int element, int line,
                        struct error *e)
{
    struct seen *seen = context;
    size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof seen->text - length, "%s|%s|%s|%d|%d\n", section, name, value, element, line);
    if (seen->refuse && strcmp(seen->refuse, name) == 0)
        return error_set(e, STATUS_DATA, "refused '%s'", name);
    return STATUS_OK;
}

static enum status read_bytes(const char *bytes, size_t length, struct seen *seen, struct error *e)
{
    char path[] = "/tmp/unroll-test-ini-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, length), length);
    close(descriptor);
    memset(seen->text, 0, sizeof seen->text);
    *e = (struct error){0};
    enum status status = ini_read(path, note, seen, e);
    unlink(path);
    return status;
}

static void expect(const char *file, const char *calls)
{
    struct seen seen = {.refuse = NULL};
    struct error e;
    assert_int_equal(read_bytes(file, strlen(file), &seen, &e), STATUS_OK);
    assert_string_equal(seen.text, calls);
}

static void expect_refusal(const char *file, size_t length, enum status status, const char *message)
{
    struct seen seen = {.refuse = "bad"};
    struct error e;
    assert_int_equal(read_bytes(file, length, &seen, &e), status);
    if (!strstr(e.text, message))
        fail_msg("'%s' is not in '%s'", message, e.text);
}

static void plain_ini(void **state)
{
    (void)state;
    expect("", "");
    expect("a = 1", "|a|1|0|1\n");
    expect("# c\n; c\n\n[one]\nhidden=256\n  cell =  lstm  ; comment\nlr = 0.5# c\r\n[two]\nx=1\n",
           "one|hidden|256|0|5\none|cell|lstm|0|6\none|lr|0.5|0|7\ntwo|x|1|0|9\n");
    expect("\xEF\xBB\xBFhidden = 1\n", "|hidden|1|0|1\n");
    expect("a = 1\n   b = 2\n", "|a|1|0|1\n|b|2|0|2\n"); /* an indented line does not continue the one before */
    expect("url = x:y=z\n", "|url|x:y=z|0|1\n");
    expect("empty =\n", "|empty||0|1\n");
}

static void toml_strings_and_arrays(void **state)
{
    (void)state;
    expect("a = \"x # y ; z\" # c\n", "|a|x # y ; z|0|1\n");
    expect("a = 'C:\\no\\escape'\n", "|a|C:\\no\\escape|0|1\n");
    expect("a = \"t\\t q\\\" b\\\\ \\u00e9 \\U0001D11E\"\n", "|a|t\t q\" b\\ \xC3\xA9 \xF0\x9D\x84\x9E|0|1\n");
    expect("a = \"\"\n", "|a||0|1\n");
    expect("t = [\"a b.txt\", 'c.txt' , ] # c\nu = []\nv = 1\n", "|t|a b.txt|0|1\n|t|c.txt|1|1\n|v|1|0|3\n");

    expect("a = [64, 32]\nb = [ -1.5e3 ,2, ] # c\nc = [7]\n", "|a|64,32|0|1\n|b|-1.5e3,2|0|2\n|c|7|0|3\n");

    /* longer than libinih's line buffer */
    char file[2100], calls[2100], path[2000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    snprintf(file, sizeof file, "corpus = \"%s\"\n", path);
    snprintf(calls, sizeof calls, "|corpus|%s|0|1\n", path);
    expect(file, calls);
}

#define REFUSED(file, status, message) expect_refusal(file, sizeof(file) - 1, status, message)

static void refusals_name_the_line(void **state)
{
    (void)state;
    REFUSED("a = 1\nrubbish\nb = 2\n", STATUS_CONFIG, "line 2: neither a section");
    REFUSED("a = 1\nrubbish # b = 2", STATUS_CONFIG, "line 2: neither a section");
    REFUSED("= 1\nb = 2", STATUS_CONFIG, "line 1");
    REFUSED("a = 1\n[open\n", STATUS_CONFIG, "line 2: a section that does not end");
    REFUSED("\n\na = \"open\n", STATUS_CONFIG, "line 3: a string that does not end");
    REFUSED("a = 'x' y\n", STATUS_CONFIG, "line 1: text after the value");
    REFUSED("a = \"\\q\"\n", STATUS_CONFIG, "line 1: unknown escape");
    REFUSED("a = \"\\ud800\"\n", STATUS_CONFIG, "line 1: an escape that is no Unicode");
    REFUSED("a = [x, y]\n", STATUS_CONFIG, "line 1: an array holds numbers or quoted strings");
    REFUSED("a = [1, 'x']\n", STATUS_CONFIG, "line 1: an array of numbers and strings");
    REFUSED("a = ['x', 1]\n", STATUS_CONFIG, "line 1: an array of numbers and strings");
    REFUSED("a = [1 2]\n", STATUS_CONFIG, "line 1: ',' or ']' is missing");
    REFUSED("a = [1,\n2]\n", STATUS_CONFIG, "line 1: an array holds");
    REFUSED("a = [,]\n", STATUS_CONFIG, "line 1: an array holds");
    REFUSED("a = ['x' 'y']\n", STATUS_CONFIG, "line 1: ',' or ']' is missing");
    REFUSED("a = ['x',\n'y']\n", STATUS_CONFIG, "line 1: an array holds");
    REFUSED("a = 1\nb = x\0y\n", STATUS_CONFIG, "line 2: a NUL byte");
    REFUSED("a = 1\nbad = 2\nb = \"\n", STATUS_DATA, "refused 'bad'"); /* the first failure counts */

    char file[600];
    memset(file, 'x', sizeof file - 1);
    memcpy(file, "a = ", 4);
    file[sizeof file - 1] = '\0';
    expect_refusal(file, strlen(file), STATUS_CONFIG, "line 1: the line is too long, 199 bytes are the most");
}

static void missing_and_unreadable_files(void **state)
{
    (void)state;
    struct seen seen = {.refuse = NULL};
    struct error e = {0};
    assert_int_equal(ini_read("/nonexistent/x.ini", note, &seen, &e), STATUS_NOINPUT);
    assert_non_null(strstr(e.text, "'/nonexistent/x.ini'"));
    assert_int_equal(ini_read("/", note, &seen, &e), STATUS_IO); /* a directory opens but cannot be read */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ini),
        cmocka_unit_test(toml_strings_and_arrays),
        cmocka_unit_test(refusals_name_the_line),
        cmocka_unit_test(missing_and_unreadable_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
