/* The table of levels, and what is asked of it. */
#include "unroll/data/level.h"

#include <string.h>

#define LEVEL_ENTRY(number, kind) [LEVEL_##number] = &level_kind_##kind,
static const struct level_kind *const kinds[] = {LEVEL_TABLE(LEVEL_ENTRY)};
#undef LEVEL_ENTRY

const struct level_kind *level_kind(enum level level)
{
    return kinds[level];
}

const char *level_name(enum level level)
{
    return kinds[level]->name;
}

const char *level_names(bool utf8, char text[LEVEL_NAMES])
{
    int last = LEVELS - 1;
    while (utf8 && !kinds[last]->utf8)
        last--;
    *text = '\0';
    for (int i = 0; i <= last; i++) {
        if (utf8 && !kinds[i]->utf8)
            continue;
        strncat(text, !*text ? "" : i < last ? ", " : " or ", LEVEL_NAMES - strlen(text) - 1);
        strncat(text, kinds[i]->name, LEVEL_NAMES - strlen(text) - 1);
    }
    return text;
}

enum status level_parse(const char *name, enum level *level, struct error *e)
{
    char names[LEVEL_NAMES];
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(name, kinds[i]->name) == 0) {
            *level = (enum level)i;
            return STATUS_OK;
        }
    }
    return error_set(e, STATUS_CONFIG, "unknown level '%s'; use %s", name, level_names(false, names));
}

level_cut *level_cut_of(enum level level, enum normal normal)
{
    return normal == NORMAL_NONE ? kinds[level]->cut : kinds[level]->cut_normal;
}
