/* Rules of thumb, in integers, for lanes, epochs and validations. */
#include "unroll/train/fit.h"

#include "unroll/data/cuts.h"

#define STEPS 400 /* of an epoch, about */

static int64_t ceil_share(int64_t whole, int64_t parts)
{
    return (whole + parts - 1) / parts;
}

int64_t fit_steps(int64_t tokens, int lanes, int bptt, bool vary)
{
    const struct cuts cuts = {.steps = ceil_share(tokens > 1 ? tokens - 1 : 1, lanes), .bptt = bptt, .vary = vary};
    return cuts_windows(&cuts, 0);
}

int fit_lanes(int64_t tokens, int bptt, int least)
{
    int64_t lanes = FIT_LANES_MIN, windows = tokens / bptt;
    /* Twice as many lanes are nearer if the geometric mean of both is still too few: 2 (lanes STEPS)^2 <= windows^2. */
    while (lanes < FIT_LANES_MAX && windows > 0 && ceil_share(2 * lanes * lanes * STEPS * STEPS, windows) <= windows)
        lanes *= 2;
    if (tokens > 1 && tokens - 1 < lanes)
        lanes = tokens - 1;
    return lanes > least ? (int)lanes : least;
}

int64_t fit_epochs(int64_t tokens)
{
    int64_t epochs = 1, most = 8000000000 / (tokens > 1 ? tokens : 1);
    /* one more is nearer to 10 * cbrt(1e6 / tokens) if that is above epochs + 1/2: if (2 epochs + 1)^3 tokens <= 8e9 */
    while (epochs < FIT_EPOCHS_MAX && (2 * epochs + 1) * (2 * epochs + 1) * (2 * epochs + 1) <= most)
        epochs++;
    return epochs;
}

int64_t fit_eval_every(int64_t tokens, int lanes, int bptt, bool vary)
{
    int64_t epochs = fit_epochs(tokens);
    if (epochs >= FIT_VALIDATIONS)
        return 0;
    return ceil_share(fit_steps(tokens, lanes, bptt, vary), ceil_share(FIT_VALIDATIONS, epochs));
}

int64_t fit_patience(int64_t steps, int64_t eval_every)
{
    int64_t epoch = eval_every > 0 ? ceil_share(steps, eval_every) : 1;
    return epoch > FIT_PATIENCE ? epoch : FIT_PATIENCE;
}
