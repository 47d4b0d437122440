/* Random numbers as a pure function of where they are used: Philox4x32-10 (Salmon et al., SC11; the Random123
 * library). There is no generator state: the same (seed, what, step, lane, time, unit) gives the same bits on any
 * rank or thread. */
#ifndef UNROLL_BASE_RNG_H
#define UNROLL_BASE_RNG_H

#include <stdint.h>

/* What a number is for: keeps the streams apart. Values are part of the bit-identity promise: never renumber. */
enum rng_what {
    RNG_INIT = 1,            /* initial weights: step = index of the tensor, unit = element / 4 */
    RNG_DROPOUT = 2,         /* step, lane, time, unit; `site` adds to `what` (see nn/dropout.h) */
    RNG_DROPPED_STATE = 16,  /* step, lane, unit / 8; the layer adds to `what` (16 to 23; see nn/dropout.h) */
    RNG_DROPPED_WEIGHT = 32, /* step, lane = row, unit = column / 8; the layer adds to `what` (32 to 39) */
    RNG_DROPPED_WORD = 48,   /* step, unit = token / 8 */
    RNG_SAMPLE = 64,         /* text generation: lane = index of the text, step = token */
    RNG_BENCH = 65,          /* made-up tokens */
    RNG_TEST = 66,           /* tests */
    RNG_SHUFFLE = 67, /* order of labelled texts: step = epoch, lane = text; of their batches: lane = batch, time = 1 */
    RNG_WORDS = 68,   /* words read as <unk>: step = epoch, lane = text, unit = position / 4 */
    RNG_SAMPLES =
        69, /* samples of an output layer: step; lane 0: unit = try / 2; 1: unit = id / 2; 2: unit = place / 2 */
    RNG_WINDOWS = 70, /* lengths of windows: step = epoch, lane and unit = window % 2^32 and window / 2^32 */
};

struct rng_bits {
    uint32_t word[4];
};

/* `what` < 65536 and `time` < 65536 share one counter word. */
struct rng_bits rng_philox(uint64_t seed, uint32_t what, uint32_t step, uint32_t lane, uint32_t time, uint32_t unit);

/* Uniform in [0, 1): the upper 24 (float) or 53 (double, from two words) bits. */
float rng_uniform_float(uint32_t word);
double rng_uniform_double(uint32_t high, uint32_t low);

#endif
