/* Completion for bash. The script knows for each command its options, and for each option what may follow it. */
#include <string.h>

#include "unroll/cli/help.h"

static const char head[] =
    "# Completion of 'unroll' for bash; made by 'unroll help --completion'.\n"
    "_unroll()\n"
    "{\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
    "    local options='' values='' paths='' operand=''\n"
    "    COMPREPLY=()\n"
    "    if [ \"$word\" = '=' ]; then # --name=\n"
    "        word=''\n"
    "    elif [ \"$before\" = '=' ]; then # --name=val\n"
    "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n";

static const char tail[] = "    if [ -n \"$paths\" ]; then\n"
                           "        compopt -o filenames 2>/dev/null\n"
                           "        mapfile -t COMPREPLY < <(compgen \"$paths\" -- \"$word\")\n"
                           "    elif [ -n \"$values\" ]; then\n"
                           "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$word\")\n"
                           "    elif [[ $word == -* || -z $operand ]]; then\n"
                           "        mapfile -t COMPREPLY < <(compgen -W \"$options --help\" -- \"$word\")\n"
                           "    else\n"
                           "        compopt -o filenames 2>/dev/null\n"
                           "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                           "    fi\n"
                           "}\n"
                           "complete -F _unroll unroll\n";

static bool is_path(const struct option *option)
{
    return option->type == OPTION_FILES || (option->type == OPTION_TEXT && (strcmp(option->metavar, "FILE") == 0 ||
                                                                            strstr(option->metavar, "DIR") != NULL));
}

/* What may stand behind the option: " " for a value that nobody can guess. */
static void put_values(FILE *stream, const struct help_entry *entry)
{
    const struct option *option = entry->option;
    const char *between = "";
    if (option->type == OPTION_BOOL)
        return;
    fprintf(stream, "        --%s", option->name);
    if (option->letter)
        fprintf(stream, " | -%c", option->letter);
    if (is_path(option)) {
        fprintf(stream, ") paths=-%c ;;\n", strstr(option->metavar, "DIR") ? 'd' : 'f');
        return;
    }
    fputs(") values='", stream);
    for (int i = 0; option->choices && i < option->choices->count; i++, between = " ")
        fprintf(stream, "%s%s", between, option->choices->name(i));
    for (int i = 0; i < OPTION_WORDS && option->word[i].text; i++)
        fprintf(stream, "%s%s", i ? " " : "", option->word[i].text);
    fprintf(stream, "%s' ;;\n", option->choices || option->word[0].text ? "" : " ");
}

static void put_names(FILE *stream, const struct help_entry *entry)
{
    const char *name = entry->option->name;
    fprintf(stream, " --%s", name);
    if (entry->option->type == OPTION_BOOL)
        fprintf(stream, " --no-%s", name);
}

static void put_command(FILE *stream, enum command command)
{
    fprintf(stream, "    %s)\n        options='", command_table[command].name);
    help_each_option(command, put_names, stream);
    fprintf(stream, "'\n        operand='%s'\n        case $before in\n",
            command_table[command].operand ? command_table[command].operand : "");
    help_each_option(command, put_values, stream);
    fputs("        esac\n        ;;\n", stream);
}

void help_completion(FILE *stream)
{
    fputs(head, stream);
    fputs("    if [ \"$COMP_CWORD\" -eq 1 ] || [[ $COMP_CWORD -eq 2 && $command == help ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W '",
          stream);
    for (int command = 0; command < COMMANDS; command++)
        fprintf(stream, "%s ", command_table[command].name);
    fputs("help --help --version' -- \"$word\")\n        return\n    fi\n    case $command in\n", stream);
    for (int command = 0; command < COMMANDS; command++)
        put_command(stream, (enum command)command);
    fputs("    *) return ;;\n    esac\n", stream);
    fputs(tail, stream);
}
