/* Computes log-probabilities of many texts in batches, over all ranks. */
#include "unroll/use/scorer.h"

#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"
#include "unroll/nn/output.h"

#define FEW 16 /* with less than one text for so many lanes of a batch, one by one is faster */

struct scorer {
    struct model_config config;
    const float *values;
    int lanes, threads;
    bool unnormalised;
    struct cache_config cache; /* size 0: none */
    struct reader {
        struct model *model;
        struct cache *cache; /* NULL: none */
    } batch,                 /* [lanes] both made when first needed */
        single;              /* one lane: for few texts, such as what a person types, and for scorer_continue */
    uint32_t *input;         /* [SCORER_WINDOW][lanes] */
    uint32_t *target;        /* [SCORER_WINDOW][lanes] */
    int *order;              /* [SCORER_POOL_TEXTS] texts of the pool, longest first */
    int64_t *place;          /* [SCORER_POOL_TEXTS + 1] where each text of `order` starts in `packed` */
    float *packed;           /* [SCORER_POOL_TOKENS] log-probabilities in `order`: what the ranks exchange */
    float *start;            /* [states][width] what texts begin in; NULL: zeros */
    float *states;           /* [lanes][width] one of these for all lanes */
    void *start_cache;       /* what is remembered there; NULL: nothing */
};

/* ---- the pool ---- */

enum status score_pool_create(struct score_pool **out, struct error *e)
{
    struct score_pool *pool = mem_alloc(1, sizeof *pool, "texts to score", e);
    *out = NULL;
    if (!pool)
        return STATUS_OS;
    pool->offset = mem_alloc(SCORER_POOL_TEXTS + 1, sizeof *pool->offset, "texts to score", e);
    pool->tokens = mem_alloc(SCORER_POOL_TOKENS, sizeof *pool->tokens, "texts to score", e);
    pool->logp = mem_alloc(SCORER_POOL_TOKENS, sizeof *pool->logp, "scores", e);
    if (!pool->offset || !pool->tokens || !pool->logp) {
        score_pool_free(pool);
        return STATUS_OS;
    }
    *out = pool;
    return STATUS_OK;
}

void score_pool_free(struct score_pool *pool)
{
    if (!pool)
        return;
    mem_free(pool->offset);
    mem_free(pool->tokens);
    mem_free(pool->logp);
    mem_free(pool);
}

static int64_t pool_length(const struct score_pool *pool, int text)
{
    return pool->offset[text + 1] - pool->offset[text];
}

/* ---- making ---- */

/* Makes a model of so many lanes, and its cache, unless they are there already. */
static enum status need_model(const struct scorer *scorer, int lanes, struct reader *reader, struct error *e)
{
    if (reader->model)
        return STATUS_OK;
    struct model_shape shape = {
        .bptt = SCORER_WINDOW,
        .share = lane_share_whole(lanes, lanes),
        .threads = scorer->threads,
        .exact = true,
        .unnormalised = scorer->unnormalised,
    };
    enum status status = model_create(&scorer->config, scorer->values, &shape, &reader->model, e);
    if (!status && scorer->cache.size > 0)
        status = cache_create(&scorer->cache, &scorer->config, &shape.share, SCORER_WINDOW, scorer->threads,
                              &reader->cache, e);
    if (!status)
        model_pack(reader->model);
    return status;
}

enum status scorer_create(const struct model_config *model, const float *values, int lanes, int threads,
                          struct scorer **out, struct error *e)
{
    *out = NULL;
    CHECK(lanes >= 1 && lanes <= SCORER_LANES && threads >= 1);
    struct scorer *scorer = mem_alloc(1, sizeof *scorer, "a scorer", e);
    if (!scorer)
        return STATUS_OS;
    scorer->config = *model;
    scorer->values = values;
    scorer->lanes = lanes;
    scorer->threads = threads;
    size_t window = (size_t)SCORER_WINDOW * (size_t)lanes;
    scorer->input = mem_alloc(window, sizeof *scorer->input, "a window of texts", e);
    scorer->target = mem_alloc(window, sizeof *scorer->target, "a window of texts", e);
    scorer->order = mem_alloc(SCORER_POOL_TEXTS, sizeof *scorer->order, "the order of texts", e);
    scorer->place = mem_alloc(SCORER_POOL_TEXTS + 1, sizeof *scorer->place, "the order of texts", e);
    scorer->packed = mem_alloc(SCORER_POOL_TOKENS, sizeof *scorer->packed, "scores", e);
    if (!scorer->input || !scorer->target || !scorer->order || !scorer->place || !scorer->packed) {
        scorer_free(scorer);
        return STATUS_OS;
    }
    *out = scorer;
    return STATUS_OK;
}

void scorer_leave_unnormalised(struct scorer *scorer)
{
    CHECK(output_kind(&scorer->config)->uses & OUTPUT_NORMALISER && !scorer->batch.model && !scorer->single.model);
    scorer->unnormalised = true;
}

void scorer_use_cache(struct scorer *scorer, const struct cache_config *config)
{
    CHECK(!scorer->unnormalised && !scorer->batch.model && !scorer->single.model);
    const size_t lanes = SCORER_CACHE_BYTES / cache_lane_bytes(config, &scorer->config, SCORER_WINDOW);
    scorer->cache = *config;
    if (lanes < (size_t)scorer->lanes)
        scorer->lanes = lanes > 0 ? (int)lanes : 1;
}

void scorer_free(struct scorer *scorer)
{
    if (!scorer)
        return;
    model_free(scorer->batch.model);
    model_free(scorer->single.model);
    cache_free(scorer->batch.cache);
    cache_free(scorer->single.cache);
    mem_free(scorer->input);
    mem_free(scorer->target);
    mem_free(scorer->order);
    mem_free(scorer->place);
    mem_free(scorer->packed);
    mem_free(scorer->start);
    mem_free(scorer->states);
    mem_free(scorer->start_cache);
    mem_free(scorer);
}

/* ---- one batch ---- */

/* The part of a text that runs in one lane. */
struct lane_text {
    const uint32_t *tokens; /* [count] */
    int64_t count;
    float *logp; /* [count] */
};

/* A model's lanes as texts begin in them; false if that is the zero state. */
static bool begin_states(struct scorer *scorer, const struct reader *reader, int lanes)
{
    for (int state = 0; scorer->start && state < model_state_count(&scorer->config); state++) {
        const float *start = scorer->start + model_state_offset(&scorer->config, state);
        size_t width = (size_t)model_state_width(&scorer->config, state);
        for (int lane = 0; lane < lanes; lane++)
            memcpy(scorer->states + (size_t)lane * width, start, width * sizeof *start);
        model_state_set(reader->model, state, scorer->states);
    }
    for (int lane = 0; scorer->start_cache && lane < lanes; lane++)
        cache_set_lane(reader->cache, lane, scorer->start_cache);
    return scorer->start != NULL;
}

/* Runs the texts, the longest of which is `longest`, in windows; a lane past its text's end is padding. */
static void run_windows(struct scorer *scorer, const struct reader *reader, int lanes, bool reset,
                        const struct lane_text *text, int64_t longest)
{
    struct window window = {.lanes = lanes, .lane0 = 0, .input = scorer->input, .target = scorer->target};
    window.reset = reset && !begin_states(scorer, reader, lanes);
    for (int64_t start = 0; start < longest - 1; start += SCORER_WINDOW) {
        int64_t left = longest - 1 - start;
        window.T = left < SCORER_WINDOW ? (int)left : SCORER_WINDOW;
        for (int t = 0; t < window.T; t++)
            for (int lane = 0; lane < lanes; lane++) {
                int64_t at = start + t;
                bool inside = at + 1 < text[lane].count;
                scorer->input[t * lanes + lane] = inside ? text[lane].tokens[at] : 0;
                scorer->target[t * lanes + lane] = inside ? text[lane].tokens[at + 1] : WINDOW_NO_TARGET;
            }
        struct model_loss loss;
        model_forward(reader->model, &window, -1, &loss);
        if (reader->cache)
            cache_window(reader->cache, reader->model, &window, &loss);
        for (int t = 0; t < window.T; t++)
            for (int lane = 0; lane < lanes; lane++)
                if (start + t + 1 < text[lane].count)
                    text[lane].logp[start + t + 1] = -loss.row[t * lanes + lane];
        window.reset = false;
    }
}

/* Texts [begin, end) of `order`, at most one for each lane. */
static void run_batch(struct scorer *scorer, const struct score_pool *pool, int lanes, int begin, int end)
{
    struct lane_text text[SCORER_LANES];
    int64_t longest = 0;
    for (int lane = 0; lane < lanes; lane++) {
        text[lane] = (struct lane_text){NULL, 0, NULL};
        if (begin + lane >= end)
            continue;
        int index = scorer->order[begin + lane];
        text[lane].tokens = pool->tokens + pool->offset[index];
        text[lane].count = pool_length(pool, index);
        text[lane].logp = scorer->packed + scorer->place[begin + lane];
        if (text[lane].count > 0)
            text[lane].logp[0] = 0;
        if (text[lane].count > longest)
            longest = text[lane].count;
    }
    run_windows(scorer, lanes == 1 ? &scorer->single : &scorer->batch, lanes, true, text, longest);
}

/* ---- all ranks ---- */

struct length_of_text {
    int64_t length;
    int text;
};

static int compare_lengths(const void *a, const void *b)
{
    const struct length_of_text *x = a, *y = b;
    if (x->length != y->length)
        return x->length > y->length ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text;
}

/* Fills `order` and `place`: longest text first. `packed` is free until then and lends its memory. */
static void sort_texts(struct scorer *scorer, const struct score_pool *pool)
{
    _Static_assert(sizeof(struct length_of_text) * SCORER_POOL_TEXTS <= sizeof(float) * SCORER_POOL_TOKENS,
                   "the lengths fit in the memory of the scores");
    struct length_of_text *lengths = (void *)scorer->packed;
    for (int text = 0; text < pool->texts; text++)
        lengths[text] = (struct length_of_text){pool_length(pool, text), text};
    qsort(lengths, (size_t)pool->texts, sizeof *lengths, compare_lengths);
    scorer->place[0] = 0;
    for (int i = 0; i < pool->texts; i++) {
        scorer->order[i] = lengths[i].text;
        scorer->place[i + 1] = scorer->place[i] + lengths[i].length;
    }
}

/* First batch of `rank`: batches cost their longest text, and each rank gets about the same cost. */
static int batch_begin(const struct scorer *scorer, const struct score_pool *pool, int lanes, int ranks, int rank)
{
    int batches = (pool->texts + lanes - 1) / lanes;
    int64_t total = 0, before = 0;
    for (int batch = 0; batch < batches; batch++)
        total += pool_length(pool, scorer->order[batch * lanes]);
    for (int batch = 0; batch < batches; batch++) {
        int64_t cost = pool_length(pool, scorer->order[batch * lanes]);
        if ((2 * before + cost) * ranks >= 2 * total * rank) /* its middle lies in this rank's share or behind */
            return batch;
        before += cost;
    }
    return batches;
}

/* First text of `order` that is the rank's. */
static int text_begin(const struct scorer *scorer, const struct score_pool *pool, int lanes, int ranks, int rank)
{
    if (rank >= ranks)
        return pool->texts;
    int begin = batch_begin(scorer, pool, lanes, ranks, rank) * lanes;
    return begin < pool->texts ? begin : pool->texts;
}

static void gather_scores(struct scorer *scorer, const struct comm *comm, const struct score_pool *pool, int lanes)
{
    for (int rank = 1; rank < comm->size; rank++) {
        int begin = text_begin(scorer, pool, lanes, comm->size, rank);
        int end = text_begin(scorer, pool, lanes, comm->size, rank + 1);
        float *scores = scorer->packed + scorer->place[begin];
        size_t bytes = (size_t)(scorer->place[end] - scorer->place[begin]) * sizeof *scores;
        if (comm->rank == 0)
            comm_exchange(comm, rank, NULL, 0, scores, bytes);
        else if (comm->rank == rank)
            comm_exchange(comm, 0, scores, bytes, NULL, 0);
    }
}

static void broadcast_texts(const struct comm *comm, struct score_pool *pool)
{
    comm_broadcast(comm, &pool->texts, sizeof pool->texts, 0);
    CHECK(pool->texts >= 0 && pool->texts <= SCORER_POOL_TEXTS);
    comm_broadcast(comm, pool->offset, (size_t)(pool->texts + 1) * sizeof *pool->offset, 0);
    comm_broadcast(comm, pool->tokens, (size_t)pool->offset[pool->texts] * sizeof *pool->tokens, 0);
}

enum status scorer_run(struct scorer *scorer, const struct comm *comm, struct score_pool *pool, struct error *e)
{
    broadcast_texts(comm, pool);
    int lanes = pool->texts <= scorer->lanes / FEW ? 1 : scorer->lanes;
    enum status status = need_model(scorer, lanes, lanes == 1 ? &scorer->single : &scorer->batch, e);
    status = comm_agree(comm, status, e);
    if (status)
        return status;

    sort_texts(scorer, pool);
    int begin = text_begin(scorer, pool, lanes, comm->size, comm->rank);
    int end = text_begin(scorer, pool, lanes, comm->size, comm->rank + 1);
    for (int text = begin; text < end; text += lanes)
        run_batch(scorer, pool, lanes, text, text + lanes < end ? text + lanes : end);
    gather_scores(scorer, comm, pool, lanes);

    if (comm->rank == 0)
        for (int i = 0; i < pool->texts; i++)
            memcpy(pool->logp + pool->offset[scorer->order[i]], scorer->packed + scorer->place[i],
                   (size_t)(scorer->place[i + 1] - scorer->place[i]) * sizeof *pool->logp);
    return STATUS_OK;
}

enum status scorer_begin_here(struct scorer *scorer, const struct comm *comm, struct error *e)
{
    int states = model_state_count(&scorer->config);
    size_t total = model_state_total(&scorer->config), widest = (size_t)model_state_widest(&scorer->config);
    enum status status = comm->rank == 0 ? need_model(scorer, 1, &scorer->single, e) : STATUS_OK;
    float *start = mem_alloc(total, sizeof *start, "states of the texts", e);
    const size_t cached = scorer->cache.size > 0 ? cache_lane_bytes(&scorer->cache, &scorer->config, SCORER_WINDOW) : 0;
    if (cached > 0)
        scorer->start_cache = mem_alloc(cached, 1, "what was read before the texts", e);
    scorer->states = mem_alloc((size_t)scorer->lanes * widest, sizeof *scorer->states, "states of the texts", e);
    if (!start || !scorer->states || (cached > 0 && !scorer->start_cache))
        status = STATUS_OS;
    status = comm_agree(comm, status, e);
    if (status) {
        mem_free(start);
        return status;
    }
    for (int state = 0; comm->rank == 0 && state < states; state++)
        model_state_get(scorer->single.model, state, start + model_state_offset(&scorer->config, state));
    comm_broadcast(comm, start, total * sizeof *start, 0);
    if (cached > 0 && comm->rank == 0)
        memcpy(scorer->start_cache, cache_lane(scorer->single.cache, 0), cached);
    if (cached > 0)
        comm_broadcast(comm, scorer->start_cache, cached, 0);
    scorer->start = start;
    return STATUS_OK;
}

enum status scorer_continue(struct scorer *scorer, bool first, const uint32_t *tokens, int64_t count, float *logp,
                            struct error *e)
{
    CHECK(count >= 2);
    enum status status = need_model(scorer, 1, &scorer->single, e);
    if (status)
        return status;
    struct lane_text text = {tokens, count, logp};
    logp[0] = 0;
    run_windows(scorer, &scorer->single, 1, first, &text, count);
    return STATUS_OK;
}
