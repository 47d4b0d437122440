/* Safetensors files (github.com/huggingface/safetensors, "Format"): 8 bytes with the length of a JSON header, the
 * header, and the tensors' bytes. Header: an object of tensors, name -> {"dtype", "shape", "data_offsets": [begin,
 * end)}, and "__metadata__", an object of texts.
 *
 * What is read may have been made by someone else. Before anything is read of a tensor: the header lies inside the
 * file and is no longer than SAFETENSORS_HEADER_MAX; it is UTF-8 and JSON without a key that stands twice; the
 * tensors' ranges have the length of their types and shapes, do not overlap, leave no gap, and end where the file
 * ends. All else is STATUS_DATA. Floating-point numbers of 16, 32 and 64 bits are read, as float32; of tensors of
 * other types one only learns that they are there. What is written is float32. */
#ifndef UNROLL_SYS_SAFETENSORS_H
#define UNROLL_SYS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

#define SAFETENSORS_HEADER_MAX ((size_t)1 << 24)
#define SAFETENSORS_TENSORS_MAX 1024
#define SAFETENSORS_NAME 128
#define SAFETENSORS_TYPE 12

struct safetensors_tensor {
    char name[SAFETENSORS_NAME];
    char type[SAFETENSORS_TYPE]; /* as the format calls it: "F32"; not used in writing */
    int rank;                    /* 1 or 2 in writing */
    int64_t shape[2];            /* the first two sizes; 1 where there is none */
    int64_t count;               /* elements */
    int64_t offset;              /* of its data in the file; not used in writing */
    int64_t bytes;               /* of its data; not used in writing */
    const float *data;           /* only used in writing */
};

struct safetensors_note { /* an entry of "__metadata__" */
    const char *key, *value;
};

struct safetensors; /* an open file */

/* Missing: STATUS_NOINPUT. Release with safetensors_close. */
enum status safetensors_open(const char *path, struct safetensors **out, struct error *e);
void safetensors_close(struct safetensors *file); /* NULL is allowed */

int safetensors_count(const struct safetensors *file);
/* In the order of their data. */
const struct safetensors_tensor *safetensors_tensor(const struct safetensors *file, int index);
/* NULL if there is none of that key. */
const char *safetensors_metadata(const struct safetensors *file, const char *key);
/* Calls `visit` for every entry of the metadata. */
void safetensors_each_metadata(const struct safetensors *file,
                               void (*visit)(void *context, const char *key, const char *value), void *context);
/* Whether its numbers can be read: F32, F16, BF16 and F64. */
bool safetensors_is_float(const struct safetensors_tensor *tensor);
/* A floating-point tensor's elements [start, start + count), which must be there, rounded to float32: what that
 * cannot hold becomes infinite. A file that has become shorter is STATUS_IO. */
enum status safetensors_read(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t start,
                             int64_t count, float *data, struct error *e);

/* Writes a whole file into the empty file `fd`, called `path`; does not sync it. Texts must be UTF-8. A header that
 * would be longer than SAFETENSORS_HEADER_MAX is STATUS_DATA. */
enum status safetensors_write(int fd, const char *path, const struct safetensors_tensor *tensors, int count,
                              const struct safetensors_note *notes, int note_count, struct error *e);

#endif
