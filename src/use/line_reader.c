/* Reads lines of a file, a pipe or memory, and turns them into tokens. */
#include "unroll/use/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/data/clean.h"
#include "unroll/data/encoding.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"

#define BLOCK ((size_t)1 << 16)

struct line_reader {
    const char *name;
    const struct level_kind *level;
    struct tokenizer *tokenizer;
    int fd; /* -1 over memory and when closed */
    bool standard_input;
    /* The block: bytes [at, clean) are checked and wait to be tokenized, [clean, filled) wait for what follows them. */
    char *block;
    size_t at, clean, filled;
    struct clean rule;
    bool exhausted;    /* nothing follows `filled` */
    bool faulty;       /* what follows `clean` is not text */
    unsigned char bad; /* its first byte */
    bool later;        /* the block is not the first */
    enum content content;
    const char *cut; /* what to say if it is the beginning of a character, where the input ends; else NULL */
    enum encoding encoding;
    char advice[ENCODING_TEXT]; /* what to do with what is no text */
    int64_t offset;             /* of block[at] in the cleaned text */
    int64_t bytes;              /* read; a line end that the input lacks is one */
    enum markers markers, known;
    int64_t refused; /* line of a marker that is refused; 0: none */
    struct marker_counts met;
    int64_t line; /* number of the current line, from 1 */
    bool line_begun;
    const uint32_t *rest; /* tokens that there was no room for; the tokenizer's */
    size_t rest_count;
    bool ending; /* and with them the line is complete */
};

/* ---- opening ---- */

bool line_reader_lowers(const struct vocab *vocab)
{
    if (!level_kind(vocab->level)->utf8)
        return false;
    for (uint64_t at = 0; at < vocab->offsets[vocab->size];) {
        int length;
        uint32_t code = utf8_decode(vocab->bytes + at, &length);
        if (utf8_lower(code) != code)
            return false;
        at += (uint64_t)length;
    }
    return true;
}

static enum status make_reader(const char *name, size_t room, const struct vocab *vocab, struct line_reader **out,
                               struct error *e)
{
    *out = NULL;
    struct line_reader *reader = mem_alloc(1, sizeof *reader, "a reader of lines", e);
    if (!reader)
        return STATUS_OS;
    *reader = (struct line_reader){.name = name, .level = level_kind(vocab->level), .fd = -1, .line = 1};
    reader->block = mem_alloc(room, 1, "a block of text", e);
    enum status status = STATUS_OS;
    if (reader->block)
        status = tokenizer_open(vocab, line_reader_lowers(vocab), &reader->tokenizer, e);
    if (status) {
        line_reader_close(reader);
        return status;
    }
    *out = reader;
    return STATUS_OK;
}

void line_reader_markers(struct line_reader *reader, enum markers markers, enum markers known)
{
    reader->markers = markers;
    reader->known = known;
    tokenizer_set_markers(reader->tokenizer, markers);
}

void line_reader_met(const struct line_reader *reader, struct marker_counts *met)
{
    *met = reader->met;
}

static enum status open_input(struct line_reader *reader, const char *path, struct error *e)
{
    reader->fd = reader->standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd >= 0)
        return STATUS_OK;
    int number = errno;
    if (number == ENOENT && strchr(path, ' '))
        return error_set(e, status_of_errno(number),
                         "cannot open '%.200s': %s; is it a text? then write: echo '...' | unroll ...", path,
                         strerror(number));
    return error_set(e, status_of_errno(number), "cannot open '%s': %s; check the path and its permissions", path,
                     strerror(number));
}

enum status line_reader_open(const char *path, const struct vocab *vocab, struct line_reader **out, struct error *e)
{
    bool standard = !path || file_is_standard(path);
    enum status status = make_reader(standard ? "standard input" : path, BLOCK, vocab, out, e);
    if (status)
        return status;
    (*out)->standard_input = standard;
    status = open_input(*out, path, e);
    if (status) {
        line_reader_close(*out);
        *out = NULL;
    }
    return status;
}

void line_reader_close(struct line_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0 && !reader->standard_input)
        (void)close(reader->fd);
    tokenizer_free(reader->tokenizer);
    mem_free(reader->block);
    mem_free(reader);
}

/* ---- bytes ---- */

/* Invalid text begins at block[from]; `whole`: the bytes before it are unchanged. */
static void note_fault(struct line_reader *reader, size_t from, bool whole)
{
    reader->bad = (unsigned char)reader->block[from];
    if (!reader->later && whole)
        reader->content = content_of(reader->block, reader->filled);
    reader->cut = encoding_cut(reader->block, reader->filled, from);
    reader->encoding = encoding_advice(reader->block, reader->filled, 0, NULL, reader->advice);
}

/* Checks what was read, in place; reader->at and reader->clean are 0. */
static void clean_block(struct line_reader *reader)
{
    char *block = reader->block;
    size_t mark = 0, made = reader->filled, whole = reader->filled, taken = reader->filled;
    if (reader->level->utf8) {
        whole = clean_whole(&reader->rule, block, reader->filled, reader->exhausted, &mark);
        taken = clean_copy(&reader->rule, block + mark, whole, block, &made);
    }
    size_t from = mark + taken;
    if (taken < whole) {
        reader->faulty = reader->exhausted = true;
        note_fault(reader, from, from == made);
        from = reader->filled;
    }
    memmove(block + made, block + from, reader->filled - from);
    reader->later = true;
    reader->filled -= from - made;
    reader->clean = made;
}

enum status line_reader_open_text(const char *text, size_t length, const char *name, const struct vocab *vocab,
                                  struct line_reader **out, struct error *e)
{
    enum status status = make_reader(name, length, vocab, out, e);
    if (status)
        return status;
    memcpy((*out)->block, text, length);
    (*out)->filled = length;
    (*out)->bytes = (int64_t)length;
    (*out)->exhausted = true;
    clean_block(*out);
    return STATUS_OK;
}

/* Reads until something is clean or the input ends. */
static enum status fill_block(struct line_reader *reader, struct error *e)
{
    while (reader->at == reader->clean && !reader->exhausted) {
        size_t tail = reader->filled - reader->clean;
        memmove(reader->block, reader->block + reader->clean, tail);
        reader->at = reader->clean = 0;
        reader->filled = tail;
        ssize_t got = read(reader->fd, reader->block + tail, BLOCK - tail);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EISDIR)
            return error_set(e, STATUS_NOINPUT, "cannot read '%s': it is a directory; name a text file", reader->name);
        if (got < 0)
            return error_set(e, STATUS_IO, "cannot read '%s': %s; check the disk", reader->name, strerror(errno));
        reader->filled += (size_t)got;
        reader->bytes += got;
        reader->exhausted = got == 0;
        clean_block(reader);
    }
    return STATUS_OK;
}

int64_t line_reader_bytes(const struct line_reader *reader)
{
    return reader->bytes;
}

bool line_reader_ready(const struct line_reader *reader)
{
    if (reader->rest_count > 0 || reader->exhausted ||
        memchr(reader->block + reader->at, '\n', reader->clean - reader->at))
        return true;
    struct pollfd wait = {.fd = reader->fd, .events = POLLIN};
    return poll(&wait, 1, 0) != 0;
}

static enum status refuse_bytes(const struct line_reader *reader, struct error *e)
{
    enum status status = content_refuse_text(reader->content, reader->name, false, e);
    if (status)
        return status;
    if (reader->cut)
        return error_set(e, STATUS_DATA,
                         "cannot read '%s' as UTF-8: invalid byte 0x%02x in line %lld: %s; get the whole text",
                         reader->name, reader->bad, (long long)reader->line, reader->cut);
    if (reader->encoding == ENCODING_BINARY)
        return error_set(e, STATUS_DATA,
                         "cannot read '%s' as text: invalid byte 0x%02x in line %lld, among NUL and control bytes: it "
                         "is no text (binary); use a model of --level byte if that is meant, else name a text",
                         reader->name, reader->bad, (long long)reader->line);
    if (reader->bad == 0 && reader->encoding != ENCODING_WIDE)
        return error_set(e, STATUS_DATA, "cannot read '%s' as text: NUL byte in line %lld; remove it", reader->name,
                         (long long)reader->line);
    return error_set(e, STATUS_DATA, "cannot read '%s' as UTF-8: invalid byte 0x%02x in line %lld; convert the text %s",
                     reader->name, reader->bad, (long long)reader->line, reader->advice);
}

/* ---- tokens ---- */

/* What the tokenizer held back may be more than there is room for: the rest comes with the next call. */
static void take_rest(struct line_reader *reader, uint32_t *tokens, int64_t capacity, struct line_part *part)
{
    size_t room = (size_t)(capacity - part->count), count = reader->rest_count < room ? reader->rest_count : room;
    memcpy(tokens + part->count, reader->rest, count * sizeof *tokens);
    part->count += (int64_t)count;
    reader->rest += count;
    reader->rest_count -= count;
    if (reader->rest_count > 0 || !reader->ending)
        return;
    reader->ending = false;
    part->line_ended = true;
    reader->line_begun = false;
    reader->line++;
}

/* Behind the tokenizer: whether the current line may hold what was met. */
static enum status judge_markers(struct line_reader *reader)
{
    struct tokenizer_met met;
    tokenizer_take_met(reader->tokenizer, &met);
    markers_add(&reader->met, &met.markers);
    if (reader->markers == MARKERS_STRIP)
        reader->bytes -= markers_bytes(&met.markers);
    if (reader->markers != MARKERS_REFUSE || !markers_found(&met.markers))
        return STATUS_OK;
    reader->refused = reader->line;
    return STATUS_DATA; /* told when they are counted */
}

/* Tokenizes the part of the current line that lies in the block, at most `room` bytes; the line end stays. */
static enum status take_bytes(struct line_reader *reader, size_t room, uint32_t *tokens, int64_t capacity,
                              struct line_part *part, struct error *e)
{
    const char *bytes = reader->block + reader->at;
    size_t length = reader->clean - reader->at;
    const char *line_end = memchr(bytes, '\n', length);
    if (line_end)
        length = (size_t)(line_end - bytes);
    if (length > room) {
        length = room;
        while (reader->level->utf8 && ((unsigned char)bytes[length] & 0xc0) == 0x80)
            length--; /* not inside a character */
    }
    enum status status = tokenizer_feed(reader->tokenizer, bytes, length, reader->name, reader->offset, &reader->rest,
                                        &reader->rest_count, e);
    if (status)
        return status;
    take_rest(reader, tokens, capacity, part);
    reader->at += length;
    reader->offset += (int64_t)length;
    reader->line_begun = reader->line_begun || length > 0;
    return judge_markers(reader);
}

/* The line's last word, if the line end closes one, or what else was held back. */
static enum status end_line(struct line_reader *reader, uint32_t *tokens, int64_t capacity, struct line_part *part,
                            struct error *e)
{
    enum status status = tokenizer_end(reader->tokenizer, &reader->rest, &reader->rest_count, e);
    if (!status)
        status = judge_markers(reader);
    if (status)
        return status;
    if (reader->level->ends_lines && reader->rest_count > 0)
        reader->rest_count--; /* the tokenizer adds the end of a line with words, as for a text's last line */
    reader->ending = true;
    take_rest(reader, tokens, capacity, part);
    return STATUS_OK;
}

static enum status next_part(struct line_reader *reader, uint32_t *tokens, int64_t capacity, struct line_part *part,
                             struct error *e)
{
    *part = (struct line_part){0};
    if (reader->rest_count > 0) {
        take_rest(reader, tokens, capacity, part);
        return STATUS_OK;
    }
    enum status status = fill_block(reader, e);
    if (status)
        return status;
    if (reader->at == reader->clean && reader->faulty)
        return refuse_bytes(reader, e);
    if (reader->at == reader->clean) {
        part->input_ended = !reader->line_begun;
        reader->bytes += reader->line_begun;
        return reader->line_begun ? end_line(reader, tokens, capacity, part, e) : STATUS_OK;
    }
    /* A piece has no more tokens than bytes, and a word and a line end that were open. */
    size_t room = (size_t)capacity - 4;
    status = take_bytes(reader, room, tokens, capacity, part, e);
    if (status || reader->rest_count > 0 || reader->at == reader->clean || reader->block[reader->at] != '\n')
        return status;
    if (part->count + 2 > capacity)
        return STATUS_OK;
    reader->at++;
    reader->offset++;
    return end_line(reader, tokens, capacity, part, e);
}

/* Whether the rest of the input is there to be read: of a pipe it may never come. */
static bool is_whole(const struct line_reader *reader)
{
    struct stat about;
    return reader->fd < 0 || (fstat(reader->fd, &about) == 0 && S_ISREG(about.st_mode));
}

/* Reads on, only to count, and tells all that the input holds, if it can be read whole. */
static enum status tell_refused(struct line_reader *reader, struct error *e)
{
    uint32_t tokens[1024];
    struct line_part part = {0};
    bool whole = is_whole(reader);
    reader->markers = MARKERS_KEEP;
    while (whole && !part.input_ended)
        whole = !next_part(reader, tokens, 1024, &part, NULL);
    return markers_refused(whole ? &reader->met : NULL, reader->name, reader->refused, reader->known, e);
}

enum status line_reader_next(struct line_reader *reader, uint32_t *tokens, int64_t capacity, struct line_part *part,
                             struct error *e)
{
    CHECK(capacity >= LINE_READER_CAPACITY_MIN);
    enum status status = next_part(reader, tokens, capacity, part, e);
    if (!status || reader->refused == 0)
        return status;
    *part = (struct line_part){0};
    return tell_refused(reader, e);
}
