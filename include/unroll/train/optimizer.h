/* Optimizers: element-wise updates of the parameter array from the mean gradient. Formulas and defaults are PyTorch's
 * torch.optim (SGD, SGD with momentum, Adagrad, RMSprop, Adam, AdamW); each is written out in optimizer.c.
 * Element-wise, so the bits do not depend on threads. */
#ifndef UNROLL_TRAIN_OPTIMIZER_H
#define UNROLL_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/param.h"

enum optimizer_kind { OPT_SGD, OPT_MOMENTUM, OPT_ADAGRAD, OPT_RMSPROP, OPT_ADAM, OPT_ADAMW };
const char *optimizer_name(enum optimizer_kind kind);
enum status optimizer_parse(const char *name, enum optimizer_kind *kind, struct error *e);

struct optimizer_config {
    enum optimizer_kind kind;
    double momentum;     /* momentum */
    double beta1, beta2; /* adam, adamw */
    double alpha;        /* rmsprop's decay */
    double epsilon;      /* adagrad, rmsprop, adam, adamw */
    double weight_decay; /* L2 added to the gradient; decoupled for adamw */
};

#define OPTIMIZER_SLOTS_MAX 2

struct optimizer {
    struct optimizer_config config;
    const struct param_table *table;
    int slots;                        /* arrays of state: 0 sgd, 1 momentum/adagrad/rmsprop, 2 adam/adamw */
    float *slot[OPTIMIZER_SLOTS_MAX]; /* [table->total] each; owned */
    int64_t updates;                  /* t of Adam's bias correction: updates applied so far */
};

int optimizer_slots(enum optimizer_kind kind);
const char *optimizer_slot_name(enum optimizer_kind kind, int slot); /* PyTorch's: "momentum_buffer", "exp_avg", ... */

enum status optimizer_create(const struct optimizer_config *config, const struct param_table *table,
                             struct optimizer **out, struct error *e);
void optimizer_free(struct optimizer *optimizer);

/* values -= update(scale * grad) with learning rate `lr`; `scale` is 1 / tokens times the clipping factor. Blocks whose
 * gradient is zero are passed over by the rules that then change nothing: sgd and adagrad without weight decay. */
void optimizer_update(struct optimizer *optimizer, float *values, struct param_gradient grad, float scale, double lr,
                      int threads);

#endif
