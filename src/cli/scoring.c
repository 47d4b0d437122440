/* What the two ways of `score` share, lines and n-best lists: pools of texts through the scorer, their tokens to the
 * output. */
#include "score_private.h"

enum status scoring_put(struct scoring *scoring, const uint32_t *tokens, float *logp, int64_t count, struct error *e)
{
    enum status status = STATUS_OK;
    if (scoring->mixture)
        status = mixture_apply(scoring->mixture, scoring->output.lines + 1, tokens, logp, count, e);
    if (status)
        return status;
    for (int64_t i = 1; i < count; i++)
        if (tokens[i] == VOCAB_UNK)
            logp[i] -= scoring->oov_penalty;
    score_output_tokens(&scoring->output, tokens, logp, count);
    measure_add(&scoring->measure, tokens + 1, count - 1);
    return STATUS_OK;
}

enum status scoring_piece(struct scoring *scoring, bool first, const uint32_t *tokens, int64_t count, float *logp,
                          struct error *e)
{
    if (count < 2)
        return STATUS_OK;
    bool begins = first && !(scoring->carry && scoring->carried);
    scoring->carried = true;
    return scorer_continue(scoring->scorer, begins, tokens, count, logp, e);
}

/* Collective. The texts one behind the other: rank 0's alone, for each waits for the one before it. */
static enum status carry_on(const struct comm *comm, struct scoring *scoring, struct error *e)
{
    struct score_pool *pool = scoring->pool;
    enum status status = STATUS_OK;
    for (int text = 0; comm->rank == 0 && text < pool->texts && !status; text++) {
        int64_t begin = pool->offset[text], count = pool->offset[text + 1] - begin;
        status = scoring_piece(scoring, true, pool->tokens + begin, count, pool->logp + begin, e);
    }
    return comm_agree(comm, status, e);
}

enum status scoring_run(const struct comm *comm, struct scoring *scoring,
                        enum status (*next)(void *context, struct error *e), void *context, struct error *e)
{
    for (;;) {
        enum status status = STATUS_OK;
        if (comm->rank == 0)
            status = next(context, e);
        status = comm_agree(comm, status, e);
        if (status)
            return status;
        if (comm_max(comm, comm->rank == 0 ? scoring->pool->texts : 0) == 0)
            return STATUS_OK;
        status = scoring->carry ? carry_on(comm, scoring, e) : scorer_run(scoring->scorer, comm, scoring->pool, e);
        if (status)
            return status;
    }
}
