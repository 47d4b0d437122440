/* INI files through libinih, extended by what makes an INI file also a TOML file: "quoted" and 'literal' strings,
 * arrays of them or of numbers on one line, and comments that start with '#'.
 *
 *     # comment          ; comment
 *     [section]
 *     hidden = 256       # bare values end at a comment or the line's end, blanks trimmed
 *     prime = "In the \"beginning\"\n"
 *     train = ["a.txt", 'b.txt']
 *     split = [90, 5, 5] # the value "90,5,5" */
#ifndef UNROLL_SYS_INI_H
#define UNROLL_SYS_INI_H

#include "unroll/base/status.h"

/* One value. `section` is "" before the first one; an array of strings gives one call for each, `element` counting
 * from 0 (0 also for a single value). The strings live until the function returns. A status other than OK ends the
 * reading. */
typedef enum status ini_entry(void *context, const char *section, const char *name, const char *value, int element,
                              int line, struct error *e);

/* Reads the file and calls `entry` for every value in order. Missing: STATUS_NOINPUT; unreadable: STATUS_IO; a line
 * that is neither section, comment nor `name = value`: STATUS_CONFIG with the file's name and the line's number;
 * otherwise the status of the first failing `entry`. */
enum status ini_read(const char *path, ini_entry *entry, void *context, struct error *e);

/* The same of a file that lies in a run's directory: never waits, as for a pipe; STATUS_DATA if it is no regular
 * file. */
enum status ini_read_regular(const char *path, ini_entry *entry, void *context, struct error *e);

#endif
