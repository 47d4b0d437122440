/* Where the bytes of a file being read come from: the file, and on ranks behind the first what rank 0 has read of it.
 *
 * HDF5 opens a file in some twenty small reads. On many ranks these are many requests for the same bytes to one server, so
 * rank 0 keeps what it reads (the trace), and the others find there what they would read: they walk the same path through
 * the same library, only from memory. What is not in the trace, the data of large datasets, they read themselves. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "h5_private.h"

#include "unroll/base/file.h"
#include "unroll/base/mem.h"

struct extent {
    int64_t offset;   /* in the file */
    size_t bytes, at; /* at: in `data` */
};

struct h5_trace {
    bool growing; /* rank 0: what is read is added */
    struct extent *extent;
    size_t extents, extent_room;
    char *data;
    size_t bytes, room;
};

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

/* ---- the trace ---- */

enum status h5_trace_begin(struct h5 *file, struct error *e)
{
    file->trace = mem_alloc(1, sizeof *file->trace, "what is read of an HDF5 file", e);
    if (!file->trace)
        return STATUS_OS;
    file->trace->growing = true;
    return STATUS_OK;
}

void h5_trace_free(struct h5_trace *trace)
{
    if (!trace)
        return;
    mem_free(trace->extent);
    mem_free(trace->data);
    mem_free(trace);
}

static enum status reserve(struct h5_trace *trace, size_t extents, size_t bytes, struct error *e)
{
    static const char what[] = "what is read of an HDF5 file";
    void *table = trace->extent, *data = trace->data;
    enum status status = mem_grow(&table, &trace->extent_room, extents, sizeof *trace->extent, what, e);
    trace->extent = table;
    if (!status)
        status = mem_grow(&data, &trace->room, bytes, 1, what, e);
    trace->data = data;
    return status;
}

/* Without memory the trace ends here, and the other ranks read the rest themselves. */
static void remember(struct h5_trace *trace, int64_t offset, size_t bytes, const char *data)
{
    if (reserve(trace, trace->extents + 1, trace->bytes + bytes, NULL)) {
        trace->growing = false;
        return;
    }
    trace->extent[trace->extents++] = (struct extent){offset, bytes, trace->bytes};
    memcpy(trace->data + trace->bytes, data, bytes);
    trace->bytes += bytes;
}

static const char *recall(const struct h5_trace *trace, int64_t offset, size_t bytes)
{
    for (size_t i = 0; i < trace->extents; i++) {
        const struct extent *extent = &trace->extent[i];
        if (offset >= extent->offset && bytes <= extent->bytes &&
            (size_t)(offset - extent->offset) <= extent->bytes - bytes)
            return trace->data + extent->at + (offset - extent->offset);
    }
    return NULL;
}

/* Where in the file `mark` was read; -1: nowhere. */
static int64_t place_of(const struct h5_trace *trace, const char *mark)
{
    for (size_t i = 0; i < trace->extents; i++) {
        const struct extent *extent = &trace->extent[i];
        const char *begin = trace->data + extent->at, *found = memmem(begin, extent->bytes, mark, strlen(mark));
        if (found)
            return extent->offset + (found - begin);
    }
    return -1;
}

/* ---- reading ---- */

int h5_fetch(struct h5 *file, int64_t offset, size_t bytes, char *to)
{
    const char *known = file->trace && !file->trace->growing ? recall(file->trace, offset, bytes) : NULL;
    if (known) {
        memcpy(to, known, bytes);
        return 0;
    }
    ssize_t got = file_read_at(file->fd, to, bytes, offset);
    if (got < (ssize_t)bytes)
        return got < 0 ? errno : ENODATA;
    if (file->trace && file->trace->growing)
        remember(file->trace, offset, bytes, to);
    return 0;
}

/* ---- to other ranks ---- */

static enum status receive_trace(const struct comm *comm, struct h5 *file, struct error *e)
{
    struct h5_trace *trace = file->trace;
    bool first = comm->rank == 0;
    uint64_t head[2] = {trace->extents, trace->bytes};
    comm_broadcast(comm, head, sizeof head, 0);
    enum status status = comm_agree(comm, first ? STATUS_OK : reserve(trace, head[0], head[1], e), e);
    if (status)
        return status;
    trace->extents = head[0];
    trace->bytes = head[1];
    comm_broadcast(comm, trace->extent, trace->extents * sizeof *trace->extent, 0);
    comm_broadcast(comm, trace->data, trace->bytes, 0);
    return STATUS_OK;
}

/* Another file under the same name, such as a copy on a host's own disk, must not pass for rank 0's. */
static enum status compare(const struct comm *comm, struct h5 *file, int64_t bytes, int64_t place, const char *mark,
                           struct error *e)
{
    char here[H5_MARK_MAX];
    size_t length = strlen(mark);
    if (file->bytes == bytes &&
        (place < 0 || (h5_fetch(file, place, length, here) == 0 && !memcmp(here, mark, length))))
        return STATUS_OK;
    return error_set(
        e, file->damaged,
        "files differ: rank %d finds another file under '%.200s' than rank 0; put it on a file system that "
        "all hosts share",
        comm->rank, file->name);
}

void h5_share_end(struct h5 *file)
{
    h5_trace_free(file->trace);
    file->trace = NULL;
}

enum status h5_share(const struct comm *comm, const char *path, enum status damaged, const char *mark, struct h5 **file,
                     struct error *e)
{
    bool first = comm->rank == 0;
    char text[H5_MARK_MAX] = "";
    struct {
        int64_t bytes, place;
    } head = {0, 0};
    if (first) {
        CHECK(strlen(mark) < sizeof text);
        memcpy(text, mark, strlen(mark) + 1);
        (*file)->trace->growing = false;
        head.bytes = (*file)->bytes;
        head.place = place_of((*file)->trace, mark);
    }
    comm_broadcast(comm, text, sizeof text, 0);
    comm_broadcast(comm, &head, sizeof head, 0);
    struct h5 *mine = first ? *file : h5_new(path, e);
    enum status status = mine ? STATUS_OK : STATUS_OS;
    if (!first && mine) {
        mine->damaged = damaged;
        status = h5_library_begin(e);
        if (!status)
            status = h5_open_file(mine, e);
        if (!status)
            status = compare(comm, mine, head.bytes, head.place, text, e);
        if (!status)
            status = h5_trace_begin(mine, e);
    }
    status = comm_agree_where(comm, status, e);
    if (!status)
        status = receive_trace(comm, mine, e);
    if (first) {
        h5_share_end(mine);
        return status;
    }
    if (status) {
        h5_discard(mine);
        return status;
    }
    mine->trace->growing = false;
    return h5_open_on(mine, file, e);
}
