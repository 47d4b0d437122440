/* A digest of the tables of commands and options. It goes over what they say, not over memory: programs of several
 * compilers and processors agree. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "unroll/cli/option_table.h"

static void add_text(struct digest *digest, const char *text)
{
    digest_add(digest, text ? text : "", text ? strlen(text) + 1 : 0);
    digest_add(digest, text ? "." : "-", 1);
}

static void add_int(struct digest *digest, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_text(digest, text);
}

static void add_double(struct digest *digest, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    add_text(digest, text);
}

static void add_option(struct digest *digest, const struct option *option)
{
    add_text(digest, option->name);
    add_int(digest, option->letter);
    add_int(digest, option->type);
    add_int(digest, option->commands);
    add_int(digest, option->required);
    add_text(digest, option->initial);
    add_text(digest, option->classify);
    add_double(digest, option->min);
    add_double(digest, option->max);
    add_int(digest, option->above_min);
    add_int(digest, option->below_max);
    for (int i = 0; i < OPTION_WORDS; i++) {
        add_text(digest, option->word[i].text);
        add_double(digest, option->word[i].value);
    }
    add_text(digest, option->bare);
    add_int(digest, option->singly);
    add_int(digest, option->of_run);
    add_int(digest, option->class);
    add_int(digest, option->choices ? option->choices->count : 0);
    for (int i = 0; option->choices && i < option->choices->count; i++)
        add_text(digest, option->choices->name(i));
}

enum status option_table_digest(char hex[DIGEST_TEXT], struct error *e)
{
    struct digest *digest = digest_new(e);
    if (!digest)
        return STATUS_OS;
    for (int command = 0; command < COMMANDS; command++) {
        const struct command_info *info = &command_table[command];
        add_text(digest, info->name);
        add_int(digest, info->files_min);
        add_int(digest, info->files_max);
        add_int(digest, info->files_of_run);
    }
    for (int i = 0; i < option_count(); i++)
        add_option(digest, option_at(i));
    digest_text(digest, hex);
    digest_free(digest);
    return STATUS_OK;
}
