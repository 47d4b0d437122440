/* Texts in files, read once from front to back in blocks: memory is two blocks, whatever the file and its lines are.
 *
 * At byte level a text is its bytes. At the other levels it is UTF-8, checked strictly: a byte order mark at the
 * file's beginning is skipped, CR LF becomes LF, and an invalid sequence or a NUL byte is refused with its byte
 * offset, or with `replace` becomes U+FFFD. What is no text at all, such as a compressed file, or UTF-16, is refused
 * by its name. A part of a file is a text too: text_cut says where a file may be cut. */
#ifndef UNROLL_DATA_TEXT_H
#define UNROLL_DATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/digest.h"
#include "unroll/base/status.h"
#include "unroll/data/level.h"

struct text_file {    /* a text that can be read at any place, again and again */
    const char *path; /* of a regular file; not owned, as the name */
    const char *name; /* for messages; another than the path if the text was unpacked or came by a pipe */
    int64_t origin;   /* where in the file the text begins ... */
    int64_t size;     /* ... and its bytes */
};

struct text_part { /* bytes [begin, end) of a text */
    const struct text_file *file;
    int64_t begin, end;
};

struct text_config {
    enum level level;
    bool replace;
};

struct text_counts {  /* what was met while reading */
    int64_t bytes;    /* of the file, as they are there */
    int64_t replaced; /* invalid sequences and NUL bytes that became U+FFFD */
    int64_t crlf;     /* CR LF that became LF */
};

/* The text of a whole regular file. Missing, a directory or a pipe: STATUS_NOINPUT; empty: STATUS_DATA. */
enum status text_look(const char *path, struct text_file *file, struct error *e);

/* Where to cut a text nearest after `offset`, by the rule `find` of its level (data/level.h; NULL: at `offset`
 * itself). At most the text's size. */
enum status text_cut(const struct text_file *file, level_cut *find, int64_t offset, int64_t *cut, struct error *e);

struct text;

/* `digest` may be NULL; it gets the part's bytes as they are in the file. Release with text_close. */
enum status text_open(const struct text_part *part, const struct text_config *config, struct digest *digest,
                      struct text **out, struct error *e);
void text_close(struct text *text); /* NULL is allowed */

/* The next block: whole code points, owned by the text and valid until the next call; *offset is about where it began
 * in the file. *length is 0 at the end only. STATUS_DATA for what is not UTF-8; STATUS_IO. */
enum status text_next(struct text *text, const char **bytes, size_t *length, int64_t *offset, struct error *e);

/* Adds the bytes of a part, as they are in the file. STATUS_IO if they cannot be read. */
enum status text_digest(const struct text_part *part, struct digest *digest, struct error *e);

/* Number of the line that holds byte `offset` of a text, from 1; 0 if it cannot be read. Reads all that stands
 * before. */
int64_t text_line(const struct text_file *file, int64_t offset);

void text_get_counts(const struct text *text, struct text_counts *counts);

#endif
