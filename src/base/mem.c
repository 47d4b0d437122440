/* Allocates aligned, zeroed memory, and makes arrays grow. */
#include "unroll/base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

#define HUGE_PAGE ((size_t)2 << 20)

static atomic_llong allocation_count; /* instrumentation only: nothing depends on it */

int mem_mul_overflows(size_t a, size_t b, size_t *product)
{
    return __builtin_mul_overflow(a, b, product);
}

int64_t mem_allocation_count(void)
{
    return atomic_load(&allocation_count);
}

struct block {
    char *start;
    size_t bytes;
};

static void zero_pages(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct block *block = context;
    size_t from = (size_t)begin * HUGE_PAGE, to = (size_t)end * HUGE_PAGE;
    memset(block->start + from, 0, (to < block->bytes ? to : block->bytes) - from);
}

/* All threads write, each its share by team_share. A page lies in the memory of the core that writes it first. So the
 * optimizer and the norm find their shares nearby later, and all memory controllers of a host have work. */
static void zero(char *start, size_t bytes)
{
    struct block block = {start, bytes};
    int64_t pages = (int64_t)((bytes + HUGE_PAGE - 1) / HUGE_PAGE);
    team_share(pages > 4 ? TEAM_USUAL : 1, pages, (int64_t)bytes, zero_pages, &block);
}

void *mem_alloc(size_t count, size_t size, const char *what, struct error *e)
{
    size_t bytes;
    if (mem_mul_overflows(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        error_set(e, STATUS_OS, "out of memory for %s: %zu items of %zu bytes cannot be addressed", what, count, size);
        return NULL;
    }
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : MEM_ALIGN;
    size_t rounded = bytes ? (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN : MEM_ALIGN;
    void *block = NULL;
    if (posix_memalign(&block, alignment, rounded) != 0) {
        error_set(e, STATUS_OS,
                  "out of memory for %s: %zu bytes; use a smaller model, --batch or --bptt, or more memory per rank",
                  what, bytes);
        return NULL;
    }
    if (alignment == HUGE_PAGE && TUNE_HUGE_PAGES)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* only advice: small pages work too */
    zero(block, rounded);
    atomic_fetch_add(&allocation_count, 1);
    return block;
}

void mem_free(void *pointer)
{
    free(pointer);
}

enum status mem_grow(void **pointer, size_t *capacity, size_t need, size_t size, const char *what, struct error *e)
{
    if (need <= *capacity)
        return STATUS_OK;
    size_t target = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
    if (target < need)
        target = need;
    if (target < 16)
        target = 16;
    void *larger = mem_alloc(target, size, what, e);
    if (!larger)
        return STATUS_OS;
    if (*capacity)
        memcpy(larger, *pointer, *capacity * size);
    mem_free(*pointer);
    *pointer = larger;
    *capacity = target;
    return STATUS_OK;
}

char *mem_strdup(const char *text, struct error *e)
{
    size_t bytes = strlen(text) + 1;
    char *copy = mem_alloc(bytes, 1, "a string", e);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}
