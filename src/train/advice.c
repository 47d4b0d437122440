/* Judges the course of a run by its losses, and words the advice. */
#include "unroll/train/advice.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Times the loss of a uniform guess, plus a tenth of a nat: no model that learns is worse. */
#define ABOVE_UNIFORM 1.1
#define RISE 0.2                /* of a uniform guess's loss: no healthy training loss rises so much */
#define SPIKE_BLOCKS 2          /* in a row */
#define AT_UNIFORM 0.98         /* of its loss: nothing is learnt */
#define AT_UNIFORM_STEPS 200    /* steps after the warm-up before it is said; classifiers start slowly: for them ... */
#define AT_UNIFORM_CLASSIFY 600 /* ... and two epochs */
#define VANISHED 1e-4           /* of --lr */
#define WORSE 0.01              /* validation above the best */
#define TRAINING_FELL 0.02      /* since the best */
#define LAST_PART 0.9           /* the end is compared with the loss at nine tenths of the steps */
#define IDLE 3                  /* a third of the steps */

static const char *const names[ADVICE_KINDS] = {
    [ADVICE_NONE] = "none",
    [ADVICE_ZERO] = "rate zero",
    [ADVICE_TOO_HIGH] = "rate too high",
    [ADVICE_TOO_LOW] = "rate too low",
    [ADVICE_VANISHED] = "rate vanished",
    [ADVICE_OVERFITTING] = "overfitting",
    [ADVICE_UNFINISHED] = "unfinished",
    [ADVICE_IDLE] = "idle",
};

const char *advice_name(enum advice_kind kind)
{
    return names[kind];
}

/* ---- the history ---- */

void advice_begin(struct advice_history *history)
{
    *history = (struct advice_history){
        .lr = NAN,
        .block = NAN,
        .lowest = NAN,
        .valid = NAN,
        .best = NAN,
        .block_of_best = NAN,
        .stride = 1,
    };
}

/* Keeps one of `stride` losses. When the array is full, every second one is dropped. */
static void put_point(struct advice_history *history, int64_t step, double loss)
{
    if (history->points == ADVICE_POINTS) {
        for (int i = 0; i < ADVICE_POINTS / 2; i++)
            history->point[i] = history->point[2 * i + 1];
        history->points = ADVICE_POINTS / 2;
        history->stride *= 2;
    }
    if (++history->passed < history->stride)
        return;
    history->passed = 0;
    history->point[history->points++] = (struct advice_point){step, loss};
}

static double too_high(const struct advice_run *run)
{
    return ABOVE_UNIFORM * run->uniform + 0.1;
}

static bool is_too_high(const struct advice_run *run, const struct advice_history *history, double loss)
{
    return loss > too_high(run) || loss > history->lowest + RISE * run->uniform;
}

static void put_block(const struct advice_run *run, struct advice_history *history, double loss)
{
    history->high = is_too_high(run, history, loss) ? history->high + 1 : 0;
    history->block = loss;
    history->lowest = fmin(history->lowest, loss); /* a NaN is replaced */
    history->blocks++;
    if (isnan(history->block_of_best))
        history->block_of_best = loss;
    if (history->validations == 0)
        put_point(history, history->step, loss);
}

void advice_train(const struct advice_run *run, struct advice_history *history, const struct advice_train *line)
{
    int64_t tokens = line->tokens - history->tokens;
    history->lines++;
    history->clipped += run->clip > 0 && line->grad_norm > run->clip;
    history->skipped = line->skipped;
    history->step = line->step;
    history->tokens = line->tokens;
    history->lr = line->lr;
    if (!isfinite(line->loss) || tokens <= 0)
        return; /* all steps of the line were skipped */
    history->open.loss += line->loss * (double)tokens;
    history->open.tokens += tokens;
    if (line->step - history->open.begin < ADVICE_BLOCK)
        return;
    put_block(run, history, history->open.loss / (double)history->open.tokens);
    history->open.begin = line->step;
    history->open.tokens = 0;
    history->open.loss = 0;
}

void advice_valid(const struct advice_run *run, struct advice_history *history, int64_t step, int64_t epoch,
                  double loss)
{
    (void)run;
    if (history->validations++ == 0) { /* the course is of validation now */
        history->points = history->passed = 0;
        history->stride = 1;
    }
    history->step = history->valid_step = step;
    history->valid = loss;
    if (isfinite(loss) && !(loss >= history->best)) {
        history->best = loss;
        history->best_step = step;
        history->best_epoch = epoch;
        history->stalls = 0;
        history->block_of_best = history->block;
    } else {
        history->stalls++;
    }
    if (isfinite(history->best))
        put_point(history, step, history->best);
}

/* ---- what it says ---- */

static bool is_stuck(const struct advice_run *run, const struct advice_history *history)
{
    int64_t steps = history->step - run->warmup, enough = AT_UNIFORM_STEPS;
    if (run->classifies)
        enough = 2 * run->epoch > AT_UNIFORM_CLASSIFY ? 2 * run->epoch : AT_UNIFORM_CLASSIFY;
    return steps >= enough && history->lowest > AT_UNIFORM * run->uniform && history->block <= too_high(run);
}

static bool is_vanished(const struct advice_run *run, const struct advice_history *history)
{
    return run->steps_down && history->step >= run->warmup && history->lr < VANISHED * run->lr &&
           run->total - history->step > run->total / 10;
}

static bool is_overfitting(const struct advice_run *run, const struct advice_history *history)
{
    return history->stalls >= ADVICE_STALLS && history->step - history->best_step >= run->epoch &&
           history->valid > (1 + WORSE) * history->best &&
           history->block < (1 - TRAINING_FELL) * history->block_of_best;
}

static enum advice_kind find_kind(const struct advice_run *run, const struct advice_history *history)
{
    if (run->lr == 0)
        return ADVICE_ZERO;
    if (history->high >= SPIKE_BLOCKS)
        return ADVICE_TOO_HIGH;
    if (is_stuck(run, history))
        return ADVICE_TOO_LOW;
    if (is_vanished(run, history))
        return ADVICE_VANISHED;
    return is_overfitting(run, history) ? ADVICE_OVERFITTING : ADVICE_NONE;
}

enum advice_kind advice_seen(const struct advice_run *run, struct advice_history *history)
{
    enum advice_kind kind = find_kind(run, history);
    if (history->said[kind])
        return ADVICE_NONE;
    history->said[kind] = true;
    return kind;
}

/* ---- the end ---- */

/* How much the last tenth of the run lowered the loss, as a share of it. If no point lies at nine tenths, an earlier
 * one is used, assuming that the loss falls with the logarithm of the steps. */
static double last_gain(const struct advice_history *history)
{
    double end = history->validations > 0 ? history->best : history->block;
    for (int i = history->points - 1; i >= 0; i--) {
        const struct advice_point *point = &history->point[i];
        double part = (double)point->step / (double)history->step;
        if (part <= LAST_PART)
            return (point->loss - end) / end * log(LAST_PART) / log(part);
    }
    return 0;
}

static bool is_unfinished(const struct advice_history *history)
{
    double gain = last_gain(history);
    if (history->validations > 0)
        return history->best_step == history->step && gain >= ADVICE_GAIN && gain * history->best >= ADVICE_GAIN;
    return gain >= 2 * ADVICE_GAIN && gain * history->block >= ADVICE_GAIN; /* blocks are noisy */
}

static bool is_idle(const struct advice_run *run, const struct advice_history *history)
{
    return !run->stopped && history->stalls >= ADVICE_STALLS && history->step - history->best_step >= run->epoch &&
           history->step - history->best_step > history->step / IDLE;
}

enum advice_kind advice_end(const struct advice_run *run, struct advice_history *history,
                            const struct advice_outcome *end)
{
    bool whole = history->blocks > 0 && history->open.tokens == 0;
    double loss = history->open.tokens > 0 ? history->open.loss / (double)history->open.tokens : end->train_loss;
    history->step = end->step;
    history->skipped = end->skipped;
    if (!whole && isfinite(loss))
        put_block(run, history, loss); /* shorter than others */
    if (isfinite(end->valid_loss) && (history->validations == 0 || history->valid_step != end->step))
        advice_valid(run, history, end->step, end->epoch, end->valid_loss);
    if (run->lr > 0 && (is_too_high(run, history, history->block) || history->skipped > end->step / 100))
        return ADVICE_TOO_HIGH;
    enum advice_kind kind = find_kind(run, history);
    if (kind)
        return kind;
    if (is_unfinished(history))
        return ADVICE_UNFINISHED;
    return is_idle(run, history) ? ADVICE_IDLE : ADVICE_NONE;
}

/* ---- in words ---- */

static void tell_too_high(const struct advice_run *run, const struct advice_history *history, struct advice *advice)
{
    double share = history->lines > 0 ? 100 * (double)history->clipped / (double)history->lines : 0;
    char clipped[40] = "";
    if (share > 50)
        snprintf(clipped, sizeof clipped, "; %.0f %% of the steps clipped", share);
    if (history->block > too_high(run))
        snprintf(advice->found, ADVICE_TEXT, "training loss %.4g, but a uniform guess has %.4g%s", history->block,
                 run->uniform, clipped);
    else if (is_too_high(run, history, history->block))
        snprintf(advice->found, ADVICE_TEXT, "training loss rose from %.4g to %.4g%s", history->lowest, history->block,
                 clipped);
    else
        snprintf(advice->found, ADVICE_TEXT, "%" PRId64 " of %" PRId64 " steps were skipped%s", history->skipped,
                 history->step, clipped);
    snprintf(advice->fix, ADVICE_TEXT, "a new run with a lower --lr (this one's is %g), or without --lr", run->lr);
}

static void tell_too_low(const struct advice_run *run, const struct advice_history *history, struct advice *advice)
{
    snprintf(advice->found, ADVICE_TEXT, "nothing is learnt: training loss %.4g, that of a uniform guess",
             history->block);
    if (run->classifies)
        snprintf(advice->fix, ADVICE_TEXT, "another --lr (this one's is %g), or look whether labels fit texts",
                 run->lr);
    else
        snprintf(advice->fix, ADVICE_TEXT, "a new run with a higher --lr (this one's is %g), or without --lr", run->lr);
}

static void tell_overfitting(const struct advice_run *run, const struct advice_history *history, struct advice *advice)
{
    snprintf(advice->found, ADVICE_TEXT,
             "overfits from step %" PRId64 ": validation %.4g to %.4g, training %.4g to %.4g", history->best_step,
             history->best, history->valid, history->block_of_best, history->block);
    snprintf(advice->fix, ADVICE_TEXT, "more text, a higher --dropout (it is %g), or a smaller --hidden", run->dropout);
}

static void tell_unfinished(const struct advice_run *run, const struct advice_history *history, struct advice *advice)
{
    bool valid = history->validations > 0;
    snprintf(advice->found, ADVICE_TEXT, "still learning: %s loss fell by %.1f %% in the last tenth of the run",
             valid ? "validation" : "training", 100 * last_gain(history));
    int length = snprintf(advice->fix, ADVICE_TEXT, "the same command with a higher --%s",
                          run->limited ? "max-steps" : "epochs");
    if (!valid)
        snprintf(advice->fix + length, ADVICE_TEXT - (size_t)length, "; and validation text (--split 90,5,5)");
}

static void tell_idle(const struct advice_run *run, const struct advice_history *history, struct advice *advice)
{
    snprintf(advice->found, ADVICE_TEXT, "no gain since step %" PRId64 " of %" PRId64, history->best_step,
             history->step);
    if (run->limited)
        snprintf(advice->fix, ADVICE_TEXT, "more text; or fewer --max-steps, for the same in less time");
    else
        snprintf(advice->fix, ADVICE_TEXT, "more text; or --epochs %" PRId64 ", for the same in less time",
                 history->best_epoch);
}

void advice_tell(const struct advice_run *run, const struct advice_history *history, enum advice_kind kind,
                 struct advice *advice)
{
    *advice = (struct advice){.found = ""};
    switch (kind) {
    case ADVICE_NONE:
    case ADVICE_KINDS:
        break;
    case ADVICE_ZERO:
        snprintf(advice->found, ADVICE_TEXT, "the learning rate is 0: nothing is learnt");
        snprintf(advice->fix, ADVICE_TEXT, "a new run with --lr above 0, or without --lr");
        break;
    case ADVICE_TOO_HIGH:
        tell_too_high(run, history, advice);
        break;
    case ADVICE_TOO_LOW:
        tell_too_low(run, history, advice);
        break;
    case ADVICE_VANISHED:
        snprintf(advice->found, ADVICE_TEXT, "the learning rate is down to %.2g: hardly anything is learnt any more",
                 history->lr);
        snprintf(advice->fix, ADVICE_TEXT, "fewer --epochs, a smaller --lr-decay, or --lr-min above 0");
        break;
    case ADVICE_OVERFITTING:
        tell_overfitting(run, history, advice);
        break;
    case ADVICE_UNFINISHED:
        tell_unfinished(run, history, advice);
        break;
    case ADVICE_IDLE:
        tell_idle(run, history, advice);
        break;
    }
}
