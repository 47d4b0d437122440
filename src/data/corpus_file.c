/* What is read alike of all parts of a corpus file (format in corpus.c's head comment): checked, and compared with
 * its digest. */
#include <string.h>

#include "corpus_private.h"

#include "unroll/base/mem.h"

enum status corpus_damaged(const struct corpus_file *file, const char *part, const char *reason, struct error *e)
{
    return error_set(e, STATUS_DATA, "cannot use corpus '%s': '%s' %s; make it again with 'unroll prepare'", file->name,
                     part, reason);
}

enum status corpus_check_part(const struct corpus_file *file, const char *path, enum h5_type type, int64_t least,
                              int64_t most, int64_t *count, struct error *e)
{
    struct h5_shape shape;
    enum status status = h5_shape(file->h5, path, &shape, e);
    if (status)
        return status;
    if (shape.rank != 1 || shape.type != type)
        return corpus_damaged(file, path, "has another type or shape than it should", e);
    if (shape.dims[0] < least || shape.dims[0] > most)
        return corpus_damaged(file, path, "has a length out of range", e);
    *count = shape.dims[0];
    return STATUS_OK;
}

void *corpus_read_part(const struct corpus_file *file, const char *path, enum h5_type type, int64_t count,
                       struct error *e)
{
    char stored[DIGEST_TEXT], found[DIGEST_TEXT];
    if (h5_attr_string(file->h5, path, CORPUS_DIGEST, stored, sizeof stored, e))
        return NULL;
    void *data = mem_alloc((size_t)count, h5_type_size(type), "a part of a corpus", e);
    if (!data)
        return NULL;
    if (!h5_read(file->h5, path, type, 0, count, data, e)) {
        digest_of(data, (size_t)count * h5_type_size(type), found);
        if (strcmp(found, stored) == 0)
            return data;
        (void)corpus_damaged(file, path, "does not match its digest", e);
    }
    mem_free(data);
    return NULL;
}

enum status corpus_read_table(const struct corpus_file *file, const char *name, int64_t least, int64_t most,
                              int64_t bytes_most, struct corpus_table *table, struct error *e)
{
    char bytes_at[CORPUS_PATH], offsets_at[CORPUS_PATH], counts_at[CORPUS_PATH];
    int64_t bytes = 0, offsets = 0;
    *table = (struct corpus_table){0};
    snprintf(bytes_at, sizeof bytes_at, "%s/bytes", name);
    snprintf(offsets_at, sizeof offsets_at, "%s/offsets", name);
    snprintf(counts_at, sizeof counts_at, "%s/counts", name);
    enum status status = corpus_check_part(file, bytes_at, H5_U8, 1, bytes_most, &bytes, e);
    if (!status)
        status = corpus_check_part(file, counts_at, H5_U64, least, most, &table->size, e);
    if (!status)
        status = corpus_check_part(file, offsets_at, H5_U64, table->size + 1, table->size + 1, &offsets, e);
    if (status)
        return status;
    struct error error = {0};
    table->bytes = corpus_read_part(file, bytes_at, H5_U8, bytes, &error);
    table->offsets = table->bytes ? corpus_read_part(file, offsets_at, H5_U64, offsets, &error) : NULL;
    table->counts = table->offsets ? corpus_read_part(file, counts_at, H5_U64, table->size, &error) : NULL;
    if (table->counts && table->offsets[table->size] != (uint64_t)bytes)
        (void)corpus_damaged(file, offsets_at, "does not end where the texts end", &error);
    if (!error.status)
        return STATUS_OK;
    mem_free(table->bytes);
    mem_free(table->offsets);
    mem_free(table->counts);
    return error_set(e, error.status, "%s", error.text);
}
