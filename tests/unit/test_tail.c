/* Lines of a file from its end: the same as from its beginning, the other way round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/file.h"
#include "unroll/base/tail.h"

static char path[64];

static struct tail *open_text(const char *text, size_t length)
{
    struct error e;
    struct tail *tail;
    assert_int_equal(file_write_new(path, text, length, &e), STATUS_OK);
    assert_int_equal(tail_open(path, &tail, &e), STATUS_OK);
    return tail;
}

static void expect(struct tail *tail, const char *wanted)
{
    struct error e;
    char *line;
    size_t length;
    assert_int_equal(tail_next(tail, &line, &length, &e), STATUS_OK);
    if (!wanted) {
        assert_null(line);
        return;
    }
    assert_non_null(line);
    assert_string_equal(line, wanted);
    assert_int_equal(length, strlen(wanted));
}

static void test_short_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line[4];
    } file[] = {
        {"", {NULL}},
        {"half", {NULL}},
        {"\n", {"", NULL}},
        {"one\n", {"one", NULL}},
        {"one\ntwo\nhalf", {"two", "one", NULL}},
        {"\n\none\n", {"one", "", "", NULL}},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        struct tail *tail = open_text(file[i].text, strlen(file[i].text));
        for (int k = 0; k == 0 || file[i].line[k - 1]; k++)
            expect(tail, file[i].line[k]);
        expect(tail, NULL); /* and stays there */
        tail_close(tail);
    }
}

/* Lengths around those of the blocks that it reads, so that lines lie across their edges in every way. */
static void test_long_lines(void **state)
{
    (void)state;
    enum { LINES = 24, BLOCK = 1 << 16 };
    static const int length[] = {0, 1, 100, BLOCK / 2, BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5};
    int lengths = (int)(sizeof length / sizeof *length);
    char *text = malloc((size_t)LINES * 4 * BLOCK), *end = text, *start[LINES];
    assert_non_null(text);
    for (int i = 0; i < LINES; i++) {
        int bytes = length[i * 7 % lengths];
        start[i] = end;
        memset(end, 'a' + i, (size_t)bytes);
        end[bytes] = '\n';
        end += bytes + 1;
    }
    struct tail *tail = open_text(text, (size_t)(end - text));
    for (int i = LINES - 1; i >= 0; i--) {
        *strchr(start[i], '\n') = '\0';
        expect(tail, start[i]);
    }
    expect(tail, NULL);
    tail_close(tail);
    free(text);
}

static void test_what_is_no_text_of_lines(void **state)
{
    (void)state;
    struct error e;
    struct tail *tail = open_text("x", 1);
    char *line;
    size_t length;
    tail_close(tail);
    assert_int_equal(truncate(path, (off_t)TAIL_LINE_MAX * 4), 0);
    assert_int_equal(tail_open(path, &tail, &e), STATUS_OK);
    assert_int_equal(tail_next(tail, &line, &length, &e), STATUS_DATA);
    assert_null(line);
    tail_close(tail);
    assert_int_equal(tail_open("/nonexistent/file", &tail, &e), STATUS_NOINPUT);
    assert_null(tail);
    assert_int_equal(tail_open("/", &tail, &e), STATUS_DATA);
    assert_null(tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_files),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_what_is_no_text_of_lines),
    };
    snprintf(path, sizeof path, "/tmp/test_tail.%ld", (long)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
