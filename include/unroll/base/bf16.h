/* bfloat16: the upper half of a float32. And what `--precision bf16` rounds to it, where:
 *
 * - weights, when they are packed into panels: once per update;
 * - activations that products read (rows of the embedding, outputs of layers, pooled rows of a classifier), after
 *   dropout, as they are stored for the products;
 * - gradients of gates and of logits, in place, when a time step or a row has computed them: products, sums of biases
 *   and merged gradients of equal tokens all read the rounded numbers; a merged sum is rounded again.
 *
 * All else stays float32: sums, states, gates, softmax, losses, gradients of activations and of weights, updates, and
 * the parameters themselves. There is no scaling of losses: bf16 has float32's range.
 *
 * Rounding is to nearest even; a subnormal float32 becomes a zero of its sign first, a NaN becomes quiet and keeps its
 * upper bits, and what rounds beyond the largest number becomes infinite: as VCVTNEPS2BF16 does. */
#ifndef UNROLL_BASE_BF16_H
#define UNROLL_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bf16_round(float x)
{
    uint32_t bits, size;
    memcpy(&bits, &x, sizeof bits);
    size = bits & 0x7fffffffu;
    if (size < 0x00800000u)
        return (uint16_t)(bits >> 16 & 0x8000u);
    if (size > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float bf16_expand(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* Defines a function that rounds a vector of floats, seen as words: `type` is a vector of uint32_t. bf16_round is in
 * the upper half of each word, the lower is zero. */
#define BF16_ROUNDING(name, type)                                                    \
    static inline type name(type bits)                                               \
    {                                                                                \
        type size = bits & 0x7fffffffu, rounded = bits + 0x7fffu + (bits >> 16 & 1); \
        type tiny = (type)(size < 0x00800000u), nan = (type)(size > 0x7f800000u);    \
        rounded = (nan & (bits | 0x400000u)) | (~nan & rounded);                     \
        return (rounded & 0xffff0000u & ~tiny) | (bits & 0x80000000u);               \
    }

/* n numbers; `to` may be where `from` is, for the rounded ones take half the room. */
void bf16_round_row(const float *from, int n, uint16_t *to);
/* to[i] += from[i]. */
void bf16_add_row(const uint16_t *from, int n, float *to);

#endif
