/* Selects and sorts the heaviest candidates. */
#include "draw.h"

#include <stdbool.h>
#include <stdlib.h>

static bool comes_before(const struct sampler_candidate *a, const struct sampler_candidate *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->token < b->token);
}

static int compare_candidates(const void *a, const void *b)
{
    return comes_before(a, b) ? -1 : comes_before(b, a);
}

static void swap_candidates(struct sampler_candidate *a, struct sampler_candidate *b)
{
    struct sampler_candidate held = *a;
    *a = *b;
    *b = held;
}

/* Brings the first k of n candidates in comes_before order to the front (Hoare's quickselect, middle pivot). */
static void select_first(struct sampler_candidate *items, int n, int k)
{
    int begin = 0, end = n; /* the boundary k lies in [begin, end) */
    while (end - begin > 1) {
        swap_candidates(&items[begin], &items[begin + (end - begin) / 2]);
        int kept = begin; /* items (begin, kept] come before the pivot */
        for (int i = begin + 1; i < end; i++)
            if (comes_before(&items[i], &items[begin]))
                swap_candidates(&items[++kept], &items[i]);
        swap_candidates(&items[begin], &items[kept]);
        if (kept >= k)
            end = kept;
        else
            begin = kept + 1;
        if (kept == k || begin >= k)
            return;
    }
}

void draw_select(struct sampler_candidate *items, int n, int k)
{
    select_first(items, n, k);
    qsort(items, (size_t)k, sizeof *items, compare_candidates);
}
