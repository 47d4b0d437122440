/* The names of the splits. */
#include "unroll/data/split.h"

#include <string.h>

static const char *const split_names[SPLITS] = {"train", "valid", "test"};

const char *split_name(enum split split)
{
    return split_names[split];
}

enum status split_parse(const char *name, enum split *split, struct error *e)
{
    for (int i = 0; i < SPLITS; i++) {
        if (strcmp(name, split_names[i]) == 0) {
            *split = (enum split)i;
            return STATUS_OK;
        }
    }
    return error_set(e, STATUS_CONFIG, "unknown split '%s'; use train, valid or test", name);
}
