/* What sampled output layers have in common. Their parameters are those of the full softmax, decoder.weight [V][H] and
 * decoder.bias [V]. A training step reads and changes only the rows of its targets and of K samples, which are the same
 * for all lanes and ranks (nn/proposal.h). All else (validation, scores, text, gradients by time lag) is the softmax
 * over the whole vocabulary, block after block (classes.h).
 *
 * Logits of a step are y . w(id) + b(id) - log(expected count of the id among the samples). A row has its target's, its
 * own, and those of the samples but its target, if that is one of them (an accidental hit). */
#ifndef UNROLL_NN_SAMPLES_H
#define UNROLL_NN_SAMPLES_H

#include "classes.h"
#include "ordered.h"
#include "row_sums.h"
#include "unroll/nn/gradient.h"
#include "unroll/nn/proposal.h"

/* Lists of rows (nn/gradient.h), in the order in which samples_parts adds them. */
enum samples_list { SAMPLES_TARGETS, SAMPLES_SAMPLES, SAMPLES_LISTS };

/* The rows of a window that have a target, side by side, and the gradients of its weight and bias. */
struct targets {
    int *row;        /* [T * B] which ordered rows they are */
    uint32_t *place; /* [T * B] of the target in its list */
    int *group_row;  /* [groups + 1] */
    float *weight;   /* [T * B][H rounded] */
    float *bias;     /* [T * B][VPAD] the first of each */
    struct row_sums sums;
};

struct samples {
    struct ordered ordered;
    struct classes classes;
    struct classes_decoder all; /* ids; packed where the model is resident */
    int weight, bias;           /* places in the parameter table */
    int32_t *column;            /* [T * B] targets as classes takes them */
    float *log_sum;             /* [T * B] where normalisers are wanted, else NULL */
    float *logits;              /* [lanes][logits_stride] of resident models */
    int logits_stride;

    /* Of models that train. */
    struct proposal_law law;
    bool prepared; /* the law, at the first packing */
    uint32_t *order, *rank;
    struct proposal_draw draw;
    int64_t drawn;                      /* the step, -1: none */
    float *sample_weight, *sample_bias; /* [K][H] and [K]: the samples' rows, and biases less the log of counts */
    float *own, *d_own;                 /* [T * B] logits of targets */
    int32_t *left_out;                  /* [T * B] accidental hits */
    float *dy;                          /* [T * B][stride of H] */
    struct targets targets;
};

/* Members of struct output_kind. */
int samples_outputs(const struct model_config *config);
enum status samples_check(const struct model_config *config, struct error *e);
int samples_params(const struct model_config *config, struct output_param params[PARAM_OUTPUT_MAX]);
double samples_weights(const struct model_config *config, double (*below)(int rank, int vocab));
void samples_parts(const struct model_config *config, const struct param_table *table, int batch, int bptt, bool sparse,
                   struct gradient_layout *layout);
void samples_create(struct common *common, struct output *output);
void samples_pack(const struct common *common, struct output *output);
void samples_touch(const struct common *common, struct output *output, const struct window *window, int64_t step,
                   struct touched *touched);
void samples_last(const struct common *common, struct output *output, const struct output_step *step);
const float *samples_logits(const struct common *common, struct output *output, const float *h, int *stride);
size_t samples_reference_work(const struct model_config *config);

/* The window, with that loss of a training step. */
void samples_window(const struct common *common, struct output *output, const struct output_step *step,
                    enum classes_loss loss);

/* In double precision: a row's loss by its logits, [K + 1], the target's last; accidental hits are -infinity. With
 * `gradient` that of the logits in their place. */
typedef double samples_loss(double *logits, int K, bool gradient);
double samples_reference(const struct reference_output *lane, samples_loss *loss);

#endif
