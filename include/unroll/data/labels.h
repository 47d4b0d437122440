/* The labels of a labelled corpus: the table label <-> number. Numbers count from 0; a label is 1 to LABEL_BYTES_MAX
 * bytes of UTF-8 without control characters. */
#ifndef UNROLL_DATA_LABELS_H
#define UNROLL_DATA_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/limits.h"
#include "unroll/base/status.h"
#include "unroll/data/text_index.h"

#define LABEL_BYTES_MAX 255

struct labels {
    int count;
    char *bytes;       /* [offsets[count]] the labels one after another, not terminated; owned */
    uint64_t *offsets; /* [count + 1]; owned */
    uint64_t *counts;  /* [count] texts of the training split; owned */
    size_t bytes_capacity, offsets_capacity, counts_capacity;
    struct text_index index;
};

/* A table without labels. NULL and STATUS_OS on exhaustion. */
struct labels *labels_new(struct error *e);
/* Takes ownership of the arrays (also on failure) and checks them; a violation is `damaged`. offsets[count] must not
 * be more than what `bytes` holds. */
enum status labels_adopt(int count, char *bytes, uint64_t *offsets, uint64_t *counts, enum status damaged,
                         struct labels **out, struct error *e);
void labels_free(struct labels *labels); /* NULL is allowed */

/* Number of the label, -1 if it is not there. */
int labels_find(const struct labels *labels, const char *text, size_t length);
/* Adds one that is not there, with no texts yet. STATUS_DATA if it is no label or one too many. */
enum status labels_add(struct labels *labels, const char *text, size_t length, int *label, struct error *e);
const char *labels_text(const struct labels *labels, int label, size_t *length);

/* XXH3-128 over the digests of bytes and offsets, as 32 hexadecimal digits. */
void labels_digest(const struct labels *labels, char hex[33]);

#endif
