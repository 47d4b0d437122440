/* Progress for people: one line that updates itself on a terminal, plain lines in a batch log. */
#ifndef UNROLL_SYS_TERMINAL_H
#define UNROLL_SYS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

struct terminal {
    FILE *stream;     /* not owned */
    bool interactive; /* a terminal that can rewrite a line */
    bool line_open;   /* a progress line stands unfinished */
};

/* Looks at the stream: interactive if it is a terminal and TERM is neither unset nor "dumb". */
void terminal_init(struct terminal *terminal, FILE *stream);

/* Columns of the terminal now (it may have been resized); COLUMNS, else 80, if there is none. */
int terminal_width(const struct terminal *terminal);

/* Interactive: replaces the progress line, cut to the width. Otherwise prints a line. Flushes either way. */
void terminal_progress(struct terminal *terminal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line that stays; a progress line in the way is erased first. */
void terminal_message(struct terminal *terminal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the progress line, so that it stays and others may print. Harmless if there is none. */
void terminal_finish(struct terminal *terminal);

/* Under Open MPI 5's mpirun: waits a tenth of a second for what was printed, here or by another rank, to pass. Between standard
 * output and messages of one process: up to PMIx 5.0.10 mpirun, which reads 4 KiB at a time, puts the half line at their end
 * before the next text of the process, on whatever stream that comes. Elsewhere it does nothing. */
void terminal_let_output_pass(void);

#endif
