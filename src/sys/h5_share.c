/* Opening one file on all ranks, of which rank 0 alone reads what opening needs.
 *
 * HDF5 opens a file in some twenty small reads. On many ranks these are many requests for the same bytes to one
 * server, so rank 0 keeps what it reads (the trace), and the others find there what they would read: they walk the
 * same path through the same library, only from memory. What is not in the trace, the data of large datasets, they
 * read themselves. */
#include <string.h>

#include "h5_private.h"

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
        h5_trace_end((*file)->trace);
        head.bytes = (*file)->bytes;
        head.place = h5_trace_place((*file)->trace, mark);
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
        if (!status && !(mine->trace = h5_trace_new(e)))
            status = STATUS_OS;
    }
    status = comm_agree_where(comm, status, e);
    if (!status)
        status = h5_trace_share(comm, mine->trace, e);
    if (first) {
        h5_share_end(mine);
        return status;
    }
    if (status) {
        h5_discard(mine);
        return status;
    }
    h5_trace_end(mine->trace);
    return h5_open_on(mine, file, e);
}
