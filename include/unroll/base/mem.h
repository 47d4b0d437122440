/* Memory: aligned, zeroed, overflow-checked. Everything large that Unroll allocates comes from here. */
#ifndef UNROLL_BASE_MEM_H
#define UNROLL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"

#define MEM_ALIGN 64 /* bytes: a cache line, and the widest vector */

/* `count * size` zeroed bytes aligned to MEM_ALIGN; blocks of 2 MiB and more start on a huge-page boundary and ask
 * the kernel for huge pages; the threads of the team write them first (TEAM_USUAL of base/team.h), so that they are
 * spread over the host's memories. A zero-byte request gives a valid pointer. On overflow or exhaustion returns NULL
 * and fills `e` (STATUS_OS, naming `what` and the size). Owned by the caller; release with mem_free. */
void *mem_alloc(size_t count, size_t size, const char *what, struct error *e);
void mem_free(void *pointer); /* NULL is allowed */

/* Grows a heap array to hold at least `need` items of `size` bytes (amortised doubling; contents kept, new part
 * zeroed). Updates *pointer and *capacity; on failure leaves both as they were. Release with mem_free. */
enum status mem_grow(void **pointer, size_t *capacity, size_t need, size_t size, const char *what, struct error *e);

/* Copy of a string; NULL and `e` on exhaustion. */
char *mem_strdup(const char *text, struct error *e);

/* a * b into *product; returns nonzero on overflow. */
int mem_mul_overflows(size_t a, size_t b, size_t *product);

/* Allocations made through mem_alloc so far in this process (tests assert that a training step makes none). */
int64_t mem_allocation_count(void);

#endif
