/* Numbers as text that gives the same number back: for logs, configuration and checkpoints. */
#ifndef UNROLL_BASE_NUMBER_H
#define UNROLL_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_TEXT 32 /* bytes, terminator included, that any number below fits in */

/* The shortest of %.15g, %.16g and %.17g that reads back as exactly `value`; "nan", "inf" or "-inf" if not finite.
 * Returns `text`. */
const char *number_format(double value, char text[NUMBER_TEXT]);

/* "1:02:03" of seconds, rounded; "0:00:00" for what is no time. Returns `text`. */
const char *number_duration(double seconds, char text[NUMBER_TEXT]);

/* Reads all of `text` as one number; nothing else may stand before or after it. Returns 0, ERANGE if it does not fit
 * the type, or EINVAL if it is no number. Doubles must be finite and decimal. */
int number_parse_i64(const char *text, int64_t *value);
int number_parse_u64(const char *text, uint64_t *value);
int number_parse_double(const char *text, double *value);

/* Lists of whole numbers of 1 or more, "2000,10000": in `list` [most], with zeros behind them. Returns 0, ERANGE where
 * one is too small, they are too many, or do not ascend where they must, or EINVAL where the text is no such list;
 * `list` is then as it was. */
int number_parse_list(const char *text, int most, bool ascends, int *list);
/* "" of none. Returns `text`. */
const char *number_format_list(const int *list, int most, char *text, size_t size);

#endif
