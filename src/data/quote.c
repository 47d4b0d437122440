/* Wraps a text into lines for a terminal. */
#include "unroll/data/quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/data/utf8.h"

#define TAB 8

struct line {
    int limit; /* columns */
    void (*put)(void *context, const char *line);
    void *context;
    char text[QUOTE_LINE_BYTES + 1];
    size_t length;
    int columns;
    bool word;         /* not only blanks */
    size_t blank;      /* place of the last blank at which the line may be cut, or its end if it is full; 0: none */
    int blank_columns; /* in front of it */
    bool open;         /* something has come since the last line end */
};

/* Puts out the first `length` bytes, less blanks at their end. */
static void put_line(struct line *line, size_t length)
{
    while (length > 0 && line->text[length - 1] == ' ')
        length--;
    char held = line->text[length];
    line->text[length] = '\0';
    line->put(line->context, line->text);
    line->text[length] = held;
}

/* Makes room: puts out what stands before the last blank, or all, and keeps what follows it. */
static void wrap(struct line *line)
{
    bool cut = line->blank > 0 && line->blank < line->length;
    size_t gone = cut ? line->blank + 1 : line->length;
    put_line(line, cut ? line->blank : line->length);
    memmove(line->text, line->text + gone, line->length - gone);
    line->columns -= cut ? line->blank_columns + 1 : line->columns;
    line->length -= gone;
    line->word = line->length > 0;
    line->blank = 0;
}

static void end_line(struct line *line)
{
    put_line(line, line->length);
    line->length = line->blank = 0;
    line->columns = 0;
    line->word = line->open = false;
}

static bool has_room(const struct line *line, size_t length, int columns)
{
    bool blank_behind = line->blank > 0 && line->blank == line->length;
    return !blank_behind && line->columns + columns <= line->limit && line->length + length <= QUOTE_LINE_BYTES;
}

static void add_character(struct line *line, const char *bytes, size_t length, int columns)
{
    while (line->length > 0 && !has_room(line, length, columns))
        wrap(line);
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
    line->columns += columns;
    line->open = true;
}

static void add_word(struct line *line, const char *bytes, size_t length, int columns)
{
    add_character(line, bytes, length, columns);
    line->word = true;
}

/* Blanks that a line begins with are its indentation: no place to cut it. */
static void add_blank(struct line *line)
{
    bool full = line->columns == line->limit;
    if (!full)
        add_character(line, " ", 1, 1);
    if (line->word) {
        line->blank = full ? line->length : line->length - 1;
        line->blank_columns = full ? line->columns : line->columns - 1;
    }
}

static void add_bytes(struct line *line, const char *bytes, int count)
{
    for (int i = 0; i < count; i++) {
        char piece[8];
        int length = snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)bytes[i]);
        add_word(line, piece, (size_t)length, length);
    }
}

/* The character or byte at the beginning of `text`; returns how many bytes that was. */
static size_t add_next(struct line *line, const char *text, size_t length)
{
    int bad, step = utf8_sequence(text, length, &bad), bytes;
    if (step <= 0) {
        add_bytes(line, text, 1);
        return 1;
    }
    int columns = utf8_columns(utf8_decode(text, &bytes));
    if (text[0] == '\n') {
        end_line(line);
    } else if (text[0] == '\t') {
        do
            add_blank(line);
        while (line->columns % TAB != 0 && line->columns < line->limit);
    } else if (text[0] == ' ') {
        add_blank(line);
    } else if (columns < 0) {
        add_bytes(line, text, step);
    } else {
        add_word(line, text, (size_t)step, columns);
    }
    return (size_t)step;
}

void quote_lines(const char *text, size_t length, int columns, void (*put)(void *context, const char *line),
                 void *context)
{
    struct line line = {.limit = columns, .put = put, .context = context};
    CHECK(columns >= 16 && columns <= QUOTE_COLUMNS_MAX);
    for (size_t at = 0; at < length;) {
        bool pair = length - at >= 2 && text[at] == '\r' && text[at + 1] == '\n';
        at += pair ? 1 : add_next(&line, text + at, length - at);
    }
    if (line.open)
        end_line(&line);
}
