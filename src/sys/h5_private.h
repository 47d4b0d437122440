/* What the parts of the HDF5 room share: the open file with its table of objects, and HDF5's reasons in our words. */
#ifndef UNROLL_SYS_H5_PRIVATE_H
#define UNROLL_SYS_H5_PRIVATE_H

#define H5_USE_110_API /* later ones name an object by a token; we look at the bytes at its address */
#include <hdf5.h>

#include "unroll/sys/h5.h"

#define H5_PATH_TEXT 256 /* bytes of a path inside a file, with its end */
#define H5_REASON_TEXT 200

struct h5_object {
    char *path; /* absolute; owned */
    bool group;
    struct h5_shape shape; /* of a dataset */
    int64_t offset;        /* of a dataset's data in the file; -1: none */
    haddr_t address;       /* of the object's header; reading only */
    hid_t id;              /* the dataset once it is open, else H5I_INVALID_HID */
};

struct h5 {
    hid_t id;
    hid_t transfer;         /* transfer properties: collective on a parallel file, else the default */
    char *name;             /* for messages; owned */
    enum status damaged;    /* reading: the status of a file that is not as it should be */
    bool foreign;           /* reading: it was made by another program */
    int64_t bytes;          /* reading: size of the file */
    int fd;                 /* reading: the same file, to look at bytes before HDF5 does; -1: none */
    const char *source;     /* reading: an image's bytes; the caller's */
    struct h5_trace *trace; /* reading: what was read so far, or what rank 0 has read; NULL: neither; owned */
    bool parallel;
    struct comm comm;         /* of a parallel file */
    struct h5_object *object; /* [objects] reading: all, in name order, depth first; writing: as made; owned */
    size_t objects, capacity;
    hid_t driver;   /* of any file but a parallel one and an image being read, see h5_driver.c */
    int failure;    /* the first errno that its driver met; 0: none */
    bool in_memory; /* an image: */
    char *image;    /* [image_bytes] its bytes so far; owned */
    size_t image_bytes;
};

/* Quiets HDF5's error printing and keeps it from loading plugins; before any other call of the library. */
enum status h5_library_begin(struct error *e);

/* A new struct with nothing open; NULL on exhaustion. h5_discard releases everything, whatever was open. */
struct h5 *h5_new(const char *name, struct error *e);
void h5_discard(struct h5 *file);

/* Adds an object to the table; its fields other than the path are the caller's to fill. */
struct h5_object *h5_add_object(struct h5 *file, const char *path, struct error *e);
struct h5_object *h5_find_object(struct h5 *file, const char *path); /* NULL if there is none */

/* ---- what was read of a file (h5_trace.c) ---- */

struct h5_trace *h5_trace_new(struct error *e); /* empty and growing; NULL on exhaustion */
void h5_trace_free(struct h5_trace *trace);     /* NULL is allowed */
/* True until h5_trace_end, or until memory was short: then the rest is not in it. */
bool h5_trace_grows(const struct h5_trace *trace);
void h5_trace_end(struct h5_trace *trace);
void h5_trace_add(struct h5_trace *trace, int64_t offset, size_t bytes, const char *data);
/* The bytes at this place of the file, in the trace; NULL: not all are there. */
const char *h5_trace_find(const struct h5_trace *trace, int64_t offset, size_t bytes);
int64_t h5_trace_place(const struct h5_trace *trace, const char *mark); /* where in the file it was read; -1: nowhere */
/* Collective. Rank 0's becomes that of all ranks. */
enum status h5_trace_share(const struct comm *comm, struct h5_trace *trace, struct error *e);

/* ---- where a reader's bytes come from (h5_source.c) ---- */

/* Opens the regular file `name` for reading, and learns its size. */
enum status h5_open_file(struct h5 *file, struct error *e);
/* Bytes that lie within the file: 0, or the errno of the failure, ENODATA if the file has become shorter. While the
 * file's trace grows they are kept in it; then those that it has come from it. */
int h5_fetch(struct h5 *file, int64_t offset, size_t bytes, char *to);

/* Opens HDF5 on a file that h5_open_file has opened, and walks it; discards it on failure (h5_open.c). */
enum status h5_open_on(struct h5 *file, struct h5 **out, struct error *e);

/* Makes our own driver serve the file that will be created or opened with these access properties. */
enum status h5_use_driver(struct h5 *file, hid_t access, struct error *e);

/* Why HDF5's last call failed: its innermost message, or the system's words where an errno is in it. */
const char *h5_reason(char text[H5_REASON_TEXT]);

hid_t h5_file_type(enum h5_type type);                /* little-endian; not to be closed */
hid_t h5_memory_type(enum h5_type type);              /* this machine's; not to be closed */
bool h5_type_of(hid_t type, enum h5_type *out);       /* false for a type outside the plain subset */
int64_t h5_shape_count(const struct h5_shape *shape); /* elements; -1 on overflow or a negative dimension */

/* Dataspace of `shape` in which the row-major run [start, start + count) is selected; negative on failure. */
hid_t h5_select_run(const struct h5_shape *shape, int64_t start, int64_t count);

#endif
