/* Where the bytes of a file being read come from: its trace, or the file itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "h5_private.h"

#include "unroll/base/file.h"

enum status h5_open_file(struct h5 *file, struct error *e)
{
    struct stat about;
    file->fd = file_open(file->name, O_RDONLY | O_NONBLOCK, 0); /* a pipe or device would block or never end */
    if (file->fd < 0 || fstat(file->fd, &about) != 0) {
        int number = errno;
        return error_set(e, status_of_errno(number), "cannot open '%s': %s; check the path and its permissions",
                         file->name, strerror(number));
    }
    if (!S_ISREG(about.st_mode))
        return error_set(e, file->damaged, "cannot open '%s': it is %s; name an HDF5 file", file->name,
                         S_ISDIR(about.st_mode) ? "a directory" : "not a regular file");
    file->bytes = about.st_size;
    return STATUS_OK;
}

int h5_fetch(struct h5 *file, int64_t offset, size_t bytes, char *to)
{
    bool keep = file->trace && h5_trace_grows(file->trace);
    const char *known = file->trace && !keep ? h5_trace_find(file->trace, offset, bytes) : NULL;
    if (known) {
        memcpy(to, known, bytes);
        return 0;
    }
    ssize_t got = file_read_at(file->fd, to, bytes, offset);
    if (got < (ssize_t)bytes)
        return got < 0 ? errno : ENODATA;
    if (keep)
        h5_trace_add(file->trace, offset, bytes, to);
    return 0;
}
