/* What the files of the optimizer share: what one update needs, and how a parameter behaves while its gradient is
 * zero. */
#ifndef UNROLL_SRC_TRAIN_OPTIMIZER_PRIVATE_H
#define UNROLL_SRC_TRAIN_OPTIMIZER_PRIVATE_H

#include "unroll/train/optimizer.h"

#define BLOCK 16 /* floats: all arrays are walked in blocks of whole vectors */

/* What one update needs, rounded to float once. Of its numbers only scale, lr, root2 and shrink differ between updates.
 */
struct update {
    float *p, *a, *b; /* parameters and up to two slots */
    const float *grad;
    float scale, lr, decay, momentum, keep1, take1, keep2, take2, epsilon, root2, shrink;
};

/* Updates [begin, end), multiples of BLOCK, of 64-byte aligned arrays. */
typedef void optimizer_rule(const struct update *u, size_t begin, size_t end);

/* What becomes of a parameter whose gradient is zero, where no weight decay is added to it. Its slots decay. */
enum drift {
    DRIFT_NONE,    /* it stays */
    DRIFT_BY_MEAN, /* p -= lr a */
    DRIFT_BY_RATIO /* p = shrink p - lr a / (sqrt(b) root2 + epsilon) */
};

struct resting {
    optimizer_rule *rule;
    enum drift drift;
    bool divides;                    /* by something to which epsilon is added */
    bool shrinks;                    /* p is multiplied by `shrink` all the same */
    float keep[OPTIMIZER_SLOTS_MAX]; /* the factors by which slots decay; 1: not at all */
    float decay, epsilon;            /* as in struct update */
};

/* The rows of the layout's parameters in parts (src/train/optimizer_rows.c); *out stays NULL if it has none. */
enum status optimizer_rows_create(const struct optimizer *optimizer, const struct gradient_layout *layout,
                                  const struct resting *resting, struct optimizer_rows **out, struct error *e);
void optimizer_rows_free(struct optimizer_rows *rows);
size_t optimizer_rows_bytes(const struct param_table *table, const struct gradient_layout *layout);

/* One update of the touched rows; `update` without pointers. */
void optimizer_rows_update(struct optimizer *optimizer, float *values, struct param_gradient grad,
                           const struct update *update, int threads);

#endif
