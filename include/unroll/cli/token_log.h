/* What `eval --per-token` writes: the log-probability of each token of a split, as `score --per-token` prints those of
 * the text (cli/score_output.h), so that another model's are mixed with them (cli/mixture.h): a model that learns on
 * the way has no other way there. One lane, of a vocabulary with line ends. */
#ifndef UNROLL_CLI_TOKEN_LOG_H
#define UNROLL_CLI_TOKEN_LOG_H

#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/data/vocab.h"

struct token_log;

/* Keeps all lines in memory until they are written, some 30 bytes a token. `vocab` stays the caller's. STATUS_OS. */
enum status token_log_open(const struct vocab *vocab, struct token_log **out, struct error *e);
void token_log_free(struct token_log *log); /* NULL is allowed */

/* The next window of the lane: evaluator_config.look, with the log as its context. */
void token_log_look(void *log, const struct window *window, const float *row);

/* At the end, into the file `path` by file_write_report. STATUS_CHECKPOINT if a line's log-probability is not finite;
 * STATUS_OS; those of the file. */
enum status token_log_write(struct token_log *log, const char *path, struct error *e);

#endif
