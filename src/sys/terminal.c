/* Draws the progress line, and decides when the next one is due. */
#include "unroll/sys/terminal.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define ERASE_LINE "\r\033[K"

void terminal_init(struct terminal *terminal, FILE *stream)
{
    const char *kind = getenv("TERM");
    *terminal = (struct terminal){
        .stream = stream,
        .interactive = isatty(fileno(stream)) && kind && *kind && strcmp(kind, "dumb") != 0,
    };
}

int terminal_width(const struct terminal *terminal)
{
    struct winsize size;
    if (ioctl(fileno(terminal->stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    return width > 0 ? width : TERMINAL_COLUMNS;
}

/* Cuts a UTF-8 text to `columns` code points. */
static void cut_to_columns(char *text, int columns)
{
    int seen = 0;
    for (char *at = text; *at; at++) {
        if (((unsigned char)*at & 0xC0) == 0x80)
            continue; /* inside a code point */
        if (seen++ == columns) {
            *at = '\0';
            return;
        }
    }
}

void terminal_progress(struct terminal *terminal, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (terminal->interactive) {
        cut_to_columns(line, terminal_width(terminal) - 1); /* a full line would wrap, and could not be erased */
        fprintf(terminal->stream, ERASE_LINE "%s", line);
        terminal->line_open = true;
    } else {
        fprintf(terminal->stream, "%s\n", line);
    }
    fflush(terminal->stream);
}

double terminal_next_progress(const struct terminal *terminal, double elapsed)
{
    static const double first[] = {2, 5, 10, 20, 30};
    if (terminal->interactive)
        return elapsed + 1;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (elapsed < first[i])
            return first[i];
    double distance = elapsed < 600 ? 60 : elapsed < 3600 ? 300 : 600;
    return (floor(elapsed / distance) + 1) * distance;
}

void terminal_message(struct terminal *terminal, const char *format, ...)
{
    if (terminal->line_open)
        fputs(ERASE_LINE, terminal->stream);
    terminal->line_open = false;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(terminal->stream, format, arguments);
    va_end(arguments);
    fputc('\n', terminal->stream);
    fflush(terminal->stream);
}

void terminal_finish(struct terminal *terminal)
{
    if (!terminal->line_open)
        return;
    terminal->line_open = false;
    fputc('\n', terminal->stream);
    fflush(terminal->stream);
}

void terminal_clear(struct terminal *terminal)
{
    if (!terminal->line_open)
        return;
    terminal->line_open = false;
    fputs(ERASE_LINE, terminal->stream);
    fflush(terminal->stream);
}

void terminal_let_output_pass(void)
{
    if (getenv("PRTE_LAUNCHED"))
        (void)usleep(100000);
}
