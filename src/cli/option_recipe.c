/* Options from a recipe (cli/recipes.h): those that neither flags nor files set. */
#include <string.h>

#include "options_private.h"

#include "unroll/cli/recipes.h"

/* Whether an option that this one follows was given with another value than the recipe's: the recipe's value was found
 * beside its own. So --optimizer sgd takes the learning rate of sgd, and --max-steps alone says how far to go. */
static bool gives_way(const struct options *options, const struct recipe *recipe, const struct option *option)
{
    for (int i = 0; i < OPTION_FOLLOWS && option->follows[i]; i++) {
        const struct option *other = option_find(options->command, option->follows[i]);
        char room[96], value[RECIPE_VALUE];
        if (!other || options->memory->origin[option_number(options, other)] <= ORIGIN_RECIPE)
            continue;
        const char *own = recipe_value(recipe, other->name, value) ? value : other->initial;
        const char *given = option_text(other, options, room);
        if (!own || !given || strcmp(own, given) != 0)
            return true;
    }
    return false;
}

enum status options_take_recipe(struct options *options, struct error *e)
{
    const struct recipe *recipe = recipe_of(options->recipe);
    const char *at = recipe->options;
    char name[RECIPE_NAME], value[RECIPE_VALUE];
    enum status status = STATUS_OK;
    if (!option_find(options->command, "recipe") || !options_given(options, "recipe") || options->memory->goes_on)
        return STATUS_OK;
    while (!status && recipe_next(&at, name, value)) {
        const struct option *option = option_find(options->command, name);
        if (!option)
            continue; /* it is train's alone */
        unsigned char *origin = &options->memory->origin[option_number(options, option)];
        if (*origin > ORIGIN_RECIPE || gives_way(options, recipe, option))
            continue;
        *origin = ORIGIN_RECIPE;
        const char *kept = options_keep(options, value, e);
        status = kept ? option_set(option, options, kept, name, STATUS_INTERNAL, e) : STATUS_OS;
    }
    return status;
}
