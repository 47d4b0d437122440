/* Text on a line of its own: \t, \n, \r and \\ stand for a tab, line end, carriage return and backslash, \xHH for
 * another byte that does not print or is not part of UTF-8. */
#ifndef UNROLL_DATA_ESCAPE_H
#define UNROLL_DATA_ESCAPE_H

#include <stddef.h>

#define ESCAPE_MAX 5 /* bytes that a step writes at most, with a null byte */

/* What stands for the first character or byte of `text` (`length` > 0) goes to `piece`, ended by a null byte;
 * returns how many bytes of the text that was. At most four bytes stand for one. */
size_t escape_next(const char *text, size_t length, char piece[ESCAPE_MAX]);

/* Undoes it: writes to `to`, which may be `text`, and returns how many bytes; -1 for a backslash that escapes
 * nothing. */
long escape_undo(const char *text, size_t length, char *to);

#endif
