/* Makes, locks, renames and removes the temporary file of an output. */
#include "unroll/data/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/temporary.h"

static void release(struct output *output)
{
    if (output->lock >= 0)
        (void)close(output->lock);
    mem_free(output->path);
    mem_free(output->temporary);
    *output = (struct output){.lock = -1};
}

static enum status cannot_create(const char *path, int number, struct error *e)
{
    return error_set(e, number == ENOSPC || number == EDQUOT || number == EIO ? STATUS_IO : STATUS_CANTCREATE,
                     "cannot create '%s': %s; check the folder, its permissions and the free space", path,
                     strerror(number));
}

static enum status check_target(const char *path, struct error *e)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return STATUS_OK; /* usually not there yet; anything else shows when the temporary file is made */
    if (S_ISREG(about.st_mode))
        return STATUS_OK;
    return error_set(e, STATUS_CANTCREATE, "cannot create '%s': it is %s; choose the name of a file", path,
                     S_ISDIR(about.st_mode) ? "a directory" : "not a regular file");
}

/* Opens and locks the temporary file. False, with nothing open and errno set, if it cannot; EWOULDBLOCK: it is held. */
static bool lock_temporary(struct output *output)
{
    for (int attempt = 0; attempt < 10; attempt++) {
        struct stat open_one, named_one;
        output->lock = file_open(output->temporary, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
        if (output->lock < 0)
            return false;
        /* File systems without locks give another error, and then there is none. */
        bool held = flock(output->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!held && fstat(output->lock, &open_one) == 0 && stat(output->temporary, &named_one) == 0 &&
            open_one.st_ino == named_one.st_ino && open_one.st_dev == named_one.st_dev) {
            temporary_watch(output->temporary);
            return true;
        }
        /* Held, or renamed by its owner between our open and our lock: then the name is free again. */
        (void)close(output->lock);
        output->lock = -1;
        errno = EWOULDBLOCK;
        if (held)
            return false;
    }
    return false;
}

char *output_temporary(const char *path, struct error *e)
{
    size_t room = strlen(path) + sizeof ".tmp";
    char *name = mem_alloc(room, 1, "a file name", e);
    if (name)
        snprintf(name, room, "%s.tmp", path);
    return name;
}

enum status output_begin(const char *path, struct output *output, struct error *e)
{
    *output = (struct output){.lock = -1};
    enum status status = check_target(path, e);
    if (status)
        return status;
    output->path = mem_strdup(path, e);
    output->temporary = output->path ? output_temporary(path, e) : NULL;
    if (!output->temporary) {
        release(output);
        return STATUS_OS;
    }
    if (!lock_temporary(output)) {
        int number = errno;
        release(output);
        if (number == EWOULDBLOCK)
            return error_set(e, STATUS_CANTCREATE,
                             "cannot create '%s': another process is making it; wait for it or choose another name",
                             path);
        return cannot_create(path, number, e);
    }
    return STATUS_OK;
}

enum status output_commit(struct output *output, struct error *e)
{
    enum status status = file_sync(output->lock, output->temporary, e);
    if (!status)
        status = file_commit(output->temporary, output->path, NULL, e);
    if (!status)
        release(output);
    else
        output_abandon(output);
    return status;
}

void output_abandon(struct output *output)
{
    if (output->temporary)
        temporary_remove(output->temporary);
    release(output);
}
