/* AMX: the instructions on tiles that products of bf16 use, and how tiles are configured. A test defines AMX_LOAD and
 * the others before, as a model of the registers.
 *
 * Inline assembler, because gcc 12 says less to itself than the instructions do: its _tile_loadconfig reads 8 of 64
 * bytes, its loads read no memory. Tiles need no other flag of the compiler. They ignore MXCSR. */
#ifndef UNROLL_NN_GEMM_AMX_H
#define UNROLL_NN_GEMM_AMX_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What LDTILECFG reads: of each tile register rows, and bytes of a row. */
struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

#ifndef AMX_LOAD
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(config)) : "memory")
#define AMX_CONFIGURED(config) __asm__ volatile("sttilecfg %0" : "=m"(*(config)) : : "memory")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : : "memory")
/* Rows `stride` bytes apart. */
#define AMX_LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"((int64_t)(stride)) : "memory")
#define AMX_STORE(tile, to, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(to), "r"((int64_t)(stride)) : "memory")
/* c += a b; b's rows are pairs. */
#define AMX_MULTIPLY(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")
#endif

#define AMX_ROWS 16  /* of a tile */
#define AMX_BYTES 64 /* of its row */

/* Whether the processor has tiles for bf16 and the system lets this process use them; it is asked to. Any thread may
 * ask, and any program after exec must. */
bool amx_permitted(void);

/* Two by two tiles 0 to 3 of C, 0 and 1 of `top` rows, 2 and 3 of `bottom`; 4 and 5 of A, with the same rows; 6 and 7
 * of B, whole. bottom 0: 2, 3 and 5 must not be used. Loading a configuration takes ten times as long as looking
 * whether it stands; and what stands is this thread's, whoever used tiles last. */
static inline void amx_configure(int top, int bottom)
{
    struct amx_config wanted = {.palette = 1}, standing;
    const int rows[8] = {top, top, bottom, bottom, top, bottom, AMX_ROWS, AMX_ROWS};
    for (int i = 0; i < 8; i++) {
        wanted.rows[i] = (uint8_t)rows[i];
        wanted.row_bytes[i] = rows[i] ? AMX_BYTES : 0;
    }
    AMX_CONFIGURED(&standing);
    if (memcmp(&standing, &wanted, sizeof wanted) != 0)
        AMX_CONFIGURE(&wanted);
}

#endif
