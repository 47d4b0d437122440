/* Sums of rows by place: rows are sorted by place, and each place is summed by one thread. */
#include "row_sums.h"

#include <string.h>

#include "unroll/base/team.h"

void row_sums_create(struct common *common, struct row_sums *sums, size_t rows, size_t places, int width)
{
    struct store *store = &common->store;
    sums->width = width;
    sums->row = store_take(store, rows, sizeof *sums->row, "order of rows");
    sums->group = store_take(store, rows, sizeof *sums->group, "order of rows");
    sums->start = store_take(store, places + 1, sizeof *sums->start, "order of rows");
    sums->place = store_take(store, rows, sizeof *sums->place, "order of rows");
    sums->depth = 2;
    for (int groups = 1; groups < common->shape.share.groups; groups *= 2)
        sums->depth++;
    sums->scratch = store_floats(store, (size_t)common->shape.threads * sums->depth * VROUND(width), "sums of rows");
}

/* ---- order ---- */

/* Counts a row, or puts it in its place. */
static void sort_row(struct row_sums *sums, uint32_t place, int row, int group, bool put)
{
    int *next = &sums->start[place + 1];
    if (put) {
        sums->row[*next] = row;
        sums->group[*next] = group;
    }
    ++*next;
}

/* All rows of group g, a local number. */
static void sort_group(const struct common *common, struct row_sums *sums, const struct row_sums_task *task, int g,
                       bool put)
{
    struct lanes lanes = common_group_lanes(common, g);
    if (task->group_row)
        for (int row = task->group_row[g]; row < task->group_row[g + 1]; row++)
            sort_row(sums, task->place[row], row, g + common->group0, put);
    else
        for (int t = 0; t < common->window->T; t++)
            for (int lane = lanes.begin; lane < lanes.end; lane++) {
                int row = t * common->lanes + lane;
                sort_row(sums, task->place[row], row, g + common->group0, put);
            }
}

static void sort_rows(const struct common *common, struct row_sums *sums, const struct row_sums_task *task,
                      struct lane_node node)
{
    int first = node.begin - common->group0, last = node.end - common->group0, before = 0;
    memset(sums->start, 0, sizeof *sums->start * ((size_t)task->places + 1));
    for (int g = first; g < last; g++)
        sort_group(common, sums, task, g, false);
    /* start[p + 1] = how many rows have places below p: putting them moves it to how many have up to p */
    sums->distinct = 0;
    for (int64_t p = 0; p < task->places; p++) {
        int count = sums->start[p + 1];
        sums->start[p + 1] = before;
        before += count;
        if (count)
            sums->place[sums->distinct++] = (uint32_t)p;
    }
    for (int g = first; g < last; g++)
        sort_group(common, sums, task, g, true);
}

/* ---- sums ---- */

struct summing {
    const struct common *common;
    const struct row_sums *sums;
    const struct row_sums_task *task;
    struct lane_node node;
    struct team_counter next;
};

static void add_row(float *to, const float *from, int n)
{
    for (int i = 0; i < n; i += VLEN)
        vstore(to + i, vload(to + i) + vload(from + i));
}

/* level[0] = sum of rows [begin, end) of the sorted list, up the lane tree from `node`; the range is not empty. */
static void sum_place(const struct summing *work, struct lane_node node, int begin, int end, float *level)
{
    const struct row_sums *sums = work->sums;
    int width = VROUND(sums->width);
    if (node.end - node.begin == 1 || !work->common->shape.exact) {
        memset(level, 0, sizeof *level * width);
        for (int i = begin; i < end; i++)
            add_row(level, work->task->rows + (int64_t)sums->row[i] * work->task->stride, width);
        return;
    }
    int middle = lane_node_middle(node.begin, node.end), split = begin;
    while (split < end && sums->group[split] < middle)
        split++;
    struct lane_node left = {node.begin, middle}, right = {middle, node.end};
    if (split == end) {
        sum_place(work, left, begin, end, level);
    } else if (split == begin) {
        sum_place(work, right, begin, end, level);
    } else {
        sum_place(work, left, begin, split, level);
        sum_place(work, right, split, end, level + width);
        add_row(level, level + width, width);
    }
}

#define PLACES 16 /* that a thread takes at once */

static void sum_places(const struct summing *work, int64_t begin, float *level)
{
    const struct row_sums *sums = work->sums;
    for (int64_t i = begin; i < begin + PLACES && i < sums->distinct; i++) {
        uint32_t place = sums->place[i];
        sum_place(work, work->node, sums->start[place], sums->start[place + 1], level);
        float *sum = work->task->sums + (int64_t)place * sums->width;
        for (int k = 0; k < sums->width; k++)
            sum[k] =
                level[k] + 0.0f; /* other ranks' zeros, which are added to a sum of minus zero, make it plus zero */
    }
}

static void sum_share(void *context, const struct team_member *me)
{
    struct summing *work = context;
    const struct row_sums *sums = work->sums;
    const struct row_sums_task *task = work->task;
    float *level = sums->scratch + (size_t)me->thread * sums->depth * VROUND(sums->width);
    int64_t begin = team_begin(task->places, me->thread, me->threads) * sums->width;
    int64_t end = team_begin(task->places, me->thread + 1, me->threads) * sums->width;
    memset(task->sums + begin, 0, sizeof *task->sums * (end - begin));
    team_barrier(me);
    for (int64_t i; (i = team_next(&work->next, PLACES)) < sums->distinct;)
        sum_places(work, i, level);
}

void row_sums_node(const struct common *common, struct row_sums *sums, const struct row_sums_task *task,
                   struct lane_node node)
{
    sort_rows(common, sums, task, node);
    struct summing work = {common, sums, task, node, {0}};
    int64_t rows = (int64_t)common->lanes * common->window->T + task->places;
    team_run(common->shape.threads, 4 * rows * sums->width, sum_share, &work);
}
