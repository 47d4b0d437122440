/* Rows of bfloat16 numbers. */
#include "unroll/base/bf16.h"

#include "unroll/base/vmath.h"

typedef uint32_t words __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));
typedef uint16_t halves __attribute__((vector_size(2 * VLEN), may_alias, aligned(2)));
typedef float floats __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

#if !(defined __AVX512BF16__ && defined __AVX512VL__)
BF16_ROUNDING(round_words, words)
#endif

static inline halves round_vector(words bits)
{
#if defined __AVX512BF16__ && defined __AVX512VL__
    return (halves)_mm512_cvtneps_pbh((__m512)bits);
#else
    return __builtin_convertvector(round_words(bits) >> 16, halves);
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

void bf16_add_row(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        *(floats *)(to + i) += expand_vector(*(const halves *)(from + i));
    for (; i < n; i++)
        to[i] += bf16_expand(from[i]);
}
