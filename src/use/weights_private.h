/* What reading weights needs of a foreign file: a list of float32 tensors by name, and facts as text. */
#ifndef UNROLL_USE_WEIGHTS_PRIVATE_H
#define UNROLL_USE_WEIGHTS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/sys/h5.h"
#include "unroll/sys/safetensors.h"
#include "unroll/use/weights.h"

#define WEIGHTS_OPTION "option." /* in front of the names of options among the facts */

#define SOURCE_TENSORS_MAX SAFETENSORS_TENSORS_MAX
#define SOURCE_FACT_TEXT 64

struct source_tensor {
    char name[SAFETENSORS_NAME];
    int rank;
    int64_t shape[2];
    int index; /* of a safetensors file's tensor */
};

struct source {
    const char *path;
    struct safetensors *safetensors; /* one of the two */
    struct h5 *h5;
    const char *group; /* of the HDF5 file's tensors: "/model" or "" */
    int count;
    struct source_tensor tensor[SOURCE_TENSORS_MAX];
};

/* `path` must outlive the source. Release with source_close, also after a failure. */
enum status source_open(struct source *source, const char *path, enum weights_source kind, struct error *e);
void source_close(struct source *source);

/* NULL if there is none. */
const struct source_tensor *source_find(const struct source *source, const char *name);
/* Elements [start, start + count), which must be there. */
enum status source_read(const struct source *source, const struct source_tensor *tensor, int64_t start, int64_t count,
                        float *data, struct error *e);
/* A fact as text into `text` [SOURCE_FACT_TEXT]; false if the file does not tell it. */
bool source_fact(const struct source *source, const char *name, char *text);

#endif
