/* Adds, finds and checks labels. */
#include "unroll/data/labels.h"

#include <stdio.h>
#include <string.h>

#include "unroll/base/digest.h"
#include "unroll/base/mem.h"
#include "unroll/data/utf8.h"

struct labels *labels_new(struct error *e)
{
    struct labels *labels = mem_alloc(1, sizeof *labels, "labels", e);
    void *offsets = NULL;
    if (labels && mem_grow(&offsets, &labels->offsets_capacity, 1, sizeof *labels->offsets, "labels", e)) {
        mem_free(labels);
        return NULL;
    }
    if (labels)
        labels->offsets = offsets;
    return labels;
}

void labels_free(struct labels *labels)
{
    if (!labels)
        return;
    text_index_release(&labels->index);
    mem_free(labels->bytes);
    mem_free(labels->offsets);
    mem_free(labels->counts);
    mem_free(labels);
}

static bool is_label(const char *text, size_t length)
{
    if (length < 1 || length > LABEL_BYTES_MAX || utf8_valid(text, length) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

int labels_find(const struct labels *labels, const char *text, size_t length)
{
    uint32_t number =
        text_index_find(&labels->index, labels->bytes, labels->offsets, text, length, text_hash(text, length));
    return number == TEXT_INDEX_NONE ? -1 : (int)number;
}

enum status labels_add(struct labels *labels, const char *text, size_t length, int *label, struct error *e)
{
    if (!is_label(text, length))
        return error_set(e, STATUS_DATA, "'%.*s' is no label; use 1 to %d bytes of UTF-8 without control characters",
                         (int)(length < 40 ? length : 40), text, LABEL_BYTES_MAX);
    if (labels->count == LABELS_MAX)
        return error_set(e, STATUS_DATA, "too many labels: '%.*s' is one more than %d; use fewer", (int)length, text,
                         LABELS_MAX);
    uint64_t begin = labels->offsets[labels->count];
    size_t next = (size_t)labels->count;
    void *bytes = labels->bytes, *offsets = labels->offsets, *counts = labels->counts;
    enum status status = mem_grow(&bytes, &labels->bytes_capacity, (size_t)begin + length, 1, "labels", e);
    labels->bytes = bytes;
    if (!status)
        status = mem_grow(&offsets, &labels->offsets_capacity, next + 2, sizeof *labels->offsets, "labels", e);
    labels->offsets = offsets;
    if (!status)
        status = mem_grow(&counts, &labels->counts_capacity, next + 1, sizeof *labels->counts, "labels", e);
    labels->counts = counts;
    if (!status)
        status = text_index_add(&labels->index, text_hash(text, length), (uint32_t)next, e);
    if (status)
        return status;
    memcpy(labels->bytes + begin, text, length);
    labels->offsets[next + 1] = begin + length;
    labels->counts[next] = 0;
    *label = labels->count++;
    return STATUS_OK;
}

const char *labels_text(const struct labels *labels, int label, size_t *length)
{
    CHECK(label >= 0 && label < labels->count);
    *length = (size_t)(labels->offsets[label + 1] - labels->offsets[label]);
    return labels->bytes + labels->offsets[label];
}

/* The arrays are another's: each label is added to a table of our own. */
static enum status add_all(struct labels *labels, int count, const char *bytes, const uint64_t *offsets,
                           const uint64_t *counts, enum status damaged, struct error *e)
{
    if (offsets[0] != 0)
        return error_set(e, damaged, "the labels' offsets do not begin at 0");
    for (int i = 0; i < count; i++) {
        int label = 0;
        if (offsets[i + 1] <= offsets[i] || offsets[i + 1] > offsets[count])
            return error_set(e, damaged, "the labels' offsets do not rise at label %d", i);
        const char *text = bytes + offsets[i];
        size_t length = (size_t)(offsets[i + 1] - offsets[i]);
        if (!is_label(text, length) || labels_find(labels, text, length) >= 0)
            return error_set(e, damaged, "label %d is no label, or is there twice", i);
        enum status status = labels_add(labels, text, length, &label, e);
        if (status)
            return status;
        labels->counts[label] = counts[i];
    }
    return STATUS_OK;
}

enum status labels_adopt(int count, char *bytes, uint64_t *offsets, uint64_t *counts, enum status damaged,
                         struct labels **out, struct error *e)
{
    struct labels *labels = labels_new(e);
    enum status status = labels ? add_all(labels, count, bytes, offsets, counts, damaged, e) : STATUS_OS;
    mem_free(bytes);
    mem_free(offsets);
    mem_free(counts);
    if (status)
        labels_free(labels);
    *out = status ? NULL : labels;
    return status;
}

void labels_digest(const struct labels *labels, char hex[33])
{
    char text[3 * DIGEST_TEXT], part[DIGEST_TEXT];
    digest_of(labels->bytes, (size_t)labels->offsets[labels->count], part);
    int length = snprintf(text, sizeof text, "%s\n", part);
    digest_of(labels->offsets, ((size_t)labels->count + 1) * sizeof *labels->offsets, part);
    length += snprintf(text + length, sizeof text - (size_t)length, "%s\n", part);
    digest_of(text, (size_t)length, hex);
}
