/* Writes a vocabulary as text, and reads and checks such a text. */
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
#include "unroll/data/clean.h"
#include "unroll/data/escape.h"
#include "unroll/data/tokenizer.h"

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
    const char *text; /* [length] */
    size_t length;
    int line;
    bool has_unknown; /* has a line of its own */
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
            return bad_line(parse, "no count after the tab");
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

/* ---- entries ---- */

#define SHOWN 40 /* bytes of an entry that a message shows */

/* The entry as its line has it. */
static enum status bad_entry(const struct parse *parse, int entry, const char *what, const char *fix)
{
    const char *at = parse->text, *end = parse->text + parse->length;
    char shown[ESCAPED_MAX * SHOWN + ESCAPE_MAX] = "", *to = shown;
    int line = entry + parse->has_unknown;
    for (int i = 1; i < line; i++)
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    const char *stop = at;
    while (stop < end && !strchr("\t\r\n", *stop))
        stop++;
    for (const char *limit = at + SHOWN; at < stop && at < limit; to += strlen(to)) {
        bool backslash = *at == '\\'; /* it escapes already */
        if (backslash)
            memcpy(to, "\\", 2);
        at += backslash ? 1 : escape_next(at, (size_t)(stop - at), to);
    }
    return error_set(parse->e, STATUS_DATA, "cannot use the vocabulary in '%.200s': entry '%s%s' in line %d %s; %s",
                     parse->name, shown, at < stop ? "..." : "", line, what, fix);
}

/* What is wrong with an entry that its own text does not give as a token. */
static enum status check_entry(struct tokenizer *tokenizer, const struct vocab *vocab, int entry,
                               const struct parse *parse)
{
    const struct level_kind *kind = level_kind(vocab->level);
    char not_one[64];
    size_t length, count, open;
    const uint32_t *ids;
    const char *text = vocab_text(vocab, (uint32_t)entry, &length);
    enum status status = tokenizer_feed(tokenizer, text, length, parse->name, 0, &ids, &count, parse->e);
    uint32_t token = !status && count > 0 ? ids[0] : VOCAB_UNK;
    if (!status)
        status = tokenizer_end(tokenizer, &ids, &open, parse->e);
    if (status)
        return status;
    if (count == 0 && open > 0)
        token = ids[0];
    if (count + open != (kind->ends_lines ? 2 : 1)) {
        snprintf(not_one, sizeof not_one, "is not one %s", kind->unit);
        return bad_entry(parse, entry, not_one, kind->fix);
    }
    if (token != (uint32_t)entry)
        return bad_entry(parse, entry, "is not in form nfc, as the text will be",
                         "bring the list into that form (uconv -x nfc does it), each entry once, or leave out "
                         "--normalise");
    return STATUS_OK;
}

static enum status check_entries(const struct vocab *vocab, const struct parse *parse)
{
    struct tokenizer *tokenizer;
    enum status status = tokenizer_open(vocab, false, &tokenizer, parse->e);
    for (int i = VOCAB_UNK + 1; i < vocab->size && !status; i++)
        status = check_entry(tokenizer, vocab, i, parse);
    tokenizer_free(tokenizer);
    return status;
}

/* ---- a text ---- */

static enum status parse_lines(struct parse *parse, const char *text, size_t length)
{
    static const char unknown[] = VOCAB_UNK_WORD;
    bool has_unknown = length >= 5 && memcmp(text, unknown, 5) == 0 &&
                       (length == 5 || text[5] == '\t' || text[5] == '\n' || text[5] == '\r');
    parse->has_unknown = has_unknown;
    enum status status = has_unknown ? STATUS_OK : add_entry(parse, unknown, 5);
    for (size_t at = 0; at < length && !status;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t bytes = end ? (size_t)(end - text) - at : length - at;
        parse->line++;
        if (parse->size == VOCAB_MAX)
            return bad_line(parse, "more entries than any vocabulary has");
        status = add_entry(parse, text + at, clean_line(text + at, bytes));
        at += bytes + 1;
    }
    return status;
}

static void release(struct parse *parse)
{
    mem_free(parse->bytes);
    mem_free(parse->offsets);
    mem_free(parse->counts);
}

static enum status read_text(struct parse *parse, enum level level, enum normal normal, bool strict, struct vocab **out)
{
    size_t entries = (size_t)count_lines(parse->text, parse->length) + 1; /* <unk> may have no line */
    struct vocab_fault fault;
    *out = NULL;
    parse->bytes = mem_alloc(parse->length + 8, 1, "a vocabulary", parse->e);
    parse->offsets = mem_alloc(entries + 1, sizeof *parse->offsets, "a vocabulary", parse->e);
    parse->counts = mem_alloc(entries, sizeof *parse->counts, "a vocabulary", parse->e);
    enum status status = STATUS_OS;
    if (parse->bytes && parse->offsets && parse->counts)
        status = parse_lines(parse, parse->text, parse->length);
    if (status) {
        release(parse);
        return status;
    }
    struct error reason = {0};
    status = vocab_adopt_text(level, parse->size, parse->bytes, parse->offsets, parse->counts, &fault, out, &reason);
    if (status && fault.what)
        return bad_entry(parse, fault.entry, fault.what, level_kind(level)->fix);
    if (status)
        return error_set(parse->e, status, "cannot use the vocabulary in '%.200s': %.300s", parse->name, reason.text);
    vocab_set_normal(*out, normal, NULL);
    if (strict && level_kind(level)->utf8)
        status = check_entries(*out, parse);
    if (status) {
        vocab_free(*out);
        *out = NULL;
    }
    return status;
}

/* The text after a byte order mark. */
static struct parse parse_of(const char *text, size_t length, const char *name, struct error *e)
{
    size_t mark = clean_mark(text, length);
    return (struct parse){.text = text + mark, .length = length - mark, .name = name, .e = e};
}

enum status vocab_text_read(const char *text, size_t length, enum level level, const char *name, struct vocab **out,
                            struct error *e)
{
    struct parse parse = parse_of(text, length, name, e);
    return read_text(&parse, level, NORMAL_NONE, false, out);
}

static enum status cannot_read(const char *path, int number, struct error *e)
{
    return error_set(e, status_of_errno(number), "cannot read '%s': %s; check the path and its permissions", path,
                     strerror(number));
}

enum status vocab_text_load(const char *path, enum level level, enum normal normal, bool strict, struct vocab **out,
                            struct error *e)
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
    char *text = status ? NULL : mem_alloc((size_t)about.st_size + 1, 1, "a vocabulary", e);
    ssize_t got = text ? file_read(fd, text, (size_t)about.st_size) : 0;
    if (!status && got < 0)
        status = cannot_read(path, errno, e);
    else if (!status && !text)
        status = STATUS_OS;
    size_t length = got > 0 ? (size_t)got : 0;
    struct parse parse = parse_of(text ? text : "", length, path, e);
    if (!status)
        status = read_text(&parse, level, normal, strict, out);
    struct error content = {0};
    if (status == STATUS_DATA && content_refuse_text(content_of(text, length), path, true, &content))
        error_set(e, status, "%s", content.text);
    mem_free(text);
    (void)close(fd);
    return status;
}
