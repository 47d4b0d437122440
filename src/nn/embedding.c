/* The embedding: look-up forward, scattered sums backward. A window repeats its tokens, so forward each distinct
 * token is projected by W_ih once and looked up afterwards (the same bits: a row's product does not depend on the
 * others). Backward, where a lane group repeats its tokens often (char and byte level), the gradients of equal
 * tokens of the group are added before the products. */
#include "embedding.h"

#include <string.h>

#include "unroll/base/team.h"
#include "unroll/base/tuning.h"

/* Rounds gate each position's input by a state of its own, so that none is like another. */
static bool has_index(const struct model_config *config)
{
    return !cell_kind(config->cell)->rounds;
}

/* Worth it when a group's share of a window must repeat tokens. A function of the configuration alone: it decides in
 * which order numbers are added. */
static bool merges_tokens(const struct model_config *config, const struct model_shape *shape)
{
    int lanes_least = shape->share.batch / shape->share.groups;
    return TUNE_MERGE_TOKENS && has_index(config) && model_dropout(config, 0) == 0 &&
           config->vocab <= (int64_t)lanes_least * shape->bptt;
}

/* ---- creation ---- */

static size_t window_rows(const struct common *common)
{
    return (size_t)common->shape.bptt * common->lanes;
}

/* A table of half the positions at most: with fewer repetitions looking up gains little. */
size_t embedding_indexed_rows(const struct common *common)
{
    if (!has_index(&common->config))
        return 0;
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

/* Without a list of the window's tokens every row of encoder.weight is a place. */
static void create_sums(struct common *common, struct embedding *embedding)
{
    size_t rows = window_rows(common);
    bool listed = common->layout.inputs >= 0;
    row_sums_create(common, &embedding->sums, rows, listed ? rows : (size_t)embedding->V, embedding->E);
    embedding->place = listed ? store_take(&common->store, rows, sizeof *embedding->place, "places of tokens") : NULL;
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

static void drop_words(const struct common *common, const struct embedding *embedding, const uint32_t *token, int rows,
                       void *x)
{
    struct dropout_vectors vectors = {.rows = rows,
                                      .units = embedding->E,
                                      .token = token,
                                      .from = common_values(common, common->table.encoder),
                                      .indexed = true,
                                      .from_stride = embedding->E,
                                      .to = x,
                                      .to_stride = embedding->stride,
                                      .gemm = &common->gemm};
    dropout_words(&common->dropout, vectors);
}

/* Through the dropout of words, where the step has some. */
static void look_up(const struct common *common, const struct embedding *embedding, const uint32_t *token, int rows,
                    void *x)
{
    if (dropout_active_words(&common->dropout)) {
        drop_words(common, embedding, token, rows, x);
        return;
    }
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
                                .token = common->window->input,
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
    if (dropout_active(&common->dropout, 0)) {
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
                               .h = positions.h,
                               .slots_stride = positions.slots_stride,
                               .rows = rows,
                               .group_row = merged->group_row};
}

/* The rows that gradients are summed over; their tokens. */
static const uint32_t *summed_rows(const struct common *common, const struct embedding *embedding, int *rows)
{
    const struct merged *merged = &embedding->merged;
    *rows = embedding->merges ? merged->group_row[common->groups] : common->window->T * common->lanes;
    return embedding->merges ? merged->token : common->window->input;
}

/* What is summed: rows of dL/dx by token, or by the token's place in the list of the window's tokens. */
static struct row_sums_task token_sums(const struct common *common, const struct embedding *embedding, const float *dx)
{
    const struct touched_list *inputs = &common->touched.list[common->layout.inputs < 0 ? 0 : common->layout.inputs];
    int rows;
    const uint32_t *token = summed_rows(common, embedding, &rows);
    struct row_sums_task task = {.rows = dx,
                                 .stride = embedding->stride,
                                 .place = token,
                                 .group_row = embedding->merges ? embedding->merged.group_row : NULL,
                                 .places = embedding->V};
    if (!embedding->place)
        return task;
    for (int row = 0; row < rows; row++)
        embedding->place[row] = (uint32_t)touched_place(inputs, token[row]);
    task.place = embedding->place;
    task.places = inputs->count;
    return task;
}

void embedding_drop_gradient(const struct common *common, const struct embedding *embedding, float *dx)
{
    int rows;
    const uint32_t *token = summed_rows(common, embedding, &rows);
    if (dropout_active(&common->dropout, 0))
        dropout_rows(&common->dropout, 0,
                     (struct dropout_copy){.T = common->window->T,
                                           .units = embedding->E,
                                           .from = dx,
                                           .token = token,
                                           .from_stride = embedding->stride,
                                           .to = dx,
                                           .to_stride = embedding->stride});
    else if (dropout_active_words(&common->dropout))
        dropout_words(&common->dropout, (struct dropout_vectors){.rows = rows,
                                                                 .units = embedding->E,
                                                                 .token = token,
                                                                 .from = dx,
                                                                 .from_stride = embedding->stride,
                                                                 .to = dx,
                                                                 .to_stride = embedding->stride});
}

void embedding_backward(const struct common *common, struct embedding *embedding, const float *dx,
                        float *const *node_grads)
{
    const struct gradient_layout *layout = &common->layout;
    struct row_sums_task task = token_sums(common, embedding, dx);
    int encoder = common->table.encoder;
    size_t offset = layout->inputs < 0 ? layout->offset[encoder]
                                       : gradient_part_of(layout, &common->table, encoder, layout->inputs)->offset;
    for (int i = 0; i < common->nodes; i++) {
        task.sums = node_grads[i] + offset;
        row_sums_node(common, &embedding->sums, &task, common->node[i]);
    }
}
