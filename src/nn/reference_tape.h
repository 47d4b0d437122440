/* What the reference keeps of a window of one lane: the tensors of its arrays by name, and the tape, all that the
 * forward pass leaves for the backward pass. */
#ifndef UNROLL_NN_REFERENCE_TAPE_H
#define UNROLL_NN_REFERENCE_TAPE_H

#include "cell_private.h"
#include "unroll/nn/output.h"
#include "unroll/nn/reference.h"

/* The tensors of one array in the layout of the table: values, or gradients. */
struct tensors {
    double *encoder; /* [V][E] */
    struct {
        double *weight_ih;                 /* [I*H][E or H], I blocks in the order of the cell */
        double *weight_hh;                 /* [R*H][H], NULL if the cell has none, as bias_hh */
        double *bias_ih, *bias_hh;         /* [G*H], [R*H] */
        double *further[CELL_TENSORS_MAX]; /* its cell's further tensors; [0] is NULL if it has none */
    } layer[MODEL_LAYERS_MAX];
};

/* Everything a window of one lane leaves for the backward pass. */
struct tape {
    const struct cell_kind *cell;
    const struct output_kind *output;
    int T, L, E;
    int H, GH, RH;                      /* of the widest layer: strides */
    int IH;                             /* the same; of the first layer, which has most */
    int states, width[CELL_STATES_MAX]; /* of the cell; the widest layer's */
    double *input;                      /* [L+1][T][max(E,H)] input of each layer and of the decoder, after dropout */
    double *mask;                       /* like input: what dropout multiplied it with */
    double *from_input, *from_state, *gate; /* [L][T][IH], [L][T][RH], [L][T][GH] */
    double *state[CELL_STATES_MAX];         /* [L][T+1][width], the first of each layer being the carried state */
    double *zero[CELL_STATES_MAX];          /* [width] */
    size_t rounds_size;                     /* of a step's rounds, in the widest layer */
    double *rounds;                         /* [L][T][rounds_size] */
    bool *fresh;                            /* [T] this lane's state is zero before the step */
    double *output_work;                    /* of the output layer */
    double *d_output;                       /* [T][H] of the top layer's outputs, but for what comes through dropout */
    double *d_input; /* [T][max(E,H)] gradient of the input of the layer above, then of the layer at hand */
    double *d_state[CELL_STATES_MAX];    /* [width] of one step */
    double *d_from_input, *d_from_state; /* [IH], [RH] of one step */
    double *state_mask;                  /* [L][H] what the states that W_hh reads are multiplied with */
    double *read, *d_read;               /* [H] what it reads in one step, and its gradient */
    double *dropped_weights;             /* [L][RH][H] W_hh through its dropout */
    float *mask_float;                   /* [max(E,H)] */
    void *block, *float_block, *fresh_block;
};

/* `array` holds values, or with `gradient` gradients, in the layout of the table. */
void tensors_bind(const struct reference *reference, double *array, bool gradient, struct tensors *w);

/* For a window of T steps. STATUS_OS, after which it is still to be released. */
enum status tape_create(const struct reference *reference, int T, struct tape *tape, struct error *e);
void tape_release(struct tape *tape);

/* From one row of `input` or `mask` to the next. */
size_t tape_width(const struct tape *tape);
double *tape_input(const struct tape *tape, int layer, int time);
double *tape_mask(const struct tape *tape, int layer, int time);
/* A step of a layer, with the states as they are carried. */
struct reference_step tape_step(const struct tape *tape, int layer, int time);
/* The same as the cell sees it: with an empty state where a sentence begins. */
struct reference_step tape_cell_step(const struct tape *tape, int layer, int time);

#endif
