/* Computes the probability of every label for many texts. */
#include "unroll/use/classify.h"

#include <stdlib.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/window.h"
#include "unroll/nn/model.h"

#define LANES 64
#define WINDOW_TOKENS (1 << 16) /* lanes times steps: long texts go through in fewer lanes */
#define POOL_TEXTS 4096
#define POOL_TEXTS_MIN 64
#define POOL_TOKENS (1 << 18)
#define POOL_PROBABILITIES (1 << 22)

struct classifier {
    int labels, lanes, longest;
    struct model *model;
    uint32_t *input, *target; /* [longest][lanes] */
};

/* ---- the pool ---- */

enum status classify_pool_create(int labels, int longest, struct classify_pool **out, struct error *e)
{
    struct classify_pool *pool = mem_alloc(1, sizeof *pool, "texts to classify", e);
    *out = NULL;
    if (!pool)
        return STATUS_OS;
    int texts = POOL_PROBABILITIES / labels;
    pool->texts_max = texts > POOL_TEXTS ? POOL_TEXTS : texts < POOL_TEXTS_MIN ? POOL_TEXTS_MIN : texts;
    pool->tokens_max = longest > POOL_TOKENS ? longest : POOL_TOKENS;
    pool->offset = mem_alloc((size_t)pool->texts_max + 1, sizeof *pool->offset, "texts to classify", e);
    pool->tokens = mem_alloc((size_t)pool->tokens_max, sizeof *pool->tokens, "texts to classify", e);
    pool->probability =
        mem_alloc((size_t)pool->texts_max * (size_t)labels, sizeof *pool->probability, "probabilities of labels", e);
    if (!pool->offset || !pool->tokens || !pool->probability) {
        classify_pool_free(pool);
        return STATUS_OS;
    }
    *out = pool;
    return STATUS_OK;
}

void classify_pool_free(struct classify_pool *pool)
{
    if (!pool)
        return;
    mem_free(pool->offset);
    mem_free(pool->tokens);
    mem_free(pool->probability);
    mem_free(pool);
}

/* ---- making ---- */

enum status classifier_create(const struct model_config *model, const float *values, int longest, int threads,
                              struct classifier **out, struct error *e)
{
    *out = NULL;
    CHECK(model->task == TASK_CLASSIFY && longest >= 1 && threads >= 1);
    struct classifier *classifier = mem_alloc(1, sizeof *classifier, "a classifier", e);
    if (!classifier)
        return STATUS_OS;
    int lanes = WINDOW_TOKENS / longest;
    classifier->labels = model->labels;
    classifier->longest = longest;
    classifier->lanes = lanes > LANES ? LANES : lanes < 1 ? 1 : lanes;
    size_t window = (size_t)longest * (size_t)classifier->lanes;
    classifier->input = mem_alloc(window, sizeof *classifier->input, "a window of texts", e);
    classifier->target = mem_alloc(window, sizeof *classifier->target, "a window of texts", e);
    enum status status = classifier->input && classifier->target ? STATUS_OK : STATUS_OS;
    struct model_shape shape = {
        .bptt = longest,
        .share = lane_share_whole(classifier->lanes, classifier->lanes),
        .threads = threads,
        .exact = true,
    };
    if (!status)
        status = model_create(model, values, &shape, &classifier->model, e);
    if (status) {
        classifier_free(classifier);
        return status;
    }
    model_pack(classifier->model);
    *out = classifier;
    return STATUS_OK;
}

void classifier_free(struct classifier *classifier)
{
    if (!classifier)
        return;
    model_free(classifier->model);
    mem_free(classifier->input);
    mem_free(classifier->target);
    mem_free(classifier);
}

/* ---- one batch ---- */

struct text_place { /* of a text in the pool, sorted longest first */
    int64_t length;
    int text;
};

/* The texts of a batch, at most one for each lane; their rows of probabilities. */
static void run_batch(struct classifier *classifier, struct classify_pool *pool, const struct text_place *place,
                      int count)
{
    int lanes = classifier->lanes, T = (int)place[0].length, stride;
    struct window window = {
        .T = T, .lanes = lanes, .reset = true, .input = classifier->input, .target = classifier->target};
    memset(classifier->input, 0, sizeof *classifier->input * (size_t)T * (size_t)lanes);
    for (int k = 0; k < T * lanes; k++)
        classifier->target[k] = WINDOW_NO_TARGET;
    for (int lane = 0; lane < count; lane++) {
        const uint32_t *tokens = pool->tokens + pool->offset[place[lane].text];
        for (int64_t t = 0; t < place[lane].length; t++)
            classifier->input[t * lanes + lane] = tokens[t];
        classifier->target[(place[lane].length - 1) * lanes + lane] = 0; /* where the text ends; any label will do */
    }
    struct model_loss loss;
    model_forward(classifier->model, &window, -1, &loss);
    const float *rows = model_probabilities(classifier->model, &stride);
    for (int lane = 0; lane < count; lane++)
        memcpy(pool->probability + (int64_t)place[lane].text * classifier->labels, rows + (int64_t)lane * stride,
               sizeof *rows * (size_t)classifier->labels);
}

/* ---- all ranks ---- */

static int compare_lengths(const void *a, const void *b)
{
    const struct text_place *x = a, *y = b;
    if (x->length != y->length)
        return x->length > y->length ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text;
}

static void broadcast_texts(const struct comm *comm, struct classify_pool *pool)
{
    comm_broadcast(comm, &pool->texts, sizeof pool->texts, 0);
    CHECK(pool->texts >= 0 && pool->texts <= pool->texts_max);
    comm_broadcast(comm, pool->offset, (size_t)(pool->texts + 1) * sizeof *pool->offset, 0);
    comm_broadcast(comm, pool->tokens, (size_t)pool->offset[pool->texts] * sizeof *pool->tokens, 0);
}

void classifier_run(struct classifier *classifier, const struct comm *comm, struct classify_pool *pool)
{
    struct text_place place[POOL_TEXTS];
    broadcast_texts(comm, pool);
    for (int text = 0; text < pool->texts; text++)
        place[text] = (struct text_place){pool->offset[text + 1] - pool->offset[text], text};
    qsort(place, (size_t)pool->texts, sizeof *place, compare_lengths);

    /* batches go round the ranks, so that each gets long and short ones; rank 0 then fetches each text's row */
    int lanes = classifier->lanes;
    for (int first = 0; first < pool->texts; first += lanes)
        if (first / lanes % comm->size == comm->rank)
            run_batch(classifier, pool, place + first, pool->texts - first < lanes ? pool->texts - first : lanes);
    for (int i = 0; i < pool->texts; i++) {
        int owner = i / lanes % comm->size;
        float *row = pool->probability + (int64_t)place[i].text * classifier->labels;
        size_t bytes = sizeof *row * (size_t)classifier->labels;
        if (owner != 0 && comm->rank == 0)
            comm_exchange(comm, owner, NULL, 0, row, bytes);
        else if (owner != 0 && comm->rank == owner)
            comm_exchange(comm, 0, row, bytes, NULL, 0);
    }
}
