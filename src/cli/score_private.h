/* What the two ways of `score` share (scoring.c): lines (cmd_score.c), and n-best lists (score_nbest.c). */
#ifndef UNROLL_CLI_SCORE_PRIVATE_H
#define UNROLL_CLI_SCORE_PRIVATE_H

#include "unroll/cli/mixture.h"
#include "unroll/cli/options.h"
#include "unroll/cli/score_output.h"
#include "unroll/data/measure.h"
#include "unroll/use/line_reader.h"
#include "unroll/use/scorer.h"

/* Rank 0's part: texts in, scores out. The others only compute. */
struct scoring {
    const struct vocab *vocab;
    struct line_reader *reader;
    struct score_pool *pool;
    struct score_output output;
    struct mixture *mixture; /* NULL: the model's own probabilities */
    struct measure measure;  /* of what was scored */
    float oov_penalty;
    enum markers known;       /* in the text that the model learned from */
    struct marker_counts met; /* of all lines, at their end */
    struct scorer *scorer;
    bool carry;     /* each line goes on where the one before it ended */
    bool carried;   /* a text before the next line has left its state */
    int64_t behind; /* what every line is fed behind: a line end, else the last token of that text; -1: nothing */
    int64_t begun;  /* tokens of the line that the pool holds behind its last whole text, context included */
    bool input_ended;
    enum status failure; /* of the input: told when the lines before it are scored */
    struct error reason;
};

/* Puts out tokens of the current line: mixed, and with what unknown ones cost besides; `logp` is changed. */
enum status scoring_put(struct scoring *scoring, const uint32_t *tokens, float *logp, int64_t count, struct error *e);

/* The next tokens of a line through the scorer; `first`: they begin it. What it stands behind is known to the
 * scorer. */
enum status scoring_piece(struct scoring *scoring, bool first, const uint32_t *tokens, int64_t count, float *logp,
                          struct error *e);

/* Collective. Pool after pool, until `next` on rank 0, which puts out the last pool and fills it anew, leaves none. */
enum status scoring_run(const struct comm *comm, struct scoring *scoring,
                        enum status (*next)(void *context, struct error *e), void *context, struct error *e);

/* Collective. `score --nbest`. */
enum status score_nbest(const struct comm *comm, const struct options *options, struct scoring *scoring,
                        struct error *e);

#endif
