#include "unroll/cli/prime.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unroll/cli/escape.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"
#include "unroll/use/line_reader.h"

#define NAMED_MAX 10 /* unknown characters or words that a warning names */

struct piece {
    const char *text;
    size_t length;
};

/* The next piece that can be unknown: a character, a byte, or a word. */
static bool next_piece(enum level level, const char **at, struct piece *piece)
{
    int bad;
    if (level == LEVEL_WORD)
        *at += strspn(*at, " \t\n\v\f\r");
    else if (level == LEVEL_CHAR && strncmp(*at, "\r\n", 2) == 0)
        ++*at; /* read as a line end alone */
    piece->text = *at;
    piece->length = level == LEVEL_WORD ? strcspn(*at, " \t\n\v\f\r") : **at != '\0';
    if (level == LEVEL_CHAR && piece->length > 0)
        piece->length = (size_t)utf8_sequence(*at, strlen(*at), &bad);
    *at += piece->length;
    return piece->length > 0;
}

static enum status is_unknown(struct tokenizer *tokenizer, struct piece piece, bool *unknown, struct error *e)
{
    const uint32_t *ids;
    size_t count;
    *unknown = false;
    enum status status = tokenizer_feed(tokenizer, piece.text, piece.length, "--prime", 0, &ids, &count, e);
    for (size_t i = 0; i < count && !status; i++)
        *unknown = *unknown || ids[i] == VOCAB_UNK;
    if (!status)
        status = tokenizer_end(tokenizer, &ids, &count, e);
    for (size_t i = 0; i < count && !status; i++) /* of a word the line end behind it is no part */
        *unknown = *unknown || (i == 0 && ids[i] == VOCAB_UNK);
    return status;
}

/* Unknown pieces, each once, at most NAMED_MAX; returns in *count how many there are, one more if not all are there. */
static enum status find_unknowns(const char *text, const struct vocab *vocab, enum markers markers,
                                 struct piece *pieces, int *count, struct error *e)
{
    struct tokenizer *tokenizer;
    struct piece piece;
    enum status status = tokenizer_open(vocab, line_reader_lowers(vocab), &tokenizer, e);
    *count = 0;
    if (!status)
        tokenizer_set_markers(tokenizer, markers);
    while (!status && *count <= NAMED_MAX && next_piece(vocab->level, &text, &piece)) {
        bool unknown, told = false;
        status = is_unknown(tokenizer, piece, &unknown, e);
        for (int i = 0; i < *count && i < NAMED_MAX; i++)
            told = told || (pieces[i].length == piece.length && memcmp(pieces[i].text, piece.text, piece.length) == 0);
        if (status || !unknown || told)
            continue;
        if (*count < NAMED_MAX)
            pieces[*count] = piece;
        (*count)++;
    }
    tokenizer_free(tokenizer);
    return status;
}

enum status prime_warn(const struct prime *prime, const struct vocab *vocab, enum markers markers, struct error *e)
{
    struct piece pieces[NAMED_MAX];
    int count;
    int64_t unknown = 0;
    for (int64_t i = 0; i < prime->count; i++)
        unknown += prime->tokens[i] == VOCAB_UNK;
    if (unknown == 0)
        return STATUS_OK;
    enum status status = find_unknowns(prime->text, vocab, markers, pieces, &count, e);
    if (status)
        return status;
    fprintf(stderr, "unroll: %lld of the %lld tokens of --prime are unknown to the model and enter it as <unk>:",
            (long long)unknown, (long long)prime->count);
    for (int i = 0; i < count && i < NAMED_MAX; i++) {
        fputs(" '", stderr);
        escape_put(stderr, pieces[i].text, pieces[i].length);
        fputc('\'', stderr);
    }
    fputs(count > NAMED_MAX ? " ...\n" : "\n", stderr);
    return STATUS_OK;
}
