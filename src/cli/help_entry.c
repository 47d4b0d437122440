/* What --help, the manual page and completion say of the program and of each option; how it is set is theirs. */
#include <string.h>

#include "unroll/cli/help.h"

const char help_purpose[] =
    "Trains a language model on your own text and writes new text with it, scores your sentences or labels them. The "
    "models are recurrent neural networks, such as LSTM. It runs on the cores of a laptop and, by MPI, on the "
    "nodes of a cluster. The same run gives the same parameters, bit for bit, on any number of ranks and threads and on "
    "any processor.";

const char help_statuses[] =
    "0 done; 64 usage; 65 bad data; 66 input missing; 69 host lacks something; 70 internal; 71 out of memory or another resource; 73 "
    "cannot create; 74 I/O error; 75 stopped early with a checkpoint, run me again; 76 checkpoint unusable; 78 bad "
    "configuration; 79 diverged";

static void put_heading(const struct option *option, char room[HELP_HEADING])
{
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    if (option->type == OPTION_BOOL)
        snprintf(room, HELP_HEADING, "%s--[no-]%s", letter, option->name);
    else if (option->bare)
        snprintf(room, HELP_HEADING, "%s--%s[=%s]", letter, option->name, option->metavar);
    else
        snprintf(room, HELP_HEADING, "%s--%s %s", letter, option->name, option->metavar);
}

/* "units in each layer (default: 256)", "recurrent cell (rnn-tanh, ... or lstm; default: lstm)" */
static void put_explanation(const struct option *option, enum command command, char room[HELP_EXPLANATION])
{
    char choices[CHOICES_TEXT] = "", help[400];
    bool required = option->required >> command & 1, classifies = option_find(command, "task") != NULL;
    if (option->choices)
        choices_text(option->choices, " or ", choices);
    option_help(option, help);
    const char *joint = *choices && (required || option->initial) ? "; " : "";
    if (required)
        snprintf(room, HELP_EXPLANATION, "%s (%s%srequired)", help, choices, joint);
    else if (option->initial && option->classify && classifies)
        snprintf(room, HELP_EXPLANATION, "%s (%s%sdefault: %s, to classify %s)", help, choices, joint, option->initial,
                 option->classify);
    else if (option->initial)
        snprintf(room, HELP_EXPLANATION, "%s (%s%sdefault: %s)", help, choices, joint, option->initial);
    else
        snprintf(room, HELP_EXPLANATION, *choices ? "%s (%s)" : "%s%s", help, choices);
}

void help_each_option(enum command command, void (*visit)(FILE *stream, const struct help_entry *entry), FILE *stream)
{
    struct help_entry entry;
    const char *section = "";
    for (const struct option *option = NULL; (option = option_next(command, option));) {
        entry.option = option;
        entry.begins = strcmp(section, option->section) != 0;
        section = option->section;
        put_heading(option, entry.heading);
        put_explanation(option, command, entry.explanation);
        visit(stream, &entry);
    }
}

void help_each_required(enum command command, void (*visit)(FILE *stream, const char *text), FILE *stream)
{
    char text[HELP_HEADING];
    for (const struct option *option = NULL; (option = option_next(command, option));) {
        if (!(option->required >> command & 1))
            continue;
        snprintf(text, sizeof text, "--%s %s", option->name, option->metavar);
        visit(stream, text);
    }
}
