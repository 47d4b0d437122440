/* x = keep x + 0, again and again, as an optimizer's means fall where the gradient is zero: the bits of so many float32
 * multiplications, subnormals included, at the speed of multiplications of normal numbers in registers. */
#ifndef UNROLL_SRC_TRAIN_OPTIMIZER_DECAY_H
#define UNROLL_SRC_TRAIN_OPTIMIZER_DECAY_H

struct decay {
    float keep;       /* 0 to 1 */
    double a_halving; /* after fewer multiplications than these a number is more than half of what it was */
};

struct decay decay_of(float keep);

/* `count`: a multiple of 16; x is 64-byte aligned. */
void decay_apply(const struct decay *decay, float *x, int count, int times);

/* x = factor[t] x for t = 0, 1, ..., `times` of them. */
void decay_by_each(const float *factor, float *x, int count, int times);

#endif
