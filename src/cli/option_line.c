/* The command line: which words are options, which their values and which operands, and what was meant by those that
 * are none of them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options_private.h"

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/cli/suggest.h"

struct arguments {
    int count, next;
    char **text;
    enum command command;
    const struct command_info *info;
    struct options *options;
    struct error *e;
};

static enum status unknown_option(const struct arguments *arguments, const char *typed, const char *name)
{
    const char *command = arguments->info->name;
    const char *near = option_suggest(arguments->command, name);
    const char *remark = suggest_remark(name, arguments->info->files_max > 0);
    bool elsewhere = false;
    if (!near && remark)
        return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; %s", typed, command,
                         remark);
    for (int other = 0; other < COMMANDS && !elsewhere; other++) {
        elsewhere = option_find((enum command)other, name) != NULL;
        if (elsewhere && !near)
            return error_set(arguments->e, STATUS_USAGE,
                             "unknown option '%s': '%s' does not take it, '%s' does; see 'unroll %s --help'", typed,
                             command, command_table[other].name, command);
    }
    if (near)
        return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; did you mean '--%s'?",
                         typed, command, near);
    return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; see 'unroll %s --help'",
                     typed, command, command);
}

/* True if an argument looks like an option rather than a value: "-o", "--name", but not "-", "-1" or "-.5". */
static bool looks_like_option(const char *text)
{
    return text[0] == '-' && text[1] && !strchr("0123456789.", text[1]);
}

static enum status missing_value(const struct arguments *arguments, const struct option *option)
{
    char dashed[200] = "";
    if (arguments->next < arguments->count)
        snprintf(dashed, sizeof dashed, ", or '--%s=%.80s' if that is meant", option->name,
                 arguments->text[arguments->next]);
    return error_set(arguments->e, STATUS_USAGE, "missing value for '--%s': it takes %s; write '--%s %s'%s",
                     option->name, option->metavar, option->name, option->metavar, dashed);
}

/* `value` is what followed '=', or NULL. An option that can do without one takes the next word only where no file
 * can be meant by it. */
static enum status take_flag(struct arguments *arguments, const struct option *option, const char *value)
{
    char where[80];
    snprintf(where, sizeof where, "'--%s'", option->name);
    unsigned char *origin = &arguments->options->memory->origin[option_number(arguments->options, option)];
    *origin = ORIGIN_FLAG;
    bool alone = arguments->next == arguments->count || looks_like_option(arguments->text[arguments->next]);
    if (option->type == OPTION_BOOL && !value)
        value = "true";
    else if (option->bare && !value && (alone || arguments->info->files_max > 0))
        value = option->bare;
    else if (!value && alone)
        return missing_value(arguments, option);
    bool several = option->type == OPTION_FILES && !option->singly && !value;
    do {
        if (!value)
            value = arguments->text[arguments->next++];
        enum status status = option_set(option, arguments->options, value, where, STATUS_USAGE, arguments->e);
        if (status)
            return status;
        value = NULL;
    } while (several && arguments->next < arguments->count && !looks_like_option(arguments->text[arguments->next]));
    return STATUS_OK;
}

static enum status take_long(struct arguments *arguments, const char *typed)
{
    char name[64];
    size_t length = strcspn(typed + 2, "=");
    if (length >= sizeof name)
        return error_set(arguments->e, STATUS_USAGE,
                         "unknown option '%.80s...': no option is that long; see 'unroll %s "
                         "--help'",
                         typed, arguments->info->name);
    memcpy(name, typed + 2, length);
    name[length] = '\0';
    const char *value = typed[2 + length] ? typed + 2 + length + 1 : NULL;
    const struct option *option = option_find(arguments->command, name);
    if (option)
        return take_flag(arguments, option, value);
    if (strncmp(name, "no-", 3) == 0) {
        option = option_find(arguments->command, name + 3);
        if (option && (option->type == OPTION_BOOL || option->bare)) {
            if (value)
                return error_set(arguments->e, STATUS_USAGE, "bad option '%s': '--%s' takes no value; leave it out",
                                 typed, name);
            return take_flag(arguments, option, "false");
        }
    }
    char shown[80];
    snprintf(shown, sizeof shown, "--%s", name);
    return unknown_option(arguments, shown, name);
}

static enum status take_short(struct arguments *arguments, const char *typed)
{
    for (const struct option *option = NULL; (option = option_next(arguments->command, option));)
        if (option->letter && option->letter == typed[1])
            return take_flag(arguments, option, typed[2] ? typed + 2 : NULL);
    return unknown_option(arguments, typed, typed + 1);
}

/* Whether an operand of score or classify seems to be the text itself. */
static bool is_line(const char *text)
{
    return !file_is_standard(text) && access(text, F_OK) != 0;
}

/* The option that an operand of a command that takes none was meant for, by what the file is, else by the command;
 * NULL if nothing can be told. */
static const char *operand_meant(const struct arguments *arguments, const char *text)
{
    const char *meant = arguments->info->meant, *dot = strrchr(text, '.');
    enum content content = content_of_file(text);
    if (content == CONTENT_CORPUS)
        meant = "corpus";
    else if (dot && strcmp(dot, ".ini") == 0)
        meant = "config";
    else if (content == CONTENT_DIRECTORY && arguments->command == COMMAND_TRAIN)
        meant = "run";
    else if (content == CONTENT_CHECKPOINT || (content == CONTENT_DIRECTORY && arguments->command != COMMAND_PREPARE))
        meant = "model";
    return meant && option_find(arguments->command, meant) ? meant : NULL;
}

static enum status refuse_operand(const struct arguments *arguments, const char *text)
{
    const char *command = arguments->info->name, *meant = operand_meant(arguments, text);
    const struct options *options = arguments->options;
    if (arguments->command == COMMAND_SAMPLE && options->prime && is_line(text))
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': put a text of several words in quotes: --prime '%s %s'", text,
                         options->prime, text);
    if (arguments->command == COMMAND_SAMPLE && options->model_file && is_line(text))
        meant = "prime";
    if (meant)
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': '%s' takes options only; write '--%s %s'", text, command, meant,
                         text);
    return error_set(arguments->e, STATUS_USAGE,
                     "unexpected argument '%s': '%s' takes options only; see 'unroll %s --help'", text, command,
                     command);
}

static enum status take_operand(struct arguments *arguments, const char *text)
{
    const struct command_info *command = arguments->info;
    struct options *options = arguments->options;
    if (command->files_max == 0)
        return refuse_operand(arguments, text);
    if (options->files == command->files_max && is_line(options->file[0]))
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': there is no file '%s'; a text comes from standard input: echo "
                         "'...' | unroll %s ...",
                         text, options->file[0], command->name);
    if (options->files == command->files_max)
        return error_set(arguments->e, STATUS_USAGE,
                         "too many files at '%s': '%s' takes at most %d; run it again for "
                         "the others",
                         text, command->name, command->files_max);
    options->file[options->files++] = text;
    return STATUS_OK;
}

enum status options_take_line(struct options *options, int argc, char **argv, struct error *e)
{
    struct arguments line = {argc, 1, argv, options->command, &command_table[options->command], options, e};
    struct arguments *arguments = &line;
    bool operands_only = false;
    while (arguments->next < arguments->count) {
        const char *text = arguments->text[arguments->next++];
        enum status status;
        if (!operands_only && strcmp(text, "--") == 0) {
            operands_only = true;
            continue;
        }
        if (!operands_only && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            options->help = true;
            return STATUS_OK;
        }
        if (operands_only || text[0] != '-' || !text[1])
            status = take_operand(arguments, text);
        else if (text[1] == '-')
            status = take_long(arguments, text);
        else
            status = take_short(arguments, text);
        if (status)
            return status;
    }
    return STATUS_OK;
}
