/* Looks for run directories under a folder. */
#include "unroll/train/run_find.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/train/rundir.h"

static bool list_has(const struct run_list *list, const struct stat *entry)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->place[i].inode == entry->st_ino && list->place[i].device == entry->st_dev)
            return true;
    return false;
}

static enum status add_place(struct run_list *list, const char *path, const struct stat *entry, struct error *e)
{
    void *place = list->place;
    if (list_has(list, entry))
        return STATUS_OK;
    enum status status = mem_grow(&place, &list->capacity, list->count + 1, sizeof *list->place, "a list of runs", e);
    list->place = place;
    char *copy = status ? NULL : mem_strdup(path, e);
    if (!copy)
        return STATUS_OS;
    list->place[list->count++] = (struct run_place){copy, entry->st_dev, entry->st_ino};
    return STATUS_OK;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
}

static enum status search_folder(const char *folder, int depth, struct run_list *list, struct error *e);

static enum status search_in(const char *folder, const char *name, int depth, struct run_list *list, struct error *e)
{
    char path[FILE_PATH_MAX];
    struct stat about;
    bool here = strcmp(folder, ".") == 0; /* "runs/book" reads better than "./runs/book" */
    if (file_join(path, folder, name, NULL) || stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return STATUS_OK;
    const char *shown = here ? name : path;
    return rundir_is_run(path) ? add_place(list, shown, &about, e) : search_folder(shown, depth + 1, list, e);
}

/* A folder that cannot be listed counts as empty; only for the folder that the user named it is an error. */
static enum status search_folder(const char *folder, int depth, struct run_list *list, struct error *e)
{
    struct dirent **entry;
    if (depth > RUN_FIND_DEPTH)
        return STATUS_OK;
    int count = scandir(folder, &entry, is_shown, versionsort);
    if (count < 0 && depth == 1)
        return error_set(e, status_of_errno(errno), "cannot list '%.300s': %s; check its permissions", folder,
                         strerror(errno));
    enum status status = STATUS_OK;
    for (int i = 0; i < count; i++) {
        if (!status)
            status = search_in(folder, entry[i]->d_name, depth, list, e);
        free(entry[i]); /* scandir's */
    }
    if (count >= 0)
        free(entry);
    return status;
}

/* Without the slashes at its end, so that what follows gets one; "/" stays. */
static enum status trim_slashes(char plain[FILE_PATH_MAX], const char *folder, struct error *e)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (length >= FILE_PATH_MAX)
        return file_path_too_long(folder, FILE_PATH_MAX - 1, e);
    memcpy(plain, folder, length);
    plain[length] = '\0';
    return STATUS_OK;
}

enum status run_find(const char *folder, struct run_list *list, struct error *e)
{
    char plain[FILE_PATH_MAX];
    struct stat about;
    enum status status = trim_slashes(plain, folder, e);
    if (status)
        return status;
    if (stat(plain, &about) != 0)
        return error_set(e, status_of_errno(errno),
                         "cannot open '%.300s': %s; name a run directory, or a folder of them", folder,
                         strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return error_set(e, STATUS_DATA,
                         "cannot look for runs in '%.300s': it is no folder; name a run directory, or a "
                         "folder of them",
                         folder);
    return rundir_is_run(plain) ? add_place(list, plain, &about, e) : search_folder(plain, 1, list, e);
}

void run_list_release(struct run_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->place[i].path);
    mem_free(list->place);
    *list = (struct run_list){.place = NULL};
}
