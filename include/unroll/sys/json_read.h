/* A reader of JSON files that this program wrote, such as bench --json: values by path, "model.cell" or
 * "network.between_hosts.latency". Files from elsewhere are refused with a message: at most JSON_READ_MAX bytes, one
 * object, no member twice.
 *
 * Errors are STATUS_DATA, naming file and path, for a value that is missing or of another kind. */
#ifndef UNROLL_SYS_JSON_READ_H
#define UNROLL_SYS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"

#define JSON_READ_MAX (64 << 20)

struct json_read {
    const char *path; /* the caller's */
    void *root;       /* jansson's json_t; owned */
};

/* STATUS_NOINPUT or STATUS_IO if the file cannot be read. Release with json_read_close, also after a failure. */
enum status json_read_open(const char *path, struct json_read *in, struct error *e);
void json_read_close(struct json_read *in);
/* The same of a text of `length` bytes, such as a line of metrics.jsonl; `path` is the file that it comes from. */
enum status json_read_text(const char *path, const char *text, size_t length, struct json_read *in, struct error *e);

/* True if there is such a value and it is not null. */
bool json_read_has(const struct json_read *in, const char *path);

/* A number from `least` to `most`. */
enum status json_read_double(const struct json_read *in, const char *path, double least, double most, double *value,
                             struct error *e);
enum status json_read_int(const struct json_read *in, const char *path, int least, int most, int *value,
                          struct error *e);
enum status json_read_bool(const struct json_read *in, const char *path, bool *value, struct error *e);
enum status json_read_string(const struct json_read *in, const char *path, const char **value,
                             struct error *e); /* valid until json_read_close */

#endif
