/* The embedding: look-up forward, scattered sums backward. A window repeats its tokens, so forward each distinct token is
 * projected by W_ih once and looked up afterwards (the same bits: a row's product does not depend on the others). Backward,
 * where a lane group repeats its tokens often (char and byte level), the gradients of equal tokens of the group are added
 * before the products. */
#include <string.h>

#include "model_private.h"
#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* Worth it when a group's share of a window must repeat tokens. A function of the configuration alone: it decides in which
 * order numbers are added. */
bool embedding_merges_tokens(const struct model_config *config, const struct model_shape *shape)
{
    int lanes_least = shape->share.batch / shape->share.groups;
    return TUNE_MERGE_TOKENS && config->dropout == 0 && config->vocab <= (int64_t)lanes_least * shape->bptt;
}

int model_sparse_rows(const struct model_config *config, int batch, int bptt)
{
    int64_t positions = (int64_t)batch * bptt;
    return TUNE_SPARSE_ROWS && !config->tied && 2 * positions <= config->vocab ? (int)positions : 0;
}

struct look_up {
    const struct model *model;
    const uint32_t *token;
    float *x;
};

static void look_up_rows(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct look_up *work = context;
    const struct model *model = work->model;
    const float *encoder = model->values + model->table.param[model->table.encoder].offset;
    for (int64_t row = begin; row < end; row++)
        memcpy(work->x + row * model->layer[0].in_stride, encoder + (int64_t)work->token[row] * model->E,
               sizeof *work->x * model->E);
}

static void look_up(const struct model *model, const uint32_t *token, int rows, float *x)
{
    struct look_up work = {model, token, x};
    team_share(model->shape.threads, rows, 8 * (int64_t)rows * model->E, look_up_rows, &work);
}

/* Numbers the distinct tokens in order of appearance; false if there are more than fit. */
static bool find_distinct(struct distinct *distinct, const uint32_t *input, int rows)
{
    distinct->count = 0;
    int row = 0;
    for (; row < rows; row++) {
        int32_t *slot = &distinct->slot[input[row]];
        if (*slot < 0) {
            if (distinct->count == distinct->capacity)
                break;
            *slot = distinct->count;
            distinct->token[distinct->count++] = input[row];
        }
        distinct->index[row] = *slot;
    }
    for (int i = 0; i < distinct->count; i++)
        distinct->slot[distinct->token[i]] = -1;
    return row == rows;
}

void embedding_forward(struct model *model, const struct window *window)
{
    int rows = window->T * model->lanes, stride = model->layer[0].in_stride;
    bool dropped = dropout_active(&model->dropout);
    model->use_distinct = TUNE_DISTINCT_TOKENS && !dropped && find_distinct(&model->distinct, window->input, rows);
    if (model->use_distinct) {
        look_up(model, model->distinct.token, model->distinct.count, model->distinct.x);
        if (model->merge || !model->shape.train)
            return; /* nobody reads the rows of single positions */
    }
    look_up(model, window->input, rows, model->layer[0].x);
    if (dropped)
        dropout_rows(&model->dropout, 0,
                     (struct dropout_copy){window->T, model->E, model->layer[0].x, model->layer[0].x, stride, stride});
}

static void add_row(float *to, const float *from, int n)
{
    for (int i = 0; i < n; i += VLEN)
        vstore(to + i, vload(to + i) + vload(from + i));
}

/* Threads share out columns, in pieces that fit the cache together with their sums. */
#define PIECE 256

static int merged_width(const struct model *model)
{
    return model->slots_stride / VLEN * VLEN;
}

static int merged_pieces(const struct model *model)
{
    return (merged_width(model) + PIECE - 1) / PIECE;
}

static void merge_piece(struct model *model, int T, int g, int column)
{
    struct merged *merged = &model->merged;
    int rest = merged_width(model) - column, columns = rest < PIECE ? rest : PIECE;
    for (int i = merged->group_row[g]; i < merged->group_row[g + 1]; i++)
        memset(merged->sums + (int64_t)i * model->slots_stride + column, 0, sizeof(float) * columns);
    for (int t = 0; t < T; t++)
        for (int lane = model->group_lane[g]; lane < model->group_lane[g + 1]; lane++) {
            int64_t position = (int64_t)t * model->lanes + lane;
            add_row(merged->sums + (int64_t)merged->row[position] * model->slots_stride + column,
                    model->layer[0].slots + position * model->slots_stride + column, columns);
        }
}

struct embedding_work {
    struct model *model;
    int T;
    struct lane_node node;
    float *encoder; /* gradient */
    struct team_counter next;
};

static void merge_pieces(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct embedding_work *work = context;
    int pieces = merged_pieces(work->model);
    for (int64_t i = begin; i < end; i++)
        merge_piece(work->model, work->T, (int)i / pieces, (int)i % pieces * PIECE);
}

/* Adds up the slots' gradients of equal tokens of each lane group: rows of merged.sums. */
void embedding_merge(struct model *model, const struct window *window)
{
    struct merged *merged = &model->merged;
    int rows = 0;
    for (int g = 0; g < model->groups; g++) {
        int begin = rows;
        merged->group_row[g] = begin;
        for (int t = 0; t < window->T; t++)
            for (int lane = model->group_lane[g]; lane < model->group_lane[g + 1]; lane++) {
                uint32_t token = window->input[t * model->lanes + lane];
                if (merged->slot[token] < 0) {
                    merged->slot[token] = rows;
                    merged->token[rows++] = token;
                }
                merged->row[t * model->lanes + lane] = merged->slot[token];
            }
        for (int i = begin; i < rows; i++)
            merged->slot[merged->token[i]] = -1;
    }
    merged->group_row[model->groups] = rows;

    struct embedding_work work = {.model = model, .T = window->T};
    team_share(model->shape.threads, (int64_t)model->groups * merged_pieces(model),
               8 * (int64_t)window->T * model->lanes * model->slots_stride, merge_pieces, &work);
    look_up(model, merged->token, rows, merged->x);
}

/* Rows of dL/dx that belong to the groups of `node`, sorted by token, then group, then time and lane. */
static void sort_rows(struct model *model, const struct window *window, struct lane_node node)
{
    struct token_rows *sorted = &model->token_rows;
    int first = node.begin - model->shape.share.group_begin, last = node.end - model->shape.share.group_begin;
    memset(sorted->start, 0, sizeof *sorted->start * (model->V + 1));
    /* two passes over the same rows: count, then place */
    for (int pass = 0; pass < 2; pass++) {
        for (int g = first; g < last; g++)
            if (model->merge)
                for (int row = model->merged.group_row[g]; row < model->merged.group_row[g + 1]; row++) {
                    int *place = &sorted->start[model->merged.token[row] + 1];
                    if (pass) {
                        sorted->row[*place] = row;
                        sorted->group[*place] = g + model->shape.share.group_begin;
                    }
                    ++*place;
                }
            else
                for (int t = 0; t < window->T; t++)
                    for (int lane = model->group_lane[g]; lane < model->group_lane[g + 1]; lane++) {
                        int row = t * model->lanes + lane;
                        int *place = &sorted->start[window->input[row] + 1];
                        if (pass) {
                            sorted->row[*place] = row;
                            sorted->group[*place] = g + model->shape.share.group_begin;
                        }
                        ++*place;
                    }
        if (pass)
            break;
        /* start[v + 1] = how many rows have tokens below v: the second pass moves it to how many have up to v */
        sorted->distinct = 0;
        int before = 0;
        for (int v = 0; v < model->V; v++) {
            int count = sorted->start[v + 1];
            sorted->start[v + 1] = before;
            before += count;
            if (count)
                sorted->token[sorted->distinct++] = (uint32_t)v;
        }
    }
}

/* level[0] = sum of rows [begin, end) of the sorted list, up the lane tree from `node`; the range is not empty. */
static void sum_token(const struct model *model, struct lane_node node, int begin, int end, float *level, int width)
{
    const struct token_rows *sorted = &model->token_rows;
    if (node.end - node.begin == 1 || !model->shape.exact) {
        memset(level, 0, sizeof *level * width);
        for (int i = begin; i < end; i++)
            add_row(level, model->dx + (int64_t)sorted->row[i] * model->layer[0].in_stride, width);
        return;
    }
    int middle = lane_node_middle(node.begin, node.end), split = begin;
    while (split < end && sorted->group[split] < middle)
        split++;
    struct lane_node left = {node.begin, middle}, right = {middle, node.end};
    if (split == end) {
        sum_token(model, left, begin, end, level, width);
    } else if (split == begin) {
        sum_token(model, right, begin, end, level, width);
    } else {
        sum_token(model, left, begin, split, level, width);
        sum_token(model, right, split, end, level + width, width);
        add_row(level, level + width, width);
    }
}

#define TOKENS 16 /* that a thread takes at once */

static void sum_tokens(const struct embedding_work *work, int64_t begin, float *level)
{
    const struct model *model = work->model;
    const struct token_rows *sorted = &model->token_rows;
    for (int64_t i = begin; i < begin + TOKENS && i < sorted->distinct; i++) {
        uint32_t token = sorted->token[i];
        sum_token(model, work->node, sorted->start[token], sorted->start[token + 1], level, VROUND(model->E));
        memcpy(work->encoder + (int64_t)token * model->E, level, sizeof *level * model->E);
    }
}

static void sum_share(void *context, const struct team_member *me)
{
    struct embedding_work *work = context;
    const struct model *model = work->model;
    float *level = model->tree_scratch + (size_t)me->thread * model->tree_depth * VROUND(model->E);
    if (!model->shape.sparse) {
        int64_t begin = team_begin(model->V, me->thread, me->threads) * model->E;
        int64_t end = team_begin(model->V, me->thread + 1, me->threads) * model->E;
        memset(work->encoder + begin, 0, sizeof *work->encoder * (end - begin));
        team_barrier(me);
    }
    for (int64_t i; (i = team_next(&work->next, TOKENS)) < model->token_rows.distinct;)
        sum_tokens(work, i, level);
}

void embedding_backward(struct model *model, const struct window *window, struct lane_node node, float *grad)
{
    sort_rows(model, window, node);
    struct embedding_work work = {
        model, window->T, node, grad + model->table.param[model->table.encoder].grad_offset, {0}};
    int64_t rows = (int64_t)model->lanes * window->T + (model->shape.sparse ? 0 : model->V);
    team_run(model->shape.threads, 4 * rows * model->E, sum_share, &work);
}
