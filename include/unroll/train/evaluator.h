/* The loss of a split over all ranks: validation during training, and `unroll eval`.
 *
 * The split is cut into lanes and the lanes into lane groups as in training (data/stream.h, base/lane_share.h); every
 * lane starts from a zero state, which is carried from window to window. A group's losses are summed in double over its
 * windows, and the groups over the fixed tree, so the result is the same bits for any number of ranks and threads.
 *
 * A lane's first predictions come from an empty state and are worse than the rest, so a short split is cut into fewer
 * lanes than the training batch: into as many as keep EVALUATOR_LANE_MIN positions in each, and at least one. The rule
 * looks at the split and the batch alone. With `exact_lanes` the split is cut into `batch` lanes however short it is.
 * Ranks that are left without a lane group only take part in the sums.
 *
 * A split's first token is only read, unless there is a token `before` that it can be predicted from. Take one lane, a
 * line end before it, and a model whose state is reset at line ends (--reset-at eos): then the loss is the sum of what
 * use/scorer.h gives the lines. The terms are the same bits, but they are added in another order. With several lanes, a
 * lane may begin inside a sentence; the second half of that sentence is then predicted from an empty state.
 *
 * To classify (TASK_CLASSIFY), lanes hold whole texts (data/examples.h, not shuffled), each a target.
 *
 * Dynamic evaluation (Mikolov et al. 2010, "Recurrent neural network based language model", section 2.2): the model
 * goes on learning from the text it is tested on. After each window, whose loss has been counted by then, all values
 * make a step of plain stochastic gradient descent, values -= lr * gradient of the window's mean loss over all
 * lanes. States are carried on as they are, no dropout. Every token is predicted before it is learnt from, once. With
 * `rms` the step is that of train/dynamic.h, with statistics of the training split.
 *
 * With a cache (nn/cache.h) each lane has its own, empty at first: with one lane, the whole split is one running text.
 * A model that goes on learning learns from its own loss, not from that of the mixture. */
#ifndef UNROLL_TRAIN_EVALUATOR_H
#define UNROLL_TRAIN_EVALUATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/base/window.h"
#include "unroll/data/corpus.h"
#include "unroll/nn/cache.h"
#include "unroll/nn/param.h"
#include "unroll/sys/comm.h"
#include "unroll/train/dynamic.h"

#define EVALUATOR_LANE_MIN 64

struct evaluator;

struct evaluator_config {
    enum split split;
    struct model_config model; /* vocab must be that of the corpus; dropout is not applied */
    int batch, bptt, groups;   /* of the training run: global lanes, longest window, lane groups */
    int threads;
    bool dynamic; /* the values change on the way; each run starts with those that were given */
    double lr;    /* of dynamic evaluation */
    bool rms;     /* dynamic evaluation by the rule of train/dynamic.h; the corpus needs a training split */
    struct dynamic_config statistics; /* ... with these */
    struct cache_config cache;        /* size 0: none. Not of classifiers */
    int64_t windows;  /* the most of a run, from the beginning of each lane; 0: all. Not of dynamic evaluation */
    bool exact_lanes; /* as many lanes as `batch`, also in a short split; ignored to classify */
    uint32_t before;  /* token that stands before the split, so that its first token has a loss; VOCAB_UNK: none */
    /* Called after each window, also on ranks without lanes, so that a watchdog sees progress. NULL on all ranks or on
     * none. */
    void (*beat)(void *context);
    void *beat_context;
    /* Asked after each window, with a beat only; NULL on all ranks or none. Where a rank says yes, evaluator_run
     * ends soon with STATUS_STOPPED on all of them. */
    bool (*stop)(void *context);
    /* Called after each window with the losses of its positions, `row` [T][lanes] (0 where there is no target), on
     * ranks that have lanes. NULL: not wanted. */
    void (*look)(void *context, const struct window *window, const float *row);
    void *look_context;
    int64_t *confusion; /* [labels][labels] to classify: texts of each label (row) by predicted label (column); the
                           caller's, filled on every rank by evaluator_run; NULL: not wanted */
};

/* Lanes and lane groups that a split of `tokens` tokens is evaluated in. */
int evaluator_lanes(int64_t tokens, int batch);
int evaluator_groups(int lanes, int groups);

/* Collective. Has a model of its own, without the memory of a backward pass unless `dynamic`. `comm`, `corpus` and
 * `values` (the parameter array, nn/param.h) stay the caller's and must outlive the evaluator. A split that is
 * absent or has fewer than two tokens is STATUS_DATA; with `exact_lanes` a split of fewer predictions than lanes,
 * with `dynamic` or a cache a classifier, or with `dynamic` more ranks than lane groups are STATUS_CONFIG, with `rms`
 * no training split STATUS_DATA; STATUS_OS if memory is short. The error is the same on all ranks. */
enum status evaluator_create(const struct comm *comm, struct corpus *corpus, const struct evaluator_config *config,
                             const float *values, struct evaluator **out, struct error *e);
void evaluator_free(struct evaluator *evaluator); /* not collective; NULL is allowed */

/* Collective. The sum of -log p (natural logarithm) over the whole split with the values as they are now, and the
 * number of tokens predicted: the mean loss is *loss_sum / *targets. The sum may be NaN or infinite if the values
 * are. STATUS_IO or STATUS_DATA if the corpus cannot be read, on all ranks. */
enum status evaluator_run(struct evaluator *evaluator, double *loss_sum, int64_t *targets, struct error *e);
/* Not collective. Windows of a run; `beat` is called once for each. */
int64_t evaluator_windows(const struct evaluator *evaluator);
/* Not collective. Whether config.windows leaves some of the split out. */
bool evaluator_is_part(const struct evaluator *evaluator);
/* Not collective. Of the last run, of output layers whose normaliser is learnt: mean and standard deviation of its true
 * logarithm over all targets. False: the model has none. */
bool evaluator_normaliser(const struct evaluator *evaluator, double *mean, double *deviation);
/* Not collective. Lanes that the split is cut into. */
int evaluator_lane_count(const struct evaluator *evaluator);
/* Not collective. To classify: how many texts were longer than `bptt` tokens; the rest of such a text is ignored. */
int64_t evaluator_cut(const struct evaluator *evaluator);
/* Not collective. To classify: for how many targets of the last run the right label was the likeliest, over all ranks.
 */
int64_t evaluator_correct(const struct evaluator *evaluator);

#endif
