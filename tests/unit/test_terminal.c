/* Progress on a terminal, a pseudo-terminal here, and in a file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/sys/terminal.h"

static void a_file_gets_lines(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct terminal terminal;
    char text[200] = "";
    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    terminal_init(&terminal, file);
    assert_false(terminal.interactive);
    terminal_progress(&terminal, "step %d", 1);
    terminal_message(&terminal, "saved");
    terminal_progress(&terminal, "step %d", 2);
    terminal_finish(&terminal);
    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    assert_string_equal(text, "step 1\nsaved\nstep 2\n");
    fclose(file);
}

static void a_terminal_gets_one_line(void **state)
{
    (void)state;
    int keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(keyboard >= 0 && grantpt(keyboard) == 0 && unlockpt(keyboard) == 0);
    FILE *screen = fopen(ptsname(keyboard), "w");
    assert_non_null(screen);
    struct winsize size = {.ws_row = 24, .ws_col = 11};
    assert_int_equal(ioctl(keyboard, TIOCSWINSZ, &size), 0);

    struct terminal terminal;
    assert_int_equal(setenv("TERM", "dumb", 1), 0);
    terminal_init(&terminal, screen);
    assert_false(terminal.interactive);
    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    terminal_init(&terminal, screen);
    assert_true(terminal.interactive);
    assert_int_equal(terminal_width(&terminal), 11);

    terminal_progress(&terminal, "%s", "0123456789abcdef"); /* cut: a full line would wrap */
    terminal_progress(&terminal, "%s", "\xC3\xA9\xC3\xA9");
    terminal_message(&terminal, "saved");
    terminal_progress(&terminal, "end");
    terminal_finish(&terminal);
    terminal_finish(&terminal);
    char text[400] = "";
    size_t length = 0;
    while (!strstr(text, "end\r\n")) { /* the kernel hands it on in pieces, when it gets to it */
        ssize_t got = read(keyboard, text + length, sizeof text - 1 - length);
        assert_true(got > 0);
        length += (size_t)got;
    }
    assert_string_equal(text, "\r\033[K0123456789\r\033[K\xC3\xA9\xC3\xA9\r\033[Ksaved\r\n\r\033[Kend\r\n");
    fclose(screen);
    close(keyboard);
}

static void width_without_a_terminal(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct terminal terminal;
    terminal_init(&terminal, file);
    assert_int_equal(setenv("COLUMNS", "132", 1), 0);
    assert_int_equal(terminal_width(&terminal), 132);
    assert_int_equal(setenv("COLUMNS", "none", 1), 0);
    assert_int_equal(terminal_width(&terminal), 80);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gets_lines),
        cmocka_unit_test(a_terminal_gets_one_line),
        cmocka_unit_test(width_without_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
