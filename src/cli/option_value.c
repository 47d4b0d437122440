/* Options from and to text, by their type. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/number.h"
#include "unroll/cli/option_table.h"
#include "unroll/cli/suggest.h"

static void *field_of(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static const void *field_of_const(const struct options *options, const struct option *option)
{
    return (const char *)options + option->offset;
}

const char *option_range(const struct option *option, char room[160])
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT];
    number_format(option->min, least);
    number_format(option->max, most);
    if (option->type == OPTION_INT64)
        snprintf(most, sizeof most, "%lld", (long long)option->max);
    int at = 0;
    for (int i = 0; i < OPTION_WORDS && option->word[i].text; i++)
        at += snprintf(room + at, 160 - (size_t)at, "'%s', ", option->word[i].text);
    if (at)
        at += snprintf(room + at, 160 - (size_t)at, "or ");
    char *range = room + at;
    size_t left = 160 - (size_t)at;
    if (option->type == OPTION_UINT64)
        snprintf(range, left, "0 to 18446744073709551615");
    else if (!option->above_min && !option->below_max)
        snprintf(range, left, "%s to %s", least, most);
    else
        snprintf(range, left, "%s %s and %s %s", option->above_min ? "above" : "at least", least,
                 option->below_max ? "below" : "at most", most);
    return room;
}

const char *option_help(const struct option *option, char room[400])
{
    char words[200] = "";
    const char *place = option->words ? strstr(option->help, "%s") : NULL;
    if (place)
        snprintf(room, 400, "%.*s%s%s", (int)(place - option->help), option->help, option->words(option->name, words),
                 place + 2);
    else
        snprintf(room, 400, "%s", option->help);
    return room;
}

static enum status malformed_number(const struct option *option, const char *text, const char *where, const char *kind,
                                    enum status malformed, struct error *e)
{
    char range[160];
    return error_set(e, malformed, "bad value '%s' for %s: not %s; write %s", text, where, kind,
                     option_range(option, range));
}

static enum status out_of_range(const struct option *option, const char *text, const char *where, struct error *e)
{
    char range[160];
    return error_set(e, STATUS_CONFIG, "bad value '%s' for %s: out of range; write %s", text, where,
                     option_range(option, range));
}

static bool in_range(const struct option *option, double value)
{
    return (option->above_min ? value > option->min : value >= option->min) &&
           (option->below_max ? value < option->max : value <= option->max);
}

/* What a word stands for is said by the word alone: 0 never means 'all' or 'auto'. */
static bool is_allowed(const struct option *option, double value, bool by_word)
{
    return by_word || in_range(option, value);
}

/* A number as people write it who are used to commas or to percent; "" if it is none of these. */
static const char *number_meant(const char *text, char meant[NUMBER_TEXT])
{
    double value;
    size_t length = strlen(text);
    *meant = '\0';
    if (length < 2 || length >= NUMBER_TEXT)
        return meant;
    memcpy(meant, text, length + 1);
    bool percent = meant[length - 1] == '%';
    if (percent)
        meant[length - 1] = '\0';
    char *comma = strchr(meant, ',');
    if (comma)
        *comma = '.';
    if ((!percent && !comma) || number_parse_double(meant, &value) != 0)
        *meant = '\0';
    else if (percent)
        number_format(value / 100, meant);
    return meant;
}

static enum status malformed_real(const struct option *option, const char *text, const char *where,
                                  enum status malformed, struct error *e)
{
    char meant[NUMBER_TEXT];
    if (!*number_meant(text, meant))
        return malformed_number(option, text, where, "a number", malformed, e);
    return error_set(e, malformed, "bad value '%s' for %s: not a number; %s %s", text, where,
                     strchr(text, '%') ? "write" : "write a decimal point:", meant);
}

/* Hours and minutes, or minutes and seconds: who knows. */
static enum status malformed_duration(const char *text, const char *where, enum status malformed, struct error *e)
{
    const char *colon = strchr(text, ':');
    if (colon && !strchr(colon + 1, ':') && !strchr(text, '-'))
        return error_set(e, malformed, "bad value '%s' for %s: no time span: hours or minutes? write HH:MM:SS", text,
                         where);
    return error_set(e, malformed,
                     "bad value '%s' for %s: no time span; write as in 90s, 5m, 1h, 2d, HH:MM:SS or D-HH:MM:SS", text,
                     where);
}

/* Two digits after a colon, below `limit`; moves *at behind them. */
static bool take_part(const char **at, int limit, int *value)
{
    int read = 0;
    if (sscanf(*at, ":%2d%n", value, &read) != 1 || *value < 0 || *value >= limit || (*at)[1] == '-' ||
        (*at)[1] == '+' || (*at)[1] == ' ')
        return false;
    *at += read;
    return true;
}

/* "5m", "1.5h": a number with a unit. */
static int parse_unit(const char *text, double *seconds)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"sec", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    char number[NUMBER_TEXT] = "";
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits >= sizeof number)
        return EINVAL;
    memcpy(number, text, digits);
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        int fault = number_parse_double(number, seconds);
        *seconds *= units[i].seconds;
        return fault;
    }
    return EINVAL;
}

/* Slurm's forms with hours in them, [D-]HH:MM:SS, besides plain seconds and those with a unit. */
static int parse_duration(const char *text, double *seconds)
{
    if (!strchr(text, ':') && !strchr(text + (*text == '-'), '-'))
        return parse_unit(text, seconds) == 0 ? 0 : number_parse_double(text, seconds);
    int64_t days = 0, hours;
    int minutes, rest;
    const char *at = text;
    const char *dash = strchr(text, '-');
    char number[16] = "";
    if (dash) {
        if (dash == text || (size_t)(dash - text) >= sizeof number)
            return EINVAL;
        memcpy(number, text, (size_t)(dash - text));
        if (number_parse_i64(number, &days) != 0)
            return EINVAL;
        at = dash + 1;
    }
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || digits > 6 || (dash && digits > 2))
        return EINVAL;
    memset(number, 0, sizeof number);
    memcpy(number, at, digits);
    at += digits;
    if (number_parse_i64(number, &hours) != 0 || (dash && hours > 23) || !take_part(&at, 60, &minutes) ||
        !take_part(&at, 60, &rest) || *at)
        return EINVAL;
    *seconds = (double)(((days * 24 + hours) * 60 + minutes) * 60 + rest);
    return 0;
}

/* 1 yes, 0 no, -1 neither. */
static int truth_of(const char *text)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0)
            return strcmp(text, yes[i]) == 0;
    return -1;
}

static enum status set_bool(bool *field, const char *text, const char *where, enum status malformed, struct error *e)
{
    int truth = truth_of(text);
    *field = truth == 1;
    if (truth >= 0)
        return STATUS_OK;
    return error_set(e, malformed, "bad value '%s' for %s: neither yes nor no; write true or false", text, where);
}

static enum status set_choice(const struct option *option, void *field, const char *text, const char *where,
                              struct error *e)
{
    char known[CHOICES_TEXT];
    const char *nearest = NULL;
    int best = SUGGEST_FAR, value = choices_find(option->choices, text);
    if (value >= 0 && option->size == sizeof(bool))
        *(bool *)field = value != 0;
    else if (value >= 0)
        memcpy(field, &value, sizeof value); /* an enum is an unsigned int */
    if (value >= 0)
        return STATUS_OK;
    for (int i = 0; i < option->choices->count; i++) {
        int distance = suggest_distance(text, option->choices->name(i));
        if (distance < best) {
            best = distance;
            nearest = option->choices->name(i);
        }
    }
    choices_text(option->choices, ", ", known);
    if (nearest)
        return error_set(e, STATUS_CONFIG, "bad value '%s' for %s: no such choice; did you mean '%s'? (one of %s)",
                         text, where, nearest, known);
    return error_set(e, STATUS_CONFIG, "bad value '%s' for %s: no such choice; write one of %s", text, where, known);
}

static enum status set_percents(double percent[3], const char *text, const char *where, enum status malformed,
                                struct error *e)
{
    double parsed[3] = {0};
    int parts = 0;
    bool good = true;
    for (const char *at = text; good && at;) {
        char number[NUMBER_TEXT] = "";
        size_t length = strcspn(at, ",");
        good = parts < 3 && length < sizeof number;
        if (!good)
            break;
        memcpy(number, at, length);
        good = number_parse_double(number, &parsed[parts++]) == 0;
        at = at[length] ? at + length + 1 : NULL;
    }
    if (!good || parts < 2)
        return error_set(e, malformed,
                         "bad value '%s' for %s: not two or three numbers; write percentages such as "
                         "90,5,5",
                         text, where);
    double sum = parsed[0] + parsed[1] + parsed[2];
    if (parsed[0] <= 0 || parsed[1] < 0 || parsed[2] < 0 || sum < 100 - 1e-9 || sum > 100 + 1e-9)
        return error_set(e, STATUS_CONFIG,
                         "bad value '%s' for %s: not shares of 100; write percentages that sum to "
                         "100, the first above 0, such as 90,5,5",
                         text, where);
    memcpy(percent, parsed, sizeof parsed);
    return STATUS_OK;
}

#define OPTION_LIST_MOST 16

static enum status set_list(const struct option *option, int *list, const char *text, const char *where,
                            enum status malformed, struct error *e)
{
    int most = (int)(option->size / sizeof *list);
    if (option->word[0].text && strcmp(text, option->word[0].text) == 0) {
        memset(list, 0, option->size);
        return STATUS_OK;
    }
    int parsed[OPTION_LIST_MOST] = {0}, largest = 0;
    CHECK(most <= OPTION_LIST_MOST);
    int fault = number_parse_list(text, most, option->ascends, parsed);
    for (int i = 0; i < most && !fault; i++)
        largest = parsed[i] > largest ? parsed[i] : largest;
    if (!fault && option->max > 0 && largest > option->max)
        fault = ERANGE;
    if (fault && !option->ascends && !strchr(text, ','))
        return fault == EINVAL ? malformed_number(option, text, where, "a whole number", malformed, e)
                               : out_of_range(option, text, where, e);
    if (fault == EINVAL)
        return error_set(e, malformed, "bad value '%s' for %s: not whole numbers; write them as in %s", text, where,
                         option->ascends ? "2000,10000" : "512,512,256");
    if (fault && option->ascends)
        return error_set(e, STATUS_CONFIG,
                         "bad value '%s' for %s: they do not ascend from 1 or more, or are more than %d; write them as "
                         "in 2000,10000",
                         text, where, most);
    if (fault)
        return error_set(e, STATUS_CONFIG,
                         "bad value '%s' for %s: one is not in 1 to %.0f, or they are more than %d; write them as in "
                         "512,512,256",
                         text, where, option->max, most);
    memcpy(list, parsed, option->size);
    return STATUS_OK;
}

static enum status add_file(const struct option *option, struct options *options, const char *text, const char *where,
                            struct error *e)
{
    const char **files = field_of(options, option);
    int *count = (int *)((char *)options + option->count_offset);
    if (*count == OPTION_FILES_MAX)
        return error_set(e, STATUS_USAGE, "cannot take '%s' for %s: more than %d files; concatenate some of them", text,
                         where, OPTION_FILES_MAX);
    files[(*count)++] = text;
    return STATUS_OK;
}

const char *const *option_texts(const struct option *option, const struct options *options, int *count)
{
    const char *const *texts = field_of_const(options, option);
    *count =
        option->type == OPTION_FILES ? *(const int *)((const char *)options + option->count_offset) : texts[0] != NULL;
    return texts;
}

/* The value of a word that stands for a number. */
static bool is_word(const struct option *option, const char *text, double *value)
{
    for (int i = 0; i < OPTION_WORDS && option->word[i].text; i++) {
        *value = option->word[i].value;
        if (strcmp(text, option->word[i].text) == 0)
            return true;
    }
    return false;
}

/* The word that stands for a number, else `number`. */
static const char *word_of(const struct option *option, double value, const char *number)
{
    for (int i = 0; i < OPTION_WORDS && option->word[i].text; i++)
        if (value == option->word[i].value)
            return option->word[i].text;
    return number;
}

enum status option_set(const struct option *option, struct options *options, const char *text, const char *where,
                       enum status malformed, struct error *e)
{
    void *field = field_of(options, option);
    double real = 0;
    bool word = is_word(option, text, &real);
    int64_t whole = (int64_t)real;
    uint64_t natural = 0;
    int fault = 0;
    switch (option->type) {
    case OPTION_BOOL:
        return set_bool(field, text, where, malformed, e);
    case OPTION_CHOICE:
        return set_choice(option, field, text, where, e);
    case OPTION_PERCENTS:
        return set_percents(field, text, where, malformed, e);
    case OPTION_LIST:
        return set_list(option, field, text, where, malformed, e);
    case OPTION_FILES:
        if (!*text)
            return error_set(e, malformed, "bad value '' for %s: empty; write the name of a file", where);
        return add_file(option, options, text, where, e);
    case OPTION_TEXT:
        if (!*text && !option->may_be_empty)
            return error_set(e, malformed, "bad value '' for %s: empty; write a name", where);
        if (option->bare && truth_of(text) >= 0)
            text = truth_of(text) ? option->bare : NULL; /* as a file of options says it */
        *(const char **)field = text;
        return STATUS_OK;
    case OPTION_UINT64:
        fault = number_parse_u64(text, &natural);
        if (fault == EINVAL)
            return malformed_number(option, text, where, "a whole number", malformed, e);
        if (fault)
            return out_of_range(option, text, where, e);
        *(uint64_t *)field = natural;
        return STATUS_OK;
    case OPTION_INT:
    case OPTION_INT64:
        if (!word)
            fault = number_parse_i64(text, &whole);
        if (fault == EINVAL)
            return malformed_number(option, text, where, "a whole number", malformed, e);
        if (fault || !is_allowed(option, (double)whole, word))
            return out_of_range(option, text, where, e);
        if (option->type == OPTION_INT)
            *(int *)field = (int)whole; /* fits: so does the range of every OPTION_INT */
        else
            *(int64_t *)field = whole;
        return STATUS_OK;
    case OPTION_DOUBLE:
    case OPTION_DURATION:
        if (!word)
            fault = option->type == OPTION_DOUBLE ? number_parse_double(text, &real) : parse_duration(text, &real);
        if (fault == EINVAL && option->type == OPTION_DURATION)
            return malformed_duration(text, where, malformed, e);
        if (fault == EINVAL)
            return malformed_real(option, text, where, malformed, e);
        if (fault || !is_allowed(option, real, word))
            return out_of_range(option, text, where, e);
        *(double *)field = real;
        return STATUS_OK;
    }
    CHECK(!"a type of option without a case");
    return STATUS_INTERNAL;
}

const char *option_text(const struct option *option, const struct options *options, char room[96])
{
    const void *field = field_of_const(options, option);
    double value = 0;
    switch (option->type) {
    case OPTION_BOOL:
        return *(const bool *)field ? "true" : "false";
    case OPTION_TEXT:
        return *(const char *const *)field;
    case OPTION_CHOICE: {
        int choice = 0;
        if (option->size == sizeof(bool))
            choice = *(const bool *)field;
        else
            memcpy(&choice, field, sizeof choice);
        return option->choices->name(choice);
    }
    case OPTION_UINT64:
        snprintf(room, 96, "%llu", (unsigned long long)*(const uint64_t *)field);
        return room;
    case OPTION_INT:
    case OPTION_INT64: {
        int64_t whole = option->type == OPTION_INT ? *(const int *)field : *(const int64_t *)field;
        snprintf(room, 96, "%lld", (long long)whole);
        return word_of(option, (double)whole, room);
    }
    case OPTION_DOUBLE:
    case OPTION_DURATION:
        value = *(const double *)field;
        return word_of(option, value, number_format(value, room));
    case OPTION_PERCENTS: {
        const double *percent = field;
        char part[3][NUMBER_TEXT];
        snprintf(room, 96, "%s,%s,%s", number_format(percent[0], part[0]), number_format(percent[1], part[1]),
                 number_format(percent[2], part[2]));
        return room;
    }
    case OPTION_LIST:
        return *(const int *)field ? number_format_list(field, (int)(option->size / sizeof(int)), room, 96)
                                   : option->word[0].text;
    case OPTION_FILES:
        break;
    }
    CHECK(!"this type of option has no text");
    return NULL;
}
