/* Which kind computes products on this processor. */
#include <stdlib.h>
#include <string.h>

#include "gemm_private.h"

/* The units that a test takes away. */
static bool may_use_units(void)
{
    const char *asked = getenv("UNROLL_BF16");
    return !asked || strcmp(asked, "emulate") != 0;
}

const struct gemm_kind *gemm_kind(enum precision precision, enum bf16_order order)
{
    (void)may_use_units;
    if (precision == PRECISION_FLOAT32)
        return &gemm_float32;
    return order == BF16_TILE ? &gemm_tile_emulated : &gemm_pair_emulated;
}

const char *gemm_unit(const struct gemm_kind *kind)
{
    return kind->unit;
}

enum bf16_order gemm_host_order(void)
{
    return BF16_PAIR;
}
