/* What reading and writing a corpus file share. */
#ifndef UNROLL_DATA_CORPUS_PRIVATE_H
#define UNROLL_DATA_CORPUS_PRIVATE_H

#include <stdio.h>

#include "unroll/base/digest.h"
#include "unroll/data/corpus.h"
#include "unroll/sys/h5.h"

#define CORPUS_FORMAT "unroll-corpus"
#define CORPUS_VERSION 1
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

/* The digest of the whole from the digests of its parts; splits[i] counts only where tokens[i] > 0. */
static inline void corpus_digest(const struct vocab *vocab, const int64_t tokens[SPLITS],
                                 char splits[SPLITS][DIGEST_TEXT], char hex[DIGEST_TEXT])
{
    char text[SPLITS * (DIGEST_TEXT + 40) + DIGEST_TEXT + 40], vocab_hex[DIGEST_TEXT];
    vocab_digest(vocab, vocab_hex);
    int length = snprintf(text, sizeof text, "vocab %s\n", vocab_hex);
    for (int i = 0; i < SPLITS; i++)
        if (tokens[i] > 0)
            length += snprintf(text + length, sizeof text - (size_t)length, "%s %lld %s\n", split_name((enum split)i),
                               (long long)tokens[i], splits[i]);
    digest_of(text, (size_t)length, hex);
}

#endif
