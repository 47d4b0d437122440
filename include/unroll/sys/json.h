/* A writer of JSON (RFC 8259) for metrics.jsonl, --json-summary and inspect --json: one value grown in memory, no line
 * breaks inside, so that a line is an object. sys/json_read.h reads. No function here may have the name of a function
 * of jansson.
 *
 * Doubles are written with the fewest digits that read back as the same bits; NaN and infinities, which JSON lacks,
 * become null. Text is UTF-8: quotes, backslashes and control characters are escaped. A byte that is not part of valid
 * UTF-8 becomes the four characters \xHH, a backslash and what `score --per-token` prints for it, too (data/escape.h):
 * so the output always parses, and the tokens of a model of bytes can be told from each other.
 *
 * `key` names a member inside an object and is NULL inside an array and at the top. Calls after running out of memory
 * do nothing; json_text returns the error. Opening and closing that do not match are our own mistake (CHECK). */
#ifndef UNROLL_SYS_JSON_H
#define UNROLL_SYS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

#define JSON_DEPTH_MAX 32

struct json {
    char *text; /* owned */
    size_t length, capacity;
    int depth;
    bool started[JSON_DEPTH_MAX + 1]; /* a value stands at this depth already: the next needs a comma */
    bool object[JSON_DEPTH_MAX + 1];
    bool failed; /* out of memory */
};

void json_init(struct json *json);
void json_clear(struct json *json); /* empty again; keeps the memory */
void json_release(struct json *json);

void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_put_string(struct json *json, const char *key, const char *text); /* null for NULL */
void json_put_string_n(struct json *json, const char *key, const char *text, size_t length);
void json_put_int(struct json *json, const char *key, int64_t value);
void json_put_uint(struct json *json, const char *key, uint64_t value);
void json_put_double(struct json *json, const char *key, double value);
void json_put_bool(struct json *json, const char *key, bool value);
void json_put_null(struct json *json, const char *key);

/* The finished text, without a newline, valid until the next call; everything begun must have ended. STATUS_OS if
 * memory ran out on the way. */
enum status json_text(const struct json *json, const char **text, struct error *e);

#endif
