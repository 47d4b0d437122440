/* Status codes are part of the command line's contract; messages must not overflow. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/status.h"

static void test_numbers(void **unused)
{
    (void)unused;
    const struct {
        enum status status;
        int number;
    } promised[] = {{STATUS_OK, 0},           {STATUS_USAGE, 64},    {STATUS_DATA, 65},       {STATUS_NOINPUT, 66},
                    {STATUS_UNAVAILABLE, 69}, {STATUS_INTERNAL, 70}, {STATUS_OS, 71},         {STATUS_CANTCREATE, 73},
                    {STATUS_IO, 74},          {STATUS_STOPPED, 75},  {STATUS_CHECKPOINT, 76}, {STATUS_CONFIG, 78},
                    {STATUS_DIVERGED, 79}};
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
        assert_int_equal(promised[i].status, promised[i].number);
}

static void test_error_set(void **unused)
{
    (void)unused;
    struct error e;
    assert_int_equal(error_set(&e, STATUS_IO, "cannot write '%s': %d bytes; make room", "x.h5", 12), STATUS_IO);
    assert_int_equal(e.status, STATUS_IO);
    assert_string_equal(e.text, "cannot write 'x.h5': 12 bytes; make room");
    assert_int_equal(error_set(NULL, STATUS_DATA, "nobody listens"), STATUS_DATA);
}

static void test_long_message_is_cut(void **unused)
{
    (void)unused;
    struct {
        struct error e;
        char behind[16];
    } room;
    char text[3 * ERROR_TEXT];
    memset(&room, 'x', sizeof room);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    error_set(&room.e, STATUS_USAGE, "%s", text);
    assert_int_equal(strlen(room.e.text), ERROR_TEXT - 1);
    for (size_t i = 0; i < sizeof room.behind; i++)
        assert_int_equal(room.behind[i], 'x');
}

static void test_errno(void **unused)
{
    (void)unused;
    assert_int_equal(status_of_errno(ENOENT), STATUS_NOINPUT);
    assert_int_equal(status_of_errno(ENOTDIR), STATUS_NOINPUT);
    assert_int_equal(status_of_errno(ENOMEM), STATUS_OS);
    assert_int_equal(status_of_errno(EMFILE), STATUS_OS);
    assert_int_equal(status_of_errno(ENOSPC), STATUS_IO);
    assert_int_equal(status_of_errno(EIO), STATUS_IO);
}

/* In a child: a CHECK that fails ends the process with 70 and says where. */
static void test_check(void **unused)
{
    (void)unused;
    int text[2];
    assert_int_equal(pipe(text), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(text[1], STDERR_FILENO);
        CHECK(1 + 1 == 2);
        CHECK(1 + 1 == 3);
        _exit(0);
    }
    close(text[1]);
    char message[512] = "";
    size_t length = 0;
    for (ssize_t got; (got = read(text[0], message + length, sizeof message - 1 - length)) > 0;)
        length += (size_t)got;
    close(text[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STATUS_INTERNAL);
    assert_non_null(strstr(message, "1 + 1 == 3"));
    assert_non_null(strstr(message, "test_status.c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_error_set), cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_errno),   cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
