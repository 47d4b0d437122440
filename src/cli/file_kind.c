#include "unroll/cli/file_kind.h"
#include "unroll/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/mem.h"
#include "unroll/sys/h5.h"

#define CORPUS_FORMAT "unroll-corpus"
#define CHECKPOINT_FORMAT "unroll-checkpoint"
#define GLANCE ((size_t)1 << 16) /* bytes looked at from either end of a damaged file */

static bool kind_of_format(const char *format, enum file_kind *kind)
{
    bool corpus = strcmp(format, CORPUS_FORMAT) == 0;
    *kind = corpus ? FILE_CORPUS : FILE_CHECKPOINT;
    return corpus || strcmp(format, CHECKPOINT_FORMAT) == 0;
}

static bool find(const char *bytes, size_t length, const char *name)
{
    return memmem(bytes, length, name, strlen(name)) != NULL;
}

static bool glance(int descriptor, off_t offset, char *buffer, enum file_kind *kind)
{
    ssize_t length = pread(descriptor, buffer, GLANCE, offset);
    if (length <= 0)
        return false;
    if (find(buffer, (size_t)length, CHECKPOINT_FORMAT))
        *kind = FILE_CHECKPOINT;
    else if (find(buffer, (size_t)length, CORPUS_FORMAT))
        *kind = FILE_CORPUS;
    else
        return false;
    return true;
}

/* `e` holds why the file did not open, and keeps it unless the kind is found. */
static enum status kind_of_damaged(const char *path, enum file_kind *kind, struct error *e)
{
    char *buffer = mem_alloc(GLANCE, 1, "a look at a file", e);
    if (!buffer)
        return STATUS_OS;
    int descriptor = file_open(path, O_RDONLY, 0);
    struct stat about;
    bool found = descriptor >= 0 && fstat(descriptor, &about) == 0 &&
                 (glance(descriptor, 0, buffer, kind) ||
                  glance(descriptor, about.st_size > (off_t)GLANCE ? about.st_size - (off_t)GLANCE : 0, buffer, kind));
    if (descriptor >= 0)
        close(descriptor);
    mem_free(buffer);
    return found ? STATUS_OK : e->status;
}

enum status file_kind(const char *path, enum file_kind *kind, struct error *e)
{
    struct error local;
    struct h5 *file;
    char format[64];
    enum status status = h5_open_plain(path, STATUS_DATA, &file, &local);
    if (!status) {
        status = h5_attr_string(file, "/", "format", format, sizeof format, &local);
        h5_close_read(file);
        if (!status && !kind_of_format(format, kind))
            status = error_set(&local, STATUS_DATA,
                               "cannot use '%s': it is neither a corpus nor a checkpoint of Unroll", path);
    }
    if (status == STATUS_DATA)
        status = kind_of_damaged(path, kind, &local);
    if (status)
        error_set(e, status, "%s", local.text);
    return status;
}
