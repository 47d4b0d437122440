/* THE table of output layers. An output layer is one row here and one file, which says all that is known of it: its
 * parameters, what it needs of the configuration, the loss and its gradients, and the same in double precision.
 * Nothing else names one: others ask its kind. */
#ifndef UNROLL_NN_OUTPUT_H
#define UNROLL_NN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/window.h"
#include "unroll/nn/param.h"

/* row(kind): it lies in output_kind_kind. Those of language models are what --output-layer chooses from, the usual one
 * first: where there is another, the option is there. */
#define OUTPUT_TABLE_LM(row) row(softmax) row(adaptive) row(sampled) row(nce)
#define OUTPUT_TABLE(row) OUTPUT_TABLE_LM(row) row(classifier)

#define OUTPUT_ONE(kind) +1
#define OUTPUT_LAYERS (OUTPUT_TABLE_LM(OUTPUT_ONE)) /* of language models */

/* A parameter, in the order of the table. Weights start uniform in +-0.1, as their roles say (init.c). */
struct output_param {
    enum param_role role;
    const char *name;
    int64_t shape[2]; /* shape[1] 0: a vector */
    bool tied;        /* has the values of encoder.weight, whose shape it has */
    double start;     /* of a bias: what each of its numbers starts at */
    bool linear;      /* of weights: they start as those of PyTorch's nn.Linear, uniform within 1 / sqrt(columns) */
};

/* What a kind needs of the configuration, besides the vocabulary. */
#define OUTPUT_CLUSTERS 1u /* cutoffs and div */
#define OUTPUT_SAMPLES 2u  /* samples and proposal */
#define OUTPUT_ORDER 4u    /* ids in the order of their counts, or decoder.order */
/* What else it has. */
#define OUTPUT_NORMALISER 8u /* logits are to be logarithms of probabilities as they are (model_shape.unnormalised) */

struct common;
struct output;
struct output_step;
struct gradient_layout;
struct touched;

/* One lane of a window as the double-precision reference sees it, after the top layer. */
struct reference_output {
    const struct model_config *config;
    const struct param_table *table;
    const double *values; /* [table.total] */
    double *grad;         /* [table.grad_total], added to; NULL: the loss alone */
    const struct window *window;
    int lane;      /* of the window */
    uint64_t seed; /* of the dropout masks */
    int64_t step;  /* below 0: no dropout */
    const double
        *y;     /* [T] rows of `stride`: the top layer's outputs, through dropout unless the kind drops its own rows */
    double *dy; /* the same shape, zero before: with `grad` their gradient */
    size_t stride;
    double *row;  /* [T] rows of the window's lanes, this lane's place: the loss of each position; NULL: not wanted */
    double *work; /* [reference_work] */
    float *mask;  /* [H] */
};

struct output_kind {
    const char *name;
    enum task task; /* that it serves */
    unsigned uses;  /* OUTPUT_... */

    int (*outputs)(const struct model_config *config); /* what it chooses from: V, or the number of labels */
    /* Its part of model_config_check: STATUS_CONFIG with the option's name. Other numbers are in range. */
    enum status (*check)(const struct model_config *config, struct error *e);
    int (*params)(const struct model_config *config, struct output_param params[PARAM_OUTPUT_MAX]); /* how many */
    /* Adds the lists and parts of its parameters of which steps touch some rows alone (nn/gradient.h). Not `sparse`:
     * only of those that cannot be dense. NULL: all are dense. */
    void (*parts)(const struct model_config *config, const struct param_table *table, int batch, int bptt, bool sparse,
                  struct gradient_layout *layout);
    /* Weights that a token is multiplied with in training, on average over a text in which a share below(r, V) of the
     * tokens have ranks under r. NULL: all matrices. */
    double (*weights)(const struct model_config *config, double (*below)(int rank, int vocab));
    bool drops_own_rows; /* the kind itself applies the dropout after the last layer; else all outputs go through it */

    /* The fast path (src/nn/output_private.h). Not NULL unless said. */
    void (*create)(struct common *common, struct output *output);
    void (*pack)(const struct common *common, struct output *output);
    /* The rows of its lists that a training step on the window reads or changes: common->layout says how many there are
     * at most; the arrays are there. NULL where `parts` is. */
    void (*touch)(const struct common *common, struct output *output, const struct window *window, int64_t step,
                  struct touched *touched);
    /* Losses of the window at hand, and gradients where the step has them. */
    void (*window)(const struct common *common, struct output *output, const struct output_step *step);
    /* The gradient of the last time step's losses alone; no dropout, no losses. NULL: it has none (nn/flow.h). */
    void (*last)(const struct common *common, struct output *output, const struct output_step *step);
    /* Of rows h [lanes][stride of H]: logits with all terms [lanes][outputs], rows `*stride` apart. NULL: not of
     * single steps. */
    const float *(*logits)(const struct common *common, struct output *output, const float *h, int *stride);
    /* After `window`: probabilities of the labels, [lanes][outputs]. NULL: it has no labels. */
    const float *(*probabilities)(const struct output *output, int *stride);

    /* In double precision: returns the sum of the lane's losses. */
    double (*reference)(const struct reference_output *lane);
    size_t (*reference_work)(const struct model_config *config); /* numbers */
};

#define OUTPUT_KIND(kind) extern const struct output_kind output_kind_##kind;
OUTPUT_TABLE(OUTPUT_KIND)
#undef OUTPUT_KIND

extern const struct choices output_layer_choices; /* of language models */

/* Gives the fields that options leave open (0) what follows from the vocabulary and the counts of its ids, [vocab]: how
 * many samples are drawn, whether ids are reordered (nn/constants.h), and at which ranks clusters begin (none, where
 * the full softmax costs less). Those of other output layers become 0. `counts` NULL: made-up ones, whose order is that
 * of ids, that of rank r in proportion to 1 / (r + 1). STATUS_OS. */
enum status output_settle(struct model_config *config, const uint64_t *counts, struct error *e);

/* Makes a sampled output layer the full one, which has the same trained parameters in the same places. */
void output_plain(struct model_config *config);

/* The kind of a configuration's output layer. */
const struct output_kind *output_kind(const struct model_config *config);

#endif
