/* A model of AMX's tile registers, for src/nn/gemm_amx.c on processors without them: what LDTILECFG, TILEZERO,
 * TILELOADD, TILESTORED and TDPBF16PS do, and where they would fault a failed assertion. Include it before that file.
 */
#ifndef UNROLL_TESTS_AMX_MODEL_H
#define UNROLL_TESTS_AMX_MODEL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define AMX_CONFIGURE(config) model_configure((const unsigned char *)(config))
#define AMX_CONFIGURED(to) memcpy((to), model.config, sizeof model.config)
#define AMX_ZERO(tile) model_zero(tile)
#define AMX_LOAD(tile, from, stride) model_load((tile), (from), (stride))
#define AMX_STORE(tile, to, stride) model_store((tile), (to), (stride))
#define AMX_MULTIPLY(c, a, b) model_multiply((c), (a), (b))

static __thread struct {
    unsigned char config[64], tile[8][16][64];
    int configured; /* times */
} model;

static int model_rows(int tile)
{
    return model.config[48 + tile];
}

static int model_row_bytes(int tile)
{
    return model.config[16 + 2 * tile] | model.config[17 + 2 * tile] << 8;
}

static void model_configure(const unsigned char *config)
{
    assert_int_equal(config[0], 1);
    for (int i = 1; i < 16; i++)
        assert_int_equal(config[i], 0);
    memcpy(model.config, config, sizeof model.config);
    memset(model.tile, 0, sizeof model.tile);
    model.configured++;
    for (int tile = 0; tile < 16; tile++) {
        assert_true(model_rows(tile) <= 16 && model_row_bytes(tile) <= 64);
        assert_true((model_rows(tile) == 0) == (model_row_bytes(tile) == 0));
        assert_true(tile < 8 || model_rows(tile) == 0);
    }
}

static void model_zero(int tile)
{
    assert_true(model.config[0] == 1 && model_rows(tile) > 0);
    memset(model.tile[tile], 0, sizeof model.tile[tile]);
}

static void model_load(int tile, const void *from, int64_t stride)
{
    model_zero(tile);
    for (int row = 0; row < model_rows(tile); row++)
        memcpy(model.tile[tile][row], (const char *)from + row * stride, (size_t)model_row_bytes(tile));
}

static void model_store(int tile, void *to, int64_t stride)
{
    assert_true(model.config[0] == 1 && model_rows(tile) > 0);
    for (int row = 0; row < model_rows(tile); row++)
        memcpy((char *)to + row * stride, model.tile[tile][row], (size_t)model_row_bytes(tile));
}

static float model_flushed(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

/* Number i of a row of bf16. */
static float model_number(const unsigned char *row, int i)
{
    uint32_t bits = ((uint32_t)row[2 * i + 1] << 8 | row[2 * i]) << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return model_flushed(x);
}

/* Rounded to 24 bits before it is decided whether the sum is subnormal: double holds the exact sum where that is close.
 */
static float model_fused(float a, float b, float c)
{
    float sum = fmaf(a, b, c);
    if (fabsf(sum) == 0x1p-126f && fabs((double)a * (double)b + (double)c) < 0x1p-126 - 0x1p-151)
        return copysignf(0, sum);
    return model_flushed(sum);
}

static void model_multiply(int c, int a, int b)
{
    assert_true(model_rows(c) > 0 && model_rows(c) == model_rows(a));
    assert_int_equal(model_row_bytes(a), 4 * model_rows(b));
    assert_int_equal(model_row_bytes(c), model_row_bytes(b));
    for (int m = 0; m < model_rows(c); m++)
        for (int n = 0; n < model_row_bytes(c) / 4; n++) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < model_rows(b); k++) {
                even = model_fused(model_number(model.tile[a][m], 2 * k), model_number(model.tile[b][k], 2 * n), even);
                odd = model_fused(model_number(model.tile[a][m], 2 * k + 1), model_number(model.tile[b][k], 2 * n + 1),
                                  odd);
            }
            memcpy(&sum, model.tile[c][m] + 4 * n, sizeof sum);
            sum = model_flushed(model_flushed(sum) + model_flushed(even + odd));
            memcpy(model.tile[c][m] + 4 * n, &sum, sizeof sum);
        }
}

#endif
