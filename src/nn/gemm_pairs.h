/* Panels of pairs, for units that multiply bf16 numbers: [k / 2][GEMM_WIDE] pairs of 32 bits, the number of the even k
 * in the lower half. */
#ifndef UNROLL_NN_GEMM_PAIRS_H
#define UNROLL_NN_GEMM_PAIRS_H

#include "gemm_private.h"

/* Where the units can be used: panels are as wide as two registers of AVX-512. What the processor has is asked when the
 * program runs, so any build for AVX-512 holds the code. */
#if defined __x86_64__ && defined __AVX512F__
#define GEMM_UNITS 1
#define GEMM_UNIT_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

/* Pairs of 16 columns of two rows. */
static inline __m512i gemm_pairs_of(const uint16_t *even, const uint16_t *odd)
{
    __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)even));
    __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
#else
#define GEMM_UNITS 0
#endif

/* struct gemm_kind's pack, by AVX512_BF16. */
void gemm_pairs_pack(const struct gemm_weights *weights, int first, int k, int panel, void *to);

#define GEMM_PAIRS                                                                                                  \
    .number_bytes = sizeof(uint16_t), .row_bytes = GEMM_WIDE * sizeof(uint16_t), .rows = GEMM_BLOCK, .whole = true, \
    .pack = gemm_pairs_pack

#endif
