/* Trials of a unit for bf16 against emulation: whether it computes the same bits, and faster. */
#include <math.h>
#include <string.h>

#include "gemm_units.h"
#include "unroll/base/clock.h"
#include "unroll/base/rng.h"

/* Rows of each sort (below), blocks of k and a piece of one; a panel that is full. */
#define ROWS 22
#define K 71
#define STRIDE (2 * GEMM_WIDE > 96 ? 2 * GEMM_WIDE : 96)

struct trial {
    uint16_t a[ROWS][STRIDE];
    float w[K][GEMM_WIDE];
    float before[ROWS][GEMM_WIDE] __attribute__((aligned(64)));
    float c[2][ROWS][GEMM_WIDE] __attribute__((aligned(64))); /* of the unit, and of emulation */
    unsigned char panel[96 * GEMM_WIDE * sizeof(float)] __attribute__((aligned(64)));
};

/* A number between 2^exponent and 2^(exponent + 2), of either sign. */
static uint32_t draw(uint32_t what, int i, int j, int exponent)
{
    uint32_t bits = rng_philox(4, RNG_TEST, what, 0, (uint32_t)i, (uint32_t)j).word[0];
    return (bits & 0x807fffffu) | ((uint32_t)(exponent + 127) + (bits >> 24 & 1)) << 23;
}

/* Rows 0 to 9: of size 1. 10 to 15: so small that products with the right half of the panel underflow. 16 to 19: some
 * numbers are subnormal. 20: an infinity, 21: a NaN. */
static uint16_t number(int row, int i)
{
    if (row == 20 && i == 40)
        return 0xff80;
    if (row == 21 && i == 33)
        return 0x7fc1;
    uint16_t bits = (uint16_t)(draw(1, row, i, row >= 10 && row < 16 ? -65 : 0) >> 16);
    return row >= 16 && row < 20 && i % 3 == 0 ? bits & 0x807f : bits;
}

static void fill(struct trial *trial)
{
    memset(trial, 0xff, sizeof *trial);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < K; i++)
            trial->a[r][i] = number(r, i);
        for (int j = 0; j < GEMM_WIDE; j++) {
            uint32_t bits = draw(2, r, j, r >= 10 && r < 16 ? -127 : 0);
            memcpy(&trial->before[r][j], &bits, sizeof bits);
        }
    }
    for (int i = 0; i < K; i++)
        for (int j = 0; j < GEMM_WIDE; j++) {
            uint32_t bits = draw(3, i, j, j < GEMM_WIDE / 2 ? 0 : -62);
            memcpy(&trial->w[i][j], &bits, sizeof bits);
        }
}

static void compute(const struct gemm_kind *kind, struct trial *trial, int rows, bool accumulate, float *c)
{
    struct gemm_weights weights = {&trial->w[0][0], GEMM_WIDE, false, K, GEMM_WIDE, NULL};
    struct gemm_view view = {trial->a, sizeof trial->a[0], GEMM_WIDE * sizeof(uint16_t)};
    kind->pack(&weights, 0, K, 0, trial->panel);
    memcpy(c, trial->before, sizeof trial->before);
    kind->multiply(rows, K, view, trial->panel, 0, GEMM_WIDE, accumulate, c, GEMM_WIDE);
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

bool gemm_units_agree(const struct gemm_kind *unit, const struct gemm_kind *emulation)
{
    struct trial trial;
    fill(&trial);
    bool agree = true;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        compute(unit, &trial, ROWS, accumulate, trial.c[0][0]);
        compute(emulation, &trial, ROWS, accumulate, trial.c[1][0]);
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < GEMM_WIDE; j++)
                agree = agree && same(trial.c[0][r][j], trial.c[1][r][j]);
    }
    return agree;
}

#define TIMED_ROWS 20 /* as many lanes as a small batch has */

/* The least time of a few products. */
static double seconds(const struct gemm_kind *kind, struct trial *trial)
{
    struct gemm_view view = {trial->a, sizeof trial->a[0], GEMM_WIDE * sizeof(uint16_t)};
    compute(kind, trial, TIMED_ROWS, false, trial->c[0][0]);
    double least = INFINITY;
    for (int repetition = 0; repetition < 5; repetition++) {
        double start = clock_seconds();
        for (int i = 0; i < 4; i++)
            kind->multiply(TIMED_ROWS, K, view, trial->panel, 0, GEMM_WIDE, false, trial->c[0][0], GEMM_WIDE);
        least = fmin(least, clock_seconds() - start);
    }
    return least;
}

bool gemm_units_faster(const struct gemm_kind *unit, const struct gemm_kind *emulation)
{
    struct trial trial;
    fill(&trial);
    return seconds(unit, &trial) < seconds(emulation, &trial);
}
