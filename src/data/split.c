/* The names of the splits. */
#include "unroll/data/split.h"

static const char *const split_names[SPLITS] = {"train", "valid", "test"};

const char *split_name(enum split split)
{
    return split_names[split];
}

static const char *name_of(int split)
{
    return split_names[split];
}
const struct choices split_choices = {"split", SPLITS, name_of};
