/* bf16 products in tiles by TDPBF16PS of AMX: 32 rows by a panel are two by two tiles, and each instruction takes a
 * block of 32 k. */
#include "gemm_pairs.h"

#if GEMM_UNITS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gemm_amx.h"
#include "unroll/base/tuning.h"

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM of asm/prctl.h */
#define TILE_DATA 18              /* the state component; 17 is the configuration */

bool amx_permitted(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24) || !(d & 1u << 22)) /* amx-tile, amx-bf16 */
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low >> (TILE_DATA - 1) & 3) != 3)
        return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#define CHUNK (2 * AMX_ROWS)

/* Up to CHUNK rows by one panel; `wide`: by both its halves. */
struct chunk {
    int top, bottom; /* rows */
    bool wide;
    float *c;
    int64_t c_stride; /* bytes */
};

static char *c_tile(const struct chunk *chunk, int row, int column)
{
    return (char *)chunk->c + AMX_ROWS * (row * chunk->c_stride) + column * AMX_BYTES;
}

static void start_sums(const struct chunk *chunk, bool accumulate)
{
    if (!accumulate) {
        AMX_ZERO(0);
        if (chunk->wide)
            AMX_ZERO(1);
        if (chunk->bottom)
            AMX_ZERO(2);
        if (chunk->bottom && chunk->wide)
            AMX_ZERO(3);
        return;
    }
    AMX_LOAD(0, c_tile(chunk, 0, 0), chunk->c_stride);
    if (chunk->wide)
        AMX_LOAD(1, c_tile(chunk, 0, 1), chunk->c_stride);
    if (chunk->bottom)
        AMX_LOAD(2, c_tile(chunk, 1, 0), chunk->c_stride);
    if (chunk->bottom && chunk->wide)
        AMX_LOAD(3, c_tile(chunk, 1, 1), chunk->c_stride);
}

static void end_sums(const struct chunk *chunk)
{
    AMX_STORE(0, c_tile(chunk, 0, 0), chunk->c_stride);
    if (chunk->wide)
        AMX_STORE(1, c_tile(chunk, 0, 1), chunk->c_stride);
    if (chunk->bottom)
        AMX_STORE(2, c_tile(chunk, 1, 0), chunk->c_stride);
    if (chunk->bottom && chunk->wide)
        AMX_STORE(3, c_tile(chunk, 1, 1), chunk->c_stride);
}

#define BLOCK_BYTES (GEMM_BLOCK * AMX_ROWS * 4) /* of both halves of a panel: 16 rows of 128 bytes */
#define AHEAD 4 /* blocks of a panel are fetched so much before they are used: weights often come from far */

/* The instructions on one block take 64 cycles at least, its loads half of them: there is room for these. */
static inline void fetch_block(const struct chunk *chunk, const char *panel)
{
    for (int row = 0; TUNE_PREFETCH && row < BLOCK_BYTES; row += 2 * AMX_BYTES) {
        __builtin_prefetch(panel + AHEAD * BLOCK_BYTES + row);
        if (chunk->wide)
            __builtin_prefetch(panel + AHEAD * BLOCK_BYTES + row + AMX_BYTES);
    }
}

/* One block: 32 numbers of each row by 16 rows of pairs of the panel. */
static inline void add_block(const struct chunk *chunk, const char *a, int64_t stride, const char *panel)
{
    const int64_t row = GEMM_WIDE * 4;
    fetch_block(chunk, panel);
    AMX_LOAD(6, panel, row);
    AMX_LOAD(4, a, stride);
    AMX_MULTIPLY(0, 4, 6);
    if (chunk->bottom) {
        AMX_LOAD(5, a + AMX_ROWS * stride, stride);
        AMX_MULTIPLY(2, 5, 6);
    }
    if (!chunk->wide)
        return;
    AMX_LOAD(7, panel + AMX_BYTES, row);
    AMX_MULTIPLY(1, 4, 7);
    if (chunk->bottom)
        AMX_MULTIPLY(3, 5, 7);
}

/* The first k numbers of each row, then zeros. */
static GEMM_UNIT_TARGET void copy_last(int rows, int k, const char *from, int64_t stride, char (*to)[AMX_BYTES])
{
    __mmask32 inside = (__mmask32)((1u << k) - 1);
    for (int r = 0; r < rows; r++)
        _mm512_store_si512(to[r], _mm512_maskz_loadu_epi16(inside, from + r * stride));
}

/* A last block that k does not fill is copied: what follows in A's rows is not read. */
static void add_chunk(const struct chunk *chunk, int k, struct gemm_view a, const char *panel, bool accumulate)
{
    const char *block = a.base;
    start_sums(chunk, accumulate);
    for (; k >= GEMM_BLOCK; k -= GEMM_BLOCK, block += a.block, panel += BLOCK_BYTES)
        add_block(chunk, block, a.stride, panel);
    if (k > 0) {
        char last[CHUNK][AMX_BYTES] __attribute__((aligned(64)));
        copy_last(chunk->top + chunk->bottom, k, block, a.stride, last);
        add_block(chunk, last[0], AMX_BYTES, panel);
    }
    end_sums(chunk);
}

/* An instruction takes as long whatever the rows of its tiles, and a new configuration longer still: rows in chunks of
 * equal height, of each as many as fit in the first tile. */
static void multiply(int rows, int k, struct gemm_view a, const void *panels, size_t apart, int n, bool accumulate,
                     float *c, int64_t ldc)
{
    int chunks = (rows + CHUNK - 1) / CHUNK, height = chunks ? (rows + chunks - 1) / chunks : 0;
    for (int begin = 0; begin < rows; begin += height) {
        int count = rows - begin < height ? rows - begin : height, top = count < AMX_ROWS ? count : AMX_ROWS;
        struct gemm_view part = {(const char *)a.base + begin * a.stride, a.stride, a.block};
        amx_configure(top, count - top);
        for (int p = 0; p * GEMM_WIDE < n; p++) {
            struct chunk chunk = {top, count - top, n - p * GEMM_WIDE > GEMM_WIDE / 2, c + begin * ldc + p * GEMM_WIDE,
                                  ldc * (int64_t)sizeof *c};
            add_chunk(&chunk, k, part, (const char *)panels + p * apart, accumulate);
        }
    }
}

const struct gemm_kind gemm_tile_amx = {.unit = "AMX", GEMM_PAIRS, .multiply = multiply, .tiles = &gemm_tiles_amx};
#endif
