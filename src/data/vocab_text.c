#include "unroll/data/vocab_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/data/escape.h"

#define ESCAPED_MAX 4                                        /* bytes that one byte may become */
#define TEXT_MAX ((size_t)ESCAPED_MAX * VOCAB_BYTES_MAX * 2) /* a text that is longer holds no vocabulary */

/* ---- writing ---- */

enum status vocab_text_write(const struct vocab *vocab, char **text, size_t *length, struct error *e)
{
    size_t room =
        (size_t)vocab->offsets[vocab->size] * ESCAPED_MAX + (size_t)vocab->size * (NUMBER_TEXT + 2) + ESCAPE_MAX;
    char *to = *text = mem_alloc(room, 1, "a vocabulary as text", e);
    if (!to)
        return STATUS_OS;
    for (int i = 0; i < vocab->size; i++) {
        size_t bytes;
        const char *entry = vocab_text(vocab, (uint32_t)i, &bytes);
        for (size_t at = 0; at < bytes; to += strlen(to))
            at += escape_next(entry + at, bytes - at, to);
        to += sprintf(to, "\t%llu\n", (unsigned long long)vocab->counts[i]);
    }
    *to = '\0';
    *length = (size_t)(to - *text);
    return STATUS_OK;
}

/* ---- reading ---- */

struct parse {
    const char *name;
    int line;
    int size;
    char *bytes;
    uint64_t *offsets, *counts;
    struct error *e;
};

static enum status bad_line(const struct parse *parse, const char *reason)
{
    return error_set(parse->e, STATUS_DATA, "bad vocabulary in '%.200s' line %d: %s; write TOKEN or TOKEN<tab>COUNT",
                     parse->name, parse->line, reason);
}

static enum status add_entry(struct parse *parse, const char *line, size_t length)
{
    const char *tab = memchr(line, '\t', length);
    size_t text = tab ? (size_t)(tab - line) : length;
    uint64_t offset = parse->offsets[parse->size];
    long bytes = escape_undo(line, text, parse->bytes + offset);
    if (bytes < 0)
        return bad_line(parse, "a backslash that escapes nothing");
    if (tab) {
        char number[NUMBER_TEXT] = "";
        size_t digits = length - text - 1;
        if (digits < sizeof number)
            memcpy(number, tab + 1, digits);
        if (number_parse_u64(number, &parse->counts[parse->size]) != 0)
            return bad_line(parse, "no count behind the tab");
    }
    parse->offsets[++parse->size] = offset + (uint64_t)bytes;
    return STATUS_OK;
}

static int count_lines(const char *text, size_t length)
{
    size_t lines = length > 0 && text[length - 1] != '\n';
    for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))); at++)
        lines++;
    return lines < VOCAB_MAX ? (int)lines : VOCAB_MAX;
}

static enum status parse_lines(struct parse *parse, const char *text, size_t length)
{
    static const char unknown[] = VOCAB_UNK_WORD;
    bool has_unknown = length >= 5 && memcmp(text, unknown, 5) == 0 &&
                       (length == 5 || text[5] == '\t' || text[5] == '\n' || text[5] == '\r');
    enum status status = has_unknown ? STATUS_OK : add_entry(parse, unknown, 5);
    for (size_t at = 0; at < length && !status;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t bytes = end ? (size_t)(end - text) - at : length - at;
        parse->line++;
        if (parse->size == VOCAB_MAX)
            return bad_line(parse, "more entries than any vocabulary has");
        bool carriage = bytes > 0 && text[at + bytes - 1] == '\r';
        status = add_entry(parse, text + at, bytes - carriage);
        at += bytes + 1;
    }
    return status;
}

enum status vocab_text_read(const char *text, size_t length, enum level level, const char *name, struct vocab **out,
                            struct error *e)
{
    struct parse parse = {.name = name, .e = e};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        length -= 3;
    }
    size_t entries = (size_t)count_lines(text, length) + 1; /* <unk> may have no line */
    *out = NULL;
    parse.bytes = mem_alloc(length + 8, 1, "a vocabulary", e);
    parse.offsets = mem_alloc(entries + 1, sizeof *parse.offsets, "a vocabulary", e);
    parse.counts = mem_alloc(entries, sizeof *parse.counts, "a vocabulary", e);
    enum status status = STATUS_OS;
    if (parse.bytes && parse.offsets && parse.counts)
        status = parse_lines(&parse, text, length);
    if (status) {
        mem_free(parse.bytes);
        mem_free(parse.offsets);
        mem_free(parse.counts);
        return status;
    }
    struct error reason = {0};
    status = vocab_adopt(level, parse.size, parse.bytes, parse.offsets, parse.counts, STATUS_DATA, out, &reason);
    if (status)
        error_set(e, status, "cannot use the vocabulary in '%.200s': %.300s", name, reason.text);
    return status;
}

static enum status cannot_read(const char *path, int number, struct error *e)
{
    return error_set(e, status_of_errno(number), "cannot read '%s': %s; check the path and its permissions", path,
                     strerror(number));
}

static enum status read_whole(int fd, const char *path, char *text, size_t size, size_t *length, struct error *e)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(fd, text + *length, size - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot_read(path, errno, e);
        if (got == 0)
            break;
        *length += (size_t)got;
    }
    return STATUS_OK;
}

enum status vocab_text_load(const char *path, enum level level, struct vocab **out, struct error *e)
{
    struct stat about;
    *out = NULL;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return cannot_read(path, errno, e);
    enum status status = STATUS_OK;
    if (fstat(fd, &about) != 0)
        status = cannot_read(path, errno, e);
    else if (!S_ISREG(about.st_mode) || (size_t)about.st_size > TEXT_MAX)
        status = error_set(e, STATUS_DATA, "cannot use '%s' as a vocabulary: it is %s; name a text with a token a line",
                           path, S_ISREG(about.st_mode) ? "too large" : "not a regular file");
    size_t length = 0;
    char *text = status ? NULL : mem_alloc((size_t)about.st_size + 1, 1, "a vocabulary", e);
    if (!status)
        status = text ? read_whole(fd, path, text, (size_t)about.st_size, &length, e) : STATUS_OS;
    if (!status)
        status = vocab_text_read(text, length, level, path, out, e);
    struct error content = {0};
    if (status == STATUS_DATA && content_refuse_text(content_of(text, length), path, true, &content) != STATUS_OK)
        error_set(e, status, "%s", content.text);
    mem_free(text);
    (void)close(fd);
    return status;
}
