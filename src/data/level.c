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

static const char *name_of(int level)
{
    return level_name((enum level)level);
}
const struct choices level_choices = {"level", LEVELS, name_of};

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
    int value;
    enum status status = choices_parse(&level_choices, name, &value, e);
    if (!status)
        *level = (enum level)value;
    return status;
}

level_cut *level_cut_of(enum level level, enum normal normal)
{
    return normal == NORMAL_NONE ? kinds[level]->cut : kinds[level]->cut_normal;
}
