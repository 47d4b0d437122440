/* Where the values of options came from, and the strings among them that no argv holds. */
#include "options_private.h"

#include <string.h>

#include "unroll/base/mem.h"

int option_number(const struct options *options, const struct option *option)
{
    return option_index(option_of_field(options->command, option));
}

const char *options_keep(struct options *options, const char *text, struct error *e)
{
    size_t bytes = strlen(text) + 1;
    struct kept_string *kept = mem_alloc(1, sizeof *kept + bytes, "an option", e);
    if (!kept)
        return NULL;
    memcpy(kept->text, text, bytes);
    kept->next = options->memory->strings;
    options->memory->strings = kept;
    return kept->text;
}

void options_free(struct options *options)
{
    struct option_memory *memory = options->memory;
    if (!memory)
        return;
    while (memory->strings) {
        struct kept_string *next = memory->strings->next;
        mem_free(memory->strings);
        memory->strings = next;
    }
    mem_free(memory->origin);
    mem_free(memory);
    options->memory = NULL;
}

enum option_origin options_origin(const struct options *options, const char *name)
{
    const struct option *option = option_find(options->command, name);
    CHECK(option != NULL);
    return (enum option_origin)options->memory->origin[option_number(options, option)];
}

bool options_given(const struct options *options, const char *name)
{
    return options_origin(options, name) >= ORIGIN_RECIPE;
}
