/* Rows times a decoder of many classes, in blocks of CLASSES_BLOCK of them, so that no array of rows x classes exists:
 * losses, and gradients of decoder and rows. What adaptive and sampled output layers have in common, and how all of
 * them find the softmax over a whole vocabulary.
 *
 * The softmax takes two passes over the blocks: a running maximum and sum of exponentials, then logits again and their
 * gradient; of one block alone the exponentials are still there. The sigmoids of noise contrastive estimation take one.
 * A row's bits depend on nothing but the row and the decoder; gradients of the decoder add up the lane tree. */
#ifndef UNROLL_NN_CLASSES_H
#define UNROLL_NN_CLASSES_H

#include "common.h"

#define CLASSES_BLOCK 1024 /* classes at once: sums are cut here, so it is part of the arithmetic */

/* What windows of several decoders use one after another: its arrays are of no use between them. */
struct classes {
    int rows, columns;                   /* most */
    float *logits;                       /* [rows][stride of a block]; their gradients are settled */
    float *largest, *sum, *target_logit; /* [rows] of a row's classes so far */
    float *no_bias;                      /* [a block] zeros */
};

/* For at most so many rows and classes. */
void classes_create(struct common *common, struct classes *classes, int rows, int64_t most);

enum classes_loss {
    CLASSES_SOFTMAX, /* -log softmax at the target */
    CLASSES_NOISE    /* log(1 + exp(-own)) + the sum of log(1 + exp(logit)): own logits are of data, classes of noise */
};

/* W [n][k] as `transposed` weights with ldw = k; panels, where there are some, of all classes. */
struct classes_decoder {
    struct gemm_weights weights;
    const float *bias; /* [gemm_round(n)], 64-byte aligned; NULL: none */
};

/* Targets that are no column. */
#define CLASSES_OWN (-1)  /* the row's own logit */
#define CLASSES_NONE (-2) /* the row takes no part: its loss and gradients are zero */

/* Rows in the order of lane groups, any number in each. */
struct classes_rows {
    int count;
    const int *group_row;    /* [groups + 1] the first row of each of this rank's groups; [groups] is `count` */
    struct gemm_view y;      /* [count][k] */
    const int32_t *target;   /* [count] a column (of the softmax), or as above */
    const float *own;        /* [count] a logit that is no class, one more in the row's softmax; NULL: none */
    const int32_t *left_out; /* [count] a column that is no class of the row (it must have its own logit), -1: none; or
                                NULL */
};

struct classes_result {
    float *loss;    /* [count] */
    float *log_sum; /* [count] log of the sum of exponentials; of rows without a target 0; NULL: not wanted */

    /* Gradients, overwritten; dy NULL: losses alone. */
    float *dy;            /* [count][gemm_stride(k)] */
    float *d_own;         /* [count] where rows have own logits */
    float *const *weight; /* [nodes of this rank] each [n][k]; NULL: dy alone */
    float *const *bias;   /* [nodes] each [n]; NULL: not wanted */
};

void classes_window(const struct common *common, const struct classes *classes, enum classes_loss kind,
                    const struct classes_decoder *decoder, const struct classes_rows *rows,
                    const struct classes_result *result);

#endif
