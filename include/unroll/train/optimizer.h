/* Optimizers: element-wise updates of the parameter array from the mean gradient. Formulas and defaults are
 * PyTorch's torch.optim; each is one row of the table in optimizer.c, which nothing else repeats. Element-wise, so
 * the bits do not depend on threads.
 *
 * Of parameters in parts (nn/gradient.h) an update touches some rows alone; the others rest.
 *   exact   The bits of an update of all rows, those that rest with a gradient of zero: means and weight decay go on.
 *           A row that rests goes through the updates that it missed later, one by one. Until then its values are old:
 *           optimizer_catch_up before rows are read, optimizer_settle before all are.
 *   lazy    A row that rests stays as it is, values and state: TensorFlow's LazyAdam. Bias correction counts all
 *           updates.
 * Where rules leave a parameter without a gradient as it is, without weight decay (sgd, adagrad), both are the same. */
#ifndef UNROLL_TRAIN_OPTIMIZER_H
#define UNROLL_TRAIN_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"
#include "unroll/nn/gradient.h"
#include "unroll/nn/param.h"

extern const struct choices optimizer_choices; /* a kind is one of its values: a row of the table in optimizer.c */
#define OPTIMIZER_SGD 0                        /* of these the first, for those who want no other rule */
const char *optimizer_name(int kind);
int optimizer_kind(const char *name); /* the kind of a name that is known to be one */
bool optimizer_averages(int kind); /* what is kept for use is an average of the weights (train/average.h): ntasgd's */

enum sparse_update { SPARSE_EXACT, SPARSE_LAZY };
extern const struct choices sparse_update_choices;

struct optimizer_config {
    int kind;
    double momentum;
    double beta1, beta2; /* decay of the mean gradient and of the mean square */
    double alpha;        /* rmsprop's decay of the mean square */
    double epsilon;      /* added to the root of the squares; below 0: the kind's own */
    double weight_decay; /* L2 added to the gradient, or decoupled from it */
    enum sparse_update sparse_update;
};

/* The numbers of a configuration, by the names that options and checkpoints give them. */
struct optimizer_number {
    const char *name; /* "weight_decay" */
    size_t offset;    /* of the double in struct optimizer_config */
};
extern const struct optimizer_number optimizer_numbers[];
extern const int optimizer_number_count;

/* The learning rate that suits mean losses per token and gradients clipped at norm 5. */
double optimizer_default_lr(int kind);
double optimizer_default_epsilon(int kind);

/* For help, into `room`, which is returned: the kinds that use the number of that option ("beta1": "adam, adamw";
 * "weight-decay": those that decouple it), or with its default of each: "lr": "1 for sgd, 0.1 momentum, ...",
 * "epsilon". */
#define OPTIMIZER_WORDS 160
const char *optimizer_words(const char *option, char room[OPTIMIZER_WORDS]);

#define OPTIMIZER_SLOTS_MAX 2

struct optimizer_rows; /* rows that rest, and what they have missed */

struct optimizer {
    struct optimizer_config config;
    const struct param_table *table;
    int slots;                        /* arrays of state */
    float *slot[OPTIMIZER_SLOTS_MAX]; /* [table->trained] each; owned */
    int64_t updates;                  /* t of Adam's bias correction: updates applied so far */
    int ranges;                       /* of the value array whose gradients are dense, and where those are */
    struct optimizer_range {
        size_t value, grad, count;
    } range[PARAM_MAX];
    struct optimizer_rows *rows; /* of parameters in parts; owned; NULL: there are none */
};

int optimizer_slots(int kind);
const char *optimizer_slot_name(int kind, int slot); /* PyTorch's: "momentum_buffer", "exp_avg", ... */

/* `table` must outlive the optimizer. `layout` is that of all gradients to come; NULL: all is dense. STATUS_OS. */
enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             const struct gradient_layout *layout, struct optimizer **out, struct error *e);
void optimizer_free(struct optimizer *optimizer);
size_t optimizer_bytes(int kind, const struct param_table *table,
                       const struct gradient_layout *layout); /* of its memory */

/* values -= update(scale * grad) with learning rate `lr`; `scale` is 1 / tokens times the clipping factor. Of
 * parameters in parts only touched rows; exact: after they have caught up. */
void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads);

/* Rows of a parameter (or of an alias) that are about to be read: values and state are then those after all updates.
 * Those that have caught up, and dense parameters, cost nothing. */
void optimizer_catch_up(struct optimizer *optimizer, float *values, int param, const struct touched_list *rows,
                        int threads);
/* All rows of all parameters: before anything but a training step reads values or slots. */
void optimizer_settle(struct optimizer *optimizer, float *values, int threads);

#endif
