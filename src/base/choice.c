/* Finds a name in a list of names, and writes the list for messages. */
#include "unroll/base/choice.h"

#include <stdio.h>
#include <string.h>

int choices_find(const struct choices *choices, const char *name)
{
    for (int value = 0; value < choices->count; value++)
        if (strcmp(choices->name(value), name) == 0)
            return value;
    return -1;
}

enum status choices_parse(const struct choices *choices, const char *name, int *value, struct error *e)
{
    char known[CHOICES_TEXT];
    int found = choices_find(choices, name);
    if (found < 0)
        return error_set(e, STATUS_CONFIG, "unknown %s '%s'; use %s", choices->what, name,
                         choices_text(choices, " or ", known));
    *value = found;
    return STATUS_OK;
}

const char *choices_text(const struct choices *choices, const char *last, char room[CHOICES_TEXT])
{
    size_t length = 0;
    room[0] = '\0';
    for (int value = 0; value < choices->count && length < CHOICES_TEXT; value++) {
        const char *joint = value == 0 ? "" : value == choices->count - 1 ? last : ", ";
        length += (size_t)snprintf(room + length, CHOICES_TEXT - length, "%s%s", joint, choices->name(value));
    }
    return room;
}
