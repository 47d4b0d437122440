/* The trace: the bytes that were read of a file, and where in it they stand. What is in it need not be read again. */
#include <string.h>

#include "h5_private.h"

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

bool h5_trace_grows(const struct h5_trace *trace)
{
    return trace->growing;
}

void h5_trace_end(struct h5_trace *trace)
{
    trace->growing = false;
}

struct h5_trace *h5_trace_new(struct error *e)
{
    struct h5_trace *trace = mem_alloc(1, sizeof *trace, "what is read of an HDF5 file", e);
    if (trace)
        trace->growing = true;
    return trace;
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

void h5_trace_add(struct h5_trace *trace, int64_t offset, size_t bytes, const char *data)
{
    if (reserve(trace, trace->extents + 1, trace->bytes + bytes, NULL)) {
        trace->growing = false;
        return;
    }
    trace->extent[trace->extents++] = (struct extent){offset, bytes, trace->bytes};
    memcpy(trace->data + trace->bytes, data, bytes);
    trace->bytes += bytes;
}

const char *h5_trace_find(const struct h5_trace *trace, int64_t offset, size_t bytes)
{
    for (size_t i = 0; i < trace->extents; i++) {
        const struct extent *extent = &trace->extent[i];
        if (offset >= extent->offset && bytes <= extent->bytes &&
            (size_t)(offset - extent->offset) <= extent->bytes - bytes)
            return trace->data + extent->at + (offset - extent->offset);
    }
    return NULL;
}

int64_t h5_trace_place(const struct h5_trace *trace, const char *mark)
{
    for (size_t i = 0; i < trace->extents; i++) {
        const struct extent *extent = &trace->extent[i];
        const char *begin = trace->data + extent->at, *found = memmem(begin, extent->bytes, mark, strlen(mark));
        if (found)
            return extent->offset + (found - begin);
    }
    return -1;
}

enum status h5_trace_share(const struct comm *comm, struct h5_trace *trace, struct error *e)
{
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
