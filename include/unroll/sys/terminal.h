/* Progress for people: one line that updates itself on a terminal, plain lines in a batch log. */
#ifndef UNROLL_SYS_TERMINAL_H
#define UNROLL_SYS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#define TERMINAL_COLUMNS 80 /* that every terminal has: lines of output are no longer where possible */

struct terminal {
    FILE *stream;     /* not owned */
    bool interactive; /* a terminal that can rewrite a line */
    bool line_open;   /* a progress line stands unfinished */
};

/* Looks at the stream: interactive if it is a terminal and TERM is neither unset nor "dumb". */
void terminal_init(struct terminal *terminal, FILE *stream);

/* Columns of the terminal now (it may have been resized); COLUMNS, else TERMINAL_COLUMNS, if there is none. */
int terminal_width(const struct terminal *terminal);

/* Interactive: replaces the progress line, cut to the width. Otherwise prints a line. Flushes either way. */
void terminal_progress(struct terminal *terminal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* When the next line of progress is due, for work that began `elapsed` seconds ago; both in seconds since that
 * beginning. On a terminal every second; in a plain log after 2, 5, 10, 20 and 30 s, each minute up to ten, each 5
 * minutes up to an hour, and each 10 minutes from then on: 12 hours are some 90 lines. */
double terminal_next_progress(const struct terminal *terminal, double elapsed);

/* A line that stays; a progress line in the way is erased first. */
void terminal_message(struct terminal *terminal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the progress line, so that it stays and others may print. Harmless if there is none. */
void terminal_finish(struct terminal *terminal);

/* Erases the progress line, so that others may print in its place. Harmless if there is none. */
void terminal_clear(struct terminal *terminal);

/* Under Open MPI 5's mpirun: waits a tenth of a second, until mpirun has passed on what was printed here or by another
 * rank. Call it between the standard output of a process and its messages: mpirun reads 4 KiB at a time and, up to PMIx
 * 5.0.10, puts a half line at their end in front of the next text of the process, on whichever stream that comes.
 * Elsewhere it does nothing. */
void terminal_let_output_pass(void);

#endif
