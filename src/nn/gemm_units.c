/* Which kind computes products on this processor. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_amx.h"
#include "gemm_pairs.h"
#include "gemm_units.h"
#include "unroll/base/build_info.h"

/* What the processor has and does right: asked once, for it takes some 150 us and times differ from call to call. */
struct unit {
    const struct gemm_kind *kind; /* NULL: none */
    bool faster;                  /* than emulation */
};
static struct unit units[2]; /* by order */
static pthread_once_t asked = PTHREAD_ONCE_INIT;

static const struct gemm_kind *emulated(enum bf16_order order)
{
    return order == BF16_TILE ? &gemm_tile_emulated : &gemm_pair_emulated;
}

static const struct gemm_kind *unit_of(enum bf16_order order)
{
#if GEMM_UNITS
    __builtin_cpu_init();
    bool packs = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512bf16") && !build_is_lowered();
    if (packs && order == BF16_PAIR)
        return &gemm_pair_avx512bf16;
    if (packs && amx_permitted())
        return &gemm_tile_amx;
#endif
    (void)order;
    return NULL;
}

static void ask(void)
{
    for (enum bf16_order order = BF16_TILE; order <= BF16_PAIR; order++) {
        const struct gemm_kind *unit = unit_of(order);
        if (unit && gemm_units_agree(unit, emulated(order)))
            units[order] = (struct unit){unit, gemm_units_faster(unit, emulated(order))};
    }
}

int gemm_kinds(enum bf16_order order, const struct gemm_kind **kinds)
{
    pthread_once(&asked, ask);
    int count = 0;
    if (units[order].kind)
        kinds[count++] = units[order].kind;
    kinds[count++] = emulated(order);
    return count;
}

const struct gemm_kind *gemm_kind(enum precision precision, enum bf16_order order)
{
    if (precision == PRECISION_FLOAT32)
        return &gemm_float32;
    const char *wanted = getenv("UNROLL_BF16");
    const struct gemm_kind *kinds[2];
    if (gemm_kinds(order, kinds) == 1 || (wanted && strcmp(wanted, "emulate") == 0))
        return emulated(order);
    return units[order].faster || (wanted && strcmp(wanted, "unit") == 0) ? kinds[0] : emulated(order);
}

const char *gemm_unit(const struct gemm_kind *kind)
{
    return kind->unit;
}

enum bf16_order gemm_host_order(void)
{
    const struct gemm_kind *kinds[2];
    return gemm_kinds(BF16_TILE, kinds) > 1 ? BF16_TILE : BF16_PAIR;
}
