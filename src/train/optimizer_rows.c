/* Rows of parameters of which an update touches some alone: the others rest.
 *
 * With lazy updates a row that rests is left as it is. With exact ones it has, when it is next read, gone through all
 * updates that it missed, each with a gradient of zero, to the bit: the history has the numbers of each update, and
 * each row the number of updates in it that it has been through. When the history is full, all rows catch up.
 *
 * A row catches up in a buffer in the first cache. It goes through missed updates by the optimizer's own rule until
 * they no longer change the parameters ("quiet", below); from there on slots alone decay (optimizer_decay.h). */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "optimizer_decay.h"
#include "optimizer_private.h"
#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"

#define HISTORY 1024 /* updates: at V = 800,000 all rows take seconds to catch up with as many */
#define GROUP 128    /* floats that catch up together */
#define TAKEN 4      /* groups that a thread takes at once */

/* Rows that catch up together: one, or as many as fill a block. */
struct rows_of {
    size_t offset, width;
    int64_t rows, units;
    int unit;       /* rows of one */
    int groups;     /* of GROUP floats, of one unit */
    uint16_t *seen; /* [units] updates of the history; NULL: none misses any */
};

struct optimizer_rows {
    struct resting resting;
    bool lazy;
    bool calm;  /* an update may have nothing to do but decay */
    bool still; /* ... and not even that: rows that rest never miss anything */
    bool falls; /* a / sqrt(b) never grows while both decay */
    struct decay decay[OPTIMIZER_SLOTS_MAX];
    double a_halving; /* updates until what is subtracted from p is half as much: a guess */
    int params, place[PARAM_MAX];
    struct rows_of of[PARAM_MAX];
    struct update update; /* the latest, for what does not differ between updates */
    /* The history: numbers of updates, and of it and all after it the largest lr and the product of `shrink`. */
    int count, bounded;
    float lr[HISTORY], root2[HISTORY], shrink[HISTORY], most[HISTORY], least[HISTORY];
};

/* ---- create ---- */

#define EPSILON_LEAST 0x1p-50f /* for `quiet` */

static void set_rows(const struct optimizer_rows *rows, const struct param *param, size_t width, struct rows_of *of)
{
    bool alone = rows->lazy || rows->still || width >= BLOCK;
    of->offset = param->offset;
    of->width = width;
    of->rows = (int64_t)(param->count / width);
    of->unit = alone ? 1 : (int)(BLOCK / width);
    of->units = (of->rows + of->unit - 1) / of->unit;
    of->groups = (int)((width * (size_t)of->unit + GROUP - 1) / GROUP);
}

static void set_rests(struct optimizer_rows *rows, const struct resting *resting)
{
    const float *keep = resting->keep;
    double lost1 = keep[0] * (1 + 0x1p-24), left2 = sqrt(keep[1] * (1 - 0x1p-24));
    rows->resting = *resting;
    rows->calm = resting->decay == 0;
    if (resting->divides)
        rows->calm &= resting->epsilon >= (resting->drift == DRIFT_BY_RATIO ? EPSILON_LEAST : 0x1p-149f);
    rows->falls = resting->drift == DRIFT_BY_RATIO && lost1 <= left2;
    rows->still = resting->decay == 0 && resting->drift == DRIFT_NONE && keep[0] == 1 && keep[1] == 1;
    rows->a_halving = decay_of(rows->falls ? (float)(lost1 / left2) : keep[0]).a_halving;
    for (int slot = 0; slot < OPTIMIZER_SLOTS_MAX; slot++)
        rows->decay[slot] = decay_of(keep[slot]);
}

enum status optimizer_rows_create(const struct optimizer *optimizer, const struct gradient_layout *layout,
                                  const struct resting *resting, struct optimizer_rows **out, struct error *e)
{
    *out = NULL;
    if (!layout || layout->parts == 0)
        return STATUS_OK;
    struct optimizer_rows *rows = mem_alloc(1, sizeof *rows, "rows that rest", e);
    if (!rows)
        return STATUS_OS;
    rows->lazy = optimizer->config.sparse_update == SPARSE_LAZY;
    set_rests(rows, resting);
    memset(rows->place, -1, sizeof rows->place);
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++) {
        if (rows->place[part->param] >= 0)
            continue;
        struct rows_of *of = &rows->of[rows->params];
        rows->place[part->param] = rows->params++;
        set_rows(rows, &optimizer->table->param[part->param], part->width, of);
        if (rows->lazy || rows->still)
            continue;
        of->seen = mem_alloc((size_t)of->units, sizeof *of->seen, "rows that rest", e);
        if (!of->seen) {
            optimizer_rows_free(rows);
            return STATUS_OS;
        }
    }
    *out = rows;
    return STATUS_OK;
}

void optimizer_rows_free(struct optimizer_rows *rows)
{
    if (!rows)
        return;
    for (int i = 0; i < rows->params; i++)
        mem_free(rows->of[i].seen);
    mem_free(rows);
}

size_t optimizer_rows_bytes(const struct param_table *table, const struct gradient_layout *layout)
{
    bool counted[PARAM_MAX] = {false};
    size_t bytes = layout->parts ? sizeof(struct optimizer_rows) : 0;
    for (const struct gradient_part *part = layout->part; part < layout->part + layout->parts; part++) {
        size_t rows = table->param[part->param].count / part->width,
               unit = part->width < BLOCK ? BLOCK / part->width : 1;
        if (!counted[part->param])
            bytes += (rows + unit - 1) / unit * sizeof(uint16_t);
        counted[part->param] = true;
    }
    return bytes;
}

/* ---- one group ---- */

/* Some floats of one unit, zeros behind them. */
struct group {
    _Alignas(64) float p[GROUP];
    _Alignas(64) float slot[OPTIMIZER_SLOTS_MAX][GROUP];
    _Alignas(64) float grad[GROUP];
    size_t at;  /* of its first float in the value array */
    int count;  /* floats */
    int padded; /* a multiple of BLOCK */
};

/* The numbers of the updates that are still to come, at worst; of the history as it is. */
static void find_bounds(struct optimizer_rows *rows)
{
    double most = 0, least = 1;
    if (rows->bounded == rows->count)
        return;
    for (int i = rows->count - 1; i >= 0; i--) {
        float shrink = rows->shrink[i];
        most = rows->lr[i] > most ? rows->lr[i] : most;
        least *= shrink == 1 ? 1 : shrink > 0 && shrink < 1 ? shrink * (1 - 0x1p-23) : 0;
        rows->most[i] = (float)most;
        rows->least[i] = (float)(least * (1 - 0x1p-23));
    }
    rows->bounded = rows->count;
}

/* A group is quiet if no update from `from` on changes its parameters except by `shrink`. Otherwise: after how many it
 * may be. With e = 2^-24, what is subtracted from a parameter in the j-th update from here is
 *
 *   u[j] = lr[j] |m[j]| / (sqrt(v[j]) root2[j] + epsilon),   m[j] = keep1 m[j - 1],   v[j] = keep2 v[j - 1]
 *
 * with each operation rounded. (For momentum the denominator is 1.)
 * - p - u is p if |u| < |p| / 2^25 and p is normal: from a power of two down the next number is p / 2^24 away. p is at
 *   least |p| `least` in all updates, where least is the product of shrink[j] (1 - 2 e).
 * - lr[j] <= most, root2[j] >= 1, and |m[j]| never grows, since rounding keeps order.
 * - While m[j] and v[j] are normal, |m[j]| <= |m| (keep1 (1 + e))^j and v[j] >= v (keep2 (1 - e))^j. If the first base
 * is at most q, the root of the second (`falls`), then |m[j]| / (sqrt(v[j]) + epsilon) <= |m| q^j / (q^j sqrt(v) +
 * epsilon)
 *   <= |m| / (sqrt(v) + epsilon), as q <= 1. Otherwise epsilon alone is the denominator.
 * - Where v[j] is subnormal, q^j sqrt(v) is at most 2^-63 and epsilon at least 2^-50: the bound lacks 2^-13 of itself.
 * - Where m[j] is subnormal, u[j] is at most most 2^-126 / epsilon.
 * - Rounding: u's five operations, 2^-21 of it; and 2^-149 / epsilon where a product or the quotient is subnormal.
 * So u[j] < 1.01 most |m| / (sqrt(v) + epsilon) + max(most, 1) 2^-126 / min(epsilon, 1), of which 2^26 times must be at
 * most |p| least: twice what is needed, for the rounding of this test. It holds for no p below 2^-100. Where m is zero,
 * u is +0 and changes nothing, not even a zero's sign: m and with it -0 become +0 in the first update. */
static int loud_updates(const struct optimizer_rows *rows, const struct group *group, int from)
{
    const struct resting *resting = &rows->resting;
    bool ratio = resting->drift == DRIFT_BY_RATIO;
    float most = rows->most[from], least = rows->least[from], epsilon = ratio ? resting->epsilon : 1;
    float rate = 1.01f * 0x1p26f * most, floor = 0x1p-100f * fmaxf(most, 1) / fminf(epsilon, 1), worst = 0;
    float use = rows->falls ? 1 : 0;
    int loud = 0;
#pragma omp simd aligned(group : 64) reduction(| : loud) reduction(max : worst)
    for (int i = 0; i < group->padded; i++) {
        float m = fabsf(group->slot[0][i]), v = group->slot[1][i], has = fabsf(group->p[i]) * least;
        float needs = rate * m / (use * sqrtf(v) + epsilon) + floor;
        needs = m == 0 ? 0 : needs;
        float times = needs / has;
        loud |= !(needs <= has);
        worst = times > worst ? times : worst;
    }
    if (!loud)
        return 0;
    double updates = worst < 0x1p100f ? ilogbf(fmaxf(worst, 1)) * rows->a_halving : 0x1p6;
    return updates < 4 ? 4 : updates > 0x1p7 ? 0x1p7 : (int)updates;
}

static void go_through(const struct optimizer_rows *rows, struct group *group, int from, int to)
{
    struct update update = rows->update;
    update.p = group->p;
    update.a = group->slot[0];
    update.b = group->slot[1];
    update.grad = group->grad;
    for (int i = from; i < to; i++) {
        update.lr = rows->lr[i];
        update.root2 = rows->root2[i];
        update.shrink = rows->shrink[i];
        rows->resting.rule(&update, 0, (size_t)group->padded);
    }
}

/* Updates [from, to) of the history, with the group's gradient of zero. */
static void catch_up(const struct optimizer_rows *rows, struct group *group, int from, int to)
{
    while (from < to) {
        int now = to - from;
        if (rows->calm) {
            int loud = rows->resting.drift == DRIFT_NONE ? 0 : loud_updates(rows, group, from);
            if (loud == 0)
                break;
            now = loud < now ? loud : now;
        }
        go_through(rows, group, from, from + now);
        from += now;
    }
    if (from < to && rows->resting.shrinks)
        decay_by_each(rows->shrink + from, group->p, group->padded, to - from);
    for (int slot = 0; slot < OPTIMIZER_SLOTS_MAX && from < to; slot++)
        if (rows->resting.keep[slot] != 1)
            decay_apply(&rows->decay[slot], group->slot[slot], group->padded, to - from);
}

/* ---- units ---- */

struct work {
    struct optimizer *optimizer;
    const struct optimizer_rows *rows;
    const struct rows_of *of;
    float *values;
    const uint32_t *row; /* [count] ascending; NULL: all units */
    int64_t count;
    const float *const *grad; /* [count] NULL: catch up */
    const struct update *update;
    struct team_counter next;
};

static int64_t unit_of(const struct work *work, int64_t i)
{
    return work->row ? work->row[i] / (uint32_t)work->of->unit : i;
}

static void place_group(const struct rows_of *of, int64_t unit, int number, struct group *group)
{
    size_t floats = (size_t)of->unit * of->width, begin = (size_t)unit * floats + (size_t)number * GROUP;
    size_t end = (size_t)(unit + 1) * floats, all = (size_t)of->rows * of->width;
    end = end < all ? end : all;
    group->at = of->offset + begin;
    group->count = end - begin < GROUP ? (int)(end - begin) : GROUP;
    group->padded = (group->count + BLOCK - 1) / BLOCK * BLOCK;
}

static void copy_in(float *to, const float *from, const struct group *group)
{
    memcpy(to, from + group->at, sizeof *to * (size_t)group->count);
    memset(to + group->count, 0, sizeof *to * (size_t)(group->padded - group->count));
}

static void load(const struct work *work, struct group *group)
{
    copy_in(group->p, work->values, group);
    for (int slot = 0; slot < work->optimizer->slots; slot++)
        copy_in(group->slot[slot], work->optimizer->slot[slot], group);
    memset(group->grad, 0, sizeof *group->grad * (size_t)group->padded);
}

static void store(const struct work *work, const struct group *group)
{
    size_t bytes = sizeof *group->p * (size_t)group->count;
    memcpy(work->values + group->at, group->p, bytes);
    for (int slot = 0; slot < work->optimizer->slots; slot++)
        memcpy(work->optimizer->slot[slot] + group->at, group->slot[slot], bytes);
}

static bool all_zero(const float *x, const struct group *group)
{
    uint32_t bits = 0;
    for (int i = 0; i < group->count; i++) {
        uint32_t one;
        memcpy(&one, x + group->at + i, sizeof one);
        bits |= one;
    }
    return bits == 0;
}

/* Rows that were never touched: nothing moves them. */
static bool is_idle(const struct work *work, const struct group *group)
{
    bool idle = work->rows->calm && !work->rows->resting.shrinks;
    for (int slot = 0; slot < work->optimizer->slots && idle; slot++)
        idle = all_zero(work->optimizer->slot[slot], group);
    return idle;
}

/* The gradients of those rows of the unit that are touched, the i-th row and perhaps those behind it. */
static void load_gradient(const struct work *work, int64_t i, int number, struct group *group)
{
    const struct rows_of *of = work->of;
    int64_t unit = unit_of(work, i);
    if (of->unit == 1) {
        memcpy(group->grad, work->grad[i] + (size_t)number * GROUP, sizeof *group->grad * (size_t)group->count);
        return;
    }
    for (; i < work->count && unit_of(work, i) == unit; i++)
        memcpy(group->grad + work->row[i] % (uint32_t)of->unit * of->width, work->grad[i],
               sizeof *group->grad * of->width);
}

static void visit(const struct work *work, int64_t i, int number, struct group *group)
{
    const struct optimizer_rows *rows = work->rows;
    int64_t unit = unit_of(work, i);
    if (work->row && i > 0 && unit_of(work, i - 1) == unit)
        return; /* it was the first of them that counted */
    place_group(work->of, unit, number, group);
    if (!work->grad) {
        if (work->of->seen[unit] == rows->count || is_idle(work, group))
            return;
        load(work, group);
        catch_up(rows, group, work->of->seen[unit], rows->count);
    } else {
        struct update update = *work->update;
        load(work, group);
        load_gradient(work, i, number, group);
        update.p = group->p;
        update.a = group->slot[0];
        update.b = group->slot[1];
        update.grad = group->grad;
        rows->resting.rule(&update, 0, (size_t)group->padded);
    }
    store(work, group);
}

static void visit_some(void *context, const struct team_member *me)
{
    struct work *work = context;
    struct group group = {.padded = 0};
    int groups = work->of->groups;
    int64_t total = work->count * groups;
    (void)me;
    for (int64_t at = team_next(&work->next, TAKEN); at < total; at = team_next(&work->next, TAKEN))
        for (int64_t i = at; i < at + TAKEN && i < total; i++)
            visit(work, i / groups, (int)(i % groups), &group);
}

static void visit_all(struct work *work, int threads)
{
    const struct rows_of *of = work->of;
    work->next = (struct team_counter){0};
    team_run(threads, 64 * work->count * of->unit * (int64_t)of->width, visit_some, work);
}

/* ---- what others call ---- */

static void catch_up_rows(struct optimizer *optimizer, float *values, struct rows_of *of, const uint32_t *row,
                          int64_t count, int threads)
{
    struct optimizer_rows *rows = optimizer->rows;
    struct work work = {optimizer, rows, of, values, row, count, NULL, NULL, {0}};
    if (!of->seen || rows->count == 0)
        return;
    find_bounds(rows);
    visit_all(&work, threads);
    for (int64_t i = 0; i < count; i++)
        of->seen[unit_of(&work, i)] = (uint16_t)rows->count;
}

void optimizer_catch_up(struct optimizer *optimizer, float *values, int param, const struct touched_list *touched,
                        int threads)
{
    struct optimizer_rows *rows = optimizer->rows;
    int alias = optimizer->table->param[param].alias, place = rows ? rows->place[alias < 0 ? param : alias] : -1;
    if (place >= 0)
        catch_up_rows(optimizer, values, &rows->of[place], touched->row, touched->count, threads);
}

void optimizer_settle(struct optimizer *optimizer, float *values, int threads)
{
    struct optimizer_rows *rows = optimizer->rows;
    if (!rows || rows->count == 0)
        return;
    find_bounds(rows);
    for (int i = 0; i < rows->params; i++) {
        struct rows_of *of = &rows->of[i];
        struct work work = {optimizer, rows, of, values, NULL, of->units, NULL, NULL, {0}};
        visit_all(&work, threads);
        memset(of->seen, 0, sizeof *of->seen * (size_t)of->units);
    }
    rows->count = rows->bounded = 0;
}

static void record(struct optimizer_rows *rows, const struct update *update)
{
    rows->update = *update;
    rows->lr[rows->count] = update->lr;
    rows->root2[rows->count] = update->root2;
    rows->shrink[rows->count] = update->shrink;
    rows->count++;
}

void optimizer_rows_update(struct optimizer *optimizer, float *values, struct param_gradient grad,
                           const struct update *update, int threads)
{
    struct optimizer_rows *rows = optimizer->rows;
    if (rows->count == HISTORY)
        optimizer_settle(optimizer, values, threads);
    for (int param = 0; param < optimizer->table->count; param++)
        if (rows->place[param] >= 0)
            catch_up_rows(optimizer, values, &rows->of[rows->place[param]], grad.rows[param].row,
                          grad.rows[param].count, threads);
    if (!rows->lazy && !rows->still)
        record(rows, update);
    for (int param = 0; param < optimizer->table->count; param++) {
        const struct gradient_rows *touched = &grad.rows[param];
        if (rows->place[param] < 0)
            continue;
        struct rows_of *of = &rows->of[rows->place[param]];
        struct work work = {optimizer, rows, of, values, touched->row, touched->count, touched->grad, update, {0}};
        visit_all(&work, threads);
        for (int64_t i = 0; i < touched->count && of->seen; i++)
            of->seen[unit_of(&work, i)] = (uint16_t)rows->count;
    }
}
