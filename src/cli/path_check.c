/* Compares the paths of a command line, so that no command overwrites what it reads. */
#include "unroll/cli/path_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/cli/option_table.h"
#include "unroll/train/rundir.h"

/* A path of the command line, and the option that names it. */
struct use {
    enum option_path role;
    const char *path, *option; /* option: NULL for an operand and for the standard streams */
};

/* Where it leads to. */
struct place {
    bool is_regular, is_folder; /* false, false: nothing there yet, or a device or pipe, which may be used twice */
    bool is_there;
    dev_t device;
    ino_t inode;
    char real[FILE_PATH_MAX];
};

static bool is_written(const struct use *use)
{
    return use->role == OPTION_PATH_STREAM || use->role == OPTION_PATH_HDF5;
}

static bool is_read(const struct use *use)
{
    return use->role == OPTION_PATH_READ || use->role == OPTION_PATH_LABELLED;
}

static void look(struct place *place, int failed, const struct stat *about)
{
    place->is_there = !failed;
    if (failed)
        return;
    place->is_regular = S_ISREG(about->st_mode);
    place->is_folder = S_ISDIR(about->st_mode);
    place->device = about->st_dev;
    place->inode = about->st_ino;
}

static struct place place_of_stream(int fd)
{
    struct stat about;
    struct place place = {.real = ""};
    look(&place, fstat(fd, &about), &about);
    return place;
}

static struct place place_of(const char *path)
{
    struct stat about;
    struct place place = {.real = ""};
    file_resolve(path, place.real);
    look(&place, stat(path, &about), &about);
    return place;
}

/* Hard links are the same file by other names. What is no file and no folder, such as a terminal, may be used twice. */
static bool is_same(const struct place *a, const struct place *b)
{
    if (a->is_there && b->is_there)
        return (a->is_regular || a->is_folder) && a->device == b->device && a->inode == b->inode;
    return !a->is_there && !b->is_there && *a->real && strcmp(a->real, b->real) == 0;
}

/* ---- the paths of a command line ---- */

struct walk {
    const struct options *options;
    struct use other; /* what each is compared with */
    struct place place;
    bool is_temporary; /* its name before it gets its own */
    struct error *e;
};

typedef enum status visitor(struct walk *walk, const struct use *use);

static enum status each_of_option(struct walk *walk, const struct option *option, visitor *visit)
{
    int count;
    const char *const *paths = option_texts(option, walk->options, &count);
    enum status status = STATUS_OK;
    for (int i = 0; i < count && !status; i++) {
        struct use use = {option->path, paths[i], option->name};
        if (use.role == OPTION_PATH_LABELLED && strchr(use.path, '='))
            use.path = strchr(use.path, '=') + 1;
        status = visit(walk, &use);
    }
    return status;
}

static enum status each_path(struct walk *walk, visitor *visit)
{
    enum command command = walk->options->command;
    enum status status = STATUS_OK;
    for (const struct option *option = NULL; !status && (option = option_next(command, option));)
        if (option->path != OPTION_PATH_NONE && option_of_field(command, option) == option)
            status = each_of_option(walk, option, visit);
    for (int i = 0; i < walk->options->files && !status; i++)
        status = visit(walk, &(struct use){OPTION_PATH_READ, walk->options->file[i], NULL});
    if (!status && walk->options->files == 0 && walk->options->info->files_max > 0)
        status = visit(walk, &(struct use){OPTION_PATH_READ, "-", NULL}); /* [FILE] */
    return status;
}

/* ---- what clashes ---- */

/* "--train" or "the command", into `room`. */
static const char *user(const struct use *use, char room[80])
{
    if (use->option)
        snprintf(room, 80, "--%s", use->option);
    else
        snprintf(room, 80, "%s", is_read(use) ? "the command" : "standard output");
    return room;
}

static const char *shown(const struct use *use)
{
    return !file_is_standard(use->path) ? use->path : is_read(use) ? "standard input" : "standard output";
}

static enum status clash(struct walk *walk, const struct use *other)
{
    const struct use *use = &walk->other;
    const char *verb = file_is_standard(use->path) ? "write to" : "create";
    char of_use[80], of_other[80];
    if (is_read(other))
        return error_set(walk->e, STATUS_CANTCREATE,
                         "cannot %s '%.180s': it is '%.180s', which %s reads; choose another name", verb, shown(use),
                         shown(other), user(other, of_other));
    return error_set(walk->e, STATUS_CANTCREATE,
                     "cannot %s '%.180s': %s and %s are the same file; choose another name for one of them", verb,
                     shown(use), user(use, of_use), user(other, of_other));
}

/* Of a run directory only the files that it is made of are taken: a summary may well lie beside them. */
static bool is_inside(const struct place *folder, const struct place *file)
{
    size_t length = strlen(folder->real);
    return length > 0 && strncmp(file->real, folder->real, length) == 0 && file->real[length] == '/' &&
           rundir_owns(file->real + length + 1);
}

/* A file against a directory that `folder` names. config.ini of a run may well be what its options come from. */
static enum status check_folder(struct walk *walk, const struct use *file, const struct place *of_file,
                                const struct use *folder, const struct place *of_folder)
{
    char of_user[80];
    if (!is_inside(of_folder, of_file) || (file->option && strcmp(file->option, "config") == 0))
        return STATUS_OK;
    return error_set(walk->e, STATUS_CANTCREATE,
                     "cannot use '%.180s' for %s: it is one of the files of the run directory '%.180s'; choose another "
                     "name",
                     file->path, user(file, of_user), folder->path);
}

/* `use` beside walk->other, which is written. */
static enum status compare(struct walk *walk, const struct use *use)
{
    const struct use *other = &walk->other;
    bool standard = is_read(use) && file_is_standard(use->path);
    struct place place = standard ? place_of_stream(STDIN_FILENO) : place_of(use->path);
    if (is_written(use) && file_is_standard(use->path))
        return STATUS_OK; /* check_standard */
    if (is_read(use) && is_same(&walk->place, &place))
        return clash(walk, use);
    if (is_written(use) && use->option != other->option && is_same(&walk->place, &place))
        return clash(walk, use);
    if (!walk->is_temporary && use->role == OPTION_PATH_RUN)
        return check_folder(walk, other, &walk->place, use, &place);
    return STATUS_OK;
}

/* A file is first written under a temporary name, which must not be an input's either. */
static enum status check_temporary(struct walk *walk)
{
    char temporary[FILE_PATH_MAX], final[FILE_PATH_MAX];
    const char *path = walk->other.path;
    struct stat about;
    if ((stat(path, &about) == 0 && !S_ISREG(about.st_mode)) || file_temporary(temporary, path, NULL, NULL))
        return STATUS_OK;
    snprintf(final, sizeof final, "%s", path);
    walk->place = place_of(temporary);
    walk->other.path = temporary;
    walk->is_temporary = true;
    enum status status = each_path(walk, compare);
    if (status && walk->e)
        error_set(walk->e, status,
                  "cannot create '%.180s': it is first written as '%.180s', which is another file of this command; "
                  "choose another name",
                  final, temporary);
    return status;
}

/* Whether a path is that of a run's own file, whatever run it is and whether the command reads of it; its directory
 * into `folder`. */
static bool belongs_to_run(const struct place *file, char folder[FILE_PATH_MAX])
{
    snprintf(folder, FILE_PATH_MAX, "%s", file->real);
    for (int up = 0; up < 2; up++) { /* DIR/best.h5, DIR/checkpoints/step-00000100.h5 */
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder)
            return false;
        *slash = '\0';
        if (rundir_owns(file->real + (slash - folder) + 1) && rundir_is_begun(folder))
            return true;
    }
    return false;
}

static enum status check_written(struct walk *walk, const struct use *use)
{
    char folder[FILE_PATH_MAX];
    if (!is_written(use) || file_is_standard(use->path))
        return STATUS_OK;
    struct walk inner = {.options = walk->options, .other = *use, .place = place_of(use->path), .e = walk->e};
    if (use->role == OPTION_PATH_HDF5 && inner.place.is_there && !inner.place.is_regular)
        return error_set(walk->e, STATUS_CANTCREATE, "cannot create '%.180s': it is %s; choose the name of a file",
                         use->path, inner.place.is_folder ? "a directory" : "not a regular file");
    enum status status = each_path(&inner, compare);
    if (!status && belongs_to_run(&inner.place, folder))
        return error_set(
            walk->e, STATUS_CANTCREATE,
            "cannot create '%.180s': it is one of the files of the run directory '%.180s'; choose another name",
            use->path, folder);
    return status ? status : check_temporary(&inner);
}

/* What a run reads at its start and what it writes may not be the same: a start from its own best.h5. */
static enum status compare_with_run(struct walk *walk, const struct use *use)
{
    struct place place = place_of(use->path);
    if (use->role == OPTION_PATH_RUN && use->option != walk->other.option && is_same(&walk->place, &place))
        return error_set(walk->e, STATUS_CONFIG,
                         "bad value '%.180s' for '--%s': it is --%s itself; name another directory", use->path,
                         use->option, walk->other.option);
    if (!is_read(use) || file_is_standard(use->path))
        return STATUS_OK;
    return check_folder(walk, use, &place, &walk->other, &walk->place);
}

static enum status check_run(struct walk *walk, const struct use *use)
{
    if (use->role != OPTION_PATH_RUN)
        return STATUS_OK;
    struct walk inner = {.options = walk->options, .other = *use, .place = place_of(use->path), .e = walk->e};
    return each_path(&inner, compare_with_run);
}

/* ---- standard output ---- */

static enum status check_standard(struct walk *walk, const struct use *use)
{
    char of_use[80], of_other[80];
    if (!is_written(use) || file_standard_stream(use->path) < 0)
        return STATUS_OK;
    if (use->role == OPTION_PATH_HDF5)
        return error_set(
            walk->e, STATUS_CONFIG,
            "cannot write '%.180s' for %s: an HDF5 file is not written from front to back, as standard output "
            "is; name a file%s",
            use->path, user(use, of_use), file_is_standard(use->path) ? ", './-' if it is to be called so" : "");
    if (!file_is_standard(use->path))
        return STATUS_OK;
    if (walk->other.path)
        return error_set(walk->e, STATUS_CONFIG,
                         "cannot write '-' for both %s and %s: there is one standard output; name a file for one of "
                         "them",
                         user(&walk->other, of_other), user(use, of_use));
    walk->other = *use;
    return STATUS_OK;
}

/* True of "/dev/stdout" and the like, which are written through what is open. */
static bool is_link_to_stream(const char *path)
{
    struct stat about;
    return file_is_standard(path) || (lstat(path, &about) == 0 && S_ISLNK(about.st_mode));
}

/* The shell has opened standard output: `score f >f` has lost f by now, `score f >>f` would never come to its end. */
static enum status compare_with_standard(struct walk *walk, const struct use *use)
{
    bool standard = is_read(use) && file_is_standard(use->path);
    if (use->role == OPTION_PATH_RUN || (is_written(use) && is_link_to_stream(use->path)))
        return STATUS_OK;
    struct place place = standard ? place_of_stream(STDIN_FILENO) : place_of(use->path);
    return is_same(&walk->place, &place) ? clash(walk, use) : STATUS_OK;
}

enum status path_check(const struct options *options, struct error *e)
{
    struct walk walk = {.options = options, .e = e};
    enum status status = each_path(&walk, check_standard);
    if (!status)
        status = each_path(&walk, check_written);
    if (!status)
        status = each_path(&walk, check_run);
    walk.place = place_of_stream(STDOUT_FILENO);
    walk.other = (struct use){OPTION_PATH_STREAM, "-", NULL};
    return !status && walk.place.is_regular ? each_path(&walk, compare_with_standard) : status;
}
