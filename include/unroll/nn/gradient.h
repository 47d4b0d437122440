/* Where the gradient of each parameter lies, and which rows of parameters a step touches.
 *
 * A gradient array is a dense part, then the *parts* of parameters of which a step touches some rows alone: rows of
 * encoder.weight that stand for the window's tokens, of a sampled output layer those of targets and samples, a whole
 * tail of an adaptive softmax or nothing of it. Which rows a step touches is a *list*, which several parts may share;
 * the rows of a part stand side by side in the order of its list. So no array of the size of such a parameter exists,
 * and sums, norm and update pass over the rest.
 *
 * A parameter may have several parts: each is summed over lane groups and ranks on its own, and they are added to one
 * another after that, in their order, so that the bits do not depend on ranks. */
#ifndef UNROLL_NN_GRADIENT_H
#define UNROLL_NN_GRADIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/nn/param.h"

#define GRADIENT_LISTS_MAX (2 + OUTPUT_CUTOFFS_MAX)
#define GRADIENT_PARTS_MAX (5 + 2 * OUTPUT_CUTOFFS_MAX)

struct gradient_list {
    int64_t rows;   /* of its parameters; 1: a step touches all of them or nothing */
    int64_t most;   /* that one step touches, over all ranks */
    int64_t places; /* of the window that can name one, over all ranks: so many ids are sent at most */
    bool same;      /* all ranks have the same rows */
};

struct gradient_part {
    int param;     /* of the table, never an alias: the one whose values they are */
    int list;      /* which rows */
    size_t width;  /* floats of a row */
    size_t offset; /* of its first row in a gradient array: [list.most][width] */
};

struct gradient_layout {
    int lists, parts;
    struct gradient_list list[GRADIENT_LISTS_MAX];
    struct gradient_part part[GRADIENT_PARTS_MAX];
    size_t width[PARAM_MAX];  /* of parameters (and aliases) in parts: floats of a row; 0: the gradient is dense ... */
    size_t offset[PARAM_MAX]; /* ... and begins here; of no meaning for constants */
    size_t dense;             /* floats of the dense part, with which an array begins */
    size_t total;             /* floats of an array */
    int inputs;               /* the list of the window's tokens, -1: encoder.weight is dense */
};

/* The layout for windows of `batch` lanes over all ranks and `bptt` steps. Not `sparse`: all that can be dense is, with
 * offsets as param.grad_offset. */
void gradient_layout_build(const struct model_config *config, const struct param_table *table, int batch, int bptt,
                           bool sparse, struct gradient_layout *layout);
/* For kinds of output layers, while the layout is built: a list, by its place; and a part of it for a parameter (of an
 * alias: for the one whose values they are). */
int gradient_add_list(struct gradient_layout *layout, int64_t rows, int64_t places, bool same);
void gradient_add_part(struct gradient_layout *layout, const struct param_table *table, int param, int list);
/* The part of a parameter (which may be an alias) with that list. */
const struct gradient_part *gradient_part_of(const struct gradient_layout *layout, const struct param_table *table,
                                             int param, int list);

/* The rows of each list that a step touches here, or over all ranks: ascending, each once. */
struct touched {
    struct touched_list {
        int64_t count;
        uint32_t *row; /* [count] */
    } list[GRADIENT_LISTS_MAX];
};
/* Sorts ids and leaves each once; how many are left. */
int64_t touched_sort(uint32_t *ids, int64_t count);
/* The place of a row that the list has. */
int64_t touched_place(const struct touched_list *list, uint32_t row);

/* Adds the parts of an array to `dense` [table->grad_total], where gradients lie as in param.grad_offset; the dense
 * part is copied. */
void gradient_expand(const struct gradient_layout *layout, const struct param_table *table,
                     const struct touched *touched, const float *array, float *dense);

/* The gradient of all parameters after the sum over ranks: aliases and parts are folded. */
struct param_gradient {
    const struct gradient_layout *layout; /* NULL: all is dense, at param.grad_offset */
    const float *dense;                   /* [layout.dense] */
    const struct gradient_rows {
        int64_t count; /* touched rows, ascending, each once */
        const uint32_t *row;
        const float *const *grad; /* [count] each [width] */
    } * rows;                     /* [table.count]; of parameters in parts */
};
/* All of it where the values are, [table->trained]: zero but for touched rows and dense parameters. */
void gradient_lay_out(const struct param_gradient *gradient, const struct param_table *table, float *values);

#endif
