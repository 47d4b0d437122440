/* Tiles of weight gradients in tile order by AMX. Panels of both sides have 32 columns; 32 rows of a panel are two
 * tiles of 1 KiB, of 16 columns each. On the narrow side a row of a tile is a column of the panel: 32 rows' numbers of
 * it. On the wide side a row of a tile is two rows of the panel, whose numbers stand in pairs. */
#include <string.h>

#include "gemm_gradient_private.h"
#include "gemm_pairs.h"

#if GEMM_UNITS
#include "gemm_amx.h"

#define SIDE 32 /* columns of a panel */
#define TILE_BYTES (AMX_ROWS * AMX_BYTES)
#define BLOCK_BYTES (2 * TILE_BYTES)

/* ---- packing ---- */

/* to[j][i] = row[i][j], 16 x 16 pairs. */
static inline void store_transposed(const __m512i row[16], char *to)
{
    __m512i two[16], four[16]; /* four[4 i + j] holds columns j, j + 4, ... of rows 4 i to 4 i + 3 */
    for (int i = 0; i < 16; i += 2) {
        two[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        two[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            four[i + 2 * j] = _mm512_unpacklo_epi64(two[i + j], two[i + j + 2]);
            four[i + 2 * j + 1] = _mm512_unpackhi_epi64(two[i + j], two[i + j + 2]);
        }
    for (int j = 0; j < 4; j++) {
        __m512i upper_even = _mm512_shuffle_i32x4(four[j], four[4 + j], 0x88);
        __m512i upper_odd = _mm512_shuffle_i32x4(four[j], four[4 + j], 0xdd);
        __m512i lower_even = _mm512_shuffle_i32x4(four[8 + j], four[12 + j], 0x88);
        __m512i lower_odd = _mm512_shuffle_i32x4(four[8 + j], four[12 + j], 0xdd);
        char *place = to + j * AMX_BYTES;
        _mm512_storeu_si512(place, _mm512_shuffle_i32x4(upper_even, lower_even, 0x88));
        _mm512_storeu_si512(place + 4 * AMX_BYTES, _mm512_shuffle_i32x4(upper_odd, lower_odd, 0x88));
        _mm512_storeu_si512(place + 8 * AMX_BYTES, _mm512_shuffle_i32x4(upper_even, lower_even, 0xdd));
        _mm512_storeu_si512(place + 12 * AMX_BYTES, _mm512_shuffle_i32x4(upper_odd, lower_odd, 0xdd));
    }
}

static void pack(const uint16_t *from, int64_t stride, int rows, bool narrow, int first, void *panel)
{
    char *to = (char *)panel + (size_t)first / GEMM_BLOCK * BLOCK_BYTES;
    for (int row = 0; row < rows; row += GEMM_BLOCK, from += GEMM_BLOCK * stride)
        for (int half = 0; half < 2; half++, to += TILE_BYTES) {
            __m512i pairs[AMX_ROWS];
            for (int i = 0; i < AMX_ROWS; i++)
                pairs[i] = gemm_pairs_of(from + 2 * i * stride + 16 * half, from + (2 * i + 1) * stride + 16 * half);
            for (int i = 0; !narrow && i < AMX_ROWS; i++)
                _mm512_storeu_si512(to + i * AMX_BYTES, pairs[i]);
            if (narrow)
                store_transposed(pairs, to);
        }
}

static void clear(const struct gemm *gemm, int row, bool narrow, void *panel)
{
    (void)gemm;
    char *block = (char *)panel + (size_t)row / GEMM_BLOCK * BLOCK_BYTES;
    row %= GEMM_BLOCK;
    for (int j = 0; j < SIDE; j++) {
        int up = narrow ? j % 16 : row / 2, along = narrow ? row : 2 * (j % 16) + row % 2;
        memset(block + j / 16 * TILE_BYTES + up * AMX_BYTES + along * 2, 0, sizeof(uint16_t));
    }
}

/* ---- sums ---- */

/* C in tiles 0 to 3; columns of A in 4 and 5, of B in 6 and 7. */
static void multiply(const struct gemm *gemm, int k, const void *narrow, const void *wide, bool accumulate, float *c)
{
    (void)gemm;
    const char *a = narrow, *b = wide;
    const int64_t row = AMX_BYTES, c_row = SIDE * sizeof *c;
    amx_configure(AMX_ROWS, AMX_ROWS);
    if (!accumulate)
        memset(c, 0, sizeof *c * SIDE * SIDE);
    AMX_LOAD(0, c, c_row);
    AMX_LOAD(1, c + 16, c_row);
    AMX_LOAD(2, c + 16 * SIDE, c_row);
    AMX_LOAD(3, c + 16 * SIDE + 16, c_row);
    for (int i = 0; i < k; i += GEMM_BLOCK, a += BLOCK_BYTES, b += BLOCK_BYTES) {
        AMX_LOAD(4, a, row);
        AMX_LOAD(6, b, row);
        AMX_MULTIPLY(0, 4, 6);
        AMX_LOAD(7, b + TILE_BYTES, row);
        AMX_MULTIPLY(1, 4, 7);
        AMX_LOAD(5, a + TILE_BYTES, row);
        AMX_MULTIPLY(2, 5, 6);
        AMX_MULTIPLY(3, 5, 7);
    }
    AMX_STORE(0, c, c_row);
    AMX_STORE(1, c + 16, c_row);
    AMX_STORE(2, c + 16 * SIDE, c_row);
    AMX_STORE(3, c + 16 * SIDE + 16, c_row);
}

const struct gemm_tiles gemm_tiles_amx = {.narrow = SIDE,
                                          .wide = SIDE,
                                          .number_bytes = sizeof(uint16_t),
                                          .rows = GEMM_BLOCK,
                                          .pack = pack,
                                          .clear = clear,
                                          .multiply = multiply};
#endif
