/* A text, of whatever bytes, as lines for a log or a terminal: nothing in it can move the cursor, and no line is too
 * long.
 *
 * Line ends (LF, CR LF) end lines; tabs go to the next multiple of eight columns. Other control characters, what
 * changes the direction of writing, and bytes that are not part of UTF-8 become \xHH, byte by byte (as in
 * data/escape.h); a backslash of the text stays one. A line that is too long is broken at its last blank, which is left
 * out, or inside a word that is as long as a line. Blanks at the end of a line are left out. */
#ifndef UNROLL_DATA_QUOTE_H
#define UNROLL_DATA_QUOTE_H

#include <stddef.h>

#define QUOTE_COLUMNS_MAX 200
#define QUOTE_LINE_BYTES 1024 /* at most of a line: characters of no width may stand in it, too */

/* Calls `put` with each line, of at most `columns` columns (16 to QUOTE_COLUMNS_MAX), as a string without its line
 * end. A line end at the end of the text adds no empty line; an empty text has no lines. */
void quote_lines(const char *text, size_t length, int columns, void (*put)(void *context, const char *line),
                 void *context);

#endif
