/* From a command line to struct options: defaults, files of options, the command line, and what is required. */
#include "options_private.h"

#include <string.h>
#include <sys/stat.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/option_together.h"
#include "unroll/train/rundir.h"

/* All fields get theirs, also those that the command does not take: a field means the same everywhere. Where two
 * commands give one field different defaults, that of the command comes last. */
static void set_defaults(struct options *options)
{
    struct error e;
    for (int own = 0; own < 2; own++) {
        for (const struct option *option = NULL; (option = option_next(COMMANDS, option));) {
            bool mine = option->commands >> options->command & 1;
            if (option->initial && mine == own)
                CHECK(!option_set(option, options, option->initial, option->name, STATUS_INTERNAL, &e));
        }
    }
}

/* `train`: neither the command line nor the run directory names one. */
static enum status corpus_missing(const struct options *options, struct error *e)
{
    struct stat about;
    if (stat(options->train.run, &about) == 0 && !S_ISDIR(about.st_mode))
        return error_set(e, STATUS_USAGE, "bad value '%.200s' for '--run': it is a file; name the run's directory",
                         options->train.run);
    if (options->train.resume == RESUME_MUST)
        return error_set(
            e, STATUS_USAGE,
            "cannot resume '%.200s': it holds no run that names its corpus; name another directory, or add "
            "'--corpus FILE'",
            options->train.run);
    return error_set(e, STATUS_USAGE,
                     "missing option '--corpus': '%.200s' holds no run that names its corpus; add '--corpus FILE', "
                     "for example: %s",
                     options->train.run, options->info->example);
}

static enum status check_required(const struct options *options, struct error *e)
{
    const struct command_info *info = options->info;
    for (const struct option *option = NULL; (option = option_next(options->command, option));) {
        if (option->required >> options->command & 1 &&
            options->memory->origin[option_number(options, option)] == ORIGIN_DEFAULT)
            return error_set(e, STATUS_USAGE, "missing option '--%s': '%s' needs it; add '--%s %s', for example: %s",
                             option->name, info->name, option->name, option->metavar, info->example);
    }
    if (options->command == COMMAND_TRAIN && !options->train.corpus)
        return corpus_missing(options, e);
    if (options->files < info->files_min)
        return error_set(e, STATUS_USAGE, "missing argument '%s': '%s' needs a file; for example: %s", info->operand,
                         info->name, info->example);
    return STATUS_OK;
}

/* Where a model may be named by its run directory, the file that it is read from takes the place. */
static enum status take_model(struct options *options, const char **path, struct error *e)
{
    char model[FILE_PATH_MAX];
    enum status status = rundir_model(*path, model, e);
    if (status || strcmp(model, *path) == 0)
        return status;
    *path = options_keep(options, model, e);
    return *path ? STATUS_OK : STATUS_OS;
}

static enum status take_models(struct options *options, struct error *e)
{
    enum status status = STATUS_OK;
    for (const struct option *option = NULL; !status && (option = option_next(options->command, option));) {
        if (!option->of_run)
            continue;
        int count;
        const char **path = (const char **)option_texts(option, options, &count);
        for (int k = 0; k < count && !status; k++)
            status = take_model(options, &path[k], e);
    }
    for (int i = 0; i < options->files && options->info->files_of_run && !status; i++)
        status = take_model(options, &options->file[i], e);
    return status;
}

enum status options_parse(int argc, char **argv, struct options *options, struct error *e)
{
    *options = (struct options){0};
    CHECK(argc > 0);
    enum command command = command_find(argv[0]);
    CHECK(command != COMMANDS);
    options->command = command;
    options->info = &command_table[command];
    options->memory = mem_alloc(1, sizeof *options->memory, "options", e);
    if (!options->memory)
        return STATUS_OS;
    options->memory->origin = mem_alloc((size_t)option_count(), 1, "options", e);
    if (!options->memory->origin)
        return STATUS_OS;
    set_defaults(options);
    enum status status = options_take_line(options, argc, argv, e);
    if (options->help)
        return STATUS_OK;
    if (!status)
        status = options_take_files(options, e);
    if (!status)
        status = options_take_run(options, e);
    if (!status)
        status = options_take_recipe(options, e);
    if (!status)
        status = check_required(options, e);
    if (!status)
        status = take_models(options, e);
    if (status)
        return status;
    options_settle_all(options);
    if (options->info->settle)
        options->info->settle(options);
    status = options_check_all(options, e);
    if (status)
        return status;
    return options->info->check ? options->info->check(options, e) : STATUS_OK;
}
