/* Sorting in place. */
#include "unroll/base/sort.h"

/* Bit by bit from the highest that any id has. */
static void sort_by_bits(uint32_t *ids, int64_t count, uint32_t bit)
{
    int64_t low = 0, high = count;
    if (count < 2 || !bit)
        return;
    while (low < high) {
        if (!(ids[low] & bit)) {
            low++;
            continue;
        }
        uint32_t id = ids[--high];
        ids[high] = ids[low];
        ids[low] = id;
    }
    sort_by_bits(ids, low, bit >> 1);
    sort_by_bits(ids + low, count - low, bit >> 1);
}

void sort_ids(uint32_t *ids, int64_t count)
{
    uint32_t bits = 0, highest = 1;
    for (int64_t i = 0; i < count; i++)
        bits |= ids[i];
    while (bits >>= 1)
        highest <<= 1;
    sort_by_bits(ids, count, highest);
}
