/* The manual page. Its language is roff with man(7)'s macros: "-" is a hyphen there and "\-" the sign that options
 * begin with, a backslash is "\e", and a line that begins with a dot or a quote is a request. */
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/cli/help.h"

static void put(FILE *stream, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (at == text && (*at == '.' || *at == '\''))
            fputs("\\&", stream);
        if (*at == '-')
            fputs("\\-", stream);
        else if (*at == '\\')
            fputs("\\e", stream);
        else
            fputc(*at, stream);
    }
}

/* A line as one types it. */
static void command_line(FILE *stream, const char *text)
{
    fputs(".EX\n", stream);
    put(stream, text);
    fputs("\n.EE\n", stream);
}

/* Names and signs bold, what stands for a value italic: "\fB\-\-hidden\fR \fIN\fR". */
static void put_heading(FILE *stream, const char *heading)
{
    const char *name = strstr(heading, "--"), *value = name ? strchr(name, ' ') : NULL;
    char left[80];
    snprintf(left, sizeof left, "%.*s", value ? (int)(value - heading) : (int)strlen(heading), heading);
    fputs("\\fB", stream);
    put(stream, left);
    fputs("\\fR", stream);
    if (value) {
        fputs(" \\fI", stream);
        put(stream, value + 1);
        fputs("\\fR", stream);
    }
    fputc('\n', stream);
}

static void put_usage(FILE *stream, enum command command)
{
    const struct command_info *info = &command_table[command];
    fprintf(stream, ".B unroll %s\n", info->name);
    help_each_required(command, put_heading, stream);
    fputs("[options]\n", stream);
    if (info->operand)
        fprintf(stream, ".I %s\n", info->operand);
}

static void put_option(FILE *stream, const struct help_entry *entry)
{
    if (entry->begins)
        fprintf(stream, ".SS %s\n", entry->option->section);
    fputs(".TP\n", stream);
    put_heading(stream, entry->heading);
    put(stream, entry->explanation);
    fputc('\n', stream);
}

static void put_command(FILE *stream, enum command command)
{
    const struct command_info *info = &command_table[command];
    fprintf(stream, ".SH unroll %s\n", info->name);
    put_usage(stream, command);
    fputs(".PP\n", stream);
    put(stream, info->description);
    fputc('\n', stream);
    help_each_option(command, put_option, stream);
    fputs(".SS Example\n", stream);
    command_line(stream, info->example);
    if (info->second)
        command_line(stream, info->second);
}

static void put_statuses(FILE *stream)
{
    fputs(".SH EXIT STATUS\n", stream);
    for (const char *at = help_statuses; *at;) {
        int length = (int)strcspn(at, ";"), digits = (int)strspn(at, "0123456789");
        fprintf(stream, ".TP\n.B %.*s\n%.*s\n", digits, at, length - digits - 1, at + digits + 1);
        at += length;
        at += strspn(at, "; ");
    }
}

void help_manual(FILE *stream)
{
    fprintf(stream, ".TH UNROLL 1 \"\" \"Unroll %s\" \"User Commands\"\n", build_version());
    fputs(".SH NAME\nunroll \\- trainer for recurrent neural network language models\n.SH SYNOPSIS\n"
          ".B unroll\n.I COMMAND\n[options]\n.br\n.B mpirun \\-n\n.I RANKS\n.B unroll\n.I COMMAND\n[options]\n"
          ".SH DESCRIPTION\n",
          stream);
    put(stream, help_purpose);
    fputs("\n.SH COMMANDS\n", stream);
    for (int command = 0; command < COMMANDS; command++) {
        fprintf(stream, ".TP\n.B %s\n", command_table[command].name);
        put(stream, command_table[command].summary);
        fputc('\n', stream);
    }
    for (int command = 0; command < COMMANDS; command++)
        put_command(stream, (enum command)command);
    fputs(".SH CONFIGURATION FILE\n", stream);
    put(stream,
        "With --config, options come from an INI file that is also valid TOML: 'name = value' lines under any "
        "headings; texts may be quoted, '#' begins a comment. It may be given up to 64 times: later files override "
        "earlier ones, the command line all. A run directory's config.ini is such a file: 'train' goes on with "
        "the run, if it lies there.");
    fputs(
        "\n.SH ENVIRONMENT\n.TP\n.B OMP_NUM_THREADS\nthreads of a rank where \\-\\-threads is not given\n"
        ".TP\n.B UNROLL_ARCH\nin a program built for several instruction sets: the one to use, such as x86\\-64\\-v3\n"
        ".TP\n.B BLIS_ARCH_TYPE\nkernels that BLIS uses, instead of those that suit the CPU\n",
        stream);
    put_statuses(stream);
    fputs(".SH EXAMPLE\n.EX\nunroll prepare \\-\\-level char \\-\\-train book.txt \\-\\-split 90,5,5 \\-o book.h5\n"
          "unroll train \\-\\-corpus book.h5 \\-\\-run runs/book\n"
          "unroll sample \\-\\-model runs/book/best.h5\n.EE\n"
          ".SH SEE ALSO\n.BR mpirun (1),\n.BR sbatch (1),\n.BR h5dump (1)\n",
          stream);
}
