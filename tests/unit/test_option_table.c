/* Every command and every option of the table, those that will be added too: what it takes, what it refuses, and
 * with which status. The table itself is checked as well: a mistake there is a wrong help, a wrong default or a
 * crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unroll/cli/help.h"
#include "unroll/cli/option_table.h"
#include "unroll/cli/options.h"

#define WORDS_MAX 64
#define WORD_TEXT 128

/* A command line under construction. */
struct line {
    int count;
    char *word[WORDS_MAX];
    char text[WORDS_MAX][WORD_TEXT];
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    assert_true(line->count < WORDS_MAX);
    va_start(arguments, format);
    vsnprintf(line->text[line->count], WORD_TEXT, format, arguments);
    va_end(arguments);
    line->word[line->count] = line->text[line->count];
    line->count++;
}

/* A value that the option takes. */
static void good_value(const struct option *option, char room[WORD_TEXT])
{
    double value = option->min + (option->above_min ? (option->max - option->min) / 2 : 0);
    switch (option->type) {
    case OPTION_BOOL:
        snprintf(room, WORD_TEXT, "true");
        break;
    case OPTION_CHOICE:
        snprintf(room, WORD_TEXT, "%s", option->choices->name(0));
        break;
    case OPTION_PERCENTS:
        snprintf(room, WORD_TEXT, "90,5,5");
        break;
    case OPTION_LIST:
        snprintf(room, WORD_TEXT, "20,30");
        break;
    case OPTION_TEXT:
    case OPTION_FILES:
        snprintf(room, WORD_TEXT, "name");
        break;
    case OPTION_UINT64:
        snprintf(room, WORD_TEXT, "7");
        break;
    case OPTION_INT:
    case OPTION_INT64:
        snprintf(room, WORD_TEXT, "%lld", (long long)value);
        break;
    case OPTION_DOUBLE:
    case OPTION_DURATION:
        snprintf(room, WORD_TEXT, "%.17g", value);
        break;
    }
}

/* The command with what it cannot do without, except for `left_out`. */
static void begin_line(struct line *line, enum command command, const struct option *left_out)
{
    const struct command_info *info = &command_table[command];
    line->count = 0;
    add(line, "%s", info->name);
    for (int i = 0; i < option_count(); i++) {
        char value[WORD_TEXT];
        if (!(option_at(i)->required >> command & 1) || option_at(i) == left_out)
            continue;
        good_value(option_at(i), value);
        add(line, "--%s=%s", option_at(i)->name, value);
    }
    for (int i = 0; i < info->files_min; i++)
        add(line, "file%d", i);
}

static enum status parse(struct line *line, struct error *e)
{
    struct options options;
    *e = (struct error){0};
    enum status status = options_parse(line->count, line->word, &options, e);
    options_free(&options);
    return status;
}

static void print_line(const struct line *line, const struct error *e, enum status status)
{
    for (int i = 0; i < line->count; i++)
        print_error("%s ", line->word[i]);
    print_error("-> %d '%s'\n", (int)status, e->text);
}

/* `--name=value` is refused with `wanted`, in words that name the option. */
static void refuse(enum command command, const struct option *option, const char *value, enum status wanted)
{
    struct line line;
    struct error e;
    begin_line(&line, command, option);
    add(&line, "--%s=%s", option->name, value);
    enum status status = parse(&line, &e);
    if (status == wanted && strstr(e.text, option->name))
        return;
    print_line(&line, &e, status);
    fail_msg("'%s' should be refused with %d and the option's name", line.word[line.count - 1], (int)wanted);
}

static void refuse_outside(enum command command, const struct option *option)
{
    static const char *const huge[] = {"99999999999999999999999999", "-99999999999999999999999999"};
    bool whole = option->type == OPTION_INT || option->type == OPTION_INT64;
    bool real = option->type == OPTION_DOUBLE || option->type == OPTION_DURATION;
    char value[WORD_TEXT];
    for (int i = 0; i < 2 && whole; i++)
        refuse(command, option, huge[i], STATUS_CONFIG);
    if (option->type == OPTION_UINT64)
        refuse(command, option, huge[0], STATUS_CONFIG);
    if (!whole && !real)
        return;
    double below = option->min - (option->above_min ? 0 : 1), above = option->max + (option->below_max ? 0 : 1);
    if (option->type == OPTION_DURATION && below < 0)
        below = option->max * 2; /* there are no negative time spans to write */
    snprintf(value, sizeof value, whole ? "%.0f" : "%.17g", below);
    refuse(command, option, value, STATUS_CONFIG);
    snprintf(value, sizeof value, whole ? "%.0f" : "%.17g", option->max < 1e15 ? above : option->max * 2);
    refuse(command, option, value, STATUS_CONFIG);
}

static void refuse_all(enum command command, const struct option *option)
{
    switch (option->type) {
    case OPTION_BOOL:
        refuse(command, option, "perhaps", STATUS_USAGE);
        break;
    case OPTION_CHOICE:
        refuse(command, option, "no-such-choice", STATUS_CONFIG);
        refuse(command, option, "", STATUS_CONFIG);
        break;
    case OPTION_PERCENTS:
        refuse(command, option, "many", STATUS_USAGE);
        refuse(command, option, "100", STATUS_USAGE);
        refuse(command, option, "90,20", STATUS_CONFIG);
        refuse(command, option, "110,-10", STATUS_CONFIG);
        break;
    case OPTION_LIST:
        refuse(command, option, "many", STATUS_USAGE);
        refuse(command, option, "", STATUS_USAGE);
        refuse(command, option, "20,", STATUS_USAGE);
        if (option->ascends)
            refuse(command, option, "20,20", STATUS_CONFIG);
        refuse(command, option, "0,20", STATUS_CONFIG);
        refuse(command, option, "1,2,3,4,5,6,7,8,9", STATUS_CONFIG);
        break;
    case OPTION_FILES:
        refuse(command, option, "", STATUS_USAGE);
        break;
    case OPTION_TEXT:
        break; /* any text; a name that is empty below */
    case OPTION_UINT64:
    case OPTION_INT:
    case OPTION_INT64:
    case OPTION_DOUBLE:
    case OPTION_DURATION:
        refuse(command, option, "many", STATUS_USAGE);
        refuse(command, option, "", STATUS_USAGE);
        refuse(command, option, "1x", STATUS_USAGE);
        refuse(command, option, "nan", STATUS_USAGE);
        refuse_outside(command, option);
        break;
    }
    if (option->type == OPTION_TEXT && (strcmp(option->metavar, "FILE") == 0 || strcmp(option->metavar, "DIR") == 0))
        refuse(command, option, "", STATUS_USAGE);
}

static void each(void (*check)(enum command command, const struct option *option))
{
    for (int command = 0; command < COMMANDS; command++)
        for (int i = 0; i < option_count(); i++)
            if (option_at(i)->commands >> command & 1)
                check((enum command)command, option_at(i));
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    each(refuse_all);
}

static void refuse_without_value(enum command command, const struct option *option)
{
    struct line line;
    struct error e;
    begin_line(&line, command, option);
    add(&line, "--%s", option->name);
    enum status status = parse(&line, &e);
    if (option->type == OPTION_BOOL || option->bare || (status == STATUS_USAGE && strstr(e.text, option->name)))
        return;
    print_line(&line, &e, status);
    fail_msg("an option without its value should be refused");
}

static void missing_values_are_refused(void **state)
{
    (void)state;
    each(refuse_without_value);
}

static void refuse_missing(enum command command, const struct option *option)
{
    struct line line;
    struct error e;
    if (!(option->required >> command & 1))
        return;
    begin_line(&line, command, option);
    assert_int_equal(parse(&line, &e), STATUS_USAGE);
    assert_non_null(strstr(e.text, option->name));
}

static void what_is_required_is_missed(void **state)
{
    (void)state;
    each(refuse_missing);
}

/* Options that others take are refused by those that do not. */
static void options_of_others_are_refused(void **state)
{
    (void)state;
    for (int command = 0; command < COMMANDS; command++)
        for (int i = 0; i < option_count(); i++) {
            struct line line;
            struct error e;
            if (option_find((enum command)command, option_at(i)->name))
                continue;
            begin_line(&line, (enum command)command, NULL);
            add(&line, "--%s=1", option_at(i)->name);
            assert_int_equal(parse(&line, &e), STATUS_USAGE);
            assert_non_null(strstr(e.text, option_at(i)->name));
        }
}

/* A value within the range passes the option itself: what may still be refused is how options go together, or with
 * 64 what the command asks for besides. */
static void take_good(enum command command, const struct option *option)
{
    struct line line;
    struct error e;
    struct options options = {0};
    char value[WORD_TEXT], wrong[2 * WORD_TEXT];
    good_value(option, value);
    if (option_set(option, &options, value, "it", STATUS_USAGE, &e) != STATUS_OK)
        fail_msg("'%s' does not take '%s': %s", option->name, value, e.text);
    for (int i = 0; i < OPTION_WORDS && option->word[i].text; i++) {
        char room[96];
        if (option_set(option, &options, option->word[i].text, "it", STATUS_USAGE, &e) != STATUS_OK)
            fail_msg("'%s' does not take its word '%s': %s", option->name, option->word[i].text, e.text);
        assert_string_equal(option_text(option, &options, room), option->word[i].text);
    }
    begin_line(&line, command, option);
    add(&line, "--%s=%s", option->name, value);
    enum status status = parse(&line, &e);
    snprintf(wrong, sizeof wrong, "bad value '%s' for '--%s': out of range", value, option->name);
    if ((status != STATUS_OK && status != STATUS_CONFIG && status != STATUS_USAGE && status != STATUS_NOINPUT) ||
        strstr(e.text, wrong) || strstr(e.text, "unknown option")) {
        print_line(&line, &e, status);
        fail_msg("a good value was refused");
    }
}

static void good_values_are_taken(void **state)
{
    (void)state;
    each(take_good);
}

/* The default is a value like any other, and comes out as it went in. */
static void default_returns(enum command command, const struct option *option)
{
    struct options options = {0};
    struct error e;
    char room[96], again[96];
    (void)command;
    if (!option->initial || option->type == OPTION_FILES)
        return;
    if (option_set(option, &options, option->initial, "it", STATUS_INTERNAL, &e) != STATUS_OK)
        fail_msg("the default of '%s' is refused: %s", option->name, e.text);
    snprintf(again, sizeof again, "%s", option_text(option, &options, room));
    assert_int_equal(option_set(option, &options, again, "it", STATUS_INTERNAL, &e), STATUS_OK);
    assert_string_equal(option_text(option, &options, room), again);
}

static void defaults_return(void **state)
{
    (void)state;
    each(default_returns);
}

/* What help, manual and completion print of it. */
static void check_entry(enum command command, const struct option *option)
{
    assert_ptr_equal(option_find(command, option->name), option); /* no name twice in a command */
    assert_true(strspn(option->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(option->name));
    assert_non_null(option->section);
    assert_true(option->help && *option->help && !strchr(".;", option->help[strlen(option->help) - 1]));
    assert_true(option->type == OPTION_BOOL || option->metavar);
    /* A file or folder whose role nobody tells would be written over (cli/path_check.h). */
    bool names_path = option->metavar && (strstr(option->metavar, "FILE") || strstr(option->metavar, "DIR"));
    assert_true((option->path != OPTION_PATH_NONE) == names_path);
    assert_true((option->required & ~option->commands) == 0);
    assert_true(option->type != OPTION_CHOICE || (option->choices && option->choices->count >= 2));
}

/* The option that help is to show next, and the section of the one before. */
static const struct option *shown_next;
static const char *shown_section;
static enum command shown_command;

static void check_shown(FILE *stream, const struct help_entry *entry)
{
    const struct option *option = entry->option;
    assert_null(stream);
    assert_ptr_equal(option, shown_next);
    assert_non_null(strstr(entry->heading, option->name));
    assert_true(strlen(entry->heading) < HELP_HEADING - 1 && strlen(entry->explanation) < HELP_EXPLANATION - 1);
    assert_true(entry->begins == (strcmp(shown_section, option->section) != 0));
    assert_null(strstr(entry->explanation, "%s"));
    for (int i = 0; option->choices && i < option->choices->count; i++)
        assert_non_null(strstr(entry->explanation, option->choices->name(i)));
    if (option->initial)
        assert_non_null(strstr(entry->explanation, option->initial));
    shown_section = option->section;
    shown_next = option_next(shown_command, option);
}

/* help, manual and completion walk the options by one visitor: every option of the command once, in the table's
 * order. */
static void help_shows_every_option(void **state)
{
    (void)state;
    for (int command = 0; command < COMMANDS; command++) {
        shown_command = (enum command)command;
        shown_next = option_next(shown_command, NULL);
        shown_section = "";
        help_each_option(shown_command, check_shown, NULL);
        assert_null(shown_next);
    }
}

/* Numbers of rows and steps from row to row agree, over all files that hold some. */
static void rows_follow_each_other(void **state)
{
    (void)state;
    const struct option *option = NULL;
    for (int i = 0; i < option_count(); i++) {
        option = option_next(COMMANDS, option);
        assert_ptr_equal(option, option_at(i));
        assert_int_equal(option_index(option), i);
    }
    assert_null(option_next(COMMANDS, option));
}

static void entries_are_whole(void **state)
{
    (void)state;
    each(check_entry);
    for (int command = 0; command < COMMANDS; command++) {
        const struct command_info *info = &command_table[command];
        assert_true(info->name && info->summary && info->description && info->example);
        assert_non_null(strstr(info->example, "unroll "));
        assert_non_null(strstr(info->example, info->name));
        assert_true(!info->operand == !info->files_max);
        assert_int_equal(command_find(info->name), command);
    }
    for (int i = 0; i < option_count(); i++)
        assert_true(option_at(i)->commands != 0);
}

/* What has been promised to users: a name that disappears breaks their scripts. */
static void promised_options_exist(void **state)
{
    static const struct {
        const char *command, *options;
    } promised[] = {
        {"prepare", "level train valid test split vocab-size min-count lowercase labelled output"},
        {"train",
         "corpus run resume task cell layers embedding hidden tied dropout batch bptt optimizer lr schedule warmup "
         "clip weight-decay epochs max-steps seed init eval-every checkpoint-every keep max-time threads "
         "reduction log-every json-summary config"},
        {"eval", "model corpus split"},
        {"score", "model per-token format"},
        {"sample", "model length prime temperature top-k top-p count seed"},
        {"classify", "model"},
        {"inspect", "json"},
        {"export", "model to output"},
        {"import", "from vocab-from output"},
        {"plan", "cell layers embedding hidden tied dropout batch bptt optimizer reduction"},
        {"bench", "cell layers embedding hidden tied dropout batch bptt optimizer seed init threads reduction"},
    };
    (void)state;
    for (int i = 0; i < (int)(sizeof promised / sizeof *promised); i++) {
        char names[512], *rest = names, *name;
        enum command command = command_find(promised[i].command);
        assert_int_not_equal(command, COMMANDS);
        snprintf(names, sizeof names, "%s", promised[i].options);
        while ((name = strsep(&rest, " ")))
            if (!option_find(command, name))
                fail_msg("'%s' has no option '--%s'", promised[i].command, name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_values_are_refused),     cmocka_unit_test(missing_values_are_refused),
        cmocka_unit_test(what_is_required_is_missed), cmocka_unit_test(options_of_others_are_refused),
        cmocka_unit_test(good_values_are_taken),      cmocka_unit_test(defaults_return),
        cmocka_unit_test(entries_are_whole),          cmocka_unit_test(promised_options_exist),
        cmocka_unit_test(help_shows_every_option),    cmocka_unit_test(rows_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
