/* A small corpus file of made-up tokens, for tests. */
#ifndef TESTS_MAKE_CORPUS_H
#define TESTS_MAKE_CORPUS_H

#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/data/corpus_writer.h"

/* V entries: <unk>, </s>, and words of two letters. */
static inline struct vocab *make_vocab(int V)
{
    struct vocab *vocab = NULL;
    char *bytes = mem_alloc(16 + 2 * (size_t)V, 1, "test", NULL);
    uint64_t *offsets = mem_alloc((size_t)V + 1, sizeof *offsets, "test", NULL);
    uint64_t *counts = mem_alloc((size_t)V, sizeof *counts, "test", NULL);
    for (int v = 0; v < V; v++) {
        char letters[3] = {(char)('a' + v / 26), (char)('a' + v % 26), 0};
        const char *text = v == 0 ? "<unk>" : v == 1 ? "</s>" : letters;
        memcpy(bytes + offsets[v], text, strlen(text));
        offsets[v + 1] = offsets[v] + strlen(text);
        counts[v] = (uint64_t)(V - v);
    }
    CHECK(vocab_adopt(LEVEL_WORD, V, bytes, offsets, counts, STATUS_DATA, &vocab, NULL) == STATUS_OK);
    return vocab;
}

/* Token `i` of a split: a pure function, so that tests can ask for it again. */
static inline uint32_t made_token(int V, enum split split, int64_t i)
{
    return rng_philox(23, RNG_TEST, (uint32_t)i, (uint32_t)split, 0, 0).word[0] % (uint32_t)V;
}

/* Writes `path` with so many tokens in each split: those of `given`, or where that is NULL made ones. */
static inline enum status make_corpus_of(const char *path, int V, const int64_t tokens[SPLITS],
                                         const uint32_t *const given[SPLITS], struct error *e)
{
    struct vocab *vocab = make_vocab(V);
    struct corpus_plan plan = {.vocab = vocab};
    struct corpus_writer *writer;
    for (int split = 0; split < SPLITS; split++) {
        plan.tokens[split] = tokens[split];
        memset(plan.source_digest[split], '0', DIGEST_TEXT - 1);
    }
    enum status status = corpus_writer_open(path, &plan, &writer, e);
    for (int split = 0; split < SPLITS && !status; split++)
        for (int64_t i = 0; i < tokens[split] && !status; i++) {
            uint32_t token = given && given[split] ? given[split][i] : made_token(V, (enum split)split, i);
            status = corpus_writer_add(writer, (enum split)split, &token, 1, e);
        }
    if (!status)
        status = corpus_writer_close(writer, NULL, NULL, e);
    vocab_free(vocab);
    return status;
}

static inline enum status make_corpus(const char *path, int V, const int64_t tokens[SPLITS], struct error *e)
{
    return make_corpus_of(path, V, tokens, NULL, e);
}

#endif
