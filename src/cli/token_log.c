/* Collects the log-probabilities of a split's tokens, line by line. */
#include "unroll/cli/token_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/score_output.h"

struct token_log {
    struct score_output output;
    char *text; /* by open_memstream */
    size_t size;
    FILE *stream;
    struct error failure; /* the first one of a line; status 0: none */
};

enum status token_log_open(const struct vocab *vocab, struct token_log **out, struct error *e)
{
    *out = NULL;
    struct token_log *log = mem_alloc(1, sizeof *log, "tokens of a split", e);
    if (!log)
        return STATUS_OS;
    score_output_init(&log->output, vocab, true, false);
    log->stream = log->output.stream = open_memstream(&log->text, &log->size);
    if (!log->stream) {
        token_log_free(log);
        return error_set(e, STATUS_OS, "out of memory for the tokens of a split");
    }
    score_output_head(&log->output, 0);
    *out = log;
    return STATUS_OK;
}

void token_log_free(struct token_log *log)
{
    if (!log)
        return;
    if (log->stream)
        (void)fclose(log->stream);
    free(log->text);
    score_output_release(&log->output);
    mem_free(log);
}

void token_log_look(void *context, const struct window *window, const float *row)
{
    struct token_log *log = context;
    CHECK(window->lanes == 1);
    for (int t = 0; t < window->T; t++) {
        const uint32_t tokens[] = {window->input[t], window->target[t]};
        const float logp[] = {0, -row[t]};
        if (window->target[t] == WINDOW_NO_TARGET)
            continue;
        score_output_tokens(&log->output, tokens, logp, 2);
        if ((int)tokens[1] == log->output.vocab->eos && !log->failure.status)
            (void)score_output_end(&log->output, &log->failure);
    }
}

enum status token_log_write(struct token_log *log, const char *path, struct error *e)
{
    bool lost = fflush(log->stream) != 0 || ferror(log->stream);
    if (log->failure.status)
        return error_set(e, log->failure.status, "%s", log->failure.text);
    if (lost)
        return error_set(e, STATUS_OS, "out of memory for the tokens of a split");
    return file_write_report(path, log->text, log->size, e);
}
