/* The embedding of the fast model: rows of encoder.weight for the first layer, and their gradients. */
#ifndef UNROLL_NN_EMBEDDING_H
#define UNROLL_NN_EMBEDDING_H

#include "layer.h"
#include "row_sums.h"

/* The distinct tokens of a window, so that each is projected once. */
struct distinct {
    int capacity, count;
    uint32_t *token; /* [capacity] */
    int32_t *index;  /* [T][B] which of them stands at a position */
    int32_t *slot;   /* [V] -1 or the number of a token seen in this window */
    void *x;         /* [capacity][stride] embeddings, dense */
};

/* Gradients of repeated tokens of a lane group are added before the products with W_ih and x: one row for each
 * distinct token of each group. Chosen by the configuration alone (see merges_tokens), since it changes the order of
 * additions. */
struct merged {
    int *group_row;  /* [groups + 1] first merged row of each group */
    uint32_t *token; /* [T * B] the token of each merged row */
    int32_t *slot;   /* [V] */
    int32_t *row;    /* [T][B] merged row of each position */
    float *sums;     /* [rows][slots_stride of the first layer], settled when they are complete */
    void *x;         /* [rows][stride] dense */
};

struct embedding {
    int E, stride, V;
    void *x; /* [T][B][stride] embeddings, through dropout, dense */
    struct distinct distinct;
    bool merges;
    struct merged merged;
    struct row_sums sums;
    uint32_t *place; /* [T * B] where the token of each row stands in the list of the window's tokens; NULL: no list */
};

/* The most rows of an input with an index. */
size_t embedding_indexed_rows(const struct common *common);
/* slots_stride: of the first layer. */
void embedding_create(struct common *common, struct embedding *embedding, int slots_stride);
struct layer_input embedding_forward(const struct common *common, struct embedding *embedding);
/* From the positions of the first layer to the rows that its gradients, and dx of embedding_backward, are summed
 * over: the same, or merged. */
struct layer_rows embedding_rows(const struct common *common, struct embedding *embedding, struct layer_rows positions);
/* dx of embedding_backward through the dropout, in place, where the step has some. */
void embedding_drop_gradient(const struct common *common, const struct embedding *embedding, float *dx);
/* The gradient of encoder.weight over each node from that of the rows, dx [rows][stride]. */
void embedding_backward(const struct common *common, struct embedding *embedding, const float *dx,
                        float *const *node_grads);

#endif
