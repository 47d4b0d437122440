/* Reads another model's probabilities, token by token, and mixes them with one's own. */
#include "unroll/cli/mixture.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/score_output.h"
#include "unroll/data/clean.h"

#define ADVICE "train both on corpora that 'unroll prepare' made from the same training text with the same options"

struct mixture {
    const char *path, *model;
    double lambda;
    const struct vocab *vocab;
    FILE *file;
    char *text; /* the file's current line, by getline */
    size_t capacity;
    int64_t number; /* of the file's current line */
    bool headed;    /* the first line names the vocabulary */
    bool held;      /* the current line has been read and not yet used */
    char *token;    /* the token expected, as it is printed; by open_memstream */
    size_t token_size;
    FILE *token_stream;
};

/* The file's next line without its end, LF or CR LF; NULL at the file's end. */
static char *next_line(struct mixture *mixture)
{
    if (mixture->held) {
        mixture->held = false;
        return mixture->text;
    }
    ssize_t length = getline(&mixture->text, &mixture->capacity, mixture->file);
    if (length < 0)
        return NULL;
    if (length > 0 && mixture->text[length - 1] == '\n')
        length--;
    mixture->text[clean_line(mixture->text, (size_t)length)] = '\0';
    mixture->number++;
    return mixture->text;
}

static enum status refuse(const struct mixture *mixture, const char *what, struct error *e)
{
    return error_set(e, STATUS_DATA,
                     "cannot mix with '%s': line %lld %s; write it with 'unroll score --per-token' from the same text",
                     mixture->path, (long long)mixture->number, what);
}

/* What the first line says about the vocabulary, if it is one that does. */
static enum status read_head(struct mixture *mixture, struct error *e)
{
    static const char begin[] = SCORE_HEAD_LINE "\t" SCORE_HEAD_TOKEN;
    char digest[33], own[33], rest[64] = "", path[ESCAPE_SHOWN], model[ESCAPE_SHOWN];
    const char *line = next_line(mixture);
    vocab_digest(mixture->vocab, own);
    if (line && line[0] == '{')
        return refuse(mixture, "is JSON and not number, token and log-probability", e);
    if (!line || strncmp(line, begin, strlen(begin)) != 0) {
        mixture->held = line != NULL;
        fprintf(
            stderr,
            "unroll: '%s' does not say what vocabulary it is of: taken to be that of '%s', as it must be for a mixture "
            "whose probabilities add up to 1\n",
            escape_shown(mixture->path, path), escape_shown(mixture->model, model));
        return STATUS_OK;
    }
    mixture->headed = true;
    if (sscanf(line + strlen(begin), "%32[0-9a-f]\t%63[^\n]", digest, rest) != 2)
        return refuse(mixture, "is damaged", e);
    if (strcmp(digest, own) != 0)
        return error_set(
            e, STATUS_DATA,
            "cannot mix with '%s': it is of vocabulary %.12s and '%s' of %.12s; probabilities of different "
            "words do not add up to 1: " ADVICE,
            mixture->path, digest, mixture->model, own);
    if (strcmp(rest, SCORE_HEAD_LOGP) != 0)
        return error_set(e, STATUS_DATA,
                         "cannot mix with '%s': it holds '%s' instead of probabilities; write it without --oov-penalty",
                         mixture->path, rest);
    return STATUS_OK;
}

enum status mixture_open(const char *path, double lambda, const char *model, const struct vocab *vocab,
                         struct mixture **out, struct error *e)
{
    *out = NULL;
    struct mixture *mixture = mem_alloc(1, sizeof *mixture, "a mixture of models", e);
    if (!mixture)
        return STATUS_OS;
    *mixture = (struct mixture){.path = path, .model = model, .lambda = lambda, .vocab = vocab};
    enum status status = STATUS_OK;
    mixture->file = fopen(path, "re");
    if (!mixture->file)
        status = error_set(e, status_of_errno(errno), "cannot open '%s': %s; check the path and its permissions", path,
                           strerror(errno));
    else if (!(mixture->token_stream = open_memstream(&mixture->token, &mixture->token_size)))
        status = error_set(e, STATUS_OS, "out of memory for a token");
    if (!status)
        status = read_head(mixture, e);
    if (status) {
        mixture_close(mixture);
        return status;
    }
    *out = mixture;
    return STATUS_OK;
}

void mixture_close(struct mixture *mixture)
{
    if (!mixture)
        return;
    if (mixture->file)
        (void)fclose(mixture->file);
    if (mixture->token_stream)
        (void)fclose(mixture->token_stream);
    free(mixture->token);
    free(mixture->text);
    mem_free(mixture);
}

double mixture_logp(double lambda, double own, double other)
{
    double a = arithmetic_log(lambda) + own, b = arithmetic_log1p(-lambda) + other;
    double most = a > b ? a : b;
    return most == -INFINITY ? most : most + arithmetic_log(arithmetic_exp(a - most) + arithmetic_exp(b - most));
}

/* The token as `score` prints it; owned by the mixture. NULL if memory is short. */
static const char *printed(struct mixture *mixture, uint32_t token)
{
    size_t length;
    const char *text = vocab_text(mixture->vocab, token, &length);
    rewind(mixture->token_stream);
    escape_put(mixture->token_stream, text, length);
    fputc('\0', mixture->token_stream);
    return fflush(mixture->token_stream) == 0 ? mixture->token : NULL;
}

static enum status read_logp(struct mixture *mixture, int64_t line, uint32_t token, double *logp, struct error *e)
{
    char *text = next_line(mixture), *end, *name, *number;
    if (!text)
        return error_set(e, STATUS_DATA,
                         "cannot mix with '%s': it ends after %lld tokens, in line %lld of the text; write it with "
                         "'unroll score --per-token' from the same text",
                         mixture->path, (long long)(mixture->number - mixture->headed), (long long)line);
    long long found = strtoll(text, &end, 10);
    name = *end == '\t' ? end + 1 : NULL;
    number = name ? strchr(name, '\t') : NULL;
    if (end == text || !number)
        return refuse(mixture, "is not number, token and log-probability", e);
    *number++ = '\0';
    *logp = strtod(number, &end);
    if (end == number || *end || isnan(*logp) || *logp > 1e-5)
        return refuse(mixture, "has no log-probability", e);
    const char *expected = printed(mixture, token);
    if (!expected)
        return error_set(e, STATUS_OS, "out of memory for a token");
    if (found == line && strcmp(name, expected) == 0)
        return STATUS_OK;
    if (found == line && (token == VOCAB_UNK || strcmp(name, VOCAB_UNK_WORD) == 0))
        return error_set(e, STATUS_DATA,
                         "cannot mix with '%s': line %lld has '%.100s' where the model has '%.100s', so the two know "
                         "different words and have no distribution together; " ADVICE,
                         mixture->path, (long long)mixture->number, name, expected);
    return refuse(mixture, "is about another token", e);
}

enum status mixture_apply(struct mixture *mixture, int64_t line, const uint32_t *tokens, float *logp, int64_t count,
                          struct error *e)
{
    for (int64_t i = 1; i < count; i++) {
        double other = 0;
        enum status status = read_logp(mixture, line, tokens[i], &other, e);
        if (status)
            return status;
        logp[i] = (float)mixture_logp(mixture->lambda, (double)logp[i], other);
    }
    return STATUS_OK;
}

enum status mixture_end(struct mixture *mixture, struct error *e)
{
    return next_line(mixture) ? refuse(mixture, "is behind the end of the text", e) : STATUS_OK;
}
