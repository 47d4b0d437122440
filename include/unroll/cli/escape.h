/* A token's text on a line of its own. */
#ifndef UNROLL_CLI_ESCAPE_H
#define UNROLL_CLI_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/* Writes `text` with \t, \n, \r, \\ and \xHH for a tab, line end, carriage return, backslash and another byte that does not
 * print. */
void escape_put(FILE *stream, const char *text, size_t length);

#endif
