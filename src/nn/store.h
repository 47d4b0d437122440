/* All memory of a model. Parts are sized and allocated by the same calls, so that what a model needs can be counted
 * without allocating it. */
#ifndef UNROLL_NN_STORE_H
#define UNROLL_NN_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"
#include "unroll/nn/model_config.h"

#define STORE_BLOCKS (64 + 64 * MODEL_LAYERS_MAX)

struct store {
    void *block[STORE_BLOCKS];
    int blocks;
    size_t bytes; /* taken; with `dry` only counted */
    bool dry;     /* count, do not allocate */
    struct error *e;
};

/* `count` zeroed items of `size` bytes, aligned as by mem_alloc; the store's. NULL if it is dry, or after a failure,
 * which is told in store->e and makes later calls do nothing. */
void *store_take(struct store *store, size_t count, size_t size, const char *what);
float *store_floats(struct store *store, size_t count, const char *what);
/* Small things that sizes of others follow from: allocated also by a dry store, and not counted. */
void *store_keep(struct store *store, size_t count, size_t size, const char *what);
void store_free(struct store *store);

#endif
