/* The options of a run as text: for checkpoints one by one, and as its config.ini. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options_private.h"

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"

void options_each_of_run(const struct options *options,
                         void (*visit)(void *context, const char *name, const char *value, enum option_class class),
                         void *context)
{
    for (const struct option *option = NULL; (option = option_next(COMMAND_TRAIN, option));) {
        char room[96];
        if (!is_of_run(options, option))
            continue;
        const char *value = option_text(option, options, room);
        if (value)
            visit(context, option->name, value, option->class);
    }
}

struct growing_text {
    char *text;
    size_t length, capacity;
    const char *section;
    struct error *e;
    enum status status;
};

static void add_text(struct growing_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_text(struct growing_text *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    void *text = out->text;
    if (!out->status)
        out->status = mem_grow(&text, &out->capacity, out->length + (size_t)bytes + 1, 1, "configuration", out->e);
    if (out->status)
        return;
    out->text = text;
    va_start(arguments, format);
    vsnprintf(out->text + out->length, (size_t)bytes + 1, format, arguments);
    va_end(arguments);
    out->length += (size_t)bytes;
}

/* Quoted unless TOML has a bare form for it. */
static void add_value(struct growing_text *out, const struct option *option, const char *value)
{
    double number;
    if (option->type == OPTION_BOOL || (option->type != OPTION_TEXT && number_parse_double(value, &number) == 0)) {
        add_text(out, "%s", value);
        return;
    }
    add_text(out, "\"");
    for (const char *at = value; *at; at++) {
        if (*at == '"' || *at == '\\')
            add_text(out, "\\%c", *at);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            add_text(out, "\\u%04x", (unsigned char)*at);
        else
            add_text(out, "%c", *at);
    }
    add_text(out, "\"");
}

/* Of any folder that it may be read from later: paths begin at the root. */
static void add_path(struct growing_text *out, const struct option *option, const char *path)
{
    char folder[FILE_PATH_MAX], whole[2 * FILE_PATH_MAX];
    bool relative = path[0] != '/' && !file_is_standard(path) && strlen(path) < FILE_PATH_MAX;
    if (!relative || !getcwd(folder, sizeof folder)) {
        add_value(out, option, path);
        return;
    }
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    snprintf(whole, sizeof whole, "%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", path);
    add_value(out, option, whole);
}

enum status options_ini_text(const struct options *options, char **text, struct error *e)
{
    struct growing_text out = {.e = e};
    for (const struct option *option = NULL; (option = option_next(COMMAND_TRAIN, option));) {
        char room[96];
        if (!is_of_run(options, option) || option->kept == OPTION_OF_A_START)
            continue;
        const char *value = option_text(option, options, room);
        if (!value)
            continue;
        if (!out.section || strcmp(out.section, option->section) != 0)
            add_text(&out, "%s# %s\n", out.section ? "\n" : "", option->section);
        out.section = option->section;
        add_text(&out, "%s = ", option->name);
        (option->path != OPTION_PATH_NONE ? add_path : add_value)(&out, option, value);
        add_text(&out, "\n");
    }
    if (out.status) {
        mem_free(out.text);
        return out.status;
    }
    *text = out.text;
    return STATUS_OK;
}
