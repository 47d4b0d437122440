/* The lines of a text file, the last one first: what a long record ends with is known without reading what comes
 * before.
 *
 * The file may be one that another process appends to: what it held when it was opened is read. A last line without
 * its end is half written and is left out. */
#ifndef UNROLL_BASE_TAIL_H
#define UNROLL_BASE_TAIL_H

#include <stddef.h>

#include "unroll/base/status.h"

#define TAIL_LINE_MAX ((size_t)16 << 20) /* bytes; a file with a longer line is no text of lines */

struct tail;

/* STATUS_NOINPUT if there is no such file; STATUS_IO, STATUS_OS. */
enum status tail_open(const char *path, struct tail **out, struct error *e);
void tail_close(struct tail *tail); /* NULL is allowed */

/* The line before the one of the last call, without its end and closed by a null byte: valid until the next call.
 * NULL in `*line` after the first line of the file. STATUS_DATA if a line is longer than TAIL_LINE_MAX; STATUS_IO,
 * STATUS_OS. */
enum status tail_next(struct tail *tail, char **line, size_t *length, struct error *e);

#endif
