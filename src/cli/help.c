#include "unroll/cli/help.h"

#include <stdbool.h>
#include <string.h>

const char help_purpose[] =
    "Trains a language model on your own text and writes new text with it, scores your sentences or labels them. The "
    "models are recurrent neural networks (LSTM, GRU, plain RNN). It runs on the cores of a laptop and, by MPI, on the "
    "nodes of a cluster. The same run gives the same parameters, bit for bit, on any number of ranks and threads and on "
    "any processor.";

const char help_statuses[] =
    "0 done; 64 usage; 65 bad data; 66 input missing; 69 host lacks something; 70 internal; 71 out of memory or another resource; 73 "
    "cannot create; 74 I/O error; 75 stopped early with a checkpoint, run me again; 76 checkpoint unusable; 78 bad "
    "configuration; 79 diverged";

#define WIDTH 79
#define COLUMN 28 /* where the explanations start */

/* Words of `text` wrapped at WIDTH, the lines after the first indented; `at` is the column the first starts in. */
static void wrap(FILE *stream, const char *text, int at, int indent)
{
    bool first = true;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (!first && at + 1 + length > WIDTH) {
            fprintf(stream, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += fprintf(stream, "%s%.*s", first ? "" : " ", length, text);
        first = false;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', stream);
}

static void list_item(FILE *stream, const char *left, const char *text)
{
    int at = fprintf(stream, "  %s", left);
    if (at + 2 > COLUMN) {
        fputc('\n', stream);
        at = 0;
    }
    fprintf(stream, "%*s", COLUMN - at, "");
    wrap(stream, text, COLUMN, COLUMN);
}

void help_program(FILE *stream)
{
    fputs("Usage: unroll COMMAND [options]\n\n", stream);
    wrap(stream, help_purpose, 0, 0);
    fputs("\nCommands:\n", stream);
    for (int command = 0; command < COMMANDS; command++)
        list_item(stream, command_table[command].name, command_table[command].summary);
    fputs("\nOptions:\n", stream);
    list_item(stream, "--help", "this text; 'unroll COMMAND --help' for a command");
    list_item(stream, "--version", "version, compiler, flags and libraries");
    list_item(stream, "help --man", "the manual page, for 'man -l -'");
    list_item(stream, "help --completion", "what makes bash complete commands and options");
    fputs("\nExit status:\n  ", stream);
    wrap(stream, help_statuses, 2, 2);
    fputs("\nExample:\n"
          "  unroll prepare --level char --train book.txt --split 90,5,5 -o book.h5\n"
          "  unroll train --corpus book.h5 --run runs/book\n"
          "  unroll sample --model runs/book/best.h5\n",
          stream);
}

void help_option_heading(const struct option *option, char *room, size_t size)
{
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    if (option->type == OPTION_BOOL)
        snprintf(room, size, "%s--[no-]%s", letter, option->name);
    else if (option->bare)
        snprintf(room, size, "%s--%s[=%s]", letter, option->name, option->metavar);
    else
        snprintf(room, size, "%s--%s %s", letter, option->name, option->metavar);
}

/* "units in each layer (default: 256)", "recurrent cell (rnn-tanh, rnn-relu, lstm or gru; default: lstm)" */
void help_option_explanation(const struct option *option, enum command command, char *room, size_t size)
{
    char choices[CHOICES_TEXT] = "", help[400];
    bool required = option->required >> command & 1, classifies = option_find(command, "task") != NULL;
    if (option->choices)
        choices_text(option->choices, " or ", choices);
    option_help(option, help);
    const char *joint = *choices && (required || option->initial) ? "; " : "";
    if (required)
        snprintf(room, size, "%s (%s%srequired)", help, choices, joint);
    else if (option->initial && option->classify && classifies)
        snprintf(room, size, "%s (%s%sdefault: %s, to classify %s)", help, choices, joint, option->initial,
                 option->classify);
    else if (option->initial)
        snprintf(room, size, "%s (%s%sdefault: %s)", help, choices, joint, option->initial);
    else
        snprintf(room, size, *choices ? "%s (%s)" : "%s%s", help, choices);
}

void help_command(FILE *stream, enum command command)
{
    const struct command_info *info = &command_table[command];
    fprintf(stream, "Usage: unroll %s", info->name);
    for (int i = 0; i < option_count; i++)
        if (option_table[i].required >> command & 1)
            fprintf(stream, " --%s %s", option_table[i].name, option_table[i].metavar);
    fprintf(stream, " [options]%s%s\n\n", info->operand ? " " : "", info->operand ? info->operand : "");
    wrap(stream, info->description, 0, 0);
    const char *section = "";
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        char heading[80], explanation[500];
        if (!(option->commands >> command & 1))
            continue;
        if (strcmp(section, option->section) != 0)
            fprintf(stream, "\n%s:\n", option->section);
        section = option->section;
        help_option_heading(option, heading, sizeof heading);
        help_option_explanation(option, command, explanation, sizeof explanation);
        list_item(stream, heading, explanation);
    }
    fprintf(stream, "\nExample%s:\n  %s\n", info->second ? "s" : "", info->example);
    if (info->second)
        fprintf(stream, "  %s\n", info->second);
}
