/* Reads the text that `sample` goes on from, and warns of words in it that the model does not know. */
#include "unroll/cli/prime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/escape.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"
#include "unroll/use/line_reader.h"

#define BLOCK ((size_t)1 << 16)
#define NAMED_MAX 10 /* unknown characters or words that a warning names */

/* ---- where the text comes from ---- */

static enum status read_whole(int fd, const char *name, char **held, size_t *length, struct error *e)
{
    size_t capacity = 0;
    for (;;) {
        void *text = *held;
        enum status status = mem_grow(&text, &capacity, *length + BLOCK + 1, 1, "the prime", e);
        *held = text;
        if (status)
            return status;
        ssize_t got = read(fd, *held + *length, BLOCK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EISDIR)
            return error_set(e, STATUS_NOINPUT, "cannot read '%s': it is a directory; name a text file", name);
        if (got < 0)
            return error_set(e, STATUS_IO, "cannot read '%s': %s; check the disk", name, strerror(errno));
        *length += (size_t)got;
        (*held)[*length] = '\0';
        if (got == 0)
            return STATUS_OK;
        if (*length > PRIME_BYTES_MAX)
            return error_set(
                e, STATUS_DATA,
                "cannot go on from '%s': it has more than %zu bytes; use its end, as 'tail -c 100000' gives it", name,
                PRIME_BYTES_MAX);
    }
}

enum status prime_text(const struct options *options, char **held, const char **text, size_t *length, const char **name,
                       struct error *e)
{
    const char *path = options->prime_file;
    *held = NULL;
    *text = options->prime ? options->prime : "";
    *length = strlen(*text);
    *name = "--prime";
    if (!path)
        return STATUS_OK;
    bool standard = file_is_standard(path);
    *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : file_open(path, O_RDONLY, 0);
    if (fd < 0)
        return error_set(e, status_of_errno(errno), "cannot open '%s': %s; check the path and its permissions", path,
                         strerror(errno));
    enum status status = read_whole(fd, *name, held, length, e);
    if (!standard)
        (void)close(fd);
    *text = *held;
    return status;
}

/* ---- what of it is unknown ---- */

struct piece {
    const char *text;
    size_t length;
};

/* The next piece that can be unknown: a character, with what it may be composed with, a byte, or a word. */
static bool next_piece(const struct vocab *vocab, const char **at, struct piece *piece)
{
    size_t skip;
    piece->length = level_kind(vocab->level)->piece(*at, vocab_is_new(vocab), &skip);
    piece->text = *at + skip;
    *at = piece->text + piece->length;
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
    while (!status && *count <= NAMED_MAX && next_piece(vocab, &text, &piece)) {
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
    char shown[ESCAPE_SHOWN];
    for (int64_t i = 0; i < prime->count; i++)
        unknown += prime->tokens[i] == VOCAB_UNK;
    if (unknown == 0)
        return STATUS_OK;
    enum status status = find_unknowns(prime->text, vocab, markers, pieces, &count, e);
    if (status)
        return status;
    fprintf(stderr,
            "unroll: %lld of the %lld tokens of %s are unknown to the model and enter it as <unk>:", (long long)unknown,
            (long long)prime->count, escape_shown(prime->name, shown));
    for (int i = 0; i < count && i < NAMED_MAX; i++) {
        fputs(" '", stderr);
        escape_put(stderr, pieces[i].text, pieces[i].length);
        fputc('\'', stderr);
    }
    fputs(count > NAMED_MAX ? " ...\n" : "\n", stderr);
    return STATUS_OK;
}
