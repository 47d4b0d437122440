/* Rewrites each line of an INI file for libinih, and passes its values on. */
#include "unroll/sys/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

/* What libinih does not know, TOML's strings, arrays and '#' comments, is taken out of each line before libinih sees
 * it: the decoded values wait in `value`, and libinih gets "name = " and the marker below in their place. So quoted
 * values may hold ';', and be longer than libinih's line buffer. */
#define MARKER "\x01"

static const char not_an_entry[] = "neither a section, a comment nor 'name = value'; write one of them";

struct reader {
    FILE *file;
    const char *path;
    ini_entry *entry;
    void *context;
    struct error *e;
    enum status status;
    int line;      /* number of the line libinih works on, from 1 */
    int handled;   /* the last line whose entry was called: anything else libinih did not understand */
    bool expected; /* the current line should give an entry */
    char *raw;     /* the line as read; owned */
    size_t raw_size;
    char *value; /* [values] strings one after another, each terminated; owned */
    size_t value_size, value_length;
    int values;
};

static enum status fail(struct reader *reader, const char *reason)
{
    reader->status =
        error_set(reader->e, STATUS_CONFIG, "cannot read '%s' line %d: %s", reader->path, reader->line, reason);
    return reader->status;
}

static enum status add_byte(struct reader *reader, char byte)
{
    void *value = reader->value;
    enum status status =
        mem_grow(&value, &reader->value_size, reader->value_length + 1, 1, "a configuration value", reader->e);
    reader->value = value;
    if (status)
        return reader->status = status;
    reader->value[reader->value_length++] = byte;
    return STATUS_OK;
}

static enum status add_code_point(struct reader *reader, unsigned long code)
{
    if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return fail(reader, "an escape that is no Unicode character; write the character itself");
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    enum status status = add_byte(reader, (char)(lead[more] | code >> 6 * more));
    while (!status && more-- > 0)
        status = add_byte(reader, (char)(0x80 | (code >> 6 * more & 0x3F)));
    return status;
}

/* Decodes the escape after a backslash; moves *at past it. */
static enum status add_escape(struct reader *reader, const char **at)
{
    static const char names[] = "btnfr\"\\", bytes[] = "\b\t\n\f\r\"\\";
    char name = *(*at)++;
    const char *known = name ? strchr(names, name) : NULL;
    if (known)
        return add_byte(reader, bytes[known - names]);
    if (name == 'u' || name == 'U') {
        int digits = name == 'u' ? 4 : 8;
        if (strspn(*at, "0123456789abcdefABCDEF") >= (size_t)digits) {
            char number[9] = "";
            memcpy(number, *at, (size_t)digits);
            *at += digits;
            return add_code_point(reader, strtoul(number, NULL, 16));
        }
    }
    return fail(reader, "unknown escape in a string; known are \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX");
}

/* Decodes the string that starts at *at with either quote; moves *at past it. */
static enum status add_string(struct reader *reader, const char **at)
{
    char quote = *(*at)++;
    while (**at != quote) {
        enum status status;
        if (!**at)
            return fail(reader, "a string that does not end; close its quote");
        if (quote == '"' && **at == '\\') {
            (*at)++;
            status = add_escape(reader, at);
        } else {
            status = add_byte(reader, *(*at)++);
        }
        if (status)
            return status;
    }
    (*at)++;
    reader->values++;
    return add_byte(reader, '\0');
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static bool is_quote(char byte)
{
    return byte == '"' || byte == '\'';
}

/* Adds the number at *at to the one value that all numbers of an array make, with ',' between them. */
static enum status add_number(struct reader *reader, const char **at)
{
    size_t length = strspn(*at, "+-.0123456789eE");
    if (length == 0)
        return fail(reader, "an array holds numbers or quoted strings, on one line, as in [64, 32] or "
                            "[\"a.txt\", \"b.txt\"]");
    if (reader->values)
        reader->value[reader->value_length - 1] = ',';
    reader->values = 1;
    for (const char *end = *at + length; *at < end; (*at)++)
        if (add_byte(reader, **at))
            return reader->status;
    return add_byte(reader, '\0');
}

static enum status add_array(struct reader *reader, const char **at)
{
    *at = skip_blanks(*at + 1);
    bool quoted = is_quote(**at);
    while (**at != ']') {
        if (**at && is_quote(**at) != quoted)
            return fail(reader, "an array of numbers and strings; write one kind");
        if ((is_quote(**at) ? add_string : add_number)(reader, at))
            return reader->status;
        *at = skip_blanks(*at);
        if (**at == ',')
            *at = skip_blanks(*at + 1);
        else if (**at != ']')
            return fail(reader, "',' or ']' is missing in an array");
    }
    (*at)++;
    return STATUS_OK;
}

/* Rewrites a line for libinih; `out` has room for `room` bytes. */
static enum status prepare_line(struct reader *reader, const char *line, char *out, size_t room)
{
    char too_long[96];
    snprintf(too_long, sizeof too_long, "the line is too long, %zu bytes are the most; put long values into quotes",
             room - 1);
    reader->values = 0;
    reader->value_length = 0;
    reader->expected = false;
    line = skip_blanks(line); /* an indented line would continue the one before it */
    if (*line == '\0' || *line == '#' || *line == ';') {
        *out = '\0';
        return STATUS_OK;
    }
    const char *separator = line + strcspn(line, "=#");
    const char *value = *separator == '=' ? skip_blanks(separator + 1) : separator;
    reader->expected = *line != '[';
    if (reader->expected && (*separator != '=' || separator == line))
        return fail(reader, not_an_entry);
    if (reader->expected && (is_quote(*value) || *value == '[')) {
        if ((*value == '[' ? add_array(reader, &value) : add_string(reader, &value)))
            return reader->status;
        value = skip_blanks(value);
        if (*value && *value != '#' && *value != ';')
            return fail(reader, "text after the value; a comment starts with '#'");
        int wrote = snprintf(out, room, "%.*s=" MARKER, (int)(separator - line), line);
        return (size_t)wrote < room ? STATUS_OK : fail(reader, too_long);
    }
    size_t length = strcspn(line, "#");
    if (length >= room)
        return fail(reader, too_long);
    memcpy(out, line, length);
    out[length] = '\0';
    return STATUS_OK;
}

/* libinih asks for a line: fgets with the rewriting above. Ends the file early when something has failed. */
static char *next_line(char *out, int room, void *stream)
{
    struct reader *reader = stream;
    if (reader->status)
        return NULL;
    if (reader->expected && reader->handled != reader->line) {
        fail(reader, not_an_entry);
        return NULL;
    }
    ssize_t length = getline(&reader->raw, &reader->raw_size, reader->file);
    if (length < 0) {
        if (ferror(reader->file))
            reader->status = error_set(reader->e, STATUS_IO, "cannot read '%s': %s; check the file system",
                                       reader->path, strerror(errno));
        return NULL;
    }
    reader->line++;
    if (memchr(reader->raw, '\0', (size_t)length)) {
        fail(reader, "a NUL byte; is it a text file?");
        return NULL;
    }
    while (length > 0 && (reader->raw[length - 1] == '\n' || reader->raw[length - 1] == '\r'))
        reader->raw[--length] = '\0';
    const char *line = reader->raw;
    if (reader->line == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3; /* byte order mark */
    return !prepare_line(reader, line, out, (size_t)room) ? out : NULL;
}

/* libinih found a value. Its result is not used: `status` tells. */
static int handle(void *context, const char *section, const char *name, const char *value)
{
    struct reader *reader = context;
    if (reader->status || !name || !value)
        return 1;
    reader->handled = reader->line;
    if (strcmp(value, MARKER) != 0) {
        reader->status = reader->entry(reader->context, section, name, value, 0, reader->line, reader->e);
        return 1;
    }
    const char *at = reader->value;
    for (int element = 0; element < reader->values && !reader->status; element++) {
        reader->status = reader->entry(reader->context, section, name, at, element, reader->line, reader->e);
        at += strlen(at) + 1;
    }
    return 1;
}

static enum status cannot_open(const char *path, struct error *e)
{
    return error_set(e, status_of_errno(errno), "cannot open '%s': %s; name an INI file that can be read", path,
                     strerror(errno));
}

/* Closes the file. */
static enum status read_stream(FILE *file, const char *path, ini_entry *entry, void *context, struct error *e)
{
    struct reader reader = {.file = file, .path = path, .entry = entry, .context = context, .e = e};
    int result = ini_parse_stream(next_line, &reader, handle, &reader);
    if (!reader.status && reader.expected && reader.handled != reader.line)
        fail(&reader, not_an_entry);
    else if (!reader.status && result != 0)
        reader.status =
            error_set(e, STATUS_CONFIG, "cannot read '%s' line %d: a section that does not end; close its ']'", path,
                      result > 0 ? result : reader.line);
    fclose(reader.file);
    free(reader.raw); /* getline's */
    mem_free(reader.value);
    return reader.status;
}

enum status ini_read(const char *path, ini_entry *entry, void *context, struct error *e)
{
    FILE *file = fopen(path, "re");
    return file ? read_stream(file, path, entry, context, e) : cannot_open(path, e);
}

enum status ini_read_regular(const char *path, ini_entry *entry, void *context, struct error *e)
{
    int fd;
    enum status status = file_open_regular(path, &fd, e);
    if (status)
        return status;
    FILE *file = fdopen(fd, "r");
    if (file)
        return read_stream(file, path, entry, context, e);
    status = cannot_open(path, e);
    (void)close(fd);
    return status;
}
