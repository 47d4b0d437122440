/* What the files of the fast model share: model.c (creation, carried state, the order of a step), embedding.c, layer.c with
 * the cells, softmax.c (the output layer), classifier.c (that of TASK_CLASSIFY). */
#ifndef UNROLL_NN_MODEL_PRIVATE_H
#define UNROLL_NN_MODEL_PRIVATE_H

#include "cell_private.h"
#include "unroll/nn/dropout.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/model.h"

/* A state of a layer, as the cell's kind names it. */
struct layer_state {
    float *steps;   /* [T + 1][B][stride]; row block 0 is the state carried in */
    float *carried; /* [B][stride] carried out of the last window */
    int width, stride;
};

struct layer {
    int in, in_stride; /* features of the input, and stride of its rows */
    struct {
        size_t w_ih, w_hh, b_ih, b_hh;
    } offset;       /* in the value and gradient arrays */
    float *x;       /* [T][B][in_stride] input rows: embeddings, the layer below's h, or `dropped` */
    float *dropped; /* the layer below's h through dropout */
    float *slots;   /* [T][B][slots_stride] */
    struct layer_state state[CELL_STATES_MAX];
    float *h; /* [T + 1][B][h_stride] state[0].steps, the output */
    /* W_ih and W_hh as the products of each direction take them, gate by gate; projection[0] is W_ih of all gates at once where
     * these need no padding between them. W_hh is packed after each update, and resident models pack the projection too. */
    struct gemm_weights projection[GEMM_SEGMENTS], projection_back[GEMM_SEGMENTS];
    struct gemm_weights recurrent[GEMM_SEGMENTS], recurrent_back[GEMM_SEGMENTS];
    float *bias;
};

/* The distinct tokens of a window, so that each is projected once. */
struct distinct {
    int capacity, count;
    uint32_t *token;   /* [capacity] */
    int32_t *index;    /* [T][B] which of them stands at a position */
    int32_t *slot;     /* [V] -1 or the number of a token seen in this window */
    float *x;          /* [capacity][in_stride] embeddings */
    float *projection; /* [capacity][gates * slot_stride] */
};

/* Rows of the embedding gradient, sorted by token, then by lane group, then by time and lane. */
struct token_rows {
    int *row, *group; /* [T * B] */
    int *start;       /* [V + 1] first of each token; the end is the next one's */
    int distinct;
    uint32_t *token; /* [T * B] the tokens that occur */
};

/* Gradients of repeated tokens of a lane group are added before the products with W_ih and x: one row for each distinct
 * token of each group. Chosen by the configuration alone (see merges_tokens), since it changes the order of additions. */
struct merged {
    int *group_row;  /* [groups + 1] first merged row of each group */
    uint32_t *token; /* [T * B] the token of each merged row */
    int32_t *slot;   /* [V] */
    int32_t *row;    /* [T][B] merged row of each position */
    float *sums;     /* [rows][slots_stride] */
    float *x;        /* [rows][in_stride] */
};

struct model {
    struct model_config config;
    struct model_shape shape;
    struct param_table table;
    const float *values;
    struct gemm gemm;
    const struct cell_kind *cell;
    int states;               /* of the cell */
    int lanes, lane0, groups; /* of this rank */
    int *group_lane;          /* [groups + 1] local lane at which each group starts */
    int H, h_stride, slot_stride, slots_stride, E, V, v_stride, blocks;
    int outputs;       /* rows of the decoder, V or labels; v_stride is the stride of rows of so many logits */
    int in_stride_max; /* the larger of the row strides of E and H */
    struct layer layer[MODEL_LAYERS_MAX];
    struct distinct distinct;
    bool use_distinct; /* in this window */
    struct token_rows token_rows;
    struct merged merged;
    bool merge;
    float *dx;           /* [T][B][max stride] gradient of a layer's input or output */
    float *carry;        /* [B][h_stride] */
    float *recurrent;    /* [threads][R][B][GEMM_WIDE]; NULL without a recurrent product */
    void *factor;        /* packed activations of weight gradients */
    void *flow_notes;    /* flow.c: the same storage, which holds nothing where no gradients are summed */
    float *tree_scratch; /* [threads][tree_depth][E rounded] */
    int tree_depth;
    struct dropout dropout;
    uint8_t *fresh; /* [T][B] 1: the lane's state is zero before this step; NULL without a reset token */

    /* output layer */
    int chunk_rows;                            /* most rows whose logits exist at once */
    float *y;                                  /* [T * B][h_stride] top outputs, dropped, in lane-group order */
    float *logits;                             /* [chunk_rows][v_stride] */
    float *dy;                                 /* [chunk_rows][h_stride] */
    uint32_t *target;                          /* [T * B] in the same order */
    float *row_loss;                           /* [T][B] */
    float *ordered_loss;                       /* [T * B] in lane-group order */
    int *ordered_row;                          /* [groups + 1] first ordered row of each group */
    float *decoder_bias;                       /* [v_stride] */
    struct gemm_weights decoder, decoder_back; /* forward: resident models pack it */
    float *decoder_sum; /* [partial sums][decoder_sum_size] decoder gradients of chunks: weight, then bias */
    size_t decoder_sum_size;
    int *text_end;      /* [B] classifier: step of the text's last token, -1 without a text */
    int32_t *text_peak; /* [B][h_stride] with POOL_MAX: the step of each unit's maximum */
    int64_t *group_correct;
    double *group_loss;
    int64_t *group_targets;
    int last_T;

    struct model_phases phases;
    double clock;
    void **owned; /* every allocation, for model_free */
    int owned_count;
    size_t bytes; /* allocated; with `dry` only counted */
    bool dry;
};

/* Adds the wall time since the last call to *phase. */
void model_clock(struct model *model, double *phase);

/* Embedding and layers: after it the top layer's h holds the window's outputs. */
void model_forward_layers(struct model *model, const struct window *window, int64_t step);

/* embedding.c */
bool embedding_merges_tokens(const struct model_config *config, const struct model_shape *shape);
void embedding_forward(struct model *model, const struct window *window);
void embedding_merge(struct model *model, const struct window *window);
void embedding_backward(struct model *model, const struct window *window, struct lane_node node, float *grad);

/* layer.c */
void layer_place_weights(struct model *model, int l, char *forward, char *backward, char *projection);
size_t layer_recurrent_bytes(const struct model *model);
size_t layer_projection_bytes(const struct model *model, int l);
void layer_pack(struct model *model, int l);
void layer_project(struct model *model, int l, const struct window *window);
void layer_forward(struct model *model, int l, const struct window *window);
/* Who looks at each step of the backward loop before the cell's part: lanes from `lane0` on and one block of units. */
struct step_hook {
    void (*look)(void *context, const struct cell_step *step, int t, int lane0, int block);
    void *context;
};
void layer_backward(struct model *model, int l, const struct window *window, const struct step_hook *hook);
void layer_gradients(struct model *model, int l, const struct window *window, struct lane_node node, float *grad);
void layer_input_gradient(struct model *model, int l, const struct window *window);

/* softmax.c */
/* logits[rows] = y[rows] W_dec^T, without the bias. */
void softmax_logits(struct model *model, const float *y, int rows);
/* Most rows of a chunk, and how many arrays of partial decoder gradients summing the chunks needs. */
int softmax_chunk_rows(const struct model_config *config, const struct model_shape *shape, const int *group_lane,
                       int *partial_sums);
void softmax_window(struct model *model, const struct window *window, float *const *node_grads);

/* classifier.c: what softmax_window does, for TASK_CLASSIFY. */
void classifier_window(struct model *model, const struct window *window, float *const *node_grads);
/* dx becomes the gradient of the last step's losses alone with respect to the top layer's outputs, no dropout. */
void softmax_last(struct model *model, const struct window *window);

#endif
