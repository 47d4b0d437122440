/* Writes JSON into a text that grows. */
#include "unroll/sys/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "unroll/base/mem.h"
#include "unroll/base/number.h"

void json_init(struct json *json)
{
    *json = (struct json){0};
}

void json_clear(struct json *json)
{
    char *text = json->text;
    size_t capacity = json->capacity;
    *json = (struct json){.text = text, .capacity = capacity};
}

void json_release(struct json *json)
{
    mem_free(json->text);
    *json = (struct json){0};
}

static void append(struct json *json, const char *text, size_t length)
{
    if (json->failed)
        return;
    void *buffer = json->text;
    if (mem_grow(&buffer, &json->capacity, json->length + length + 1, 1, "JSON text", NULL)) {
        json->failed = true;
        return;
    }
    json->text = buffer;
    memcpy(json->text + json->length, text, length);
    json->length += length;
    json->text[json->length] = '\0';
}

static void append_text(struct json *json, const char *text)
{
    append(json, text, strlen(text));
}

static void append_quoted(struct json *json, const char *text, size_t length)
{
    append_text(json, "\"");
    size_t plain = 0; /* start of the bytes that go out as they are */
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t left = (utf8proc_ssize_t)(length - at);
        utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text + at, left, &code);
        char escape[8] = "";
        if (bytes <= 0) {
            bytes = 1;
            snprintf(escape, sizeof escape, "\\\\x%02x", (unsigned char)text[at]);
        } else if (code == '"' || code == '\\') {
            snprintf(escape, sizeof escape, "\\%c", (char)code);
        } else if (code == '\n' || code == '\t' || code == '\r') {
            snprintf(escape, sizeof escape, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
        } else if (code < 0x20 || code == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
        }
        if (*escape) {
            append(json, text + plain, at - plain);
            append_text(json, escape);
            plain = at + (size_t)bytes;
        }
        at += (size_t)bytes;
    }
    append(json, text + plain, length - plain);
    append_text(json, "\"");
}

/* What comes before every value: a comma after the one before it, and its key. */
static void begin_value(struct json *json, const char *key)
{
    CHECK(json->depth > 0 || !json->started[0]);
    CHECK(json->object[json->depth] == (key != NULL));
    if (json->started[json->depth])
        append_text(json, ", ");
    json->started[json->depth] = true;
    if (key) {
        append_quoted(json, key, strlen(key));
        append_text(json, ": ");
    }
}

static void begin_nested(struct json *json, const char *key, bool object)
{
    begin_value(json, key);
    CHECK(json->depth < JSON_DEPTH_MAX);
    json->depth++;
    json->started[json->depth] = false;
    json->object[json->depth] = object;
    append_text(json, object ? "{" : "[");
}

static void end_nested(struct json *json, bool object)
{
    CHECK(json->depth > 0 && json->object[json->depth] == object);
    json->depth--;
    append_text(json, object ? "}" : "]");
}

void json_object_begin(struct json *json, const char *key)
{
    begin_nested(json, key, true);
}

void json_object_end(struct json *json)
{
    end_nested(json, true);
}

void json_array_begin(struct json *json, const char *key)
{
    begin_nested(json, key, false);
}

void json_array_end(struct json *json)
{
    end_nested(json, false);
}

void json_put_string(struct json *json, const char *key, const char *text)
{
    if (text)
        json_put_string_n(json, key, text, strlen(text));
    else
        json_put_null(json, key);
}

void json_put_string_n(struct json *json, const char *key, const char *text, size_t length)
{
    begin_value(json, key);
    append_quoted(json, text, length);
}

void json_put_int(struct json *json, const char *key, int64_t value)
{
    char text[NUMBER_TEXT];
    snprintf(text, sizeof text, "%lld", (long long)value);
    begin_value(json, key);
    append_text(json, text);
}

void json_put_uint(struct json *json, const char *key, uint64_t value)
{
    char text[NUMBER_TEXT];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    begin_value(json, key);
    append_text(json, text);
}

void json_put_double(struct json *json, const char *key, double value)
{
    char text[NUMBER_TEXT];
    begin_value(json, key);
    append_text(json, isfinite(value) ? number_format(value, text) : "null");
}

void json_put_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    append_text(json, value ? "true" : "false");
}

void json_put_null(struct json *json, const char *key)
{
    begin_value(json, key);
    append_text(json, "null");
}

enum status json_text(const struct json *json, const char **text, struct error *e)
{
    CHECK(json->depth == 0);
    if (json->failed)
        return error_set(e, STATUS_OS, "out of memory for JSON text: %zu bytes; use a node with more memory",
                         json->length);
    *text = json->text ? json->text : "";
    return STATUS_OK;
}
