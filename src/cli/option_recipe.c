/* Options from a recipe (cli/recipes.h): those that neither flags nor files set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options_private.h"

#include "unroll/cli/recipes.h"

/* What the user has given of an option, or NULL. */
static const char *given(const struct options *options, const char *name, char room[96])
{
    const struct option *option = option_find(options->command, name);
    bool by_user = option && options->memory->origin[option_number(options, option)] > ORIGIN_RECIPE;
    return by_user ? option_text(option, options, room) : NULL;
}

/* Options of which another one, given by the user, says the whole: all dropouts, the number of layers, and a cell that
 * has no recurrent weights. */
static bool is_overruled(const struct options *options, const char *name, const char *value)
{
    static const char *const dropouts[] = {"dropout-input", "dropout-hidden", "dropout-output"};
    static const char *const of_recurrence[] = {"dropout-state", "weight-drop"};
    char room[96];
    for (size_t i = 0; i < sizeof of_recurrence / sizeof *of_recurrence; i++)
        if (strcmp(name, of_recurrence[i]) == 0)
            return cell_kind(options->train.step.model.cell)->recurrent_gates == 0;
    for (size_t i = 0; i < sizeof dropouts / sizeof *dropouts; i++)
        if (strcmp(name, dropouts[i]) == 0 && given(options, "dropout", room))
            return true;
    const char *text = given(options, "layers", room);
    long layers = text ? strtol(text, NULL, 10) : 0, widths = 1;
    if (strcmp(name, "dropout-hidden") == 0)
        return layers == 1;
    for (const char *at = value; (at = strchr(at, ',')) != NULL; at++)
        widths++;
    return strcmp(name, "hidden") == 0 && layers > 0 && widths > 1 && layers != widths;
}

/* Whether an option that this one follows was given with another value than the recipe's: the recipe's value was found
 * beside its own. So --optimizer sgd takes the learning rate of sgd, and --max-steps alone says how far to go. */
static bool gives_way(const struct options *options, const struct recipe *recipe, const struct option *option)
{
    for (int i = 0; i < OPTION_FOLLOWS && option->follows[i]; i++) {
        const struct option *other = option_find(options->command, option->follows[i]);
        char room[96], value[RECIPE_VALUE];
        const char *now = given(options, option->follows[i], room);
        if (!now)
            continue;
        const char *own = recipe_value(recipe, other->name, value) ? value : other->initial;
        if (!own || strcmp(own, now) != 0)
            return true;
    }
    return false;
}

enum status options_take_recipe(struct options *options, struct error *e)
{
    const struct recipe *recipe = recipe_of(options->recipe);
    const char *at = recipe->options;
    char name[RECIPE_NAME], value[RECIPE_VALUE], where[2 * RECIPE_NAME + 16];
    enum status status = STATUS_OK;
    if (!option_find(options->command, "recipe") || !options_given(options, "recipe") || options->memory->goes_on)
        return STATUS_OK;
    while (!status && recipe_next(&at, name, value)) {
        const struct option *option = option_find(options->command, name);
        if (!option)
            continue; /* it is train's alone */
        unsigned char *origin = &options->memory->origin[option_number(options, option)];
        if (*origin > ORIGIN_RECIPE || gives_way(options, recipe, option) || is_overruled(options, name, value))
            continue;
        *origin = ORIGIN_RECIPE;
        const char *kept = options_keep(options, value, e);
        /* A program built without a cell, say, refuses the recipes that name it. */
        snprintf(where, sizeof where, "%s of recipe '%s'", name, recipe->name);
        status = kept ? option_set(option, options, kept, where, STATUS_INTERNAL, e) : STATUS_OS;
    }
    return status;
}
