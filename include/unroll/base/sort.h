/* Sorting in place, without the memory that the C library's qsort may take: for what is done in every step. */
#ifndef UNROLL_BASE_SORT_H
#define UNROLL_BASE_SORT_H

#include <stdint.h>

/* Ascending. */
void sort_ids(uint32_t *ids, int64_t count);

#endif
