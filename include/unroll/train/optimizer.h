/* Optimizers: element-wise updates of the parameter array from the mean gradient. Formulas and defaults are
 * PyTorch's torch.optim; each is one row of the table in optimizer.c, which nothing else repeats. Element-wise, so
 * the bits do not depend on threads. */
#ifndef UNROLL_TRAIN_OPTIMIZER_H
#define UNROLL_TRAIN_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"
#include "unroll/nn/gradient.h"

extern const struct choices optimizer_choices; /* a kind is one of its values: a row of the table in optimizer.c */
#define OPTIMIZER_SGD 0                        /* of these the first, for those who want no other rule */
const char *optimizer_name(int kind);
int optimizer_kind(const char *name); /* the kind of a name that is known to be one */

struct optimizer_config {
    int kind;
    double momentum;
    double beta1, beta2; /* decay of the mean gradient and of the mean square */
    double alpha;        /* rmsprop's decay of the mean square */
    double epsilon;      /* added to the root of the squares; below 0: the kind's own */
    double weight_decay; /* L2 added to the gradient, or decoupled from it */
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

struct optimizer {
    struct optimizer_config config;
    const struct param_table *table;
    const struct gradient_layout *layout; /* NULL: all gradients are dense */
    int slots;                            /* arrays of state */
    float *slot[OPTIMIZER_SLOTS_MAX];     /* [table->trained] each; owned */
    int64_t updates;                  /* t of Adam's bias correction: updates applied so far */
};

int optimizer_slots(int kind);
const char *optimizer_slot_name(int kind, int slot); /* PyTorch's: "momentum_buffer", "exp_avg", ... */

/* `table` and `layout` must outlive it. `layout` NULL: all gradients are dense. */
enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             const struct gradient_layout *layout, struct optimizer **out, struct error *e);
void optimizer_free(struct optimizer *optimizer);
/* Of its slots, and of what rows need. */
size_t optimizer_bytes(int kind, const struct param_table *table, const struct gradient_layout *layout);

/* Brings rows of a parameter up to date, before they are read; nothing where its gradient is dense. */
void optimizer_catch_up(struct optimizer *optimizer, float *values, int param, const struct touched_list *rows,
                        int threads);
/* The same of all rows: before anything else than a training step reads values or slots. */
void optimizer_settle(struct optimizer *optimizer, float *values, int threads);

/* values -= update(scale * grad) with learning rate `lr`; `scale` is 1 / tokens times the clipping factor. Of
 * parameters in parts (nn/gradient.h) the touched rows are updated now. */
void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads);

#endif
