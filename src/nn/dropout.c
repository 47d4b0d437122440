/* Masks of inverted dropout, and rows that go through them. */
#include "unroll/nn/dropout.h"

#include <Random123/philox.h>

#include "unroll/base/rng.h"
#include "unroll/base/team.h"

#define UNITS_PER_BLOCK 8
#define BLOCKS 16 /* computed side by side: one vector register of 32-bit words, or two */

uint32_t dropout_threshold(double p)
{
    double scaled = p * 65536 + 0.5;
    return scaled >= 65535 ? 65535 : (uint32_t)scaled; /* at least one draw in 65536 is kept, so the scale is finite */
}

float dropout_scale(uint32_t threshold)
{
    return 65536.0f / (float)(65536 - threshold);
}

/* rng_philox for blocks unit .. unit + BLOCKS - 1 at once, word by word, in a form that the compiler vectorises (the
 * test compares the two). */
static void philox_blocks(uint64_t seed, uint32_t what_time, uint32_t step, uint32_t lane, uint32_t unit,
                          uint32_t word[4][BLOCKS])
{
    uint32_t *restrict x0 = word[0], *restrict x1 = word[1], *restrict x2 = word[2], *restrict x3 = word[3];
    for (int i = 0; i < BLOCKS; i++) {
        x0[i] = unit + (uint32_t)i;
        x1[i] = what_time;
        x2[i] = lane;
        x3[i] = step;
    }
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
#pragma omp simd
        for (int i = 0; i < BLOCKS; i++) {
            uint64_t product0 = (uint64_t)PHILOX_M4x32_0 * x0[i], product1 = (uint64_t)PHILOX_M4x32_1 * x2[i];
            x0[i] = (uint32_t)(product1 >> 32) ^ x1[i] ^ key0;
            x2[i] = (uint32_t)(product0 >> 32) ^ x3[i] ^ key1;
            x1[i] = (uint32_t)product1;
            x3[i] = (uint32_t)product0;
        }
        key0 += PHILOX_W32_0;
        key1 += PHILOX_W32_1;
    }
}

void dropout_mask(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int units, uint32_t threshold,
                  float *mask)
{
    const float scale = dropout_scale(threshold);
    const uint32_t what_time = (uint32_t)(RNG_DROPOUT + site) << 16 | (time & 0xffffu);
    for (int first = 0; first < units; first += BLOCKS * UNITS_PER_BLOCK) {
        uint32_t word[4][BLOCKS] __attribute__((aligned(64)));
        float part[BLOCKS * UNITS_PER_BLOCK] __attribute__((aligned(64)));
        philox_blocks(seed, what_time, step, lane, (uint32_t)(first / UNITS_PER_BLOCK), word);
        for (int i = 0; i < BLOCKS; i++)
            for (int w = 0; w < 4; w++) {
                part[UNITS_PER_BLOCK * i + 2 * w] = (word[w][i] & 0xffffu) < threshold ? 0 : scale;
                part[UNITS_PER_BLOCK * i + 2 * w + 1] = word[w][i] >> 16 < threshold ? 0 : scale;
            }
        const int here = units - first < BLOCKS * UNITS_PER_BLOCK ? units - first : BLOCKS * UNITS_PER_BLOCK;
        for (int u = 0; u < here; u++)
            mask[first + u] = part[u];
    }
}

#define MASK_FLOPS 10 /* a unit's random bits */

static float *mask_of(const struct dropout *dropout, int site, int lane, int time, int thread, int units)
{
    float *mask = dropout->mask + (size_t)thread * dropout->mask_stride;
    dropout_mask(dropout->seed, site, (uint32_t)dropout->step, (uint32_t)(dropout->lane0 + lane), (uint32_t)time, units,
                 dropout->threshold, mask);
    return mask;
}

const float *dropout_mask_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units)
{
    return mask_of(dropout, site, lane, time, thread, units);
}

void dropout_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units, float *row)
{
    const float *mask = mask_of(dropout, site, lane, time, thread, units);
    for (int u = 0; u < units; u++)
        row[u] *= mask[u];
}

struct dropping {
    const struct dropout *dropout;
    int site;
    struct dropout_copy rows;
};

static void drop_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const struct dropping *work = context;
    const struct dropout_copy *rows = &work->rows;
    for (int64_t row = begin; row < end; row++) {
        int time = (int)row / work->dropout->lanes, lane = (int)row % work->dropout->lanes;
        float *mask = mask_of(work->dropout, work->site, lane, time, thread, rows->units);
        const float *from = rows->from + (rows->index ? rows->index[row] : row) * rows->from_stride;
        float *to = rows->gemm ? mask : (float *)rows->to + row * rows->to_stride;
        for (int u = 0; u < rows->units; u++)
            to[u] = from[u] * mask[u];
        if (rows->gemm)
            gemm_store(rows->gemm, to, rows->units,
                       (char *)rows->to + row * rows->to_stride * (int64_t)gemm_number_bytes(rows->gemm));
    }
}

void dropout_rows(const struct dropout *dropout, int site, struct dropout_copy rows)
{
    struct dropping work = {dropout, site, rows};
    int64_t count = (int64_t)rows.T * dropout->lanes;
    team_share(dropout->threads, count, count * rows.units * MASK_FLOPS, drop_rows, &work);
}
