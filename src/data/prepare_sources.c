/* Cuts the input files into splits, and each split into the shares of the ranks. */
#include "prepare_sources.h"

#include <string.h>

#include "prepare_private.h"

#include "unroll/base/mem.h"

/* Shares are at least so long: what fits in here is one rank's work. */
#define SHARE_MIN ((int64_t)1 << 16)

/* The split whose files a split's text lies in. */
static enum split files_of(const struct prepare_config *config, enum split split)
{
    return prepare_has_percents(config) ? SPLIT_TRAIN : split;
}

/* Each text is one part. */
static enum status whole_files(const struct inputs *inputs, struct source *source, struct error *e)
{
    source->part = mem_alloc(inputs->count, sizeof *source->part, "names of text files", e);
    if (!source->part)
        return STATUS_OS;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct text_file *file = &inputs->input[i].file;
        source->part[source->parts++] = (struct text_part){file, 0, file->size};
    }
    return STATUS_OK;
}

/* ---- cutting a run of parts ---- */

static int64_t bytes_of(const struct source *source)
{
    int64_t bytes = 0;
    for (int i = 0; i < source->parts; i++)
        bytes += source->part[i].end - source->part[i].begin;
    return bytes;
}

struct cursor {
    int part;      /* the one that is being cut ... */
    int64_t begin; /* ... from here on, a position in its file */
    int64_t base;  /* where the part begins in the run */
};

static struct cursor cursor_at_start(const struct source *all)
{
    return (struct cursor){.part = 0, .begin = all->parts > 0 ? all->part[0].begin : 0, .base = 0};
}

/* Moves what lies before position `end` of the run, or a little more, into `taken`, whose parts it allocates. */
static enum status take_until(const struct source *all, level_cut *rule, int64_t end, struct cursor *cursor,
                              struct source *taken, struct error *e)
{
    taken->part = mem_alloc((size_t)all->parts, sizeof *taken->part, "names of text files", e);
    if (!taken->part)
        return STATUS_OS;
    while (cursor->part < all->parts) {
        const struct text_part *whole = &all->part[cursor->part];
        int64_t cut = whole->end, length = whole->end - whole->begin, wanted = whole->begin + (end - cursor->base);
        enum status status = STATUS_OK;
        if (end - cursor->base < length)
            status = text_cut(whole->file, rule, wanted > cursor->begin ? wanted : cursor->begin, &cut, e);
        if (status)
            return status;
        if (cut > cursor->begin)
            taken->part[taken->parts++] = (struct text_part){whole->file, cursor->begin, cut};
        cursor->begin = cut;
        if (cut < whole->end)
            break;
        cursor->base += length;
        cursor->part++;
        if (cursor->part < all->parts)
            cursor->begin = all->part[cursor->part].begin;
    }
    return STATUS_OK;
}

/* The splits as shares of the run of all training files. */
static enum status cut_by_percents(const struct prepare_config *config, const struct source *all,
                                   struct source source[SPLITS], struct error *e)
{
    int64_t total = bytes_of(all);
    double share = 0;
    struct cursor cursor = cursor_at_start(all);
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS && !status; i++) {
        share += config->percent[i];
        int64_t end = i == SPLITS - 1 || share > 100 - 1e-6 ? total : (int64_t)((double)total * share / 100);
        status = take_until(all, level_cut_of(config->level, config->normal), end, &cursor, &source[i], e);
    }
    return status;
}

enum status sources_find(const struct prepare_config *config, const struct inputs inputs[SPLITS],
                         struct source source[SPLITS], struct error *e)
{
    struct source all = {NULL, 0};
    enum status status = STATUS_OK;
    if (prepare_has_percents(config)) {
        status = whole_files(&inputs[SPLIT_TRAIN], &all, e);
        if (!status)
            status = cut_by_percents(config, &all, source, e);
        mem_free(all.part);
        return status;
    }
    for (int i = 0; i < SPLITS && !status; i++)
        status = whole_files(&inputs[i], &source[i], e);
    return status;
}

void sources_release(struct source source[SPLITS])
{
    for (int i = 0; i < SPLITS; i++)
        mem_free(source[i].part);
    memset(source, 0, SPLITS * sizeof *source);
}

/* ---- shares of the ranks ---- */

struct place { /* a part as it travels */
    int64_t split, file, begin, end;
};

struct places {
    struct place *place;
    size_t count, capacity;
};

static int64_t number_of(const struct inputs *inputs, const struct text_file *file)
{
    const struct input *input = (const struct input *)(const void *)file; /* its first member */
    return input - inputs->input;
}

/* Rank 0: appends the share of `rank` of a split. */
static enum status add_share(const struct comm *comm, const struct prepare_config *config, const struct inputs *inputs,
                             enum split split, int rank, const struct source *all, struct cursor *cursor,
                             struct places *places, struct error *e)
{
    int64_t total = bytes_of(all), most = total / SHARE_MIN;
    int64_t shares = most < 1 ? 1 : most < comm->size ? most : comm->size;
    int64_t end = rank >= shares - 1 ? total : (int64_t)((__int128)total * (rank + 1) / shares);
    struct source taken = {NULL, 0};
    void *array = places->place;
    enum status status = take_until(all, level_cut_of(config->level, config->normal), end, cursor, &taken, e);
    if (!status)
        status = mem_grow(&array, &places->capacity, places->count + (size_t)taken.parts, sizeof *places->place,
                          "parts of texts", e);
    places->place = array;
    for (int i = 0; i < taken.parts && !status; i++) {
        int64_t number = number_of(&inputs[files_of(config, split)], taken.part[i].file);
        places->place[places->count++] = (struct place){split, number, taken.part[i].begin, taken.part[i].end};
    }
    mem_free(taken.part);
    return status;
}

/* Rank 0: the places of all ranks, and how many bytes of them each gets. */
static enum status cut_all(const struct comm *comm, const struct prepare_config *config,
                           const struct inputs inputs[SPLITS], const struct source source[SPLITS],
                           struct places *places, size_t *bytes, size_t *offset, struct error *e)
{
    struct cursor cursor[SPLITS];
    enum status status = STATUS_OK;
    for (int i = 0; i < SPLITS; i++)
        cursor[i] = cursor_at_start(&source[i]);
    for (int rank = 0; rank < comm->size && !status; rank++) {
        offset[rank] = places->count * sizeof *places->place;
        for (int i = 0; i < SPLITS && !status; i++)
            status = add_share(comm, config, inputs, (enum split)i, rank, &source[i], &cursor[i], places, e);
        bytes[rank] = places->count * sizeof *places->place - offset[rank];
    }
    return status;
}

/* This rank's places as parts. */
static enum status adopt(const struct prepare_config *config, const struct inputs inputs[SPLITS],
                         const struct place *mine, size_t count, struct source source[SPLITS], struct error *e)
{
    sources_release(source);
    for (int i = 0; i < SPLITS; i++) {
        source[i].part = mem_alloc(count, sizeof *source[i].part, "parts of texts", e);
        if (!source[i].part)
            return STATUS_OS;
    }
    for (size_t i = 0; i < count; i++) {
        struct source *to = &source[mine[i].split];
        const struct inputs *from = &inputs[files_of(config, (enum split)mine[i].split)];
        to->part[to->parts++] = (struct text_part){&from->input[mine[i].file].file, mine[i].begin, mine[i].end};
    }
    return STATUS_OK;
}

enum status sources_share(const struct comm *comm, const struct prepare_config *config,
                          const struct inputs inputs[SPLITS], struct source source[SPLITS], struct error *e)
{
    if (comm->size == 1)
        return STATUS_OK;
    struct places places = {NULL, 0, 0};
    struct place *mine = NULL;
    size_t ranks = (size_t)comm->size, *bytes = mem_alloc(2 * ranks, sizeof *bytes, "parts of texts", e);
    size_t *offset = bytes ? bytes + ranks : NULL;
    enum status status = bytes ? STATUS_OK : STATUS_OS;
    if (!status && comm->rank == 0)
        status = cut_all(comm, config, inputs, source, &places, bytes, offset, e);
    status = comm_agree(comm, status, e);
    if (!status) {
        comm_broadcast(comm, bytes, 2 * ranks * sizeof *bytes, 0);
        mine = mem_alloc(bytes[comm->rank], 1, "parts of texts", e);
        status = comm_agree(comm, mine ? STATUS_OK : STATUS_OS, e);
    }
    if (!status) {
        comm_scatterv(comm, places.place, bytes, offset, mine, 0);
        status = comm_agree(comm, adopt(config, inputs, mine, bytes[comm->rank] / sizeof *mine, source, e), e);
    }
    mem_free(places.place);
    mem_free(mine);
    mem_free(bytes);
    return status;
}
