/* The embedding: look-up forward, scattered sums backward. A window repeats its tokens, so forward each distinct
 * token is projected by W_ih once and looked up afterwards (the same bits: a row's product does not depend on the
 * others). Backward, where a lane group repeats its tokens often (char and byte level), the gradients of equal
 * tokens of the group are added before the products. */
#include "embedding.h"

#include <string.h>

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* Worth it when a group's share of a window must repeat tokens. A function of the configuration alone: it decides in
 * which order numbers are added. */
static bool merges_tokens(const struct model_config *config, const struct model_shape *shape)
{
    int lanes_least = shape->share.batch / shape->share.groups;
    return TUNE_MERGE_TOKENS && config->dropout == 0 && config->vocab <= (int64_t)lanes_least * shape->bptt;
}

int model_sparse_rows(const struct model_config *config, int batch, int bptt)
{
    int64_t positions = (int64_t)batch * bptt;
    return TUNE_SPARSE_ROWS && !config->tied && 2 * positions <= config->vocab ? (int)positions : 0;
}

/* ---- creation ---- */

static size_t window_rows(const struct common *common)
{
    return (size_t)common->shape.bptt * common->lanes;
}

/* A table of half the positions at most: with fewer repetitions looking up gains little. */
size_t embedding_indexed_rows(const struct common *common)
{
    size_t half = window_rows(common) / 2, V = common->config.vocab;
    return half < V ? half : V;
}

/* [V], all -1. */
static int32_t *create_slots(struct store *store, size_t V, const char *what)
{
    int32_t *slot = store_take(store, V, sizeof *slot, what);
    if (slot)
        memset(slot, -1, sizeof *slot * V);
    return slot;
}

static void create_distinct(struct common *common, struct embedding *embedding)
{
    struct store *store = &common->store;
    struct distinct *distinct = &embedding->distinct;
    size_t capacity = embedding_indexed_rows(common);
    distinct->capacity = (int)capacity;
    distinct->token = store_take(store, capacity, sizeof *distinct->token, "distinct tokens");
    distinct->index = store_take(store, window_rows(common), sizeof *distinct->index, "distinct tokens");
    distinct->slot = create_slots(store, embedding->V, "distinct tokens");
    distinct->x =
        store_take(store, capacity * embedding->stride, gemm_number_bytes(&common->gemm), "distinct embeddings");
}

static void create_sums(struct common *common, struct embedding *embedding)
{
    struct store *store = &common->store;
    struct token_rows *sorted = &embedding->token_rows;
    size_t rows = window_rows(common);
    sorted->row = store_take(store, rows, sizeof *sorted->row, "token order");
    sorted->group = store_take(store, rows, sizeof *sorted->group, "token order");
    sorted->start = store_take(store, (size_t)embedding->V + 1, sizeof *sorted->start, "token order");
    sorted->token = store_take(store, rows, sizeof *sorted->token, "token order");
    embedding->tree_depth = 2;
    for (int groups = 1; groups < common->shape.share.groups; groups *= 2)
        embedding->tree_depth++;
    embedding->tree_scratch =
        store_floats(store, (size_t)common->shape.threads * embedding->tree_depth * VROUND(embedding->E),
                     "sums of embedding gradients");
}

static void create_merged(struct common *common, struct embedding *embedding, int slots_stride)
{
    struct store *store = &common->store;
    struct merged *merged = &embedding->merged;
    size_t V = embedding->V, most = 0; /* rows: each group has at most V distinct tokens */
    for (int g = 0; g < common->groups; g++) {
        struct lanes lanes = common_group_lanes(common, g);
        size_t positions = (size_t)(lanes.end - lanes.begin) * common->shape.bptt;
        most += positions < V ? positions : V;
    }
    merged->group_row = store_take(store, common->groups + 1, sizeof *merged->group_row, "merged tokens");
    merged->token = store_take(store, most, sizeof *merged->token, "merged tokens");
    merged->slot = create_slots(store, V, "merged tokens");
    merged->row = store_take(store, window_rows(common), sizeof *merged->row, "merged tokens");
    merged->sums = store_floats(store, most * slots_stride, "merged gradients");
    merged->x = store_take(store, most * embedding->stride, gemm_number_bytes(&common->gemm), "merged embeddings");
}

void embedding_create(struct common *common, struct embedding *embedding, int slots_stride)
{
    embedding->E = common->config.embedding;
    embedding->stride = gemm_stride(embedding->E);
    embedding->V = common->config.vocab;
    embedding->x = store_take(&common->store, window_rows(common) * embedding->stride, gemm_number_bytes(&common->gemm),
                              "embeddings");
    create_distinct(common, embedding);
    if (!common->shape.train)
        return;
    create_sums(common, embedding);
    embedding->merges = merges_tokens(&common->config, &common->shape);
    if (embedding->merges)
        create_merged(common, embedding, slots_stride);
}

/* ---- forward ---- */

struct look_up {
    const struct embedding *embedding;
    const struct gemm *gemm;
    const float *encoder;
    const uint32_t *token;
    void *x;
};

static void look_up_rows(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct look_up *work = context;
    int E = work->embedding->E;
    size_t stride = (size_t)work->embedding->stride * gemm_number_bytes(work->gemm);
    for (int64_t row = begin; row < end; row++)
        gemm_store(work->gemm, work->encoder + (int64_t)work->token[row] * E, E, (char *)work->x + row * stride);
}

static void look_up(const struct common *common, const struct embedding *embedding, const uint32_t *token, int rows,
                    void *x)
{
    struct look_up work = {embedding, &common->gemm, common_values(common, common->table.encoder), token, x};
    team_share(common->shape.threads, rows, 8 * (int64_t)rows * embedding->E, look_up_rows, &work);
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

static void drop_embeddings(const struct common *common, const struct embedding *embedding)
{
    struct dropout_copy rows = {.T = common->window->T,
                                .units = embedding->E,
                                .from = common_values(common, common->table.encoder),
                                .index = common->window->input,
                                .from_stride = embedding->E,
                                .to = embedding->x,
                                .to_stride = embedding->stride,
                                .gemm = &common->gemm};
    dropout_rows(&common->dropout, 0, rows);
}

struct layer_input embedding_forward(const struct common *common, struct embedding *embedding)
{
    const struct window *window = common->window;
    struct distinct *distinct = &embedding->distinct;
    struct layer_input input = {.x = gemm_dense(&common->gemm, embedding->x, embedding->stride),
                                .rows = window->T * common->lanes};
    if (dropout_active(&common->dropout)) {
        drop_embeddings(common, embedding);
        return input;
    }
    bool indexed = TUNE_DISTINCT_TOKENS && find_distinct(distinct, window->input, input.rows);
    if (indexed)
        look_up(common, embedding, distinct->token, distinct->count, distinct->x);
    /* of an index, only gradients that are not merged read the rows of single positions */
    if (!indexed || (!embedding->merges && common->shape.train))
        look_up(common, embedding, window->input, input.rows, embedding->x);
    if (!indexed)
        return input;
    return (struct layer_input){gemm_dense(&common->gemm, distinct->x, embedding->stride), distinct->count,
                                distinct->index};
}

/* ---- backward ---- */

static void add_row(float *to, const float *from, int n)
{
    for (int i = 0; i < n; i += VLEN)
        vstore(to + i, vload(to + i) + vload(from + i));
}

/* Numbers the distinct tokens of each lane group. */
static void find_merged(const struct common *common, struct merged *merged)
{
    const struct window *window = common->window;
    int rows = 0;
    for (int g = 0; g < common->groups; g++) {
        struct lanes lanes = common_group_lanes(common, g);
        int begin = rows;
        merged->group_row[g] = begin;
        for (int t = 0; t < window->T; t++)
            for (int lane = lanes.begin; lane < lanes.end; lane++) {
                uint32_t token = window->input[t * common->lanes + lane];
                if (merged->slot[token] < 0) {
                    merged->slot[token] = rows;
                    merged->token[rows++] = token;
                }
                merged->row[t * common->lanes + lane] = merged->slot[token];
            }
        for (int i = begin; i < rows; i++)
            merged->slot[merged->token[i]] = -1;
    }
    merged->group_row[common->groups] = rows;
}

/* Threads share out columns, in pieces that fit the cache together with their sums. */
#define PIECE 256

struct merging {
    const struct common *common;
    const struct merged *merged;
    struct layer_rows positions;
};

static int merged_width(const struct merging *work)
{
    return (int)(work->positions.slots_stride / GEMM_WIDE * GEMM_WIDE);
}

static int merged_pieces(const struct merging *work)
{
    return (merged_width(work) + PIECE - 1) / PIECE;
}

static void merge_piece(const struct merging *work, int g, int column)
{
    const struct merged *merged = work->merged;
    struct lanes lanes = common_group_lanes(work->common, g);
    int64_t stride = work->positions.slots_stride;
    int rest = merged_width(work) - column, columns = rest < PIECE ? rest : PIECE;
    for (int i = merged->group_row[g]; i < merged->group_row[g + 1]; i++)
        memset(merged->sums + i * stride + column, 0, sizeof(float) * columns);
    for (int t = 0; t < work->common->window->T; t++)
        for (int lane = lanes.begin; lane < lanes.end; lane++) {
            int64_t position = (int64_t)t * work->common->lanes + lane;
            gemm_add_settled(&work->common->gemm, work->positions.slots + position * stride + column, columns,
                             merged->sums + merged->row[position] * stride + column);
        }
    for (int i = merged->group_row[g]; i < merged->group_row[g + 1]; i++)
        gemm_settle(&work->common->gemm, merged->sums + i * stride + column, columns);
}

static void merge_pieces(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct merging *work = context;
    int pieces = merged_pieces(work);
    for (int64_t i = begin; i < end; i++)
        merge_piece(work, (int)i / pieces, (int)i % pieces * PIECE);
}

struct layer_rows embedding_rows(const struct common *common, struct embedding *embedding, struct layer_rows positions)
{
    struct merged *merged = &embedding->merged;
    if (!embedding->merges) {
        positions.x = gemm_dense(&common->gemm, embedding->x, embedding->stride);
        return positions;
    }
    find_merged(common, merged);
    struct merging work = {common, merged, positions};
    team_share(common->shape.threads, (int64_t)common->groups * merged_pieces(&work),
               8 * (int64_t)positions.rows * positions.slots_stride, merge_pieces, &work);
    int rows = merged->group_row[common->groups];
    look_up(common, embedding, merged->token, rows, merged->x);
    return (struct layer_rows){.x = gemm_dense(&common->gemm, merged->x, embedding->stride),
                               .slots = merged->sums,
                               .slots_stride = positions.slots_stride,
                               .rows = rows,
                               .group_row = merged->group_row};
}

/* Counts a row of dL/dx, or puts it in its place. */
static void sort_row(struct token_rows *sorted, uint32_t token, int row, int group, bool place)
{
    int *next = &sorted->start[token + 1];
    if (place) {
        sorted->row[*next] = row;
        sorted->group[*next] = group;
    }
    ++*next;
}

/* All rows of group g, a local number. */
static void sort_group(const struct common *common, struct embedding *embedding, int g, bool place)
{
    const struct merged *merged = &embedding->merged;
    const struct window *window = common->window;
    struct lanes lanes = common_group_lanes(common, g);
    if (embedding->merges)
        for (int row = merged->group_row[g]; row < merged->group_row[g + 1]; row++)
            sort_row(&embedding->token_rows, merged->token[row], row, g + common->group0, place);
    else
        for (int t = 0; t < window->T; t++)
            for (int lane = lanes.begin; lane < lanes.end; lane++) {
                int row = t * common->lanes + lane;
                sort_row(&embedding->token_rows, window->input[row], row, g + common->group0, place);
            }
}

/* Rows of dL/dx that belong to the groups of `node`, sorted by token, then group, then time and lane. */
static void sort_rows(const struct common *common, struct embedding *embedding, struct lane_node node)
{
    struct token_rows *sorted = &embedding->token_rows;
    int first = node.begin - common->group0, last = node.end - common->group0, before = 0;
    memset(sorted->start, 0, sizeof *sorted->start * ((size_t)embedding->V + 1));
    for (int g = first; g < last; g++)
        sort_group(common, embedding, g, false);
    /* start[v + 1] = how many rows have tokens below v: placing them moves it to how many have up to v */
    sorted->distinct = 0;
    for (int v = 0; v < embedding->V; v++) {
        int count = sorted->start[v + 1];
        sorted->start[v + 1] = before;
        before += count;
        if (count)
            sorted->token[sorted->distinct++] = (uint32_t)v;
    }
    for (int g = first; g < last; g++)
        sort_group(common, embedding, g, true);
}

struct summing {
    const struct common *common;
    const struct embedding *embedding;
    const float *dx;
    struct lane_node node;
    float *encoder; /* gradient */
    struct team_counter next;
};

/* level[0] = sum of rows [begin, end) of the sorted list, up the lane tree from `node`; the range is not empty. */
static void sum_token(const struct summing *work, struct lane_node node, int begin, int end, float *level)
{
    const struct token_rows *sorted = &work->embedding->token_rows;
    int width = VROUND(work->embedding->E);
    if (node.end - node.begin == 1 || !work->common->shape.exact) {
        memset(level, 0, sizeof *level * width);
        for (int i = begin; i < end; i++)
            add_row(level, work->dx + (int64_t)sorted->row[i] * work->embedding->stride, width);
        return;
    }
    int middle = lane_node_middle(node.begin, node.end), split = begin;
    while (split < end && sorted->group[split] < middle)
        split++;
    struct lane_node left = {node.begin, middle}, right = {middle, node.end};
    if (split == end) {
        sum_token(work, left, begin, end, level);
    } else if (split == begin) {
        sum_token(work, right, begin, end, level);
    } else {
        sum_token(work, left, begin, split, level);
        sum_token(work, right, split, end, level + width);
        add_row(level, level + width, width);
    }
}

#define TOKENS 16 /* that a thread takes at once */

static void sum_tokens(const struct summing *work, int64_t begin, float *level)
{
    const struct token_rows *sorted = &work->embedding->token_rows;
    int E = work->embedding->E;
    for (int64_t i = begin; i < begin + TOKENS && i < sorted->distinct; i++) {
        uint32_t token = sorted->token[i];
        sum_token(work, work->node, sorted->start[token], sorted->start[token + 1], level);
        memcpy(work->encoder + (int64_t)token * E, level, sizeof *level * E);
    }
}

static void sum_share(void *context, const struct team_member *me)
{
    struct summing *work = context;
    const struct embedding *embedding = work->embedding;
    float *level = embedding->tree_scratch + (size_t)me->thread * embedding->tree_depth * VROUND(embedding->E);
    if (!work->common->shape.sparse) {
        int64_t begin = team_begin(embedding->V, me->thread, me->threads) * embedding->E;
        int64_t end = team_begin(embedding->V, me->thread + 1, me->threads) * embedding->E;
        memset(work->encoder + begin, 0, sizeof *work->encoder * (end - begin));
        team_barrier(me);
    }
    for (int64_t i; (i = team_next(&work->next, TOKENS)) < embedding->token_rows.distinct;)
        sum_tokens(work, i, level);
}

void embedding_backward(const struct common *common, struct embedding *embedding, const float *dx,
                        struct lane_node node, float *grad)
{
    sort_rows(common, embedding, node);
    struct summing work = {common, embedding, dx, node, grad + common_param(common, common->table.encoder)->grad_offset,
                           {0}};
    int64_t rows = (int64_t)common->lanes * common->window->T + (common->shape.sparse ? 0 : embedding->V);
    team_run(common->shape.threads, 4 * rows * embedding->E, sum_share, &work);
}
