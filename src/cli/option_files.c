/* Options from files: those of --config, and the config.ini of a run that goes on (option_ini.c writes it). Strings
 * are kept with the options. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options_private.h"

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/sys/ini.h"
#include "unroll/train/rundir.h"

struct file_reading {
    const char *path;
    struct options *options;
    enum option_origin origin; /* of what it sets; what has a higher one stays */
    bool begins;               /* a run is to begin from it, and does not go on */
    bool own;                  /* the config.ini of the run that it is about, in the run's directory */
    int *line;                 /* [option_count] where it was set, 0 if it was not */
    bool *changed;             /* [option_count] what stays has another value */
};

/* Whether a run that goes on has the say: what was given leaves it the choice. */
static bool yields(const struct file_reading *reading, const struct option *option)
{
    char room[96];
    return reading->origin == ORIGIN_RUN && !reading->begins && option->yields &&
           strcmp(option_text(option, reading->options, room), option->yields) == 0;
}

/* A value for an option that the command takes. */
static enum status take_value(struct file_reading *reading, const struct option *option, const char *value, int element,
                              const char *where, struct error *e)
{
    struct options *options = reading->options;
    int number = option_number(options, option);
    unsigned char *origin = &options->memory->origin[number];
    char room[96];
    if (*origin > reading->origin && !yields(reading, option)) {
        if (reading->origin == ORIGIN_RUN && option->type != OPTION_FILES) {
            const char *now = option_text(option, options, room);
            reading->changed[number] = !now || strcmp(now, value) != 0;
        }
        return STATUS_OK;
    }
    *origin = (unsigned char)reading->origin;
    if (option->type == OPTION_FILES && element == 0)
        *(int *)((char *)options + option->count_offset) = 0; /* of an earlier file */
    const char *kept = options_keep(options, value, e);
    return kept ? option_set(option, options, kept, where, STATUS_CONFIG, e) : STATUS_OS;
}

/* One file may serve several commands: options that only others take are passed over, and so is a section that bears
 * another command's name. Other sections only group. */
static enum status take_entry(void *context, const char *section, const char *name, const char *value, int element,
                              int line, struct error *e)
{
    struct file_reading *reading = context;
    char where[300];
    snprintf(where, sizeof where, "'%.60s' in '%.150s' line %d", name, reading->path, line);
    const struct option *option = option_find(reading->options->command, name);
    bool known = option != NULL;
    for (int other = 0; other < COMMANDS && !known; other++)
        known = option_find((enum command)other, name) != NULL;
    if (!known) {
        const char *near = option_suggest(reading->options->command, name);
        if (!near)
            near = option_suggest(COMMANDS, name);
        if (near)
            return error_set(e, STATUS_CONFIG, "unknown option %s: no command takes it; did you mean '%s'?", where,
                             near);
        return error_set(e, STATUS_CONFIG, "unknown option %s: no command takes it; see 'unroll %s --help'", where,
                         reading->options->info->name);
    }
    enum command owner = command_find(section);
    if (!option || (owner != COMMANDS && owner != reading->options->command))
        return STATUS_OK;
    int number = option_number(reading->options, option);
    if (reading->own && option->kept != OPTION_KEPT)
        return STATUS_OK;
    if (option->offset == offsetof(struct options, config_file))
        return error_set(e, STATUS_CONFIG, "bad option %s: a configuration file cannot name another; use one file",
                         where);
    if (element > 0 && option->type != OPTION_FILES)
        return error_set(e, STATUS_CONFIG, "bad value '%s' for %s: an array of strings; write %s", value, where,
                         option->type == OPTION_LIST ? "numbers, as in [64, 32]" : "one value");
    if (element == 0 && reading->line[number])
        return error_set(e, STATUS_CONFIG, "option %s is set a second time: line %d has it too; remove one of them",
                         where, reading->line[number]);
    reading->line[number] = line;
    return take_value(reading, option, value, element, where, e);
}

static enum status read_file(struct file_reading *reading, struct error *e)
{
    size_t options = (size_t)option_count();
    reading->line = mem_alloc(options, sizeof *reading->line, "the configuration file", e);
    reading->changed = mem_alloc(options, sizeof *reading->changed, "the configuration file", e);
    enum status status = STATUS_OS;
    if (reading->line && reading->changed)
        status = (reading->own ? ini_read_regular : ini_read)(reading->path, take_entry, reading, e);
    mem_free(reading->line);
    return status;
}

/* True, with its directory, if a file is the config.ini that a run has in its directory. */
static bool is_of_a_run(const char *path, char folder[FILE_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, "config.ini") != 0 || strlen(path) >= FILE_PATH_MAX)
        return false;
    file_folder(path, folder);
    return rundir_is_begun(folder);
}

enum status options_take_files(struct options *options, struct error *e)
{
    char folder[FILE_PATH_MAX], run[FILE_PATH_MAX] = "";
    bool elsewhere =
        options->train.run != NULL; /* by a flag: then a run's config.ini is a file of options like any other */
    enum status status = STATUS_OK;
    for (int i = 0; i < options->config_files && !status; i++) {
        struct file_reading reading = {.path = options->config_file[i], .options = options, .origin = ORIGIN_FILE};
        reading.own = !elsewhere && is_of_a_run(reading.path, folder);
        if (reading.own)
            memcpy(run, folder, sizeof run);
        status = read_file(&reading, e);
        mem_free(reading.changed);
    }
    if (status || options->command != COMMAND_TRAIN || !*run || options->train.run)
        return status;
    options->train.run = options_keep(options, run, e);
    options->memory->origin[option_number(options, option_find(options->command, "run"))] = ORIGIN_FILE;
    return options->train.run ? STATUS_OK : STATUS_OS;
}

/* ---- the options of a run that is gone on with ---- */

static bool is_changed(const struct file_reading *reading, const char *name)
{
    const struct option *option = name ? option_find(reading->options->command, name) : NULL;
    return option && reading->changed[option_number(reading->options, option)];
}

/* Where the options that one follows are given anew with other values, it does not come from the run. */
static enum status drop_dependent(const struct file_reading *reading, struct error *e)
{
    struct options *options = reading->options;
    enum status status = STATUS_OK;
    for (const struct option *option = NULL; !status && (option = option_next(options->command, option));) {
        if (!option->follows[0])
            continue;
        unsigned char *origin = &options->memory->origin[option_number(options, option)];
        if (*origin != ORIGIN_RUN ||
            !(is_changed(reading, option->follows[0]) || is_changed(reading, option->follows[1])))
            continue;
        *origin = ORIGIN_DEFAULT;
        status = option_set(option, options, option->initial, option->name, STATUS_INTERNAL, e);
    }
    return status;
}

enum status options_take_run(struct options *options, struct error *e)
{
    char path[FILE_PATH_MAX];
    if (options->command != COMMAND_TRAIN || !options->train.run)
        return STATUS_OK;
    const char *run =
        options->train.branch && rundir_goes_on(options->train.branch) ? options->train.branch : options->train.run;
    if (file_join(path, run, "config.ini", NULL) || access(path, F_OK) != 0)
        return STATUS_OK; /* perhaps its checkpoints alone: whoever goes on with them says all */
    if (!rundir_goes_on(run))
        return STATUS_OK;
    struct file_reading reading = {.path = path, .options = options, .origin = ORIGIN_RUN, .own = true};
    reading.begins = options->train.branch && run == options->train.run;
    enum status status = read_file(&reading, e);
    if (!status)
        status = drop_dependent(&reading, e);
    options->memory->goes_on = !reading.begins;
    mem_free(reading.changed);
    return status;
}
