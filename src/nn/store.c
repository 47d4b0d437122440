/* The memory of a model: taken block by block, counted, released together. */
#include "store.h"

#include <stdint.h>

#include "unroll/base/mem.h"

static void *allocate(struct store *store, size_t count, size_t size, const char *what)
{
    void *block = mem_alloc(count, size, what, store->e);
    if (block) {
        CHECK(store->blocks < STORE_BLOCKS);
        store->block[store->blocks++] = block;
    }
    return block;
}

void *store_take(struct store *store, size_t count, size_t size, const char *what)
{
    size_t bytes;
    if (store->e->status)
        return NULL;
    if (mem_mul_overflows(count, size, &bytes) || bytes > SIZE_MAX / 2 - store->bytes) {
        error_set(store->e, STATUS_OS, "out of memory for %s: %zu items of %zu bytes cannot be addressed", what, count,
                  size);
        return NULL;
    }
    store->bytes += bytes;
    return store->dry ? NULL : allocate(store, count, size, what);
}

float *store_floats(struct store *store, size_t count, const char *what)
{
    return store_take(store, count, sizeof(float), what);
}

void *store_keep(struct store *store, size_t count, size_t size, const char *what)
{
    return store->e->status ? NULL : allocate(store, count, size, what);
}

void store_free(struct store *store)
{
    for (int i = 0; i < store->blocks; i++)
        mem_free(store->block[i]);
    store->blocks = 0;
}
