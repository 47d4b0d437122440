/* Progress on a terminal, a pseudo-terminal here, and in a file. */
#include <fcntl.h>
#include <math.h>
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
    terminal_clear(&terminal); /* there is none */
    terminal_progress(&terminal, "more");
    terminal_clear(&terminal);
    terminal_message(&terminal, "ended");
    char text[400] = "";
    size_t length = 0;
    while (!strstr(text, "ended\r\n")) { /* the kernel hands it on in pieces, when it gets to it */
        ssize_t got = read(keyboard, text + length, sizeof text - 1 - length);
        assert_true(got > 0);
        length += (size_t)got;
    }
    assert_string_equal(text, "\r\033[K0123456789\r\033[K\xC3\xA9\xC3\xA9\r\033[Ksaved\r\n\r\033[Kend\r\n"
                              "\r\033[Kmore\r\033[Kended\r\n");
    fclose(screen);
    close(keyboard);
}

/* A plain log of 12 hours has a sign of life soon, and is still read in one go. */
static void lines_of_a_plain_log_grow_apart(void **state)
{
    (void)state;
    static const double first[] = {2, 5, 10, 20, 30, 60, 120, 180};
    struct terminal plain = {.interactive = false}, screen = {.interactive = true};
    double elapsed = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        elapsed = terminal_next_progress(&plain, elapsed);
        assert_true(elapsed == first[i]);
    }
    int lines = 8;
    for (; elapsed < 12 * 3600.0; lines++) {
        double next = terminal_next_progress(&plain, elapsed);
        assert_true(next > elapsed && next - elapsed <= 600);
        assert_true(next - elapsed >= 60 && fmod(next, 60) == 0);
        elapsed = next;
    }
    assert_in_range(lines, 80, 100);
    assert_true(terminal_next_progress(&plain, 7.5) == 10); /* a step that took long leaves out what is past */
    assert_true(terminal_next_progress(&screen, 7.5) == 8.5);
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
        cmocka_unit_test(lines_of_a_plain_log_grow_apart),
        cmocka_unit_test(width_without_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
