/* Lines of text as tokens of a model's vocabulary (data/tokenizer.h), from a file, a pipe or memory, read once and with
 * bounded memory however long a line is.
 *
 * The rules are those of `prepare` (data/text.h): at byte level the bytes as they are; at the other levels UTF-8,
 * checked strictly, without a byte order mark at the beginning, CR LF read as LF, NUL bytes refused. The line end
 * itself is no token here. What the vocabulary lacks is VOCAB_UNK. If the vocabulary has no capital letter, the text
 * is turned into lower case, as the model's text then was (`prepare --lowercase`) or might have been. Markers in the
 * text (data/markers.h) are refused unless line_reader_markers says otherwise. */
#ifndef UNROLL_USE_LINE_READER_H
#define UNROLL_USE_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/data/markers.h"
#include "unroll/data/vocab.h"

struct line_reader;

/* Opens a file; NULL or "-" is standard input. `vocab` and `path` stay the caller's. Missing or a directory:
 * STATUS_NOINPUT. Release with line_reader_close. */
enum status line_reader_open(const char *path, const struct vocab *vocab, struct line_reader **out, struct error *e);
/* The same over a copy of `length` bytes of memory; `name` stands for the path in messages. */
enum status line_reader_open_text(const char *text, size_t length, const char *name, const struct vocab *vocab,
                                  struct line_reader **out, struct error *e);
/* What to do with markers; `known` is for messages (markers_refused). Before the first line is read. */
void line_reader_markers(struct line_reader *reader, enum markers markers, enum markers known);
/* The markers of the lines read so far. */
void line_reader_met(const struct line_reader *reader, struct marker_counts *met);
void line_reader_close(struct line_reader *reader); /* NULL is allowed */

#define LINE_READER_CAPACITY_MIN 16

struct line_part {
    int64_t count;    /* tokens stored by this call */
    bool line_ended;  /* the line is complete, by a line end or the end of the input */
    bool input_ended; /* there is no further line; count is 0 and line_ended false */
};

/* The next tokens of the current line, at most `capacity` >= LINE_READER_CAPACITY_MIN; perhaps none although the
 * line goes on. STATUS_DATA for what is not UTF-8 and for markers, and for words that are
 * too long. The message has the line's number; all tokens before the fault are delivered first. A file with markers is
 * read to its end, to count them. STATUS_IO. */
enum status line_reader_next(struct line_reader *reader, uint32_t *tokens, int64_t capacity, struct line_part *part,
                             struct error *e);

/* Bytes of the input that were read so far, without the markers that were left out. A last line without a line end
 * counts one more. Covers all lines once the input has ended. */
int64_t line_reader_bytes(const struct line_reader *reader);

/* False if the rest of the line is not there yet: the next call may wait for a pipe or a terminal. */
bool line_reader_ready(const struct line_reader *reader);

/* True if lines are turned into lower case for this vocabulary: no entry holds a character that has another lower
 * case. */
bool line_reader_lowers(const struct vocab *vocab);

#endif
