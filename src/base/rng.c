/* Philox4x32-10, one block at a time. */
#include "unroll/base/rng.h"

#include <Random123/philox.h>

struct rng_bits rng_philox(uint64_t seed, uint32_t what, uint32_t step, uint32_t lane, uint32_t time, uint32_t unit)
{
    philox4x32_ctr_t counter = {{unit, what << 16 | (time & 0xffffu), lane, step}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t bits = philox4x32(counter, key);
    return (struct rng_bits){{bits.v[0], bits.v[1], bits.v[2], bits.v[3]}};
}

float rng_uniform_float(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

double rng_uniform_double(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}
