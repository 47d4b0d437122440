/* unroll score: the log-probability of each line of a text. */
#include <stdio.h>
#include <string.h>

#include "score_private.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/hypothesis.h"
#include "unroll/cli/load.h"
#include "unroll/nn/output.h"

/* ---- lines ---- */

/* Reads on with the line that stands behind the whole texts. It is fed behind a line end, as every line but the
 * first was in training, and has one as its last token. False if there is no room or no input. */
static bool read_part(struct scoring *scoring)
{
    struct score_pool *pool = scoring->pool;
    int64_t first = pool->offset[pool->texts];
    if (scoring->begun == 0 && scoring->behind >= 0)
        pool->tokens[first + scoring->begun++] = (uint32_t)scoring->behind;
    int64_t room = SCORER_POOL_TOKENS - first - scoring->begun - 1; /* 1: the line end */
    if (room < LINE_READER_CAPACITY_MIN)
        return false;
    struct line_part part;
    scoring->failure =
        line_reader_next(scoring->reader, pool->tokens + first + scoring->begun, room, &part, &scoring->reason);
    if (scoring->failure || part.input_ended) {
        scoring->input_ended = true;
        scoring->begun = 0;
        return false;
    }
    scoring->begun += part.count;
    if (!part.line_ended)
        return true;
    if (scoring->vocab->eos >= 0)
        pool->tokens[first + scoring->begun++] = (uint32_t)scoring->vocab->eos;
    pool->offset[++pool->texts] = first + scoring->begun;
    if (scoring->carry && scoring->begun > 0)
        scoring->behind = pool->tokens[first + scoring->begun - 1];
    scoring->begun = 0;
    return true;
}

/* Fills the pool until it is full, the input ends, or lines are there and the next would have to be waited for. */
static void fill_pool(struct scoring *scoring)
{
    const struct score_pool *pool = scoring->pool;
    while (!scoring->input_ended && pool->texts < SCORER_POOL_TEXTS) {
        if (pool->texts > 0 && !line_reader_ready(scoring->reader))
            break;
        if (!read_part(scoring))
            break;
    }
}

/* Empties the pool, but for the line that is not whole. */
static void drop_texts(struct scoring *scoring)
{
    struct score_pool *pool = scoring->pool;
    memmove(pool->tokens, pool->tokens + pool->offset[pool->texts], (size_t)scoring->begun * sizeof *pool->tokens);
    pool->texts = 0;
}

static enum status put_pool(struct scoring *scoring, struct error *e)
{
    const struct score_pool *pool = scoring->pool;
    enum status status = STATUS_OK;
    for (int text = 0; text < pool->texts && !status; text++) {
        int64_t begin = pool->offset[text], length = pool->offset[text + 1] - begin;
        status = scoring_put(scoring, pool->tokens + begin, pool->logp + begin, length, e);
        if (!status)
            status = score_output_end(&scoring->output, e);
    }
    return status;
}

/* A line that fills the whole pool and is not at its end: scored piece by piece, the last token of each being the
 * context of the next. */
static enum status score_long_line(struct scoring *scoring, struct error *e)
{
    struct score_pool *pool = scoring->pool;
    bool first = true;
    enum status status = STATUS_OK;
    while (pool->texts == 0 && !scoring->failure && !status) {
        int64_t count = scoring->begun;
        status = scoring_piece(scoring, first, pool->tokens, count, pool->logp, e);
        if (!status)
            status = scoring_put(scoring, pool->tokens, pool->logp, count, e);
        if (status)
            return status;
        first = false;
        pool->tokens[0] = pool->tokens[count - 1];
        scoring->begun = 1;
        while (pool->texts == 0 && read_part(scoring))
            continue;
    }
    if (scoring->failure)
        return STATUS_OK;
    int64_t count = pool->offset[1];
    status = scoring_piece(scoring, false, pool->tokens, count, pool->logp, e);
    if (!status)
        status = scoring_put(scoring, pool->tokens, pool->logp, count, e);
    if (status)
        return status;
    drop_texts(scoring);
    return score_output_end(&scoring->output, e);
}

/* Rank 0, between two pools: puts out the last one and reads the next. */
static enum status next_pool(void *context, struct error *e)
{
    struct scoring *scoring = context;
    enum status status = put_pool(scoring, e);
    if (!status)
        status = finish_output(e);
    if (status || ferror(stdout))
        scoring->input_ended = true;
    drop_texts(scoring);
    while (!status && scoring->pool->texts == 0 && !scoring->input_ended) {
        fill_pool(scoring);
        if (scoring->pool->texts == 0 && !scoring->input_ended)
            status = score_long_line(scoring, e);
    }
    return status;
}

/* ---- what stands before the lines ---- */

/* Rank 0. The tokens of --context, a line end before its first line and behind every one, through the model piece by
 * piece. */
static enum status read_context(const struct options *options, struct scoring *scoring, struct error *e)
{
    uint32_t *tokens = scoring->pool->tokens;
    const int64_t room = SCORER_POOL_TOKENS / 2;
    struct line_reader *reader = NULL;
    struct line_part part = {0};
    int64_t count = 0;
    enum status status = line_reader_open(options->context, scoring->vocab, &reader, e);
    if (status)
        return status;
    line_reader_markers(reader, options->markers, scoring->known);
    if (scoring->vocab->eos >= 0)
        tokens[count++] = (uint32_t)scoring->vocab->eos;
    while (!status && !part.input_ended) {
        status = line_reader_next(reader, tokens + count, room - count - 1, &part, e);
        count += part.count;
        if (!status && part.line_ended && scoring->vocab->eos >= 0)
            tokens[count++] = (uint32_t)scoring->vocab->eos;
        if (status || count < 2 || (count < room - 2 * LINE_READER_CAPACITY_MIN && !part.input_ended))
            continue;
        status = scorer_continue(scoring->scorer, !scoring->carried, tokens, count, scoring->pool->logp, e);
        scoring->carried = true;
        tokens[0] = tokens[count - 1];
        count = 1;
    }
    if (!status && count > 0)
        scoring->behind = tokens[0];
    line_reader_met(reader, &scoring->met);
    line_reader_close(reader);
    return status;
}

/* Collective. */
static enum status take_context(const struct comm *comm, const struct options *options, struct scoring *scoring,
                                struct error *e)
{
    enum status status = comm_agree(comm, comm->rank == 0 ? read_context(options, scoring, e) : STATUS_OK, e);
    bool any = scoring->carried;
    comm_broadcast(comm, &any, sizeof any, 0);
    return status || !any ? status : scorer_begin_here(scoring->scorer, comm, e);
}

static enum status check_unnormalised(const struct options *options, const struct model_config *model, struct error *e)
{
    if (!options->unnormalised || output_kind(model)->uses & OUTPUT_NORMALISER)
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "cannot use '--unnormalised' with '%.200s': its output layer is %s, whose logits are no logarithms of "
        "probabilities before they are normalised; leave it out, or train with --output-layer nce",
        options->model_file, output_kind(model)->name);
}

static enum status open_scoring(const struct comm *comm, const struct options *options,
                                const struct checkpoint *checkpoint, int threads, struct scoring *scoring,
                                struct error *e)
{
    scoring->vocab = checkpoint->vocab;
    scoring->oov_penalty = (float)options->oov_penalty;
    score_output_init(&scoring->output, checkpoint->vocab, options->per_token, options->score_tsv_json);
    scoring->known = checkpoint->markers;
    scoring->carry = options->carry_state;
    scoring->behind = checkpoint->vocab->eos;
    enum status status = markers_check(options->markers, scoring->vocab->level, e);
    if (!status)
        status = measure_init(checkpoint->vocab, &scoring->measure, e);
    if (!status)
        status = score_pool_create(&scoring->pool, e);
    if (!status)
        status = scorer_create(&checkpoint->model, checkpoint->values, SCORER_LANES, threads, &scoring->scorer, e);
    if (!status && options->unnormalised)
        scorer_leave_unnormalised(scoring->scorer);
    if (!status && options->eval.cache.size > 0)
        scorer_use_cache(scoring->scorer, &options->eval.cache);
    if (!status && comm->rank == 0 && options->mix)
        status = mixture_open(options->mix, options->lambda, options->model_file, scoring->vocab, &scoring->mixture, e);
    if (!status && comm->rank == 0 && !options->nbest)
        status = line_reader_open(options->files > 0 ? options->file[0] : NULL, scoring->vocab, &scoring->reader, e);
    if (!status && scoring->reader)
        line_reader_markers(scoring->reader, options->markers, checkpoint->markers);
    return status;
}

/* Rank 0, at the end. Words and bytes are told of texts that were scored whole. */
static void put_summary(const struct scoring *scoring, const struct options *options,
                        const struct checkpoint *checkpoint)
{
    const struct score_output *output = &scoring->output;
    if (options->unnormalised)
        fputs(
            "unnormalised: logits in place of log-probabilities; 'unroll eval' tells how far their normaliser is from "
            "one\n",
            stderr);
    score_output_counts(output, stderr);
    if (!options->nbest && !scoring->failure && !ferror(stdout) && checkpoint->vocab->eos >= 0 && output->lines > 0)
        score_output_measure(output, measure_words(&scoring->measure), line_reader_bytes(scoring->reader), stderr);
    score_output_reset(checkpoint->model.reset_token != 0, options->context, options->carry_state, stderr);
    if (options->eval.cache.size > 0)
        score_output_cache(&options->eval.cache, options->context || options->carry_state, stderr);
}

enum status cmd_score(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    struct scoring scoring = {0};
    int threads = 1;
    if (!hypothesis_is_feature(options->feature))
        return error_set(e, STATUS_USAGE,
                         "bad value '%.100s' for '--feature': write a name without blanks, '=' and '|', such as LSTM",
                         options->feature);
    enum status status = load_model(comm, options, TASK_LM, &checkpoint, e);
    if (!status)
        status = check_unnormalised(options, &checkpoint.model, e); /* the same on all ranks */
    if (!status)
        status = load_threads(comm, options, &threads, e);
    if (!status)
        status = comm_agree(comm, open_scoring(comm, options, &checkpoint, threads, &scoring, e), e);
    if (!status && options->context)
        status = take_context(comm, options, &scoring, e);
    if (!status && comm->rank == 0)
        score_output_head(&scoring.output, options->oov_penalty);
    if (!status && options->nbest)
        status = score_nbest(comm, options, &scoring, e);
    else if (!status)
        status = scoring_run(comm, &scoring, next_pool, &scoring, e);
    if (!status && comm->rank == 0 && scoring.mixture && !scoring.failure)
        status = mixture_end(scoring.mixture, e);
    if (!status && comm->rank == 0) {
        if (scoring.failure && scoring.output.lines > 0)
            fprintf(stderr, "the input is not read to its end; of its first %lld lines:\n",
                    (long long)scoring.output.lines);
        if (!scoring.failure || scoring.output.lines > 0)
            put_summary(&scoring, options, &checkpoint);
        if (scoring.reader) {
            struct marker_counts met;
            line_reader_met(scoring.reader, &met);
            markers_add(&scoring.met, &met);
        }
        tell_markers(options->markers, &scoring.met);
        if (scoring.failure)
            status = error_set(e, scoring.failure, "%s", scoring.reason.text);
    }
    status = comm_agree(comm, status, e);
    if (!status)
        (void)load_report_cores(comm, threads);
    line_reader_close(scoring.reader);
    mixture_close(scoring.mixture);
    scorer_free(scoring.scorer);
    score_pool_free(scoring.pool);
    score_output_release(&scoring.output);
    measure_release(&scoring.measure);
    checkpoint_release(&checkpoint);
    return status;
}
