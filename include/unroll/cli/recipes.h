/* Recipes: options of train that were found to go well together, under one name. --recipe NAME sets them. The table is
 * in src/cli/recipes.c; tools/README.md has what each reached. */
#ifndef UNROLL_CLI_RECIPES_H
#define UNROLL_CLI_RECIPES_H

#include <stdbool.h>

#include "unroll/base/choice.h"
#include "unroll/data/level.h"

struct recipe {
    const char *name;
    unsigned levels;     /* bit 1 << LEVEL_... for each level whose texts it is for */
    const char *options; /* as on the command line of train: names with dashes, and values as config.ini has them */
    const char *reached; /* on which corpus, in a few words; NULL: not measured */
};

#define RECIPE_NONE 0                       /* --recipe none, the first of the table; sets nothing */
const struct recipe *recipe_of(int number); /* 0 <= number < recipe_choices.count */
extern const struct choices recipe_choices;

#define RECIPE_NAME 40
#define RECIPE_VALUE 80

/* One option of a recipe: its name without dashes, and the value as text, "true" or "false" of those that take none.
 * `options` points behind the options that were read, at first to the beginning, and moves on; false at the end. */
bool recipe_next(const char **options, char name[RECIPE_NAME], char value[RECIPE_VALUE]);

/* The value of the option `name` (without dashes) in the recipe; false if the recipe does not set it. */
bool recipe_value(const struct recipe *recipe, const char *name, char value[RECIPE_VALUE]);

/* A doubt whether the recipe is for the texts of `corpus`, which are at `level`; NULL if it is. Returns `text`. */
#define RECIPE_DOUBT 500
const char *recipe_doubt(const struct recipe *recipe, enum level level, const char *corpus, char text[RECIPE_DOUBT]);

#endif
