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

static void draw_mask(uint64_t seed, int what, uint32_t step, uint32_t lane, uint32_t time, int units,
                      uint32_t threshold, float *mask)
{
    const float scale = dropout_scale(threshold);
    const uint32_t what_time = (uint32_t)what << 16 | (time & 0xffffu);
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

void dropout_mask(uint64_t seed, int site, uint32_t step, uint32_t lane, uint32_t time, int units, uint32_t threshold,
                  float *mask)
{
    draw_mask(seed, RNG_DROPOUT + site, step, lane, time, units, threshold, mask);
}

void dropout_state_mask(uint64_t seed, int layer, uint32_t step, uint32_t lane, int units, uint32_t threshold,
                        float *mask)
{
    draw_mask(seed, RNG_DROPPED_STATE + layer, step, lane, 0, units, threshold, mask);
}

void dropout_weight_mask(uint64_t seed, int layer, uint32_t step, uint32_t row, int columns, uint32_t threshold,
                         float *mask)
{
    draw_mask(seed, RNG_DROPPED_WEIGHT + layer, step, row, 0, columns, threshold, mask);
}

float dropout_word(uint64_t seed, uint32_t step, uint32_t token, uint32_t threshold)
{
    struct rng_bits bits = rng_philox(seed, RNG_DROPPED_WORD, step, 0, 0, token / UNITS_PER_BLOCK);
    uint32_t draw = bits.word[token % UNITS_PER_BLOCK / 2] >> 16 * (token % 2) & 0xffffu;
    return draw < threshold ? 0 : dropout_scale(threshold);
}

struct dropout dropout_of(const struct model_config *config)
{
    struct dropout dropout = {.locked = config->dropout_kind == DROPOUT_LOCKED,
                              .words = dropout_threshold(config->dropout_embedding),
                              .step = -1};
    if (cell_kind(config->cell)->recurrent_gates > 0) {
        dropout.states = dropout_threshold(config->dropout_state);
        dropout.weights = dropout_threshold(config->weight_drop);
    }
    for (int site = 0; site <= config->layers; site++)
        dropout.site[site] = dropout_threshold(model_dropout(config, site));
    return dropout;
}

bool dropout_needs_masks(const struct dropout *dropout)
{
    uint32_t any = dropout->words | dropout->weights;
    for (int site = 0; site <= MODEL_LAYERS_MAX; site++)
        any |= dropout->site[site];
    return any > 0;
}

#define MASK_FLOPS 10 /* a unit's random bits */

const float *dropout_mask_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units)
{
    float *mask = dropout_room(dropout, thread);
    dropout_mask(dropout->seed, site, (uint32_t)dropout->step, (uint32_t)(dropout->lane0 + lane),
                 dropout->locked ? 0 : (uint32_t)time, units, dropout->site[site], mask);
    return mask;
}

/* Room for a row of floats. */
static float *row_of(const struct dropout *dropout, int thread)
{
    return dropout->mask + (2 * (size_t)thread + 1) * dropout->mask_stride;
}

static float word_of(const struct dropout *dropout, const uint32_t *token, int64_t row)
{
    return token && dropout->words ? dropout_word(dropout->seed, (uint32_t)dropout->step, token[row], dropout->words)
                                   : 1;
}

void dropout_row(const struct dropout *dropout, int site, int lane, int time, int thread, int units, float *row)
{
    const float *mask = dropout_mask_row(dropout, site, lane, time, thread, units);
    for (int u = 0; u < units; u++)
        row[u] *= mask[u];
}

struct dropping {
    const struct dropout *dropout;
    int site;
    struct dropout_copy rows;
};

static void drop_position(const struct dropping *work, const float *mask, int64_t row, int thread)
{
    const struct dropout_copy *rows = &work->rows;
    const float *from = rows->from + (rows->index ? rows->index[row] : row) * rows->from_stride;
    float *to = rows->gemm ? row_of(work->dropout, thread) : (float *)rows->to + row * rows->to_stride;
    float word = word_of(work->dropout, rows->token, row);
    for (int u = 0; u < rows->units; u++)
        to[u] = from[u] * (mask[u] * word);
    if (rows->gemm)
        gemm_store(rows->gemm, to, rows->units,
                   (char *)rows->to + row * rows->to_stride * (int64_t)gemm_number_bytes(rows->gemm));
}

static void drop_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const struct dropping *work = context;
    int lanes = work->dropout->lanes;
    for (int64_t row = begin; row < end; row++) {
        int time = (int)row / lanes, lane = (int)row % lanes;
        drop_position(work, dropout_mask_row(work->dropout, work->site, lane, time, thread, work->rows.units), row,
                      thread);
    }
}

/* Lane after lane: a mask is good for all time steps. */
static void drop_lanes(void *context, int64_t begin, int64_t end, int thread)
{
    const struct dropping *work = context;
    int T = work->rows.T;
    const float *mask = NULL;
    for (int64_t i = begin; i < end; i++) {
        int lane = (int)i / T, time = (int)i % T;
        if (i == begin || time == 0)
            mask = dropout_mask_row(work->dropout, work->site, lane, 0, thread, work->rows.units);
        drop_position(work, mask, (int64_t)time * work->dropout->lanes + lane, thread);
    }
}

void dropout_rows(const struct dropout *dropout, int site, struct dropout_copy rows)
{
    struct dropping work = {dropout, site, rows};
    int64_t count = (int64_t)rows.T * dropout->lanes;
    team_share(dropout->threads, count, count * rows.units * MASK_FLOPS, dropout->locked ? drop_lanes : drop_rows,
               &work);
}

/* ---- words ---- */

struct dropping_words {
    const struct dropout *dropout;
    struct dropout_vectors vectors;
};

static void drop_vectors(void *context, int64_t begin, int64_t end, int thread)
{
    const struct dropping_words *work = context;
    const struct dropout_vectors *v = &work->vectors;
    for (int64_t row = begin; row < end; row++) {
        const float *from = v->from + (v->indexed ? v->token[row] : row) * v->from_stride;
        float *to = v->gemm ? row_of(work->dropout, thread) : (float *)v->to + row * v->to_stride;
        float word = word_of(work->dropout, v->token, row);
        for (int u = 0; u < v->units; u++)
            to[u] = from[u] * word;
        if (v->gemm)
            gemm_store(v->gemm, to, v->units, (char *)v->to + row * v->to_stride * (int64_t)gemm_number_bytes(v->gemm));
    }
}

#define WORD_FLOPS 2 /* a unit of a word */

void dropout_words(const struct dropout *dropout, struct dropout_vectors vectors)
{
    struct dropping_words work = {dropout, vectors};
    team_share(dropout->threads, vectors.rows, (int64_t)vectors.rows * vectors.units * WORD_FLOPS, drop_vectors, &work);
}
