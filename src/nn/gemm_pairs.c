/* Packs panels of pairs. */
#include <string.h>

#include "gemm_pairs.h"

#if GEMM_UNITS
#include "gemm_transpose.h"

static __mmask16 first_of(int n)
{
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

/* Two rows of W side by side: pair j is made of number j of each. */
static GEMM_UNIT_TARGET void pack_straight(const float *w, int64_t ldw, int k, int columns, uint32_t *panel)
{
    static const uint16_t order[32]
        __attribute__((aligned(64))) = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i interleave = _mm512_load_si512(order);
    for (int i = 0; i < k; i += 2, w += 2 * ldw, panel += GEMM_WIDE)
        for (int j = 0; j < GEMM_WIDE; j += 16) {
            __mmask16 inside = first_of(columns - j);
            __m512 even = _mm512_maskz_loadu_ps(inside, w + j);
            __m512 odd = _mm512_maskz_loadu_ps(i + 1 < k ? inside : 0, w + ldw + j);
            __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
            _mm512_store_si512(panel + j, _mm512_permutexvar_epi16(interleave, both));
        }
}

/* W's rows are the panel's columns: their pairs stand together already. */
static GEMM_UNIT_TARGET void pack_transposed(const float *w, int64_t ldw, int k, int columns, uint32_t *panel)
{
    for (int i = 0; i < k; i += 16, w += 16, panel += 8 * GEMM_WIDE)
        for (int j = 0; j < GEMM_WIDE; j += 8) {
            gemm_octet column[8];
            for (int l = 0; l < 8; l++) {
                __mmask16 inside = j + l < columns ? first_of(k - i) : 0;
                column[l] =
                    (gemm_octet)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(inside, inside ? w + (j + l) * ldw : w));
            }
            gemm_transpose_octets(column, panel + j);
        }
}

void gemm_pairs_pack(const struct gemm_weights *weights, int first, int k, int panel, void *to)
{
    int64_t column = panel * GEMM_WIDE, ldw = weights->ldw;
    int columns = weights->n - (int)column, written;
    if (weights->transposed) {
        pack_transposed(weights->w + column * ldw + first, ldw, k, columns, to);
        written = (k + 15) / 16 * 8;
    } else {
        pack_straight(weights->w + first * ldw + column, ldw, k, columns, to);
        written = (k + 1) / 2;
    }
    int padded = (k + GEMM_BLOCK - 1) / GEMM_BLOCK * GEMM_BLOCK / 2;
    memset((uint32_t *)to + written * GEMM_WIDE, 0, sizeof(uint32_t) * (size_t)((padded - written) * GEMM_WIDE));
}
#endif
