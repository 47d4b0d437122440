/* What reading and writing a corpus file share. */
#ifndef UNROLL_DATA_CORPUS_PRIVATE_H
#define UNROLL_DATA_CORPUS_PRIVATE_H

#include <stdio.h>

#include "unroll/base/content.h"
#include "unroll/base/digest.h"
#include "unroll/data/corpus.h"
#include "unroll/sys/h5.h"

#define CORPUS_VERSION 2         /* 1: of texts in no normal form, not of grapheme clusters */
#define CORPUS_DIGEST "xxh3_128" /* attribute of every dataset */
#define CORPUS_PATH 32

static inline enum h5_type corpus_token_type(int vocab_size)
{
    return vocab_size < 65536 ? H5_U16 : H5_U32;
}

static inline const char *corpus_path(char path[CORPUS_PATH], enum split split, const char *part)
{
    snprintf(path, CORPUS_PATH, "/%s%s", split_name(split), part);
    return path;
}

#define CORPUS_SCRATCH ((int64_t)1 << 16) /* tokens read at once */

struct corpus_file {
    struct h5 *h5;
    char *name;
    enum h5_type type;                /* of tokens */
    char digest[SPLITS][DIGEST_TEXT]; /* as the file gives them */
    char offsets_digest[SPLITS][DIGEST_TEXT], labels_digest[SPLITS][DIGEST_TEXT];
    uint16_t *scratch; /* [CORPUS_SCRATCH] */
};

/* What the digest of the whole is made of; splits count only where tokens[i] > 0. */
struct corpus_parts {
    const struct vocab *vocab;
    const int64_t *tokens;                                              /* [SPLITS] */
    char (*digest)[DIGEST_TEXT];                                        /* [SPLITS] of the tokens */
    const struct labels *labels;                                        /* NULL: not labelled */
    const int64_t *texts;                                               /* [SPLITS] */
    char (*offsets_digest)[DIGEST_TEXT], (*labels_digest)[DIGEST_TEXT]; /* [SPLITS] */
};

static inline void corpus_digest(const struct corpus_parts *parts, char hex[DIGEST_TEXT])
{
    char text[2 * SPLITS * (2 * DIGEST_TEXT + 40) + 2 * DIGEST_TEXT + 40], one[DIGEST_TEXT];
    vocab_digest(parts->vocab, one);
    int length = snprintf(text, sizeof text, "vocab %s\n", one);
    for (int i = 0; i < SPLITS; i++)
        if (parts->tokens[i] > 0)
            length += snprintf(text + length, sizeof text - (size_t)length, "%s %lld %s\n", split_name((enum split)i),
                               (long long)parts->tokens[i], parts->digest[i]);
    if (parts->labels) {
        labels_digest(parts->labels, one);
        length += snprintf(text + length, sizeof text - (size_t)length, "labels %s\n", one);
    }
    for (int i = 0; i < SPLITS && parts->labels; i++)
        if (parts->tokens[i] > 0)
            length +=
                snprintf(text + length, sizeof text - (size_t)length, "%s %lld %s %s\n", split_name((enum split)i),
                         (long long)parts->texts[i], parts->offsets_digest[i], parts->labels_digest[i]);
    digest_of(text, (size_t)length, hex);
}

/* ---- reading parts (corpus_file.c) ---- */

enum status corpus_damaged(const struct corpus_file *file, const char *part, const char *reason, struct error *e);
/* A one-dimensional dataset of this type; its length is checked before anything is allocated for it. */
enum status corpus_check_part(const struct corpus_file *file, const char *path, enum h5_type type, int64_t least,
                              int64_t most, int64_t *count, struct error *e);
/* A whole dataset, compared with its digest. NULL on failure. */
void *corpus_read_part(const struct corpus_file *file, const char *path, enum h5_type type, int64_t count,
                       struct error *e);

/* Texts one after another, where each begins, and how often each is there: of the vocabulary or the labels. */
struct corpus_table {
    char *bytes;
    uint64_t *offsets; /* [size + 1] */
    uint64_t *counts;  /* [size] */
    int64_t size;
};
/* Reads the three datasets of the group `name`; their lengths are within the limits. The arrays are the caller's
 * (mem_free), none on failure. */
enum status corpus_read_table(const struct corpus_file *file, const char *name, int64_t least, int64_t most,
                              int64_t bytes_most, struct corpus_table *table, struct error *e);

/* ---- labelled corpora (corpus_labels.c) ---- */

/* The labels, and how many texts each split has; not the texts' places. */
enum status corpus_read_labels(struct corpus *corpus, struct error *e);
enum status corpus_verify_texts(struct corpus *corpus, enum split split, struct error *e);

#endif
