/* THE table of cells. A cell is one row here and one file, src/nn/cell_*.c, which says all that is known of it.
 * Nothing else names a cell: others ask its kind. */
#ifndef UNROLL_NN_CELL_H
#define UNROLL_NN_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unroll/base/choice.h"
#include "unroll/base/status.h"

/* row(NUMBER, kind): the number is CELL_NUMBER, and the kind lies in cell_kind_kind. Tables and messages name cells
 * in this order. */
/* clang-format off */
#define CELL_TABLE(row) \
    row(RNN_TANH, rnn_tanh) \
    row(RNN_RELU, rnn_relu) \
    row(LSTM, lstm) \
    row(GRU, gru) \
    row(MINGRU, mingru) \
    row(QRNN, qrnn) \
    row(SRU, sru) \
    row(MOGRIFIER, mogrifier)

/* clang-format on */

#define CELL_NUMBER(number, kind) CELL_##number,
enum cell { CELL_TABLE(CELL_NUMBER) };
#undef CELL_NUMBER

#define CELL_ONE(number, kind) +1
enum { CELLS = CELL_TABLE(CELL_ONE) }; /* how many there are */
#undef CELL_ONE

#define CELL_BLOCKS_MAX 6 /* of weight_ih, in any layer */
#define CELL_STATES_MAX 4

#define CELL_TENSORS_MAX 16 /* of a layer */

struct cell_step;
struct reference_step;
struct cell_start;
struct model_config;

/* A trained tensor that a layer of the cell has besides weights and biases of its gates. */
struct cell_tensor {
    char name[24];         /* "weight_c" is called "rnn.weight_c_l0" in the first layer */
    int64_t rows, columns; /* columns 0: a vector */
    double bound;          /* it starts uniform in +-bound */
};

/* What a layer hands on from step to step, for each lane. */
struct cell_state {
    char letter;                     /* 'h' is called "h_l0" in the first layer; 0: the cell has no more states */
    int (*width)(int H, int inputs); /* numbers of a lane, of a layer with so many inputs; NULL: H */
    bool first;                      /* only the first layer has it; then it is the cell's last one */
    bool edges; /* cells read it before a window's first step, and write it after the last one, and no more */
};

/* What a cell is, and how it uses the machinery of layer.c. `slots` numbers per hidden unit are kept from forward to
 * backward; after backward, slot input_slot[g] holds the gradient of the input's projection by block g and
 * recurrent_slot[g] that of gate g's recurrent product. */
struct cell_kind {
    const char *name;         /* of --cell, and in files: "lstm" */
    const char *torch;        /* its module in PyTorch's torch.nn, "LSTM"; NULL: it has none */
    const char *torch_option; /* an argument that the module needs; NULL: none */
    int gates;                /* G: rows of weight_ih and bias_ih are blocks of H, one for each gate */
    int first_blocks; /* so many more has weight_ih in the first layer, behind those, each with a slot behind the others
                       */
    int recurrent_gates; /* R: those of weight_hh and bias_hh, the first of the gates; 0: it has neither */
    struct cell_state state[CELL_STATES_MAX]; /* the first is h, its output, H wide */
    int slots;
    int vectors; /* further tensors that are vectors hold so many times H numbers: for each H of them the bias array has
                    a row behind the others, and there is a slot behind the others whose sum is their gradient */
    int input_slot[CELL_BLOCKS_MAX], recurrent_slot[CELL_BLOCKS_MAX];
    int biases; /* rows of the bias array */

    /* The fast path, see cell_private.h. */
    void (*forward)(const struct cell_step *step);
    void (*backward)(const struct cell_step *step);
    /* combines b_ih [G*H] and b_hh [R*H] into bias [biases][stride]; NULL: bias is b_ih, there being no b_hh */
    void (*bias)(int H, const float *b_ih, const float *b_hh, int stride, float *bias);
    /* Before backward: adds to squares [states], for units [begin, end) of the block and lane b, the squares of the
     * total derivatives of the loss with respect to each state after the step. NULL: cell_flow_output. */
    void (*flow)(const struct cell_step *step, int b, int begin, int end, double *squares);

    /* The same in double precision, straight from the formulas, for one lane. */
    void (*reference_forward)(int H, const struct reference_step *step);
    /* d[s]: the gradient of state s after the step becomes what reaches that before it, not through the recurrent
     * product. Fills d_from_input, a block for each of weight_ih's, and d_from_state [R*H]. */
    void (*reference_backward)(int H, const struct reference_step *step, double *const *d, double *d_from_input,
                               double *d_from_state);
    /* h of a unit, anew from the cell's other states; NULL: it does not follow from them */
    double (*reference_output)(int H, const struct reference_step *step, int unit);
    bool rounds; /* its input and h gate one another before the step (config.mogrify): products of the input are inside
                    the loop over time */
    bool kinks;  /* derivatives jump where from_input + from_state is zero */

    /* How a layer's parameter starts where init.c's rule for all cells does not hold: true if x is filled. NULL: it
     * always holds. */
    bool (*start)(const struct cell_start *start, float *x);

    /* The further tensors of layer l; returns how many. NULL: none. */
    int (*tensors)(const struct model_config *config, int l, struct cell_tensor list[CELL_TENSORS_MAX]);

    int trial_pool; /* enum pool: that of its classifier in the self-test, part of a digest of record */
};

#define CELL_KIND(number, kind) extern const struct cell_kind cell_kind_##kind;
CELL_TABLE(CELL_KIND)
#undef CELL_KIND

extern const struct choices cell_choices;
const struct cell_kind *cell_kind(enum cell cell); /* 0 <= cell < CELLS */
const char *cell_name(enum cell cell);
/* STATUS_CONFIG with all names if there is none. */
enum status cell_parse(const char *name, enum cell *cell, struct error *e);
/* For help, into `room` [CHOICES_TEXT], which is returned: the cells that have rounds, whose options "mogrify" and
 * "mogrify-rank" are; "none" where the program has no such cell. */
const char *cell_words(const char *option, char *room);
int cell_gates(enum cell cell);
int cell_input_blocks(const struct cell_kind *kind, int layer); /* of weight_ih */
int cell_slots(const struct cell_kind *kind, int layer);
int cell_states(const struct cell_kind *kind, int layer); /* how many a layer carries */
int cell_state_width(const struct cell_kind *kind, int state, int H, int inputs);

#endif
