/* The table of recipes, and walking one. Where values come from: char-small and char-large from tools/sweep, by the
 * tables in tools/recipes; word-small from two runs near published values, by validation loss; word-awd has the
 * published ones (Merity et al. 2017, Penn Treebank); reviews from cross-validation inside the training part, beginning
 * with a sweep. */
#include "unroll/cli/recipes.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/status.h"

#define CHARACTERS (1u << LEVEL_CHAR | 1u << LEVEL_BYTE | 1u << LEVEL_GRAPHEME)
#define OF_WORDS (1u << LEVEL_WORD)

/* To add one, add a row here, and one in tools/README.md with what it reached. A run remembers the name and all values
 * (config.ini), so changing a row changes no run. */
static const struct recipe recipes[] = {
    {.name = "none", .levels = CHARACTERS | OF_WORDS, .options = ""},
    /* about a megabyte of characters, within minutes */
    {.name = "char-small",
     .levels = CHARACTERS,
     .options = "--layers 2 --hidden 256 --embedding 64 --dropout-input 0 --dropout-hidden 0.18 --dropout-output 0.15 "
                "--dropout-kind locked --weight-drop 0.025 --batch 32 --bptt 100 --optimizer adam --lr 0.008 --clip 1 "
                "--schedule cosine --warmup 100 --epochs 6",
     .reached = "a validation loss of 1.407 nats on tinyshakespeare (90 : 5 : 5)"},
    /* the same within an hour, 3.5 million parameters */
    {.name = "char-large",
     .levels = CHARACTERS,
     .options =
         "--layers 2 --hidden 512 --embedding 128 --dropout-input 0 --dropout-hidden 0.3174 --dropout-output 0.2914 "
         "--dropout-kind locked --weight-drop 0.07914 --batch 32 --bptt 100 --optimizer adam --lr 0.004952 "
         "--clip 1 --schedule cosine --warmup 100 --epochs 8",
     .reached = "a validation loss of 1.348 nats on tinyshakespeare (90 : 5 : 5)"},
    /* some half a million words and a vocabulary of ten thousand within an hour, 5.6 million parameters */
    {.name = "word-small",
     .levels = OF_WORDS,
     .options =
         "--hidden 560,280 --tied --dropout-input 0.3 --dropout-hidden 0.2 --dropout-output 0.4 "
         "--dropout-kind locked --dropout-embedding 0.1 --weight-drop 0.4 --ar 2 --tar 1 --batch 20 --bptt 40 "
         "--bptt-vary --optimizer adam --lr 0.003 --weight-decay 1.2e-06 --clip 1 --schedule cosine --warmup 200 "
         "--epochs 24",
     .reached = "a validation perplexity of 94.6 on War and Peace (10,000 words)"},
    /* a million words and more, for days */
    {.name = "word-awd",
     .levels = OF_WORDS,
     .options =
         "--hidden 1150,1150,400 --tied --dropout-input 0.4 --dropout-hidden 0.25 --dropout-output 0.4 "
         "--dropout-kind locked --dropout-embedding 0.1 --weight-drop 0.5 --ar 2 --tar 1 --batch 20 --bptt 70 --bptt-vary "
         "--optimizer ntasgd --nonmono 5 --eval-every epoch --lr 30 --weight-decay 1.2e-06 --clip 0.25 --schedule constant "
         "--epochs 500"},
    /* some ten thousand labelled sentences */
    {.name = "reviews",
     .levels = OF_WORDS,
     .options = "--task classify --cell mingru --pool mean --layers 1 --hidden 64 --dropout 0.47 --word-dropout 0.2 "
                "--dropout-embedding 0.21 --batch 32 --optimizer adam --lr 0.0024 --schedule cosine --epochs 4",
     .reached = "an accuracy of 0.774 on 10,662 sentences of movie reviews (ten folds)"},
};

static const char *name_of(int number)
{
    return recipes[number].name;
}

const struct choices recipe_choices = {"recipe", sizeof recipes / sizeof *recipes, name_of};

const struct recipe *recipe_of(int number)
{
    CHECK(number >= 0 && number < recipe_choices.count);
    return &recipes[number];
}

/* The next word, which ends at a blank; moves on behind it. */
static bool next_word(const char **text, char *word, size_t room)
{
    *text += strspn(*text, " ");
    size_t length = strcspn(*text, " ");
    CHECK(length < room);
    memcpy(word, *text, length);
    word[length] = '\0';
    *text += length;
    return length > 0;
}

bool recipe_next(const char **options, char name[RECIPE_NAME], char value[RECIPE_VALUE])
{
    char word[RECIPE_NAME];
    if (!next_word(options, word, sizeof word))
        return false;
    CHECK(strncmp(word, "--", 2) == 0 && word[2]);
    const char *behind = *options + strspn(*options, " ");
    bool alone = !*behind || strncmp(behind, "--", 2) == 0;
    bool negated = alone && strncmp(word, "--no-", 5) == 0;
    snprintf(name, RECIPE_NAME, "%s", word + (negated ? 5 : 2));
    if (alone)
        snprintf(value, RECIPE_VALUE, "%s", negated ? "false" : "true");
    else
        (void)next_word(options, value, RECIPE_VALUE);
    return true;
}

bool recipe_value(const struct recipe *recipe, const char *name, char value[RECIPE_VALUE])
{
    char found[RECIPE_NAME];
    const char *at = recipe->options;
    while (recipe_next(&at, found, value))
        if (strcmp(found, name) == 0)
            return true;
    return false;
}

const char *recipe_doubt(const struct recipe *recipe, enum level level, const char *corpus, char text[RECIPE_DOUBT])
{
    if (recipe->levels >> level & 1)
        return NULL;
    snprintf(
        text, RECIPE_DOUBT,
        "recipe '%s' is for %s, and '%.200s' is a text at level %s: its sizes and dropout were found for other texts; "
        "choose another recipe, or options of your own",
        recipe->name, recipe->levels & OF_WORDS ? "words" : "characters", corpus, level_name(level));
    return text;
}
