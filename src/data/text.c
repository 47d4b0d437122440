/* Reads a text file block by block, and tells what is wrong with a file that is no text. */
#include "unroll/data/text.h"
#include "unroll/base/content.h"
#include "unroll/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/data/clean.h"
#include "unroll/data/encoding.h"

#define BLOCK ((size_t)1 << 20)
#define CARRY 4 /* CLEAN_REST, and one */

struct text {
    struct text_part part;
    struct text_config config;
    struct digest *digest;
    struct clean rule;
    int64_t bytes; /* read so far */
    int fd;
    int64_t at;   /* bytes of the file up to here have been read */
    size_t carry; /* bytes at raw[taken] that belong to the next block */
    size_t taken;
    char *raw;   /* [CARRY + BLOCK] */
    char *clean; /* [CLEAN_EXPANSION * (CARRY + BLOCK)] made when first needed */
};

/* Opens a regular file; -1 with the error filled otherwise. */
static int open_regular(const char *path, int64_t *size, struct error *e)
{
    struct stat about;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0 || fstat(fd, &about) != 0) {
        int number = errno;
        if (fd >= 0)
            (void)close(fd);
        error_set(e, status_of_errno(number), "cannot open '%s': %s; check the path and its permissions", path,
                  strerror(number));
        return -1;
    }
    if (!S_ISREG(about.st_mode)) {
        (void)close(fd);
        if (S_ISDIR(about.st_mode))
            error_set(e, STATUS_NOINPUT, "cannot read '%s': it is a directory; name the text files in it", path);
        else
            error_set(e, STATUS_NOINPUT, "cannot read '%s': it is not a regular file; name one", path);
        return -1;
    }
    *size = about.st_size;
    return fd;
}

enum status text_look(const char *path, struct text_file *file, struct error *e)
{
    struct error error = {0};
    *file = (struct text_file){.path = path, .name = path};
    int fd = open_regular(path, &file->size, &error);
    if (fd < 0)
        return error_set(e, error.status, "%s", error.text);
    (void)close(fd);
    if (file->size == 0)
        return error_set(e, STATUS_DATA, "cannot use '%s': the file is empty; name a file with text", path);
    return STATUS_OK;
}

static enum status read_failed(const char *path, int number, struct error *e)
{
    return error_set(e, number == ENOMEM ? STATUS_OS : STATUS_IO, "cannot read '%s': %s; check the disk", path,
                     strerror(number));
}

static enum status became_shorter(const char *path, struct error *e)
{
    return error_set(e, STATUS_IO,
                     "cannot read '%s': it became shorter while it was read; try again when it is complete", path);
}

enum status text_cut(const struct text_file *file, level_cut *find, int64_t offset, int64_t *cut, struct error *e)
{
    int64_t size = file->size;
    *cut = offset < 0 ? 0 : offset > size ? size : offset;
    if (!find || *cut == 0 || *cut == size)
        return STATUS_OK;
    int64_t now;
    int fd = open_regular(file->path, &now, e);
    if (fd < 0)
        return e ? e->status : STATUS_NOINPUT;
    char bytes[4096 + 1];
    ssize_t found = -1;
    int number = 0;
    while (found < 0 && *cut < size) {
        ssize_t have = file_read_at(fd, bytes, sizeof bytes, file->origin + *cut - 1);
        if (have < 0)
            number = errno;
        if (have <= 1)
            break;
        found = find(bytes[0], bytes + 1, (size_t)have - 1);
        *cut += found >= 0 ? found : have - 1;
    }
    (void)close(fd);
    if (number != 0)
        return read_failed(file->name, number, e);
    if (*cut > size || found < 0)
        *cut = size;
    return STATUS_OK;
}

enum status text_open(const struct text_part *part, const struct text_config *config, struct digest *digest,
                      struct text **out, struct error *e)
{
    *out = NULL;
    struct text *text = mem_alloc(1, sizeof *text, "a text", e);
    if (!text)
        return STATUS_OS;
    *text = (struct text){.part = *part, .config = *config, .digest = digest, .at = part->begin};
    text->rule = (struct clean){.replace = config->replace, .begun = part->begin > 0};
    struct error error = {0};
    int64_t size = 0;
    text->fd = open_regular(part->file->path, &size, &error);
    text->raw = text->fd >= 0 ? mem_alloc(CARRY + BLOCK, 1, "a block of text", &error) : NULL;
    if (!text->raw) {
        text_close(text);
        return error_set(e, error.status, "%s", error.text);
    }
    (void)posix_fadvise(text->fd, part->file->origin + part->begin, part->end - part->begin,
                        POSIX_FADV_SEQUENTIAL); /* only advice */
    *out = text;
    return STATUS_OK;
}

void text_close(struct text *text)
{
    if (!text)
        return;
    if (text->fd >= 0)
        (void)close(text->fd);
    mem_free(text->raw);
    mem_free(text->clean);
    mem_free(text);
}

void text_get_counts(const struct text *text, struct text_counts *counts)
{
    *counts = (struct text_counts){text->bytes, text->rule.replaced, text->rule.crlf};
}

static int64_t line_of(int fd, int64_t origin, int64_t offset)
{
    char piece[4096];
    int64_t line = 1;
    for (int64_t at = 0; at < offset;) {
        size_t want = offset - at < (int64_t)sizeof piece ? (size_t)(offset - at) : sizeof piece;
        ssize_t have = file_read_at(fd, piece, want, origin + at);
        if (have <= 0)
            return 0;
        for (ssize_t i = 0; i < have; i++)
            line += piece[i] == '\n';
        at += have;
    }
    return line;
}

int64_t text_line(const struct text_file *file, int64_t offset)
{
    int64_t size;
    int fd = open_regular(file->path, &size, NULL);
    int64_t line = fd >= 0 ? line_of(fd, file->origin, offset) : 0;
    if (fd >= 0)
        (void)close(fd);
    return line;
}

/* What the file is, if that tells why it is no text: looked at when something in it is none. */
static enum status refuse_content(const struct text *text, struct error *e)
{
    const struct text_file *file = text->part.file;
    char glance[CONTENT_GLANCE];
    if (file->name == file->path)
        return content_refuse_text(content_of_file(file->path), file->path, true, e);
    ssize_t have =
        file_read_at(text->fd, glance, file->size < CONTENT_GLANCE ? (size_t)file->size : CONTENT_GLANCE, file->origin);
    return content_refuse_text(content_of(glance, have > 0 ? (size_t)have : 0), file->name, true, e);
}

/* Byte `at` of a block of `length`, which stands at `begin` of the file, is no text. */
static enum status invalid(const struct text *text, const char *block, size_t length, size_t at, int64_t begin,
                           struct error *e)
{
    char advice[ENCODING_TEXT];
    unsigned char byte = (unsigned char)block[at];
    int64_t offset = begin + (int64_t)at;
    const struct text_file *file = text->part.file;
    long long line = line_of(text->fd, file->origin, offset);
    enum status status = refuse_content(text, e);
    if (status)
        return status;
    enum encoding encoding = encoding_advice(block, length, begin, content_shell_name(file->name), advice);
    const char *cut = encoding_cut(block, length, at);
    if (cut && begin + (int64_t)length >= file->size)
        return error_set(e, STATUS_DATA,
                         "cannot read '%s' as UTF-8: invalid byte 0x%02x at byte offset %lld; it stands in line %lld: "
                         "%s: get the whole text, or use --invalid replace",
                         file->name, byte, (long long)offset, line, cut);
    if (encoding == ENCODING_BINARY)
        return error_set(e, STATUS_DATA,
                         "cannot read '%s' as text: %s 0x%02x at byte offset %lld, among NUL and control bytes: it is "
                         "no text (binary); use --level byte if that is meant, else name a text",
                         file->name, byte ? "invalid byte" : "NUL byte", byte, (long long)offset);
    if (byte == 0 && encoding != ENCODING_WIDE)
        return error_set(e, STATUS_DATA,
                         "cannot read '%s' as text: NUL byte at byte offset %lld; it stands in line %lld: use --level "
                         "byte, or --invalid replace",
                         file->name, (long long)offset, line);
    return error_set(e, STATUS_DATA,
                     "cannot read '%s' as UTF-8: invalid byte 0x%02x at byte offset %lld; it stands in line %lld: "
                     "convert the file %s; --invalid replace loses those letters",
                     file->name, byte, (long long)offset, line, advice);
}

/* Cleans a block that holds a CR, a NUL or something invalid. */
static enum status clean_block(struct text *text, const char *raw, size_t length, int64_t offset, size_t *cleaned,
                               struct error *e)
{
    bool first = text->rule.replaced == 0;
    if (!text->clean)
        text->clean = mem_alloc(CLEAN_EXPANSION * (CARRY + BLOCK), 1, "a block of text", e);
    if (!text->clean)
        return STATUS_OS;
    size_t taken = clean_copy(&text->rule, raw, length, text->clean, cleaned);
    if (taken < length)
        return invalid(text, raw, length, taken, offset, e);
    return first && text->rule.replaced > 0 ? refuse_content(text, e) : STATUS_OK;
}

enum status text_next(struct text *text, const char **bytes, size_t *length, int64_t *offset, struct error *e)
{
    *bytes = NULL;
    *length = 0;
    do {
        int64_t left = text->part.end - text->at;
        size_t want = left < (int64_t)BLOCK ? (size_t)left : BLOCK, carry = text->carry;
        *offset = text->at - (int64_t)carry;
        if (want + carry == 0)
            return STATUS_OK;
        memmove(text->raw, text->raw + text->taken, carry);
        ssize_t have = file_read_at(text->fd, text->raw + carry, want, text->part.file->origin + text->at);
        if (have < 0)
            return read_failed(text->part.file->name, errno, e);
        if ((size_t)have < want)
            return became_shorter(text->part.file->name, e);
        if (text->digest)
            digest_add(text->digest, text->raw + carry, want);
        text->at += have;
        text->bytes += have;
        const char *raw = text->raw;
        size_t whole = carry + want;
        if (!level_kind(text->config.level)->utf8) {
            *bytes = raw;
            *length = whole;
            return STATUS_OK;
        }
        size_t mark, clean = clean_whole(&text->rule, raw, whole, text->at == text->part.end, &mark);
        text->taken = mark + clean;
        text->carry = whole - text->taken;
        *offset += (int64_t)mark;
        raw += mark;
        whole = clean;
        *bytes = raw;
        *length = whole;
        if (clean_is_needed(raw, whole)) {
            enum status status = clean_block(text, raw, whole, *offset, length, e);
            if (status)
                return status;
            *bytes = text->clean;
        }
    } while (*length == 0); /* a block of which nothing stays, such as a lone byte order mark */
    return STATUS_OK;
}

enum status text_digest(const struct text_part *part, struct digest *digest, struct error *e)
{
    int64_t size;
    const struct text_file *file = part->file;
    int fd = open_regular(file->path, &size, e);
    if (fd < 0)
        return e ? e->status : STATUS_NOINPUT;
    char *block = mem_alloc(BLOCK, 1, "a block of text", e);
    enum status status = block ? STATUS_OK : STATUS_OS;
    for (int64_t at = part->begin; at < part->end && !status;) {
        size_t want = part->end - at < (int64_t)BLOCK ? (size_t)(part->end - at) : BLOCK;
        ssize_t have = file_read_at(fd, block, want, file->origin + at);
        if (have < 0)
            status = read_failed(file->name, errno, e);
        else if ((size_t)have < want)
            status = became_shorter(file->name, e);
        else
            digest_add(digest, block, want);
        at += have;
    }
    mem_free(block);
    (void)close(fd);
    return status;
}
