/* Products of single rows, piece by piece: numbers of bf16 are expanded to float32 on the way. */
#include "row_products.h"

#include "unroll/base/bf16.h"

#define PIECE 256 /* numbers of a row at once */

typedef float floats __attribute__((vector_size(4 * VLEN), may_alias, aligned(4)));

/* n numbers of a row of weights as products read them: rounded to bf16 where they are of bf16. */
static const float *piece_of_weights(const struct gemm *gemm, const float *w, int n, float *room)
{
    uint16_t rounded[PIECE];
    if (gemm_number_bytes(gemm) == sizeof *w)
        return w;
    bf16_round_row(w, n, rounded);
    for (int i = 0; i < n; i++)
        room[i] = bf16_expand(rounded[i]);
    return room;
}

/* The same of a dense row from number `first` on. */
static const float *piece_of_row(const struct gemm *gemm, const void *row, int first, int n, float *room)
{
    if (gemm_number_bytes(gemm) == sizeof *room)
        return (const float *)row + first;
    const uint16_t *numbers = (const uint16_t *)row + first;
    for (int i = 0; i < n; i++)
        room[i] = bf16_expand(numbers[i]);
    return room;
}

float row_rounded(const struct gemm *gemm, float x)
{
    return gemm_number_bytes(gemm) == sizeof x ? x : bf16_expand(bf16_round(x));
}

float row_dot(const struct gemm *gemm, const void *y, const float *w, int n)
{
    vfloat chain[VCHAINS] = {{0}};
    float room[2][PIECE];
    for (int first = 0; first < n; first += PIECE) {
        int count = n - first < PIECE ? n - first : PIECE, k = 0;
        const float *a = piece_of_row(gemm, y, first, count, room[0]);
        const float *b = piece_of_weights(gemm, w + first, count, room[1]);
        for (; k + VPAD <= count; k += VPAD)
            for (int i = 0; i < VCHAINS; i++)
                chain[i] = vfma((vfloat) * (const floats *)(a + k + i * VLEN),
                                (vfloat) * (const floats *)(b + k + i * VLEN), chain[i]);
        for (int i = 0; k + i < count; i++)
            chain[i / VLEN][i % VLEN] = __builtin_fmaf(a[k + i], b[k + i], chain[i / VLEN][i % VLEN]);
    }
    return vsum_chains(chain);
}

void row_add_weights(const struct gemm *gemm, float d, const float *w, int n, float *to)
{
    float room[PIECE];
    for (int first = 0; first < n; first += PIECE) {
        int count = n - first < PIECE ? n - first : PIECE;
        const float *b = piece_of_weights(gemm, w + first, count, room);
#pragma omp simd
        for (int k = 0; k < count; k++)
            to[first + k] = __builtin_fmaf(d, b[k], to[first + k]);
    }
}

void row_scale(const struct gemm *gemm, float d, const void *y, int n, float *to)
{
    float room[PIECE];
    for (int first = 0; first < n; first += PIECE) {
        int count = n - first < PIECE ? n - first : PIECE;
        const float *a = piece_of_row(gemm, y, first, count, room);
#pragma omp simd
        for (int k = 0; k < count; k++)
            to[first + k] = d * a[k];
    }
}
