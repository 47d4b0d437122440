/* One recurrent layer of the fast model. It knows its input as rows, not where they come from: the embedding, or the
 * layer below. */
#ifndef UNROLL_NN_LAYER_H
#define UNROLL_NN_LAYER_H

#include <string.h>

#include "cell_private.h"
#include "common.h"

/* The rows that a layer's input consists of in a window. */
struct layer_input {
    struct gemm_view x; /* dense rows of layer->in features, stride layer->in_stride; 64-byte aligned */
    int rows;
    const int32_t *index; /* [T][B] which of them stands at a position; NULL: there is one for each, in this order */
};

/* What the gradient of W_ih, and that of the input, are summed over. */
struct layer_rows {
    struct gemm_view x; /* [rows][in_stride] dense */
    const float *slots; /* [rows][slots_stride] what the backward loop left of a position, or summed over several;
                           settled */
    int64_t slots_stride;
    int rows;
    struct gemm_view h;   /* [T][B] dense: what W_hh multiplied */
    const int *group_row; /* [groups + 1] first row of each lane group; NULL: rows are all positions [T][B] */
};

/* A state of a layer, as the cell's kind names it. */
struct layer_state {
    float *steps;   /* [T + 1][B][stride]; row block 0 is the state carried in. Of edges [2][B][stride]: in and out */
    float *carried; /* [B][stride] carried out of the last window */
    int width, stride;
    bool edges; /* as cell_state has it */
};

struct layer;
struct step_hook;

/* How layers of a cell are computed: layer.c's functions and layer_steps.c's, or another engine's of that name. */
struct layer_engine {
    void (*create)(struct common *common,
                   struct layer *layers); /* of all layers, what others have not; NULL: nothing */
    void (*pack)(const struct common *common, struct layer *layer);
    void (*project)(const struct common *common, struct layer *layer); /* NULL: in forward */
    void (*forward)(const struct common *common, struct layer *layer);
    void (*backward)(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook);
    void (*gradients)(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                      struct lane_node node, float *grad);
    void (*input_gradient)(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                           float *dx);
};
const struct layer_engine *layer_engine(const struct cell_kind *cell); /* layer_engine.c */

struct layer {
    const struct layer_engine *engine;
    const struct cell_kind *cell;
    int number;        /* l, from 0 */
    int states;        /* of the cell */
    int in, in_stride; /* features of the input, and stride of its rows */
    int H, h_stride;   /* units, and stride of rows of states and outputs */
    int input_blocks;  /* of W_ih */
    int slot_count;
    int slot_stride;  /* from one block or slot to the next inside a row */
    int slots_stride; /* of rows of slots */
    int blocks;       /* of GEMM_WIDE units */
    struct {
        size_t w_ih, w_hh, b_ih, b_hh;
        size_t further[CELL_TENSORS_MAX];
    } offset, gradient;       /* in the value array, and in a gradient array */
    struct layer_input input; /* of this window */
    float *projected; /* [most rows of an indexed input][input_blocks * slot_stride]; NULL: the input has no index */
    void *dropped; /* [T][B][in_stride] dense, for the outputs of the layer below through dropout; not the first layer's
                    */
    float *slots;  /* [T][B][slots_stride]; the backward pass settles them */
    struct layer_state state[CELL_STATES_MAX];
    float *h;   /* [T + 1][B][h_stride] state[CELL_H].steps, the output */
    void *rows; /* the same, dense, as products read it; in float32 it is h */
    /* Of the dropout of states (layer_drop.c); NULL: there is none. */
    void *dropped_rows; /* the same through it: what W_hh multiplies */
    float *state_mask;  /* [B][h_stride] of the window at hand */
    /* Of the dropout of weights. */
    float *dropped_weights; /* [R * H][H] W_hh through it; layers may share it; NULL: there is none */
    int64_t packed;         /* the step whose W_hh the panels hold, or LAYER_... */
    /* W_ih and W_hh as the products of each direction take them, block by block; projection[0] is W_ih of all blocks at
     * once where these need no padding between them. W_hh is packed after each update, and resident models pack the
     * projection too. */
    struct gemm_weights projection[GEMM_SEGMENTS], projection_back[GEMM_SEGMENTS];
    struct gemm_weights recurrent[GEMM_SEGMENTS], recurrent_back[GEMM_SEGMENTS];
    float *bias;
    struct mogrify *mogrify; /* of cells with rounds; else NULL */
};

#define LAYER_WHOLE -1   /* W_hh itself is packed */
#define LAYER_NOTHING -2 /* or what it was before an update */

/* All layers, and the scratch that they use one after another. The first one's input may have an index to so many
 * rows. */
void layers_create(struct common *common, struct layer *layers, size_t indexed_rows);

/* After an update. With dropout of weights W_hh waits for layer_begin. */
void layer_pack(const struct common *common, struct layer *layer);
/* Before layer_forward: W_hh as the window's step has it, and masks of states. */
void layer_begin(const struct common *common, struct layer *layer);
/* W_hh for a block of hidden units, all gates of it, in one direction: layer->recurrent or recurrent_back. */
void layer_pack_block(const struct common *common, const struct layer *layer, const struct gemm_weights *recurrent,
                      int block);
/* The outputs as the recurrent product, and the gradient of W_hh, read them, from row `row` of [T + 1][B] on. */
struct gemm_view layer_states_from(const struct common *common, const struct layer *layer, int64_t row);
/* The outputs as other products read them, from row `row` of [T + 1][B] on. */
struct gemm_view layer_rows_from(const struct common *common, const struct layer *layer, int64_t row);

/* Forward: projection of the input, then the recurrence, from the carried state, which advances. */
void layer_project(const struct common *common, struct layer *layer);
void layer_forward(const struct common *common, struct layer *layer);
const float *layer_outputs(const struct common *common, const struct layer *layer);         /* [T][B][h_stride] */
struct gemm_view layer_output_rows(const struct common *common, const struct layer *layer); /* [T * B], dense */

/* Who looks at each step of the backward loop before the cell's part: lanes from `lane0` on and one block of units. */
struct step_hook {
    void (*look)(void *context, const struct cell_step *step, int t, int lane0, int block);
    void *context;
};
/* From the gradient of the outputs, dh [T][B][h_stride], to the slots. hook may be NULL. */
void layer_backward(const struct common *common, struct layer *layer, const float *dh, const struct step_hook *hook);

/* Marks of the lanes from `lane` on whose state is empty before step t; NULL: resets are off. */
static inline const uint8_t *layer_fresh(const struct common *common, int t, int lane)
{
    return common->fresh ? common->fresh + (int64_t)t * common->lanes + lane : NULL;
}
/* Neither a state nor a gradient crosses a reset: zeroes `width` numbers of the rows of marked lanes. */
static inline void layer_clear_fresh(const uint8_t *fresh, int lanes, float *rows, int64_t stride, int width)
{
    for (int b = 0; fresh && b < lanes; b++)
        if (fresh[b])
            memset(rows + b * stride, 0, sizeof *rows * (size_t)width);
}
/* Of a thread, for the recurrent products of a block, all gates of it; NULL where the cell has none. */
static inline float *layer_recurrent_room(const struct common *common, const struct layer *layer, int thread)
{
    size_t size = (size_t)layer->cell->recurrent_gates * common->lanes * GEMM_WIDE;
    return size > 0 ? common->scratch.recurrent + thread * size : NULL;
}

/* Parts of layer_forward and layer_backward, for engines that have steps of their own. Carried states into the place
 * before the first step, and those after the last step out of it. */
void layer_states_enter(const struct common *common, struct layer *layer);
void layer_states_leave(const struct common *common, struct layer *layer);
/* Each state before and after time t, from a lane on, at the unit where it is one of units. */
void layer_place_states(const struct common *common, const struct layer *layer, int t, int lane, int unit,
                        struct cell_step *step);
/* A block's outputs of time step t, for products: lanes [begin, end). */
void layer_store_outputs(const struct common *common, const struct layer *layer, int t, int begin, int end, int unit);
/* The gradients that a block's step has left, for products. */
void layer_settle_slots(const struct common *common, const struct layer *layer, const struct cell_step *step);

/* Each position a row of its own. */
struct layer_rows layer_positions(const struct common *common, const struct layer *layer);
/* The gradients of the layer's parameters over a node of the lane tree: overwritten. */
void layer_gradients(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                     struct lane_node node, float *grad);
/* The gradient of W_hh after the sum over ranks, in array [layout.total], through the dropout of weights of a step. */
void layer_drop_gradient(const struct common *common, const struct layer *layer, int64_t step, float *array);
/* dx[rows][in_stride], the gradient of the input. */
void layer_input_gradient(const struct common *common, const struct layer *layer, const struct layer_rows *rows,
                          float *dx);

#endif
