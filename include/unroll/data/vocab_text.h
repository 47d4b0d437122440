/* A vocabulary as text, for files that hold nothing else: a line for each entry in order, the entry (data/escape.h),
 * a tab and its count in the training text. */
#ifndef UNROLL_DATA_VOCAB_TEXT_H
#define UNROLL_DATA_VOCAB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/data/vocab.h"

/* Ends with a null byte; belongs to the caller (mem_free). STATUS_OS if memory is short. */
enum status vocab_text_write(const struct vocab *vocab, char **text, size_t *length, struct error *e);

/* Reads such a text, which may lack the counts (all 0 then) and, in front of them, the first entry "<unk>". What is
 * wrong with it is STATUS_DATA, with `name` and the number of the line. */
enum status vocab_text_read(const char *text, size_t length, enum level level, const char *name, struct vocab **out,
                            struct error *e);

/* The same from a file, for texts of a normal form: missing STATUS_NOINPUT, larger than any vocabulary STATUS_DATA.
 * With `strict` so is an entry that no text can give: no single grapheme cluster, a word with a blank in it, not in
 * the normal form. (Where the entries are rows of weights, such ones do no harm, and cannot be left out.) */
enum status vocab_text_load(const char *path, enum level level, enum normal normal, bool strict, struct vocab **out,
                            struct error *e);

#endif
