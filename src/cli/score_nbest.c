/* score --nbest: hypotheses in, hypotheses with the model's score out, in the input's order or each list's best
 * first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "score_private.h"
#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/cli/hypothesis.h"
#include "unroll/cli/load.h"
#include "unroll/data/clean.h"
#include "unroll/data/encoding.h"
#include "unroll/data/tokenizer.h"
#include "unroll/data/utf8.h"

struct lists {
    struct scoring *scoring;
    const struct options *options;
    const char *name;
    FILE *input;
    int64_t number; /* of the input's line that was read last */
    struct tokenizer *tokenizer;
    struct hypothesis *pool;   /* [SCORER_POOL_TEXTS] of the texts in the scorer's pool */
    struct hypothesis waiting; /* it has no room in the pool; no line: none waits */
    struct hypothesis *list;   /* [count] scored, its list not complete yet; only where lists are put in order */
    size_t count, capacity;
};

/* ---- in ---- */

static enum status open_input(struct lists *lists, struct error *e)
{
    const struct options *options = lists->options;
    const char *path = options->files > 0 ? options->file[0] : "-";
    bool standard = file_is_standard(path);
    lists->name = standard ? "standard input" : path;
    lists->input = standard ? stdin : fopen(path, "re");
    if (!lists->input)
        return error_set(e, status_of_errno(errno), "cannot open '%s': %s; check the path and its permissions", path,
                         strerror(errno));
    lists->pool = mem_alloc(SCORER_POOL_TEXTS, sizeof *lists->pool, "hypotheses", e);
    if (!lists->pool)
        return STATUS_OS;
    enum status status =
        tokenizer_open(lists->scoring->vocab, line_reader_lowers(lists->scoring->vocab), &lists->tokenizer, e);
    if (!status)
        tokenizer_set_markers(lists->tokenizer, options->markers);
    return status;
}

/* `ended`: a line end follows. */
static enum status refuse_line(const struct lists *lists, const char *line, size_t length, bool ended, struct error *e)
{
    char advice[ENCODING_TEXT];
    enum content content = lists->input != stdin ? content_of_file(lists->name)
                           : lists->number == 1  ? content_of(line, length)
                                                 : CONTENT_UNKNOWN;
    enum status status = content_refuse_text(content, lists->name, false, e);
    if (status)
        return status;
    const char *cut = ended ? NULL : encoding_cut(line, length, utf8_valid(line, length));
    enum encoding encoding = encoding_advice(line, length, 0, NULL, advice);
    if (cut)
        return error_set(e, STATUS_DATA, "cannot read line %lld of '%s': %s; get the whole text",
                         (long long)lists->number, lists->name, cut);
    if (encoding == ENCODING_BINARY)
        return error_set(e, STATUS_DATA,
                         "cannot read line %lld of '%s': it is no text (binary); use a model of --level byte if that "
                         "is meant, else name a text",
                         (long long)lists->number, lists->name);
    return error_set(e, STATUS_DATA, "cannot read line %lld of '%s': it is not UTF-8; convert the text %s",
                     (long long)lists->number, lists->name, advice);
}

/* No line: the input has ended. */
static enum status read_hypothesis(struct lists *lists, struct hypothesis *hypothesis, struct error *e)
{
    char *line = NULL;
    size_t capacity = 0;
    *hypothesis = (struct hypothesis){0};
    errno = 0;
    ssize_t length = getline(&line, &capacity, lists->input);
    enum status status = STATUS_OK;
    if (length < 0) {
        if (ferror(lists->input) || errno == ENOMEM)
            status = error_set(e, errno == EISDIR ? STATUS_NOINPUT : status_of_errno(errno), "cannot read '%s': %s",
                               lists->name, strerror(errno));
        free(line);
        return status;
    }
    lists->number++;
    bool ended = length > 0 && line[length - 1] == '\n';
    if (ended)
        line[--length] = '\0';
    length = (ssize_t)clean_line(line, (size_t)length);
    line[length] = '\0';
    bool text = !level_kind(lists->scoring->vocab->level)->utf8 || utf8_valid(line, (size_t)length) == (size_t)length;
    if (!text || strlen(line) != (size_t)length)
        status = refuse_line(lists, line, (size_t)length, ended, e);
    else if (length > SCORER_POOL_TOKENS - 4)
        status = error_set(e, STATUS_DATA, "cannot read line %lld of '%s' as a hypothesis: it has more than %d bytes",
                           (long long)lists->number, lists->name, SCORER_POOL_TOKENS - 4);
    else
        status = hypothesis_parse(lists->options->nbest, line, lists->name, lists->number, hypothesis, e);
    if (!status && hypothesis_has_feature(hypothesis, lists->options->feature))
        status = error_set(
            e, STATUS_DATA,
            "cannot add a feature to line %lld of '%.200s': it has '%.100s=' already; write '--feature OTHER'",
            (long long)lists->number, lists->name, lists->options->feature);
    if (status) {
        free(line);
        *hypothesis = (struct hypothesis){0};
    }
    return status;
}

static void take(struct score_pool *pool, int64_t *at, const uint32_t *ids, size_t count)
{
    memcpy(pool->tokens + *at, ids, count * sizeof *ids);
    *at += (int64_t)count;
}

/* Behind the tokenizer; a hypothesis that may not hold what was met is the end of the input. */
static void judge_markers(struct lists *lists)
{
    struct scoring *scoring = lists->scoring;
    struct tokenizer_met met;
    tokenizer_take_met(lists->tokenizer, &met);
    markers_add(&scoring->met, &met.markers);
    if (lists->options->markers == MARKERS_REFUSE && markers_found(&met.markers))
        scoring->failure = markers_refused(NULL, lists->name, lists->number, scoring->known, &scoring->reason);
}

/* The hypothesis behind the pool's texts, between two line ends like every line of a text. There is room. If it holds
 * markers that it may not, that is the input's failure, and it is not in the pool. */
static enum status put_text(struct lists *lists, const struct hypothesis *hypothesis, struct error *e)
{
    struct scoring *scoring = lists->scoring;
    const struct vocab *vocab = scoring->vocab;
    struct score_pool *pool = scoring->pool;
    int64_t at = pool->offset[pool->texts];
    const uint32_t *ids;
    size_t count;
    if (scoring->behind >= 0)
        pool->tokens[at++] = (uint32_t)scoring->behind;
    enum status status = tokenizer_feed(lists->tokenizer, hypothesis->line + hypothesis->text.begin,
                                        hypothesis->text.end - hypothesis->text.begin, lists->name, 0, &ids, &count, e);
    if (status)
        return status;
    take(pool, &at, ids, count);
    status = tokenizer_end(lists->tokenizer, &ids, &count, e);
    if (status)
        return status;
    if (level_kind(vocab->level)->ends_lines && count > 0)
        count--; /* the end of a text that has words */
    take(pool, &at, ids, count);
    if (vocab->eos >= 0)
        pool->tokens[at++] = (uint32_t)vocab->eos;
    judge_markers(lists);
    if (scoring->failure)
        return STATUS_OK;
    lists->pool[pool->texts] = *hypothesis;
    pool->offset[++pool->texts] = at;
    return STATUS_OK;
}

/* Fills the pool. What is wrong with the input is told when the lines before it are put out. */
static enum status fill(struct lists *lists, struct error *e)
{
    struct scoring *scoring = lists->scoring;
    struct score_pool *pool = scoring->pool;
    enum status status = STATUS_OK;
    while (!status && !scoring->input_ended && pool->texts < SCORER_POOL_TEXTS) {
        struct hypothesis next = lists->waiting;
        lists->waiting = (struct hypothesis){0};
        if (!next.line) {
            scoring->failure = read_hypothesis(lists, &next, &scoring->reason);
            if (scoring->failure || !next.line) {
                scoring->input_ended = true;
                break;
            }
        }
        size_t most = next.text.end - next.text.begin + 4; /* no more tokens than bytes, and the line ends */
        if (most > (size_t)(SCORER_POOL_TOKENS - pool->offset[pool->texts])) {
            lists->waiting = next;
            break;
        }
        status = put_text(lists, &next, e);
        scoring->input_ended = scoring->input_ended || scoring->failure;
        if (status || scoring->failure)
            free(next.line);
    }
    return status;
}

/* ---- out ---- */

static bool in_order(const struct lists *lists)
{
    return lists->options->nbest_best || options_given(lists->options, "weight");
}

static void put_hypothesis(const struct lists *lists, const struct hypothesis *hypothesis)
{
    const struct options *options = lists->options;
    hypothesis_put(hypothesis, options->nbest, options->feature, options->weight, options_given(options, "weight"),
                   options->nbest_best);
}

/* A stable sort, so that equals stay as they were. */
static void sort_list(struct lists *lists)
{
    const struct options *options = lists->options;
    for (size_t i = 1; i < lists->count; i++) {
        struct hypothesis held = lists->list[i];
        double rank = hypothesis_rank(&held, options->nbest, options->weight);
        size_t to = i;
        for (; to > 0 && hypothesis_rank(&lists->list[to - 1], options->nbest, options->weight) < rank; to--)
            lists->list[to] = lists->list[to - 1];
        lists->list[to] = held;
    }
}

static void end_list(struct lists *lists)
{
    sort_list(lists);
    for (size_t i = 0; i < lists->count; i++) {
        if (i == 0 || !lists->options->nbest_best)
            put_hypothesis(lists, &lists->list[i]);
        free(lists->list[i].line);
    }
    lists->count = 0;
}

/* Takes over the hypothesis. */
static enum status put_scored(struct lists *lists, struct hypothesis *hypothesis, struct error *e)
{
    if (!in_order(lists)) {
        put_hypothesis(lists, hypothesis);
        free(hypothesis->line);
        hypothesis->line = NULL;
        return STATUS_OK;
    }
    if (lists->count > 0 && !hypothesis_same_list(&lists->list[0], hypothesis))
        end_list(lists);
    void *list = lists->list;
    enum status status = mem_grow(&list, &lists->capacity, lists->count + 1, sizeof *lists->list, "a list", e);
    lists->list = list;
    if (status)
        return status;
    lists->list[lists->count++] = *hypothesis;
    hypothesis->line = NULL;
    return STATUS_OK;
}

static enum status put_pool(struct lists *lists, struct error *e)
{
    struct scoring *scoring = lists->scoring;
    struct score_pool *pool = scoring->pool;
    enum status status = STATUS_OK;
    for (int text = 0; text < pool->texts && !status; text++) {
        int64_t begin = pool->offset[text], length = pool->offset[text + 1] - begin;
        status = scoring_put(scoring, pool->tokens + begin, pool->logp + begin, length, e);
        if (status)
            return status;
        lists->pool[text].logp = scoring->output.line.logp;
        status = score_output_end(&scoring->output, e);
        if (!status)
            status = put_scored(lists, &lists->pool[text], e);
    }
    return status;
}

/* Rank 0, between two pools. */
static enum status next_pool(void *context, struct error *e)
{
    struct lists *lists = context;
    enum status status = put_pool(lists, e);
    if (status)
        return status;
    lists->scoring->pool->texts = 0;
    status = fill(lists, e);
    if (!status && lists->scoring->pool->texts == 0)
        end_list(lists);
    enum status written = finish_output(status ? NULL : e);
    if (ferror(stdout)) /* the reader has left */
        lists->scoring->input_ended = true;
    return status ? status : written;
}

static void close_lists(struct lists *lists)
{
    if (lists->input && lists->input != stdin)
        (void)fclose(lists->input);
    tokenizer_free(lists->tokenizer);
    for (int text = 0; lists->pool && text < SCORER_POOL_TEXTS; text++)
        free(lists->pool[text].line);
    for (size_t i = 0; i < lists->count; i++)
        free(lists->list[i].line);
    free(lists->waiting.line);
    mem_free(lists->pool);
    mem_free(lists->list);
}

enum status score_nbest(const struct comm *comm, const struct options *options, struct scoring *scoring,
                        struct error *e)
{
    struct lists lists = {.scoring = scoring, .options = options};
    scoring->output.silent = true;
    enum status status = comm_agree(comm, comm->rank == 0 ? open_input(&lists, e) : STATUS_OK, e);
    if (!status)
        status = scoring_run(comm, scoring, next_pool, &lists, e);
    close_lists(&lists);
    return status;
}
