/* Finds the run directories under a folder. */
#ifndef UNROLL_TRAIN_RUN_FIND_H
#define UNROLL_TRAIN_RUN_FIND_H

#include <stddef.h>
#include <sys/types.h>

#include "unroll/base/status.h"

#define RUN_FIND_DEPTH 3 /* levels of folders below the one that is named */

struct run_place {
    char *path; /* as it was named, and what leads on from there; owned */
    dev_t device;
    ino_t inode;
};

struct run_list {
    struct run_place *place; /* [count] owned */
    size_t count, capacity;
};

/* Adds the run directories that `folder` is or holds, sorted by name. A run directory is not looked into, nor is
 * what begins with a dot; a directory that the list has already is passed over, and so is a folder inside that
 * cannot be read. STATUS_NOINPUT if there is no such folder, STATUS_DATA if it is no folder; STATUS_IO, STATUS_OS.
 * Release with run_list_release, also after a failure. */
enum status run_find(const char *folder, struct run_list *list, struct error *e);
void run_list_release(struct run_list *list);

#endif
