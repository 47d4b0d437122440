/* The files of a run directory: opening it, naming, listing and removing checkpoints. */
#include "unroll/train/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/mem.h"

#define LONGEST_NAME 96 /* of a file in it, its folder and ".tmp" included */

static enum status check_lock(void *context, struct error *e)
{
    return run_lock_check(context, e);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static void remove_temporaries(const char *folder)
{
    DIR *list = opendir(folder);
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (ends_with(entry->d_name, ".tmp"))
            (void)unlinkat(dirfd(list), entry->d_name, 0); /* one that stays does no harm */
    (void)closedir(list);
}

/* ---- whose directory it is ---- */

static bool holds_file(const char *path, const char *name)
{
    char file[FILE_PATH_MAX];
    struct stat entry;
    return !file_join(file, path, name, NULL) && stat(file, &entry) == 0;
}

int64_t rundir_newest(const char *path)
{
    struct rundir *rundir;
    int64_t *steps = NULL, newest = -1;
    int count = 0;
    if (rundir_look(path, &rundir, NULL))
        return newest;
    if (!rundir_list(rundir, &steps, &count, NULL) && count > 0)
        newest = steps[0];
    mem_free(steps);
    rundir_close(rundir);
    return newest;
}

bool rundir_holds_run(const char *path)
{
    return rundir_newest(path) >= 0;
}

bool rundir_is_begun(const char *path)
{
    return rundir_holds_run(path) ||
           (holds_file(path, "checkpoints") && (holds_file(path, "metrics.jsonl") || holds_file(path, "lock")));
}

/* What a start has written before its first step. */
static bool has_start(const char *path)
{
    return holds_file(path, "config.ini") && holds_file(path, "metrics.jsonl") && holds_file(path, "checkpoints");
}

bool rundir_is_at_start(const char *path)
{
    return has_start(path) && !rundir_holds_run(path);
}

bool rundir_goes_on(const char *path)
{
    return has_start(path) || rundir_holds_run(path);
}

bool rundir_is_run(const char *path)
{
    if (holds_file(path, "metrics.jsonl") || holds_file(path, "timing.jsonl"))
        return true;
    return (holds_file(path, "config.ini") || holds_file(path, "lock")) &&
           (holds_file(path, "checkpoints") || holds_file(path, "best.h5") || holds_file(path, "latest"));
}

enum status rundir_model(const char *path, char model[FILE_PATH_MAX], struct error *e)
{
    struct stat entry;
    if (stat(path, &entry) != 0 || !S_ISDIR(entry.st_mode)) {
        if (snprintf(model, FILE_PATH_MAX, "%s", path) < FILE_PATH_MAX)
            return STATUS_OK;
        return file_path_too_long(path, FILE_PATH_MAX - 1, e);
    }
    const char *name = holds_file(path, "best.h5") ? "best.h5" : "latest";
    if (!holds_file(path, name))
        return error_set(
            e, STATUS_NOINPUT,
            "cannot find a model in '%.300s': it has neither best.h5 nor latest; name a run directory that "
            "has one, or a checkpoint",
            path);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    char folder[FILE_PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    return file_join(model, folder, name, e);
}

/* Files that may be in a run directory before its first run: left by a start that was killed, or put there by users. */
static bool is_harmless(const char *folder, const char *name)
{
    static const char *const names[] = {".", "..", "checkpoints", "lost+found", "log"};
    static const char *const ends[] = {".log", ".out", ".err", ".ini", ".toml", ".json"};
    if (rundir_owns(name))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    char file[FILE_PATH_MAX];
    struct stat entry;
    return !file_join(file, folder, name, NULL) && lstat(file, &entry) == 0 && S_ISREG(entry.st_mode) &&
           entry.st_size == 0;
}

/* STATUS_CANTCREATE if the folder holds other files: those of a run must not be mixed with them. */
static enum status check_place(const char *path, struct error *e)
{
    struct stat entry;
    if (stat(path, &entry) != 0)
        return STATUS_OK; /* to be made */
    if (!S_ISDIR(entry.st_mode))
        return error_set(e, STATUS_CANTCREATE,
                         "cannot use '%.200s' as a run directory: it is no directory; name a new one", path);
    DIR *list = rundir_is_begun(path) ? NULL : opendir(path);
    char other[256] = "";
    for (struct dirent *each; list && !*other && (each = readdir(list)) != NULL;)
        if (!is_harmless(path, each->d_name))
            snprintf(other, sizeof other, "%s", each->d_name);
    if (list)
        (void)closedir(list);
    if (*other)
        return error_set(e, STATUS_CANTCREATE,
                         "cannot use '%.200s' as a run directory: it holds no run, but other things, such as '%.100s'; "
                         "name a new directory or an empty one",
                         path, other);
    return STATUS_OK;
}

/* ---- opening ---- */

enum status rundir_look(const char *path, struct rundir **out, struct error *e)
{
    *out = NULL;
    if (strlen(path) + LONGEST_NAME >= FILE_PATH_MAX)
        return file_path_too_long(path, FILE_PATH_MAX - LONGEST_NAME - 1, e);
    struct rundir *rundir = mem_alloc(1, sizeof *rundir, "a run directory", e);
    if (!rundir)
        return STATUS_OS;
    snprintf(rundir->path, sizeof rundir->path, "%s", path);
    rundir_file(rundir, "checkpoints", rundir->checkpoints);
    rundir->guard = (struct file_guard){check_lock, &rundir->lock, rundir->lock.folder};
    *out = rundir;
    return STATUS_OK;
}

enum status rundir_open(const char *path, struct rundir **out, char *notice, struct error *e)
{
    char lock[FILE_PATH_MAX];
    notice[0] = '\0';
    *out = NULL;
    enum status status = check_place(path, e);
    if (!status)
        status = rundir_look(path, out, e);
    if (status)
        return status;
    struct rundir *rundir = *out;
    rundir_file(rundir, "lock", lock);
    status = file_make_folders(rundir->checkpoints, rundir->made, e);
    if (!status)
        status = run_lock_take(&rundir->lock, lock, notice, e);
    if (!status && access(rundir->checkpoints, W_OK | X_OK) != 0)
        status = error_set(e, STATUS_CANTCREATE, "cannot write to '%s': %s; check its permissions", rundir->checkpoints,
                           strerror(errno));
    if (status) {
        rundir_close(rundir);
        *out = NULL;
        return status;
    }
    remove_temporaries(rundir->path);
    remove_temporaries(rundir->checkpoints);
    return STATUS_OK;
}

void rundir_close(struct rundir *rundir)
{
    if (!rundir)
        return;
    run_lock_release(&rundir->lock);
    if (!rundir->begun)
        file_unmake_folders(rundir->checkpoints, rundir->made);
    mem_free(rundir);
}

bool rundir_owns(const char *name)
{
    static const char *const files[] = {"config.ini", "metrics.jsonl", "timing.jsonl", "latest", "best.h5", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(name, files[i]) == 0)
            return true;
    const char *slash = strchr(name, '/');
    size_t first = slash ? (size_t)(slash - name) : strlen(name);
    return (slash && strncmp(name, "checkpoints", first) == 0) ||
           (first >= 4 && strncmp(name + first - 4, ".tmp", 4) == 0);
}

void rundir_file(const struct rundir *rundir, const char *name, char path[FILE_PATH_MAX])
{
    CHECK(snprintf(path, FILE_PATH_MAX, "%s/%s", rundir->path, name) < FILE_PATH_MAX);
}

static void checkpoint_name(int64_t step, char name[32])
{
    snprintf(name, 32, "step-%08" PRId64 ".h5", step);
}

void rundir_checkpoint(const struct rundir *rundir, int64_t step, char path[FILE_PATH_MAX])
{
    char name[32];
    checkpoint_name(step, name);
    CHECK(snprintf(path, FILE_PATH_MAX, "%s/%s", rundir->checkpoints, name) < FILE_PATH_MAX);
}

/* -1 if it is no checkpoint's name. */
static int64_t step_of(const char *name)
{
    char canonical[32];
    if (strncmp(name, "step-", 5) != 0 || strlen(name) > 27)
        return -1;
    int64_t step = strtoll(name + 5, NULL, 10);
    if (step < 0)
        return -1;
    checkpoint_name(step, canonical);
    return strcmp(name, canonical) == 0 ? step : -1;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

enum status rundir_list(const struct rundir *rundir, int64_t **steps, int *count, struct error *e)
{
    void *list = NULL;
    size_t capacity = 0, found = 0;
    enum status status = STATUS_OK;
    *steps = NULL;
    *count = 0;
    DIR *folder = opendir(rundir->checkpoints);
    if (!folder && errno == ENOENT)
        return STATUS_OK;
    if (!folder)
        return error_set(e, status_of_errno(errno), "cannot list '%s': %s; check its permissions", rundir->checkpoints,
                         strerror(errno));
    for (struct dirent *entry; !status && (entry = readdir(folder)) != NULL;) {
        int64_t step = step_of(entry->d_name);
        if (step < 0)
            continue;
        status = mem_grow(&list, &capacity, found + 1, sizeof(int64_t), "a list of checkpoints", e);
        if (!status)
            ((int64_t *)list)[found++] = step;
    }
    (void)closedir(folder);
    if (status) {
        mem_free(list);
        return status;
    }
    if (found > 1)
        qsort(list, found, sizeof(int64_t), newest_first);
    *steps = list;
    *count = (int)found;
    return STATUS_OK;
}

enum status rundir_set_latest(struct rundir *rundir, int64_t step, struct error *e)
{
    char link_path[FILE_PATH_MAX], temporary[FILE_PATH_MAX], name[32], target[64];
    rundir_file(rundir, "latest", link_path);
    checkpoint_name(step, name);
    snprintf(target, sizeof target, "checkpoints/%s", name);
    enum status status = run_lock_check(&rundir->lock, e);
    if (!status)
        status = file_temporary(temporary, link_path, &rundir->guard, e);
    if (status)
        return status;
    (void)unlink(temporary);
    if (symlink(target, temporary) != 0)
        return error_set(e, status_of_errno(errno), "cannot create '%s': %s; check the file system", temporary,
                         strerror(errno));
    status = file_commit(temporary, link_path, &rundir->guard, e);
    if (status)
        (void)unlink(temporary);
    return status;
}

/* Renames into the lock's folder, then removes. A plain unlink might happen after another job has taken the run over.
 */
static enum status remove_by_renaming(const struct rundir *rundir, const char *path, struct error *e)
{
    char last[FILE_PATH_MAX];
    enum status status = file_temporary(last, path, &rundir->guard, e);
    if (status)
        return status;
    if (rename(path, last) == 0)
        (void)unlink(last);
    else if (errno == ENOENT)
        return run_lock_check(&rundir->lock, e); /* it was gone, or we may not touch it any more */
    else
        return error_set(e, status_of_errno(errno), "cannot remove '%s': %s; check its permissions", path,
                         strerror(errno));
    return STATUS_OK;
}

enum status rundir_prune(struct rundir *rundir, int64_t newest, int64_t keep, struct error *e)
{
    int64_t *steps;
    int count;
    int64_t kept = 0;
    enum status status = run_lock_check(&rundir->lock, e);
    if (!status)
        status = rundir_list(rundir, &steps, &count, e);
    if (status)
        return status;
    for (int i = 0; i < count && !status; i++) {
        char path[FILE_PATH_MAX];
        if (steps[i] > newest || ++kept <= keep)
            continue;
        rundir_checkpoint(rundir, steps[i], path);
        status = remove_by_renaming(rundir, path, e);
    }
    mem_free(steps);
    return status;
}
