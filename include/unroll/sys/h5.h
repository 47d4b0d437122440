/* HDF5 files: the only room that sees hdf5.h. Everything Unroll reads may have been made by someone else, so the reader
 * trusts nothing; everything it writes uses a plain subset of the format that any reader understands.
 *
 * The plain subset (checked by h5_open_plain before anything is read): the file format of HDF5 1.8 and later, whose
 * metadata carry checksums (h5py: libver="v108"), without user block; hard links only, no link twice (no cycles), no
 * external or soft links, contiguous or compact storage in the file itself, no external storage, no virtual datasets,
 * no filters, no variable-length or compound types, at most H5_RANK_MAX dimensions, at most H5_OBJECTS_MAX objects,
 * every dataset's declared bytes within the file's size. Types: little-endian uint8/16/32/64, int64, float32, float64,
 * and fixed-length UTF-8 strings for attributes.
 *
 * HDF5 keeps global state that is not thread safe: call from one thread at a time. HDF5's own error printing is off;
 * its innermost message becomes part of ours. Paths inside a file are absolute ("/model/encoder.weight"). */
#ifndef UNROLL_SYS_H5_H
#define UNROLL_SYS_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/sys/comm.h"

#define H5_RANK_MAX 2
#define H5_OBJECTS_MAX 4096

/* The last two are only read, and by h5_read_f32. */
enum h5_type { H5_U8, H5_U16, H5_U32, H5_U64, H5_I64, H5_F32, H5_F64, H5_F16, H5_BF16 };
size_t h5_type_size(enum h5_type type);
const char *h5_type_name(enum h5_type type); /* as numpy calls it: "uint8", "float32" */

struct h5_shape {
    enum h5_type type;
    int rank;                  /* 1 or 2; a scalar is rank 1 with dims[0] = 1 */
    int64_t dims[H5_RANK_MAX]; /* unused ones are 1 */
};

struct h5; /* an open file */

/* ---- reading: not collective but for h5_share ---- */

/* Opens an existing file read-only and walks it against the plain subset. A missing file is STATUS_NOINPUT; a file that
 * is not HDF5, is damaged or leaves the subset is `damaged` (STATUS_DATA for corpora, STATUS_CHECKPOINT for
 * checkpoints). Release with h5_close. */
enum status h5_open_plain(const char *path, enum status damaged, struct h5 **out, struct error *e);
/* The same for what another program wrote, which messages then advise on: STATUS_DATA. Its numbers may be
 * big-endian. */
enum status h5_open_foreign(const char *path, struct h5 **out, struct error *e);
/* The same, and keeps what is read from then on until h5_share. */
enum status h5_open_traced(const char *path, enum status damaged, struct h5 **out, struct error *e);
/* Collective. Opens on all other ranks the file that rank 0 has opened with h5_open_traced: what rank 0 has read of
 * it since then they need not read again, so that they open and read it from memory. `mark`, of rank 0 and shorter
 * than H5_MARK_MAX, is a text in the file that tells it from all others, such as a digest: a rank that finds no such
 * text at its place, or another size, refuses the file as `damaged`, and so does every rank. On failure rank 0's
 * file stays open. */
#define H5_MARK_MAX 64
enum status h5_share(const struct comm *comm, const char *path, enum status damaged, const char *mark, struct h5 **file,
                     struct error *e);
/* Not collective. Frees what h5_share has brought: from now on this rank reads for itself. */
void h5_share_end(struct h5 *file);
/* The same as h5_open_plain from bytes in memory (tests and fuzzers); the image is not copied and must outlive the
 * file. */
enum status h5_open_image(void *image, size_t bytes, const char *name, enum status damaged, struct h5 **out,
                          struct error *e);
void h5_close_read(struct h5 *file); /* NULL is allowed */

bool h5_exists(struct h5 *file, const char *path); /* a dataset or group of that name */
/* Calls `visit` for every dataset in name order, depth first; stops at its first nonzero return and returns it. */
int h5_each_dataset(struct h5 *file, int (*visit)(void *context, const char *path, const struct h5_shape *shape),
                    void *context);
enum status h5_shape(struct h5 *file, const char *path, struct h5_shape *shape, struct error *e);
/* Reads elements [start, start + count) of the dataset seen as one row-major run of `type` (which must be its type). */
enum status h5_read(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count, void *data,
                    struct error *e);
/* The same of a dataset of any floating-point type, rounded to float32: what that cannot hold becomes infinite. */
enum status h5_read_f32(struct h5 *file, const char *path, int64_t start, int64_t count, float *data, struct error *e);
/* Attributes of an object ("/" for the file). A missing one, or one of another type, is the file's `damaged` status.
 * Strings longer than size - 1 bytes are refused. */
enum status h5_attr_string(struct h5 *file, const char *object, const char *name, char *text, size_t size,
                           struct error *e);
enum status h5_attr_u64(struct h5 *file, const char *object, const char *name, uint64_t *value, struct error *e);
enum status h5_attr_i64(struct h5 *file, const char *object, const char *name, int64_t *value, struct error *e);
enum status h5_attr_f64(struct h5 *file, const char *object, const char *name, double *value, struct error *e);
/* Calls `visit` for every attribute of an object in name order; stops at its first nonzero return and returns it; -1 if
 * the object is missing or damaged. An attribute that is neither a fixed-length string nor one of the three numbers is
 * H5_ATTR_OTHER. */
enum h5_attr { H5_ATTR_STRING, H5_ATTR_U64, H5_ATTR_I64, H5_ATTR_F64, H5_ATTR_OTHER };
int h5_each_attr(struct h5 *file, const char *object, int (*visit)(void *context, const char *name, enum h5_attr type),
                 void *context);
/* Byte offset of a contiguous dataset's data in the file, so that a reader may pread it; -1 if it has none. */
int64_t h5_data_offset(struct h5 *file, const char *path);

/* ---- writing ---- */

/* After a failed write every later call on the file fails with the same reason, and closing it is safe: HDF5 itself
 * never sees the failure (src/sys/h5_driver.c). A parallel file has no such protection: end all ranks with comm_abort
 * instead of closing it. Out of memory is STATUS_OS, a full or broken disk STATUS_IO. */

/* A file in memory. Not collective. */
enum status h5_create_image(struct h5 **out, struct error *e);
/* A file on disk through serial HDF5. Not collective. `path` should be a temporary name. */
enum status h5_create_serial(const char *path, struct h5 **out, struct error *e);
/* A file on disk written by all ranks of `comm` through parallel HDF5. Collective, and so are then all calls below. */
enum status h5_create_parallel(const char *path, const struct comm *comm, struct h5 **out, struct error *e);

enum status h5_make_group(struct h5 *file, const char *path, struct error *e);
/* Declares a contiguous dataset (space allocated late, never filled); parent groups must exist. */
enum status h5_make_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, struct error *e);
/* The same for a dataset that others will write: its place in a serial file is fixed at once, *offset in bytes.
 * Nothing may be written to it by h5_write. */
enum status h5_reserve_dataset(struct h5 *file, const char *path, const struct h5_shape *shape, int64_t *offset,
                               struct error *e);
/* Writes elements [start, start + count) of the row-major run. On a parallel file collective: ranks pass their own
 * ranges, and count 0 takes part without writing. */
enum status h5_write(struct h5 *file, const char *path, enum h5_type type, int64_t start, int64_t count,
                     const void *data, struct error *e);
enum status h5_set_string(struct h5 *file, const char *object, const char *name, const char *text, struct error *e);
enum status h5_set_u64(struct h5 *file, const char *object, const char *name, uint64_t value, struct error *e);
enum status h5_set_i64(struct h5 *file, const char *object, const char *name, int64_t value, struct error *e);
enum status h5_set_f64(struct h5 *file, const char *object, const char *name, double value, struct error *e);

/* Completes an image file and hands over its bytes without a copy (owned by the caller, mem_free). After this the file
 * takes h5_close_write only. */
enum status h5_image_bytes(struct h5 *file, void **bytes, size_t *size, struct error *e);

/* Flushes and closes; errors found only now are returned. Does not fsync: that is the caller's protocol. */
enum status h5_close_write(struct h5 *file, struct error *e);

/* Version of the HDF5 library in use, e.g. "1.10.8". */
const char *h5_library_version(void);

#endif
