/* Tables of text for people: columns with a title, which can be made to fit a terminal. */
#ifndef UNROLL_CLI_TABLE_H
#define UNROLL_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "unroll/base/status.h"

#define TABLE_COLUMNS_MAX 64
#define TABLE_LEFT_OUT 600 /* bytes: titles of the columns that did not fit */

struct table;

struct table *table_new(size_t rows, struct error *e); /* NULL: STATUS_OS */
void table_free(struct table *table);                  /* NULL is allowed */

/* Adds a column and returns its number, -1 if there is no room for more. `drop`: those with the highest leave first
 * where the width does not suffice; 0: never. `title` is the caller's and lives as long as the table. */
int table_column(struct table *table, const char *title, bool right, int drop);

/* Sets a cell to a copy, in which bytes that do not print are escaped; nothing for column -1. Cells that were not
 * set are "-". STATUS_OS. */
enum status table_set(struct table *table, size_t row, int column, const char *text, struct error *e);

/* Columns that the lines take with all that is in the table. */
int table_width(const struct table *table);

/* Prints a line of titles and one for each row. With a `width` above 0 columns are left out until the lines fit, and
 * then the first column is cut at its left; the titles of those left out, with commas, go into `left_out`. */
void table_print(const struct table *table, FILE *stream, int width, char left_out[TABLE_LEFT_OUT]);

#endif
