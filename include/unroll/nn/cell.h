/* THE table of cells. A cell is one row here and one file, src/nn/cell_*.c, which says all that is known of it. Nothing else names
 * a cell: others ask its kind. */
#ifndef UNROLL_NN_CELL_H
#define UNROLL_NN_CELL_H

#include <stdbool.h>

#include "unroll/base/status.h"

/* row(NUMBER, kind): the number is CELL_NUMBER, and the kind lies in cell_kind_kind. */
#define CELL_TABLE(row) row(RNN_TANH, rnn_tanh) row(RNN_RELU, rnn_relu) row(LSTM, lstm) row(GRU, gru)

#define CELL_NUMBER(number, kind) CELL_##number,
enum cell { CELL_TABLE(CELL_NUMBER) };
#undef CELL_NUMBER

#define CELL_ONE(number, kind) +1
#define CELLS (0 CELL_TABLE(CELL_ONE)) /* how many there are */

struct cell_step;

/* How a cell uses the machinery of layer.c. `slots` numbers per hidden unit are kept from forward to backward; after
 * backward, slot input_slot[g] holds the gradient of gate g's input projection and hidden_slot[g] that of its recurrent
 * product. */
struct cell_kind {
    const char *name; /* of --cell, and in files: "lstm" */
    int gates;        /* G: rows of weight_ih are blocks of H, one for each gate */
    int slots;
    int input_slot[4], hidden_slot[4];
    int biases; /* rows of the bias array */
    bool has_c;
    void (*forward)(const struct cell_step *step);
    void (*backward)(const struct cell_step *step);
    /* combines b_ih [G*H] and b_hh [G*H] into bias [biases][stride] */
    void (*bias)(int H, const float *b_ih, const float *b_hh, int stride, float *bias);
};

#define CELL_KIND(number, kind) extern const struct cell_kind cell_kind_##kind;
CELL_TABLE(CELL_KIND)
#undef CELL_KIND

const struct cell_kind *cell_kind(enum cell cell); /* 0 <= cell < CELLS */
const char *cell_name(enum cell cell);
enum status cell_parse(const char *name, enum cell *cell, struct error *e);
int cell_gates(enum cell cell);

#endif
