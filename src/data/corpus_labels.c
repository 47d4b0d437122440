/* Reading what a labelled corpus has besides tokens (format in corpus.c's head comment). */
#include <string.h>

#include "corpus_private.h"

#include "unroll/base/mem.h"

static enum status read_labels(struct corpus *corpus, struct error *e)
{
    struct corpus_file *file = corpus->file;
    struct corpus_table table;
    struct error error = {0};
    enum status status =
        corpus_read_table(file, "/labels", 2, LABELS_MAX, (int64_t)LABELS_MAX * LABEL_BYTES_MAX, &table, e);
    if (status)
        return status;
    status =
        labels_adopt((int)table.size, table.bytes, table.offsets, table.counts, STATUS_DATA, &corpus->labels, &error);
    return status ? error_set(e, status, "cannot use corpus '%s': %.400s", file->name, error.text) : STATUS_OK;
}

enum status corpus_read_labels(struct corpus *corpus, struct error *e)
{
    struct corpus_file *file = corpus->file;
    enum status status = read_labels(corpus, e);
    for (int i = 0; i < SPLITS && !status; i++) {
        char path[CORPUS_PATH];
        int64_t offsets = 0, *texts = &corpus->texts[i];
        if (corpus->tokens[i] == 0)
            continue;
        status = corpus_check_part(file, corpus_path(path, (enum split)i, "/labels"), H5_U16, 1, corpus->tokens[i],
                                   texts, e);
        if (!status)
            status = h5_attr_string(file->h5, path, CORPUS_DIGEST, file->labels_digest[i], DIGEST_TEXT, e);
        corpus_path(path, (enum split)i, "/offsets");
        if (!status)
            status = corpus_check_part(file, path, H5_U64, *texts + 1, *texts + 1, &offsets, e);
        if (!status)
            status = h5_attr_string(file->h5, path, CORPUS_DIGEST, file->offsets_digest[i], DIGEST_TEXT, e);
    }
    return status;
}

static enum status check_texts(const struct corpus *corpus, enum split split, const uint64_t *offsets,
                               const uint16_t *labels, struct error *e)
{
    const struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH];
    int64_t texts = corpus->texts[split];
    corpus_path(path, split, "/offsets");
    if (offsets[0] != 0 || offsets[texts] != (uint64_t)corpus->tokens[split])
        return corpus_damaged(file, path, "does not begin and end where the tokens do", e);
    for (int64_t i = 0; i < texts; i++)
        if (offsets[i + 1] <= offsets[i] || offsets[i + 1] > offsets[texts])
            return corpus_damaged(file, path, "does not rise", e);
    corpus_path(path, split, "/labels");
    for (int64_t i = 0; i < texts; i++)
        if (labels[i] >= corpus->labels->count)
            return corpus_damaged(file, path, "holds the number of no label", e);
    return STATUS_OK;
}

enum status corpus_read_texts(struct corpus *corpus, enum split split, uint64_t **offsets, uint16_t **labels,
                              struct error *e)
{
    struct corpus_file *file = corpus->file;
    char path[CORPUS_PATH];
    struct error error = {0};
    CHECK(corpus->labels && corpus->texts[split] > 0);
    *labels = NULL;
    *offsets = corpus_read_part(file, corpus_path(path, split, "/offsets"), H5_U64, corpus->texts[split] + 1, &error);
    if (*offsets)
        *labels = corpus_read_part(file, corpus_path(path, split, "/labels"), H5_U16, corpus->texts[split], &error);
    enum status status = *labels ? check_texts(corpus, split, *offsets, *labels, &error) : error.status;
    if (!status)
        return STATUS_OK;
    mem_free(*offsets);
    mem_free(*labels);
    *offsets = NULL;
    *labels = NULL;
    return error_set(e, status, "%s", error.text);
}

enum status corpus_verify_texts(struct corpus *corpus, enum split split, struct error *e)
{
    uint64_t *offsets;
    uint16_t *labels;
    enum status status = corpus_read_texts(corpus, split, &offsets, &labels, e);
    mem_free(offsets);
    mem_free(labels);
    return status;
}
