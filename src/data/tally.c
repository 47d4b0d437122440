/* Counts the entries of a text, merges the counts of all ranks, and makes a vocabulary of them. */
#include "unroll/data/tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/data/text_index.h"

struct tally {
    char *bytes;       /* the texts one after another */
    uint64_t *offsets; /* [entries + 1] */
    uint64_t *counts;  /* [entries] */
    size_t entries;
    size_t bytes_capacity, offsets_capacity, counts_capacity;
    struct text_index index;
};

static enum status grow(void **array, size_t *capacity, size_t need, size_t size, struct error *e)
{
    return mem_grow(array, capacity, need, size, "the words of the training text", e);
}

static enum status add_entry(struct tally *tally, const char *text, size_t length, uint32_t hash, uint32_t *number,
                             struct error *e)
{
    if (tally->entries >= TEXT_INDEX_NONE - 1)
        return error_set(e, STATUS_DATA, "too many distinct words: '%zu'; use --level char", tally->entries);
    uint64_t begin = tally->offsets[tally->entries];
    void *bytes = tally->bytes, *offsets = tally->offsets, *counts = tally->counts;
    enum status status = grow(&bytes, &tally->bytes_capacity, (size_t)begin + length, 1, e);
    tally->bytes = bytes;
    if (!status)
        status = grow(&offsets, &tally->offsets_capacity, tally->entries + 2, sizeof *tally->offsets, e);
    tally->offsets = offsets;
    if (!status)
        status = grow(&counts, &tally->counts_capacity, tally->entries + 1, sizeof *tally->counts, e);
    tally->counts = counts;
    if (!status)
        status = text_index_add(&tally->index, hash, (uint32_t)tally->entries, e);
    if (status)
        return status;
    memcpy(tally->bytes + begin, text, length);
    tally->offsets[tally->entries + 1] = begin + length;
    tally->counts[tally->entries] = 0;
    *number = (uint32_t)tally->entries++;
    return STATUS_OK;
}

enum status tally_find(struct tally *tally, const char *text, size_t length, uint32_t *number, struct error *e)
{
    uint32_t hash = text_hash(text, length);
    *number = text_index_find(&tally->index, tally->bytes, tally->offsets, text, length, hash);
    return *number != TEXT_INDEX_NONE ? STATUS_OK : add_entry(tally, text, length, hash, number, e);
}

struct tally *tally_new(struct error *e)
{
    struct tally *tally = mem_alloc(1, sizeof *tally, "a tally of words", e);
    if (!tally)
        return NULL;
    void *offsets = NULL;
    uint32_t unknown;
    if (!grow(&offsets, &tally->offsets_capacity, 1, sizeof *tally->offsets, e)) {
        tally->offsets = offsets;
        if (!tally_find(tally, VOCAB_UNK_WORD, strlen(VOCAB_UNK_WORD), &unknown, e))
            return tally;
    }
    tally_free(tally);
    return NULL;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    text_index_release(&tally->index);
    mem_free(tally->bytes);
    mem_free(tally->offsets);
    mem_free(tally->counts);
    mem_free(tally);
}

void tally_count(struct tally *tally, const uint32_t *numbers, size_t count)
{
    uint64_t *counts = tally->counts;
    for (size_t i = 0; i < count; i++)
        counts[numbers[i]]++;
}

enum status tally_merge(struct tally *tally, const struct tally *next, struct error *e)
{
    for (size_t i = 0; i < next->entries; i++) {
        uint32_t number;
        const char *text = next->bytes + next->offsets[i];
        enum status status = tally_find(tally, text, (size_t)(next->offsets[i + 1] - next->offsets[i]), &number, e);
        if (status)
            return status;
        tally->counts[number] += next->counts[i];
    }
    return STATUS_OK;
}

/* ---- over ranks ---- */

/* A message: the sizes first, and the receiver's word that it has room for them. */
struct parcel {
    uint64_t entries, bytes;
};

static void send_tally(const struct comm *comm, int to, const struct tally *tally)
{
    struct parcel parcel = {tally->entries, tally->offsets[tally->entries]};
    bool wanted = false;
    comm_exchange(comm, to, &parcel, sizeof parcel, &wanted, sizeof wanted);
    if (!wanted)
        return;
    comm_exchange(comm, to, tally->bytes, (size_t)parcel.bytes, NULL, 0);
    comm_exchange(comm, to, tally->offsets, (tally->entries + 1) * sizeof *tally->offsets, NULL, 0);
    comm_exchange(comm, to, tally->counts, tally->entries * sizeof *tally->counts, NULL, 0);
}

static enum status receive_tally(const struct comm *comm, int from, bool wanted, struct tally *tally, struct error *e)
{
    struct parcel parcel;
    struct tally next = {.bytes = NULL};
    comm_exchange(comm, from, NULL, 0, &parcel, sizeof parcel);
    if (wanted) {
        next.entries = (size_t)parcel.entries;
        next.bytes = mem_alloc((size_t)parcel.bytes, 1, "the words of another rank", e);
        next.offsets =
            next.bytes ? mem_alloc(next.entries + 1, sizeof *next.offsets, "the words of another rank", e) : NULL;
        next.counts =
            next.offsets ? mem_alloc(next.entries, sizeof *next.counts, "the words of another rank", e) : NULL;
        wanted = next.counts != NULL;
    }
    comm_exchange(comm, from, &wanted, sizeof wanted, NULL, 0);
    enum status status = STATUS_OS;
    if (wanted) {
        comm_exchange(comm, from, NULL, 0, next.bytes, (size_t)parcel.bytes);
        comm_exchange(comm, from, NULL, 0, next.offsets, (next.entries + 1) * sizeof *next.offsets);
        comm_exchange(comm, from, NULL, 0, next.counts, next.entries * sizeof *next.counts);
        status = tally_merge(tally, &next, e);
    }
    mem_free(next.bytes);
    mem_free(next.offsets);
    mem_free(next.counts);
    return status;
}

/* Neighbours first, then neighbouring pairs: the order of the parts is kept. */
enum status tally_gather(const struct comm *comm, struct tally *tally, struct error *e)
{
    enum status status = STATUS_OK;
    for (int step = 1; step < comm->size; step *= 2) {
        if (comm->rank % (2 * step) == step) {
            send_tally(comm, comm->rank - step, tally);
            break;
        }
        if (comm->rank + step < comm->size) {
            enum status received = receive_tally(comm, comm->rank + step, !status, tally, e);
            if (!status)
                status = received;
        }
    }
    return comm_agree(comm, status, e);
}

int64_t tally_entries(const struct tally *tally)
{
    return (int64_t)tally->entries - 1;
}

int64_t tally_single(const struct tally *tally)
{
    int64_t single = 0;
    for (size_t i = 1; i < tally->entries; i++)
        single += tally->counts[i] == 1;
    return single;
}

struct ranked {
    uint64_t count;
    uint32_t number;
};

/* Falling counts; equal ones by first appearance. */
static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Copies the first `kept` ranked entries after <unk> into a vocabulary. */
static enum status build(const struct tally *tally, enum level level, const struct ranked *ranked, size_t kept,
                         uint64_t unknown, struct vocab **out, struct error *e)
{
    uint64_t bytes = tally->offsets[1];
    for (size_t i = 0; i < kept; i++)
        bytes += tally->offsets[ranked[i].number + 1] - tally->offsets[ranked[i].number];
    if (kept + 1 > VOCAB_MAX || bytes > VOCAB_BYTES_MAX)
        return error_set(e, STATUS_DATA,
                         "too many distinct words for a vocabulary: '%zu' with %llu bytes, %d with %d "
                         "can be held; use --vocab-size or --min-count",
                         kept, (unsigned long long)bytes, VOCAB_MAX, VOCAB_BYTES_MAX);
    char *text = mem_alloc((size_t)bytes, 1, "a vocabulary", e);
    uint64_t *offsets = mem_alloc(kept + 2, sizeof *offsets, "a vocabulary", e);
    uint64_t *counts = mem_alloc(kept + 1, sizeof *counts, "a vocabulary", e);
    if (!text || !offsets || !counts) {
        mem_free(text);
        mem_free(offsets);
        mem_free(counts);
        return STATUS_OS;
    }
    for (size_t i = 0; i <= kept; i++) {
        uint32_t from = i == 0 ? 0 : ranked[i - 1].number;
        size_t length = (size_t)(tally->offsets[from + 1] - tally->offsets[from]);
        memcpy(text + offsets[i], tally->bytes + tally->offsets[from], length);
        offsets[i + 1] = offsets[i] + length;
        counts[i] = i == 0 ? unknown : ranked[i - 1].count;
    }
    return vocab_adopt(level, (int)kept + 1, text, offsets, counts, STATUS_INTERNAL, out, e);
}

enum status tally_vocab(const struct tally *tally, enum level level, int64_t size, int64_t min_count,
                        struct vocab **out, struct error *e)
{
    *out = NULL;
    struct ranked *ranked = mem_alloc(tally->entries, sizeof *ranked, "the words by count", e);
    if (!ranked)
        return STATUS_OS;
    size_t kept = 0;
    uint64_t unknown = tally->counts[VOCAB_UNK];
    for (size_t i = 1; i < tally->entries; i++) {
        if (min_count <= 1 || tally->counts[i] >= (uint64_t)min_count)
            ranked[kept++] = (struct ranked){tally->counts[i], (uint32_t)i};
        else
            unknown += tally->counts[i];
    }
    qsort(ranked, kept, sizeof *ranked, compare_ranked);
    for (; size > 0 && kept > (size_t)size - 1; kept--)
        unknown += ranked[kept - 1].count;
    enum status status = build(tally, level, ranked, kept, unknown, out, e);
    mem_free(ranked);
    return status;
}
