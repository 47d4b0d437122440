/* What a file is by its first bytes, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/base/content.h"

static void kinds_are_known_by_their_beginning(void **state)
{
    (void)state;
    static const struct {
        enum content content;
        size_t length;
        const char *bytes;
    } kinds[] = {
        {CONTENT_EMPTY, 0, ""},
        {CONTENT_TEXT, 10, "In the be\n"},
        {CONTENT_TEXT, 8, "BZhang \xc3\xa4"},
        {CONTENT_UNKNOWN, 4, "ab\0c"},
        {CONTENT_GZIP, 3, "\x1f\x8b\x08"},
        {CONTENT_BZIP2, 10, "BZh91AY&SY"},
        {CONTENT_XZ, 6, "\xfd\x37zXZ\0"},
        {CONTENT_ZSTD, 4, "\x28\xb5\x2f\xfd"},
        {CONTENT_ZIP, 34, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0a.txt"},
        {CONTENT_PYTORCH, 42, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\14\0\0\0m/data.pkl\0\0"},
        {CONTENT_PYTORCH, 15, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."},
        {CONTENT_PICKLE, 8, "\x80\x04\x95\0\0\0\0\0"},
        {CONTENT_NUMPY, 8, "\x93NUMPY\1\0"},
        {CONTENT_HDF5, 9, "\x89HDF\r\n\x1a\n\0"},
        {CONTENT_CORPUS, 22, "\x89HDF\r\n\x1a\n\0unroll-corpus"},
        {CONTENT_CHECKPOINT, 26, "\x89HDF\r\n\x1a\n\0unroll-checkpoint"},
        {CONTENT_SAFETENSORS, 12, "\x40\0\0\0\0\0\0\0{\"a\""},
        {CONTENT_UTF16, 4,
         "\xff\xfe"
         "a\0"},
        {CONTENT_UTF16, 4,
         "\xfe\xff\0"
         "a"},
        {CONTENT_UTF32, 8,
         "\xff\xfe\0\0"
         "a\0\0\0"},
        {CONTENT_PDF, 8, "%PDF-1.5"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (content_of(kinds[i].bytes, kinds[i].length) != kinds[i].content)
            fail_msg("kind %zu: %s", i, content_says(content_of(kinds[i].bytes, kinds[i].length)));
}

/* Whatever a file begins with, its kind has a name, and a refusal fits. */
static void any_bytes_will_do(void **state)
{
    (void)state;
    char bytes[300];
    struct error e;
    for (int round = 0; round < 20000; round++) {
        size_t length = (size_t)(rand() % (int)(sizeof bytes + 1));
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)(rand() >> 5);
        if (length > 3 && round % 3 == 0)
            memcpy(bytes, round % 2 ? "PK\3\4" : "\x80\x02}q", 4);
        char *exact = malloc(length ? length : 1); /* so that a look behind its end is seen */
        memcpy(exact, bytes, length);
        enum content content = content_of(exact, length);
        free(exact);
        assert_non_null(content_says(content));
        enum status status = content_refuse_text(content, "a name", round % 2, &e);
        assert_true(status == STATUS_OK || (status == STATUS_DATA && strlen(e.text) < ERROR_TEXT - 1));
    }
}

static void names_go_into_commands_where_a_shell_takes_them(void **state)
{
    (void)state;
    assert_string_equal(content_shell_name("runs/a-1/x.gz"), "runs/a-1/x.gz");
    static const char *const odd[] = {"a b", "", "-x", "a;b", "$x", "it's", "a\nb", "\xc3\xa4", "`x`"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_string_equal(content_shell_name(odd[i]), "FILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_known_by_their_beginning),
        cmocka_unit_test(any_bytes_will_do),
        cmocka_unit_test(names_go_into_commands_where_a_shell_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
