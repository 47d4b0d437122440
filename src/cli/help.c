/* --help: of the program and of each command, in lines of 80 columns. */
#include "unroll/cli/help.h"

#include <stdbool.h>
#include <string.h>

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

static void put_required(FILE *stream, const char *text)
{
    fprintf(stream, " %s", text);
}

static void put_option(FILE *stream, const struct help_entry *entry)
{
    if (entry->begins)
        fprintf(stream, "\n%s:\n", entry->option->section);
    list_item(stream, entry->heading, entry->explanation);
}

void help_command(FILE *stream, enum command command)
{
    const struct command_info *info = &command_table[command];
    fprintf(stream, "Usage: unroll %s", info->name);
    help_each_required(command, put_required, stream);
    fprintf(stream, " [options]%s%s\n\n", info->operand ? " " : "", info->operand ? info->operand : "");
    wrap(stream, info->description, 0, 0);
    help_each_option(command, put_option, stream);
    fprintf(stream, "\nExample%s:\n  %s\n", info->second ? "s" : "", info->example);
    if (info->second)
        fprintf(stream, "  %s\n", info->second);
}
