/* Rows of bfloat16 numbers. */
#include "unroll/base/bf16.h"

#include "unroll/base/vmath.h"

typedef uint32_t words __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));
typedef uint16_t halves __attribute__((vector_size(2 * VLEN), may_alias, aligned(2)));
typedef float floats __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

static inline halves round_vector(words bits)
{
#if defined __AVX512BF16__ && defined __AVX512VL__
    return (halves)_mm512_cvtneps_pbh((__m512)bits);
#else
    words size = bits & 0x7fffffffu, upper = bits >> 16;
    words rounded = (bits + 0x7fffu + (upper & 1)) >> 16;
    words tiny = (words)(size < 0x00800000u), nan = (words)(size > 0x7f800000u);
    rounded = (nan & (upper | 0x40u)) | (~nan & rounded);
    rounded = (tiny & (upper & 0x8000u)) | (~tiny & rounded);
    return __builtin_convertvector(rounded, halves);
#endif
}

static inline floats expand_vector(halves x)
{
    return (floats)(__builtin_convertvector(x, words) << 16);
}

void bf16_round_row(const float *from, int n, uint16_t *to)
{
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        *(halves *)(to + i) = round_vector(*(const words *)(from + i));
    for (; i < n; i++)
        to[i] = bf16_round(from[i]);
}

void bf16_expand_row(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        *(floats *)(to + i) = expand_vector(*(const halves *)(from + i));
    for (; i < n; i++)
        to[i] = bf16_expand(from[i]);
}

void bf16_add_row(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        *(floats *)(to + i) += expand_vector(*(const halves *)(from + i));
    for (; i < n; i++)
        to[i] += bf16_expand(from[i]);
}
