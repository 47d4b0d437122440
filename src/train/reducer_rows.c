/* The rows that a step touches: ranks send each other their ids, move their rows to common places, and after the sum
 * the parts of a parameter are added to one another. */
#include "reducer_private.h"

#include <string.h>

#include "unroll/base/mem.h"

/* ---- what it allocates ---- */

/* Elements of the arrays. */
struct sizes {
    size_t ids;    /* of all lists that differ from rank to rank */
    size_t same;   /* of the others */
    size_t counts; /* of ranks times lists */
    size_t rows;   /* of all parts */
};

static struct sizes sizes_of(const struct gradient_layout *layout, int ranks)
{
    struct sizes sizes = {.counts = (size_t)layout->lists * (size_t)ranks};
    for (const struct gradient_list *list = layout->list; list < layout->list + layout->lists; list++) {
        int64_t each = list->rows * ranks; /* ranks that name all rows */
        if (list->same || ranks == 1)
            sizes.same += (size_t)list->most;
        else
            sizes.ids += (size_t)(list->places < each ? list->places : each);
    }
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        sizes.rows += (size_t)layout->list[part->list].most;
    return sizes;
}

size_t reducer_rows_bytes(const struct gradient_layout *layout, int ranks)
{
    const struct reducer_rows *rows = NULL; /* for the sizes of elements */
    struct sizes sizes = sizes_of(layout, ranks);
    if (!layout->lists)
        return 0;
    return (3 * sizes.ids + sizes.same) * sizeof *rows->row + sizes.counts * sizeof *rows->counts +
           2 * (size_t)ranks * sizeof *rows->bytes[0] + sizes.rows * (sizeof *rows->row + sizeof *rows->grad);
}

/* Arrays of the united lists, side by side. */
static bool create_lists(struct reducer *reducer, struct sizes sizes, struct error *e)
{
    const struct gradient_layout *layout = reducer->layout;
    int ranks = reducer->comm.size;
    uint32_t *next = mem_alloc(sizes.ids + sizes.same, sizeof *next, "touched rows", e);
    if (!next)
        return false;
    for (int l = 0; l < layout->lists; l++) {
        const struct gradient_list *list = &layout->list[l];
        int64_t each = list->rows * ranks;
        reducer->rows.all.list[l].row = next;
        next += list->same || ranks == 1 ? list->most : list->places < each ? list->places : each;
    }
    return true;
}

enum status reducer_rows_create(struct reducer *reducer, struct error *e)
{
    struct reducer_rows *rows = &reducer->rows;
    int ranks = reducer->comm.size;
    struct sizes sizes = sizes_of(reducer->layout, ranks);
    if (!reducer->layout->lists)
        return STATUS_OK;
    rows->counts = mem_alloc(sizes.counts, sizeof *rows->counts, "touched rows", e);
    rows->sent = mem_alloc(sizes.ids ? sizes.ids : 1, sizeof *rows->sent, "touched rows", e);
    rows->received = mem_alloc(sizes.ids ? sizes.ids : 1, sizeof *rows->received, "touched rows", e);
    rows->row = mem_alloc(sizes.rows, sizeof *rows->row, "touched rows", e);
    rows->grad = mem_alloc(sizes.rows, sizeof *rows->grad, "touched rows", e);
    bool complete = rows->counts && rows->sent && rows->received && rows->row && rows->grad;
    for (int i = 0; i < 2; i++) {
        rows->bytes[i] = mem_alloc((size_t)ranks, sizeof *rows->bytes[i], "touched rows", e);
        complete = complete && rows->bytes[i];
    }
    return complete && create_lists(reducer, sizes, e) ? STATUS_OK : STATUS_OS;
}

void reducer_rows_free(struct reducer *reducer)
{
    struct reducer_rows *rows = &reducer->rows;
    mem_free(rows->all.list[0].row);
    mem_free(rows->counts);
    mem_free(rows->sent);
    mem_free(rows->received);
    mem_free(rows->bytes[0]);
    mem_free(rows->bytes[1]);
    mem_free(rows->row);
    mem_free(rows->grad);
}

/* ---- lists of all ranks ---- */

static bool differs(const struct reducer *reducer, int list)
{
    return !reducer->layout->list[list].same && reducer->comm.size > 1;
}

/* Every rank's ids to all others: first how many, then these. */
static void send_ids(struct reducer *reducer, const struct touched *touched)
{
    struct reducer_rows *rows = &reducer->rows;
    int ranks = reducer->comm.size, lists = reducer->layout->lists;
    int64_t mine[GRADIENT_LISTS_MAX] = {0};
    size_t sent = 0, offset = 0;
    for (int l = 0; l < lists; l++) {
        if (!differs(reducer, l))
            continue;
        mine[l] = touched->list[l].count;
        memcpy(rows->sent + sent, touched->list[l].row, (size_t)mine[l] * sizeof *rows->sent);
        sent += (size_t)mine[l];
    }
    comm_allgather(&reducer->comm, mine, (size_t)lists * sizeof *mine, rows->counts);
    for (int r = 0; r < ranks; r++) {
        rows->bytes[0][r] = 0;
        for (int l = 0; l < lists; l++)
            rows->bytes[0][r] += (size_t)rows->counts[r * lists + l] * sizeof *rows->sent;
        rows->bytes[1][r] = offset;
        offset += rows->bytes[0][r];
    }
    comm_allgatherv(&reducer->comm, rows->sent, rows->received, rows->bytes[0], rows->bytes[1]);
}

static void unite_list(struct reducer *reducer, int l)
{
    struct reducer_rows *rows = &reducer->rows;
    struct touched_list *all = &rows->all.list[l];
    int lists = reducer->layout->lists;
    all->count = 0;
    for (int r = 0; r < reducer->comm.size; r++) {
        const int64_t *counts = rows->counts + r * lists;
        const uint32_t *ids = rows->received + rows->bytes[1][r] / sizeof *ids;
        for (int before = 0; before < l; before++)
            ids += counts[before];
        memcpy(all->row + all->count, ids, (size_t)counts[l] * sizeof *ids);
        all->count += counts[l];
    }
    all->count = touched_sort(all->row, all->count);
}

/* Moves rows that stand in the order of `mine` to their places in `all`, which has all of them and more, and zeroes the
 * others. From the last to the first: a row never moves to a lower place. */
static void spread(const struct touched_list *mine, const struct touched_list *all, size_t width, float *part)
{
    int64_t from = mine->count - 1;
    for (int64_t to = all->count - 1; to >= 0; to--) {
        if (from < 0 || mine->row[from] != all->row[to])
            memset(part + (size_t)to * width, 0, width * sizeof *part);
        else if (from-- != to)
            memcpy(part + (size_t)to * width, part + (size_t)(from + 1) * width, width * sizeof *part);
    }
}

void reducer_rows_unite(struct reducer *reducer, const struct touched *touched)
{
    const struct gradient_layout *layout = reducer->layout;
    struct reducer_rows *rows = &reducer->rows;
    bool exchange = false;
    for (int l = 0; l < layout->lists; l++)
        exchange = exchange || differs(reducer, l);
    if (exchange)
        send_ids(reducer, touched);
    for (int l = 0; l < layout->lists; l++) {
        const struct touched_list *mine = &touched->list[l];
        struct touched_list *all = &rows->all.list[l];
        if (differs(reducer, l)) {
            unite_list(reducer, l);
            continue;
        }
        all->count = mine->count;
        memcpy(all->row, mine->row, (size_t)mine->count * sizeof *mine->row);
    }
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        for (int i = 0; i < reducer->nodes && differs(reducer, part->list); i++)
            spread(&touched->list[part->list], &rows->all.list[part->list], part->width,
                   reducer->grad[i] + part->offset);
}

/* ---- the parts of a parameter ---- */

/* Where a part's next row is, while parts are merged. */
struct cursor {
    const struct touched_list *list;
    float *next;
    size_t width;
    int64_t place;
};

static uint32_t cursor_row(const struct cursor *cursor)
{
    return cursor->place < cursor->list->count ? cursor->list->row[cursor->place] : UINT32_MAX;
}

static void cursor_step(struct cursor *cursor)
{
    cursor->place++;
    cursor->next += cursor->width;
}

static int find_cursors(struct reducer *reducer, int param, struct cursor *cursor)
{
    const struct gradient_layout *layout = reducer->layout;
    int count = 0;
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++)
        if (part->param == param)
            cursor[count++] =
                (struct cursor){&reducer->rows.all.list[part->list], reducer->grad[0] + part->offset, part->width, 0};
    return count;
}

/* The next row that any part has: the sum of those that have it, in the place of the first. */
static float *merge_row(struct cursor *cursor, int count, uint32_t row)
{
    float *sum = NULL;
    for (int i = 0; i < count; i++) {
        if (cursor_row(&cursor[i]) != row)
            continue;
        float *next = cursor[i].next;
        for (size_t k = 0; sum && k < cursor[i].width; k++)
            sum[k] += next[k];
        sum = sum ? sum : next;
        cursor_step(&cursor[i]);
    }
    return sum;
}

void reducer_rows_fold(struct reducer *reducer)
{
    struct reducer_rows *rows = &reducer->rows;
    const struct param_table *table = reducer->table;
    uint32_t *row = rows->row;
    const float **grad = rows->grad;
    for (int i = 0; i < table->count; i++) {
        struct cursor cursor[GRADIENT_PARTS_MAX];
        struct gradient_rows *of = &rows->of[i];
        *of = (struct gradient_rows){0, row, grad};
        int count = reducer->layout->width[i] && table->param[i].alias < 0 ? find_cursors(reducer, i, cursor) : 0;
        while (count > 0) {
            uint32_t next = UINT32_MAX;
            for (int c = 0; c < count; c++)
                next = cursor_row(&cursor[c]) < next ? cursor_row(&cursor[c]) : next;
            if (next == UINT32_MAX)
                break;
            row[of->count] = next;
            grad[of->count++] = merge_row(cursor, count, next);
        }
        row += of->count;
        grad += of->count;
    }
}
