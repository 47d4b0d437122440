/* What a cell's file has in hand: a step of the fast path, a step of the reference, the start of its parameters. */
#ifndef UNROLL_NN_CELL_PRIVATE_H
#define UNROLL_NN_CELL_PRIVATE_H

#include <math.h>

#include "unroll/base/rng.h"
#include "unroll/nn/gemm.h"
#include "unroll/nn/param.h"

/* One time step of one cell over a block of GEMM_WIDE hidden units: the point-wise part, between matrix products.
 * Rows are lanes; pointers stand at the block's first unit. */
struct cell_step {
    int lanes;
    const float
        *recurrent; /* [R][lanes][GEMM_WIDE] forward: h_(t-1) W_hh^T; backward: [lanes][GEMM_WIDE]; NULL: none */
    const float *projection; /* forward: x_t W_ih^T; row of lane b: projection + index[b] * projection_stride */
    const int32_t *index;    /* NULL: row b */
    int64_t projection_stride;
    int time_rows;    /* forward: so many rows before lie the same lane's of the step before, unless t is the first */
    int input_blocks; /* of weight_ih, in this layer */
    int unit, H;      /* the block's first unit, and how many the layer has */
    int slot_stride;  /* from one gate or slot to the next inside a row of `slots` and `projection` */
    float *slots;     /* [lanes] rows of stride slots_stride: activations; backward turns them to gradients */
    int64_t slots_stride;
    const float *bias; /* [gates or more][slot_stride], then the further vectors */
    /* Each state after and before the step: [lanes] rows of stride state_stride. One that is not H wide stands at
     * its row's beginning. */
    float *state[CELL_STATES_MAX];
    const float *before[CELL_STATES_MAX];
    int64_t state_stride[CELL_STATES_MAX];
    const float *dout;    /* backward: dL/dh_t from above, rows of stride state_stride[0] */
    float *carry;         /* backward: what flows to t-1 besides the matrix product (dc for lstm), same stride */
    bool first, last;     /* of the window's steps; backward, last: recurrent and carry hold nothing yet */
    const uint8_t *fresh; /* [lanes] 1: the state before this step is zero, whatever `before` holds; NULL: nowhere */
};

#define CELL_H 0 /* every cell's first state */

/* The block of state s (H wide) that lane b starts the step from. */
static inline const float *cell_state_before(const struct cell_step *step, int s, int b)
{
    static const float zeros[GEMM_WIDE] __attribute__((aligned(64)));
    return step->fresh && step->fresh[b] ? zeros : step->before[s] + b * step->state_stride[s];
}

/* bias[g] = b_ih[g] + b_hh[g] for all gates: cells whose two biases are only ever added. */
void cell_bias_sum(int gates, int H, const float *b_ih, const float *b_hh, int stride, float *bias);

/* The gradient of h: what comes from above, through the next step's products, and past them. cell_kind.flow of cells
 * that carry h alone. */
void cell_flow_output(const struct cell_step *step, int b, int begin, int end, double *squares);
/* Of cells whose output is a gate, in slot `gate`, times state c, and reaches no other step: h, and c, past whose step
 * the carry comes. */
void cell_flow_gated(const struct cell_step *step, int gate, int c, int b, int begin, int end, double *squares);
/* 1 - tanh(x)^2, without the loss of digits where tanh is near one. */
double cell_tanh_slope(double x);

/* One step of one layer of one lane in double precision. G*H numbers are G blocks of H in the order of the gates, I*H
 * numbers those of weight_ih. */
struct reference_step {
    int input_blocks;               /* I, of this layer */
    double *from_input;             /* [I*H] W_ih x + b_ih */
    double *from_state;             /* [R*H] W_hh h_prev + b_hh */
    double *gate;                   /* [G*H] the gates after their sigmoid, tanh or relu */
    const double *vectors;          /* the first of the further tensors; NULL: none */
    double *d_vectors;              /* backward: its gradient, to be added to */
    double *state[CELL_STATES_MAX]; /* after the step; reference_forward fills them and `gate` */
    double *before[CELL_STATES_MAX];
};

static inline double reference_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* A parameter of a layer that is to start. */
struct cell_start {
    const struct model_config *config;
    const struct param *param;
    enum init init;
    uint64_t seed;
    int tensor; /* its place in the table: a number of its own for the random bits */
};

/* The four words of its elements 4*block .. 4*block+3. */
struct rng_bits cell_start_bits(const struct cell_start *start, size_t block);
/* Under INIT_ORTHOGONAL, which begins with all biases zero, bias_ih has 1 at the forget gate (sources in init.c): true
 * if x is filled. Of cells with so many gates. */
bool cell_start_forget(const struct cell_start *start, int gates, int forget, float *x);
/* Uniform in +-bound. */
void cell_start_uniform(const struct cell_start *start, double bound, float *x);

#endif
