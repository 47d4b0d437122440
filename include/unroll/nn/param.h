/* THE parameter table: name, shape and place of every tensor of a model, in one order that initialisation, reducer,
 * clipping, optimizer, checkpoint, export and diagnostics all walk. A new tensor is one line in param.c.
 *
 * Names and shapes are those of PyTorch's word_language_model example: encoder.weight [V][E], rnn.weight_ih_l0
 * [G*H][E], rnn.weight_hh_l0 [G*H][H], rnn.bias_ih_l0 [G*H], rnn.bias_hh_l0 [G*H], ..., decoder.weight [V][H],
 * decoder.bias [V]; H is each layer's own. A classifier's decoder has a row for each label instead of each token. All
 * values lie in one array, each tensor starting on a 64-byte boundary, so that walking all parameters is one loop.
 *
 * Gradients have the same layout at the same offsets, `grad_total` floats, unless nn/gradient.h says otherwise. With
 * tied weights decoder.weight shares the values of encoder.weight; its gradient is summed over lanes and ranks on its
 * own (after the others, at `grad_offset`) and folded into encoder.weight's after the reduction, so that the order of
 * additions stays that of the lane tree. */
#ifndef UNROLL_NN_PARAM_H
#define UNROLL_NN_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/status.h"
#include "unroll/nn/model_config.h"

/* What a parameter is for: what initialisation, exchange and import ask. */
enum param_role {
    PARAM_EMBEDDING,  /* [V][E], a row for each token: a step touches the rows of its tokens */
    PARAM_INPUT,      /* weights of a layer's input */
    PARAM_RECURRENT,  /* weights of a layer's state */
    PARAM_INPUT_BIAS, /* of a layer, beside the weights of its input */
    PARAM_RECURRENT_BIAS,
    PARAM_CELL,   /* a further tensor of a layer's cell (struct cell_tensor) */
    PARAM_OUTPUT, /* weights of the output layer */
    PARAM_OUTPUT_BIAS,
    PARAM_CONSTANT, /* not trained, without a gradient: what PyTorch calls a buffer. They stand behind all others */
};

struct param {
    char name[48];
    enum param_role role;
    int layer;          /* of a recurrent layer's, from 0; else -1 */
    int rank;           /* 1 or 2 */
    int64_t shape[2];   /* shape[1] is 1 for rank 1 */
    size_t count;       /* elements */
    size_t offset;      /* of its values, in floats, from the start of the value array */
    size_t grad_offset; /* of its gradient; equals offset unless `alias` */
    int alias;          /* index of the parameter whose values this one shares, -1 if its own */
};

#define PARAM_OUTPUT_MAX 32 /* of an output layer */
#define PARAM_MAX (1 + (4 + CELL_TENSORS_MAX) * MODEL_LAYERS_MAX + PARAM_OUTPUT_MAX)

struct param_table {
    int count;
    struct param param[PARAM_MAX];
    /* Places in `param`, -1: the model has none. */
    int encoder;
    int output; /* the first of the output layer's, in the order of its kind (nn/output.h) */
    struct {
        int w_ih, w_hh, b_ih, b_hh;
        int further, furthers; /* the first of its cell's further tensors, and how many */
    } layer[MODEL_LAYERS_MAX];
    size_t trained;    /* floats of the value array that are trained, padding included; padding is always zero */
    size_t total;      /* floats in the value array: those, then constants */
    size_t grad_total; /* floats in a gradient array */
    size_t elements;   /* trainable numbers: the sum of counts without aliases and constants */
};

/* Whether it has trained numbers of its own: neither an alias nor a constant. */
static inline bool param_is_own(const struct param *param)
{
    return param->alias < 0 && param->role != PARAM_CONSTANT;
}

/* Every tensor, and every part of a gradient array, starts on a 64-byte boundary: the floats that one takes. */
static inline size_t param_padded(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

/* What is walked at once by the gradient's norm and by the optimizer. */
#define PARAM_BLOCK 4096 /* floats */
static inline size_t param_blocks(const struct param_table *table)
{
    return (table->trained + PARAM_BLOCK - 1) / PARAM_BLOCK;
}

/* The table of a checked configuration. */
void param_table_build(const struct model_config *config, struct param_table *table);
int param_find(const struct param_table *table, const char *name); /* index, -1 if unknown */

/* Adds the gradients of aliases to those of the parameters they share. */
void param_fold_aliases(const struct param_table *table, float *grad);

/* XXH3-128 over all parameter values in table order (aliases included, padding not), as 32 hexadecimal digits. */
void param_digest(const struct param_table *table, const float *values, char hex[33]);

/* How weights start. UNIFORM: encoder and decoder uniform in +-0.1 (PyTorch's word_language_model), decoder.bias 0;
 * recurrent layers uniform
 *   in +-1/sqrt(H) (PyTorch's nn.RNN).
 * AUTO: as UNIFORM, but for layers of a cell that has a rule of its own (cell_kind.start). ORTHOGONAL: as UNIFORM, but
 * every H x H block of W_hh orthogonal and the biases of the recurrent layers 0, or what the
 *   cell says. */
enum init { INIT_AUTO, INIT_UNIFORM, INIT_ORTHOGONAL };
extern const struct choices init_choices;
/* Fills `values` [total], padding with zeros; a pure function of (config, init, seed), whatever the ranks and threads.
 * STATUS_OS if ORTHOGONAL finds no memory for an H x H work array; AUTO and UNIFORM always succeed. */
enum status param_init(const struct model_config *config, const struct param_table *table, enum init init,
                       uint64_t seed, float *values, struct error *e);

#endif
