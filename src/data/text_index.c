/* The hash table of texts, and how it grows. */
#include "unroll/data/text_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "unroll/base/mem.h"

#define SLOTS_MIN ((size_t)1 << 10)

uint32_t text_hash(const char *text, size_t length)
{
    return (uint32_t)XXH3_64bits(text, length);
}

static void place_slot(struct text_slot *slot, size_t slots, struct text_slot entry)
{
    size_t at = entry.hash & (slots - 1);
    while (slot[at].number)
        at = (at + 1) & (slots - 1);
    slot[at] = entry;
}

enum status text_index_reserve(struct text_index *index, size_t texts, struct error *e)
{
    size_t slots = index->slots ? index->slots : SLOTS_MIN;
    while (slots / 2 < texts && slots <= SIZE_MAX / 4)
        slots *= 2;
    if (slots == index->slots)
        return STATUS_OK;
    struct text_slot *larger = mem_alloc(slots, sizeof *larger, "the index of a vocabulary", e);
    if (!larger)
        return STATUS_OS;
    for (size_t i = 0; i < index->slots; i++)
        if (index->slot[i].number)
            place_slot(larger, slots, index->slot[i]);
    mem_free(index->slot);
    index->slot = larger;
    index->slots = slots;
    return STATUS_OK;
}

void text_index_release(struct text_index *index)
{
    mem_free(index->slot);
    *index = (struct text_index){0};
}

uint32_t text_index_find(const struct text_index *index, const char *bytes, const uint64_t *offsets, const char *text,
                         size_t length, uint32_t hash)
{
    if (index->slots == 0)
        return TEXT_INDEX_NONE;
    for (size_t at = hash & (index->slots - 1); index->slot[at].number; at = (at + 1) & (index->slots - 1)) {
        if (index->slot[at].hash != hash)
            continue;
        uint32_t number = index->slot[at].number - 1;
        if (offsets[number + 1] - offsets[number] == length && memcmp(bytes + offsets[number], text, length) == 0)
            return number;
    }
    return TEXT_INDEX_NONE;
}

enum status text_index_add(struct text_index *index, uint32_t hash, uint32_t number, struct error *e)
{
    enum status status = text_index_reserve(index, index->used + 1, e);
    if (status)
        return status;
    place_slot(index->slot, index->slots, (struct text_slot){hash, number + 1});
    index->used++;
    return STATUS_OK;
}
