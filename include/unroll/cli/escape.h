/* A token's text on a line of its own, and names of whoever in messages. */
#ifndef UNROLL_CLI_ESCAPE_H
#define UNROLL_CLI_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/* Writes `text` with \t, \n, \r, \\ and \xHH for a tab, line end, carriage return, backslash and another byte that
 * does not print. */
void escape_put(FILE *stream, const char *text, size_t length);

#define ESCAPE_SHOWN 800

/* For messages: `text` as it is, but that what is no UTF-8, control characters, line ends and tabs among them, and
 * what turns the direction of writing stand as \xHH, so that nothing in a name moves the cursor or begins a line.
 * Cut off where `shown` is full; returns it. */
const char *escape_shown(const char *text, char shown[ESCAPE_SHOWN]);

/* A message of one line, on standard error, as "unroll: TEXT", so shown. */
void escape_tell(const char *text);

#endif
