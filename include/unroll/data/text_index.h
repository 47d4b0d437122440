/* A hash from texts to their numbers, over texts that lie one after another in one block: open addressing, XXH3. Shared
 * by the vocabulary and by what counts a training text. */
#ifndef UNROLL_DATA_TEXT_INDEX_H
#define UNROLL_DATA_TEXT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

#define TEXT_INDEX_NONE UINT32_MAX

struct text_slot {
    uint32_t hash;   /* the lower half of the text's hash: most others are told apart without looking at their text */
    uint32_t number; /* of the text plus one; 0: free */
};

struct text_index {
    struct text_slot *slot; /* [slots], a power of two; owned */
    size_t slots, used;
};

/* Room for `texts` texts before it must grow. Zeroed memory is an index without any room. */
enum status text_index_reserve(struct text_index *index, size_t texts, struct error *e);
void text_index_release(struct text_index *index);

uint32_t text_hash(const char *text, size_t length);

/* Number of the text, or TEXT_INDEX_NONE. Text i is bytes[offsets[i] .. offsets[i + 1]). */
uint32_t text_index_find(const struct text_index *index, const char *bytes, const uint64_t *offsets, const char *text,
                         size_t length, uint32_t hash);

/* Adds a number whose text is not in the index. */
enum status text_index_add(struct text_index *index, uint32_t hash, uint32_t number, struct error *e);

#endif
