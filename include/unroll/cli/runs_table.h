/* Runs side by side, for people: what `unroll runs` prints. */
#ifndef UNROLL_CLI_RUNS_TABLE_H
#define UNROLL_CLI_RUNS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "unroll/base/status.h"
#include "unroll/train/run_record.h"

/* Whether losses of two runs compare: the same task on the same corpus. */
bool runs_compare(const struct run_record *a, const struct run_record *b);

/* When its last start was, in local time: "2026-11-26 22:10"; "-" if it does not say. Returns `text`. */
const char *runs_started(const struct run_record *record, char text[64]);

/* Prints the `count` > 0 records, which compare with each other, in their order: a line each, with the options in
 * which they differ. `width`: columns of a terminal, into which it is made to fit; 0: all of it. STATUS_OS. */
enum status runs_table(const struct run_record *const *record, size_t count, FILE *stream, int width, struct error *e);

#endif
