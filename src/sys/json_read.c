/* Parses JSON with jansson, and finds values by their paths. */
#include "unroll/sys/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/file.h"

struct source {
    int fd, error_number;
    size_t taken;
};

/* What jansson reads with: (size_t)-1 says that it failed. */
static size_t read_some(void *buffer, size_t size, void *context)
{
    struct source *source = context;
    ssize_t got;
    do
        got = read(source->fd, buffer, size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        source->error_number = errno;
    else if ((source->taken += (size_t)got) > JSON_READ_MAX)
        source->error_number = EFBIG;
    return source->error_number ? (size_t)-1 : (size_t)got;
}

enum status json_read_open(const char *path, struct json_read *in, struct error *e)
{
    *in = (struct json_read){.path = path};
    struct source source = {.fd = file_open(path, O_RDONLY, 0)};
    if (source.fd < 0)
        return error_set(e, status_of_errno(errno), "cannot open '%s': %s; check the name", path, strerror(errno));
    json_error_t reason;
    in->root = json_load_callback(read_some, &source, JSON_REJECT_DUPLICATES, &reason);
    (void)close(source.fd);
    if (source.error_number && source.error_number != EFBIG)
        return error_set(e, status_of_errno(source.error_number), "cannot read '%s': %s; check file and disk", path,
                         strerror(source.error_number));
    if (source.error_number)
        return error_set(e, STATUS_DATA, "cannot read '%s': more than %d MiB; write the report anew", path,
                         JSON_READ_MAX >> 20);
    if (!in->root)
        return error_set(e, STATUS_DATA, "cannot read '%s' as JSON: line %d: %.100s; write the report anew", path,
                         reason.line, reason.text);
    return STATUS_OK;
}

enum status json_read_text(const char *path, const char *text, size_t length, struct json_read *in, struct error *e)
{
    json_error_t reason;
    *in = (struct json_read){.path = path};
    in->root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &reason);
    if (!in->root)
        return error_set(e, STATUS_DATA, "cannot read a line of '%s' as JSON: %.100s; write the report anew", path,
                         reason.text);
    return STATUS_OK;
}

void json_read_close(struct json_read *in)
{
    json_decref(in->root);
    in->root = NULL;
}

/* The value at the end of the path, NULL if there is none. */
static json_t *find(const struct json_read *in, const char *path)
{
    json_t *value = in->root;
    while (value && *path) {
        size_t length = strcspn(path, ".");
        char key[64] = "";
        if (length >= sizeof key)
            return NULL;
        memcpy(key, path, length);
        value = json_object_get(value, key);
        path += length + (path[length] == '.');
    }
    return value;
}

bool json_read_has(const struct json_read *in, const char *path)
{
    const json_t *value = find(in, path);
    return value && !json_is_null(value);
}

static enum status missing(const struct json_read *in, const char *path, const char *kind, struct error *e)
{
    return error_set(e, STATUS_DATA, "cannot use '%s': its value '%s' is %s; write the report anew", in->path, path,
                     find(in, path) ? kind : "missing");
}

enum status json_read_double(const struct json_read *in, const char *path, double least, double most, double *value,
                             struct error *e)
{
    const json_t *number = find(in, path);
    if (!json_is_number(number))
        return missing(in, path, "no number", e);
    *value = json_number_value(number);
    return *value >= least && *value <= most ? STATUS_OK : missing(in, path, "out of range", e);
}

enum status json_read_int(const struct json_read *in, const char *path, int least, int most, int *value,
                          struct error *e)
{
    const json_t *number = find(in, path);
    if (!json_is_integer(number))
        return missing(in, path, "no whole number", e);
    json_int_t whole = json_integer_value(number);
    if (whole < least || whole > most)
        return missing(in, path, "out of range", e);
    *value = (int)whole;
    return STATUS_OK;
}

enum status json_read_bool(const struct json_read *in, const char *path, bool *value, struct error *e)
{
    const json_t *truth = find(in, path);
    if (!json_is_boolean(truth))
        return missing(in, path, "neither true nor false", e);
    *value = json_is_true(truth);
    return STATUS_OK;
}

enum status json_read_string(const struct json_read *in, const char *path, const char **value, struct error *e)
{
    *value = json_string_value(find(in, path));
    return *value ? STATUS_OK : missing(in, path, "no text", e);
}
