/* Walks the rows of the table of options and finds one by its name. */
#include <stdint.h>
#include <string.h>

#include "option_rows.h"

#include "unroll/cli/suggest.h"

/* In the order of --help and config.ini. */
static const struct option_rows *const parts[] = {&option_rows_files, &option_rows_train, &option_rows_use};
#define PARTS ((int)(sizeof parts / sizeof *parts))

int option_count(void)
{
    int count = 0;
    for (int part = 0; part < PARTS; part++)
        count += parts[part]->count;
    return count;
}

const struct option *option_at(int number)
{
    int part = 0;
    while (number >= parts[part]->count)
        number -= parts[part++]->count;
    return &parts[part]->row[number];
}

int option_index(const struct option *option)
{
    int part = 0, before = 0;
    while ((uintptr_t)option - (uintptr_t)parts[part]->row >= (size_t)parts[part]->count * sizeof *option)
        before += parts[part++]->count;
    return before + (int)(option - parts[part]->row);
}

const struct option *option_next(enum command command, const struct option *before)
{
    int count = option_count();
    for (int number = before ? option_index(before) + 1 : 0; number < count; number++)
        if (command == COMMANDS || option_at(number)->commands >> command & 1)
            return option_at(number);
    return NULL;
}

const struct option *option_find(enum command command, const char *name)
{
    const struct option *option = NULL;
    while ((option = option_next(command, option)) && strcmp(option->name, name) != 0)
        ;
    return option;
}

const struct option *option_of_field(enum command command, const struct option *option)
{
    const struct option *first = option_next(command, NULL);
    while (first->offset != option->offset)
        first = option_next(command, first);
    return first;
}

/* A name that other programs have for an option counts before any that only looks similar. */
const char *option_suggest(enum command command, const char *name)
{
    const char *nearest = NULL;
    int best = SUGGEST_FAR;
    for (const struct option *option = NULL; (option = option_next(command, option));)
        if (suggest_alike(name, option->name))
            return option->name;
    for (int rank = 0; (nearest = suggest_option_meant(name, rank)) != NULL; rank++)
        if (option_find(command, nearest))
            return nearest;
    for (const struct option *option = NULL; (option = option_next(command, option));) {
        int distance = suggest_distance(name, option->name);
        if (distance < best) {
            best = distance;
            nearest = option->name;
        }
    }
    return nearest;
}
