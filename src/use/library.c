/* The public face of libunroll, <unroll.h>: arguments checked, one call at a time, errors as the caller's structure. */
#include <unroll.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/build_info.h"
#include "unroll/base/mem.h"
#include "unroll/base/team.h"
#include "unroll/train/checkpoint.h"
#include "unroll/train/rundir.h"
#include "unroll/use/line_reader.h"
#include "unroll/use/prime.h"
#include "unroll/use/sample_text.h"
#include "unroll/use/scorer.h"

struct unroll_model {
    struct checkpoint checkpoint;
    int threads;
    struct scorer *scorer; /* both made when first needed */
    struct score_pool *pool;
};

/* HDF5 and BLIS keep state of the process that is not thread safe: the one thing that calls share. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int fill_error(enum status status, const struct error *e, struct unroll_error *error)
{
    if (error) {
        error->status = (int)status;
        snprintf(error->text, sizeof error->text, "%s", status ? e->text : "");
    }
    return (int)status;
}

const char *unroll_version(void)
{
    return build_version();
}

/* ---- the model ---- */

int unroll_open(const char *path, int threads, struct unroll_model **model, struct unroll_error *error)
{
    struct error e = {0};
    if (!model)
        return fill_error(error_set(&e, STATUS_USAGE, "bad argument 'model': NULL; give the address of a pointer"), &e,
                          error);
    *model = NULL;
    if (!path || threads < 1 || threads > 4096)
        return fill_error(error_set(&e, STATUS_USAGE,
                                    "bad argument '%s' of unroll_open: give a path and 1 to 4096 threads",
                                    path ? "threads" : "path"),
                          &e, error);
    char file[FILE_PATH_MAX];
    enum status status = rundir_model(path, file, &e);
    struct unroll_model *made = status ? NULL : mem_alloc(1, sizeof *made, "a model", &e);
    if (!made)
        return fill_error(status ? status : STATUS_OS, &e, error);
    made->threads = threads;
    pthread_mutex_lock(&turn);
    team_set_usual(threads);
    status = checkpoint_read(file, CHECKPOINT_FOR_USE, &made->checkpoint, &e);
    pthread_mutex_unlock(&turn);
    if (!status && made->checkpoint.model.task != TASK_LM) {
        checkpoint_release(&made->checkpoint);
        status = error_set(&e, STATUS_CHECKPOINT, "cannot use '%.400s' as a language model: it is a classifier", file);
    }
    if (status)
        mem_free(made);
    else
        *model = made;
    return fill_error(status, &e, error);
}

void unroll_free(struct unroll_model *model)
{
    if (!model)
        return;
    scorer_free(model->scorer);
    score_pool_free(model->pool);
    checkpoint_release(&model->checkpoint);
    mem_free(model);
}

int unroll_vocabulary_size(const struct unroll_model *model)
{
    return model ? model->checkpoint.vocab->size : 0;
}

/* ---- lines ---- */

/* The lines of a call on their way through the pool: whole ones, and behind them a part of the next. */
struct scoring {
    struct unroll_model *model;
    struct line_reader *reader;
    struct unroll_score *scores;
    size_t first;  /* the line that stands first in the pool */
    int64_t begun; /* tokens of the next line that are there already */
    bool pieces;   /* it is longer than the pool: what is there goes on from a piece that is scored */
};

static void add_scores(const uint32_t *tokens, const float *logp, int64_t count, struct unroll_score *score)
{
    for (int64_t i = 1; i < count; i++) {
        score->log_probability += (double)logp[i];
        score->tokens++;
        score->unknown += tokens[i] == VOCAB_UNK;
    }
}

static enum status end_line(struct scoring *scoring, struct error *e)
{
    if (!isfinite(scoring->scores[scoring->first++].log_probability))
        return error_set(e, STATUS_CHECKPOINT,
                         "cannot score line %zu: its log-probability is not finite; the model's training diverged: use "
                         "an earlier checkpoint",
                         scoring->first);
    return STATUS_OK;
}

/* Scores the whole lines in the pool and brings what is there of the next one to its front. */
static enum status score_pooled(struct scoring *scoring, struct error *e)
{
    struct score_pool *pool = scoring->model->pool;
    enum status status = pool->texts > 0 ? scorer_run(scoring->model->scorer, &COMM_ALONE, pool, e) : STATUS_OK;
    for (int text = 0; text < pool->texts && !status; text++) {
        int64_t begin = pool->offset[text];
        add_scores(pool->tokens + begin, pool->logp + begin, pool->offset[text + 1] - begin,
                   &scoring->scores[scoring->first]);
        status = end_line(scoring, e);
    }
    memmove(pool->tokens, pool->tokens + pool->offset[pool->texts], (size_t)scoring->begun * sizeof *pool->tokens);
    pool->texts = 0;
    return status;
}

/* Scores a piece of a line that has the pool for itself; its last token is the context of the next. */
static enum status score_piece(struct scoring *scoring, struct error *e)
{
    struct score_pool *pool = scoring->model->pool;
    int64_t count = scoring->begun;
    if (count < 2)
        return STATUS_OK;
    enum status status = scorer_continue(scoring->model->scorer, !scoring->pieces, pool->tokens, count, pool->logp, e);
    if (status)
        return status;
    add_scores(pool->tokens, pool->logp, count, &scoring->scores[scoring->first]);
    pool->tokens[0] = pool->tokens[count - 1];
    scoring->begun = 1;
    scoring->pieces = true;
    return STATUS_OK;
}

static enum status make_room(struct scoring *scoring, struct error *e)
{
    return scoring->model->pool->texts > 0 ? score_pooled(scoring, e) : score_piece(scoring, e);
}

/* Reads the next line behind the pool's; as in training it stands behind a line end and has one as its last token. */
static enum status read_line(struct scoring *scoring, struct error *e)
{
    struct score_pool *pool = scoring->model->pool;
    int eos = scoring->model->checkpoint.vocab->eos;
    struct line_part part = {.line_ended = false};
    if (eos >= 0)
        pool->tokens[pool->offset[pool->texts] + scoring->begun++] = (uint32_t)eos;
    while (!part.line_ended) {
        int64_t at = pool->offset[pool->texts] + scoring->begun, room = SCORER_POOL_TOKENS - at - 1; /* 1: its end */
        enum status status;
        if (room < LINE_READER_CAPACITY_MIN)
            status = make_room(scoring, e);
        else
            status = line_reader_next(scoring->reader, pool->tokens + at, room, &part, e);
        if (status)
            return status;
        if (room >= LINE_READER_CAPACITY_MIN)
            scoring->begun += part.count;
        CHECK(!part.input_ended);
    }
    if (eos >= 0)
        pool->tokens[pool->offset[pool->texts] + scoring->begun++] = (uint32_t)eos;
    if (scoring->pieces) {
        enum status status = score_piece(scoring, e);
        scoring->begun = 0;
        scoring->pieces = false;
        return status ? status : end_line(scoring, e);
    }
    int64_t end = pool->offset[pool->texts] + scoring->begun;
    pool->offset[++pool->texts] = end;
    scoring->begun = 0;
    return STATUS_OK;
}

static enum status need_scorer(struct unroll_model *model, struct error *e)
{
    enum status status = STATUS_OK;
    if (!model->scorer)
        status = scorer_create(&model->checkpoint.model, model->checkpoint.values, SCORER_LANES, model->threads,
                               &model->scorer, e);
    if (!status && !model->pool)
        status = score_pool_create(&model->pool, e);
    return status;
}

/* The lines as one text, each with its end. */
static enum status join_lines(const char *const *lines, const size_t *lengths, size_t count, char **text,
                              size_t *length, struct error *e)
{
    *length = 0;
    *text = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!lines[i])
            return error_set(e, STATUS_USAGE, "bad line %zu: NULL; give an empty text", i + 1);
        if (memchr(lines[i], '\n', lengths[i]))
            return error_set(e, STATUS_DATA, "bad line %zu: it holds a line end; give line by line", i + 1);
        *length += lengths[i] + 1;
    }
    char *to = *text = mem_alloc(*length, 1, "lines to score", e);
    if (!to)
        return STATUS_OS;
    for (size_t i = 0; i < count; i++) {
        memcpy(to, lines[i], lengths[i]);
        to += lengths[i];
        *to++ = '\n';
    }
    return STATUS_OK;
}

static enum status score_all(struct scoring *scoring, const char *text, size_t length, size_t count, struct error *e)
{
    struct unroll_model *model = scoring->model;
    enum status status = need_scorer(model, e);
    if (!status)
        status = line_reader_open_text(text, length, "lines", model->checkpoint.vocab, &scoring->reader, e);
    if (!status) {
        line_reader_markers(scoring->reader, model->checkpoint.markers, model->checkpoint.markers);
        model->pool->texts = 0;
    }
    for (size_t line = 0; line < count && !status; line++) {
        scoring->scores[line] = (struct unroll_score){0, 0, 0};
        if (model->pool->texts == SCORER_POOL_TEXTS)
            status = score_pooled(scoring, e);
        if (!status)
            status = read_line(scoring, e);
    }
    if (!status)
        status = score_pooled(scoring, e);
    line_reader_close(scoring->reader);
    return status;
}

int unroll_score_lines(struct unroll_model *model, const char *const *lines, const size_t *lengths, size_t count,
                       struct unroll_score *scores, struct unroll_error *error)
{
    struct error e = {0};
    if (!model || (count > 0 && (!lines || !lengths || !scores)))
        return fill_error(error_set(&e, STATUS_USAGE,
                                    "bad argument 'NULL' of unroll_score_lines: give a model, lines, their "
                                    "lengths and room for scores"),
                          &e, error);
    char *text;
    size_t length;
    enum status status = join_lines(lines, lengths, count, &text, &length, &e);
    if (!status && count > 0) {
        struct scoring scoring = {.model = model, .scores = scores};
        pthread_mutex_lock(&turn);
        status = score_all(&scoring, text, length, count, &e);
        pthread_mutex_unlock(&turn);
    }
    mem_free(text);
    return fill_error(status, &e, error);
}

int unroll_score(struct unroll_model *model, const char *line, size_t length, struct unroll_score *score,
                 struct unroll_error *error)
{
    return unroll_score_lines(model, &line, &length, 1, score, error);
}

/* ---- text ---- */

static enum status check_sampling(const struct unroll_sampling *how, struct error *e)
{
    const char *bad = NULL;
    if (!how->prime)
        bad = "prime: NULL; give an empty text";
    else if (how->length < 1)
        bad = "length: write 1 or more";
    else if (!(how->temperature >= 0 && how->temperature <= 1000))
        bad = "temperature: write 0 to 1000";
    else if (how->top_k < 0)
        bad = "top_k: write 0 or more";
    else if (!(how->top_p > 0 && how->top_p <= 1))
        bad = "top_p: write more than 0 and at most 1";
    return bad ? error_set(e, STATUS_USAGE, "bad value for %s", bad) : STATUS_OK;
}

static enum status draw_text(struct unroll_model *model, const struct unroll_sampling *how, char **text, size_t *length,
                             struct error *e)
{
    const struct checkpoint *checkpoint = &model->checkpoint;
    struct sample_text_config config = {
        .model = &checkpoint->model,
        .values = checkpoint->values,
        .vocab = checkpoint->vocab,
        .sampler =
            {
                .rule = {.temperature = how->temperature, .top_k = how->top_k, .top_p = how->top_p},
                .seed = how->seed,
                .threads = model->threads,
            },
        .length = how->length,
    };
    struct prime prime;
    enum status status = prime_read(how->prime, strlen(how->prime), "the prime", checkpoint->vocab, checkpoint->markers,
                                    checkpoint->markers, &prime, e);
    config.prime = prime.tokens;
    config.primed = prime.count;
    if (!status)
        status = sample_text(&config, text, length, e);
    mem_free(prime.tokens);
    return status;
}

int unroll_sample(struct unroll_model *model, const struct unroll_sampling *how, char **text, size_t *length,
                  struct unroll_error *error)
{
    struct error e = {0};
    struct unroll_sampling all = UNROLL_SAMPLING;
    size_t made = 0;
    enum status status = STATUS_OK;
    if (text)
        *text = NULL;
    if (!model || !text || (how && (how->size < sizeof how->size || how->size > sizeof all)))
        status = error_set(&e, STATUS_USAGE,
                           "bad argument of unroll_sample: give a model, the address of a pointer and "
                           "UNROLL_SAMPLING of this library's header");
    if (!status && how)
        memcpy(&all, how, how->size);
    if (!status)
        status = check_sampling(&all, &e);
    if (!status) {
        pthread_mutex_lock(&turn);
        status = draw_text(model, &all, text, &made, &e);
        pthread_mutex_unlock(&turn);
    }
    if (!status && length)
        *length = made;
    return fill_error(status, &e, error);
}
