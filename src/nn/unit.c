/* Says which unit computes products here, and what to expect of it. */
#include "unroll/nn/unit.h"

#include <stdio.h>
#include <string.h>

#include "unroll/nn/gemm.h"

#define EMULATION "emulation"

/* The speed of a training step as a share of float32's, over the models of tools/README.md: measured, or what follows
 * from the rates of the unit's instructions. */
static const struct {
    const char *unit;
    enum bf16_order order;
    double least, most;
    bool measured;
} speeds[] = {
    {"AMX", BF16_TILE, 2, 4.5, false},
    {"AVX512_BF16", BF16_PAIR, 1, 1.8, false},
    {EMULATION, BF16_TILE, 0.8, 1, true},
    {EMULATION, BF16_PAIR, 0.9, 1, true},
};
#define SPEEDS ((int)(sizeof speeds / sizeof *speeds))

static const char *unit_of(enum precision precision, enum bf16_order order)
{
    return gemm_unit(gemm_kind(precision, order));
}

const char *unit_name(const struct model_config *model)
{
    return unit_of((enum precision)model->precision, (enum bf16_order)model->bf16_order);
}

/* "by AMX", "emulated" */
static const char *how(enum bf16_order order, char text[32])
{
    const char *unit = unit_of(PRECISION_BF16, order);
    if (strcmp(unit, EMULATION) == 0)
        return "emulated";
    snprintf(text, 32, "by %s", unit);
    return text;
}

const char *unit_numbers(const struct model_config *model, char text[UNIT_TEXT])
{
    const char *name = precision_choices.name(model->precision);
    if (model->precision == PRECISION_BF16)
        snprintf(text, UNIT_TEXT, "%s in %s order", name, bf16_order_choices.name(model->bf16_order));
    else
        snprintf(text, UNIT_TEXT, "%s", name);
    return text;
}

const char *unit_describe(const struct model_config *model, char text[UNIT_TEXT])
{
    char by[32], numbers[UNIT_TEXT];
    if (model->precision != PRECISION_BF16)
        return unit_numbers(model, text);
    snprintf(text, UNIT_TEXT, "%.60s, %s", unit_numbers(model, numbers), how((enum bf16_order)model->bf16_order, by));
    return text;
}

/* "2 to 4.5 times" float32's speed, and whether that was measured. */
static const char *expect_of(enum bf16_order order, char text[32], bool *measured)
{
    text[0] = '\0';
    for (int i = 0; i < SPEEDS; i++)
        if (speeds[i].order == order && strcmp(speeds[i].unit, unit_of(PRECISION_BF16, order)) == 0) {
            snprintf(text, 32, "%g to %g times", speeds[i].least, speeds[i].most);
            *measured = speeds[i].measured;
        }
    return text;
}

const char *unit_expect(const struct model_config *model, char text[UNIT_TEXT])
{
    char speed[32];
    bool measured = false;
    text[0] = '\0';
    if (model->precision == PRECISION_BF16) {
        expect_of((enum bf16_order)model->bf16_order, speed, &measured);
        snprintf(text, UNIT_TEXT, "%s the speed of float32%s", speed, measured ? "" : " (not measured)");
    }
    return text;
}

const char *unit_faster(const struct model_config *model, char text[UNIT_TEXT])
{
    enum bf16_order best = gemm_host_order();
    char by[32], speed[32];
    bool measured;
    text[0] = '\0';
    if (model->precision != PRECISION_BF16)
        return text;
    if (strcmp(unit_of(PRECISION_BF16, best), EMULATION) == 0)
        snprintf(text, UNIT_TEXT, "float32 is faster here: no unit of this processor speeds bf16 up");
    else if (model->bf16_order != (int)best)
        snprintf(text, UNIT_TEXT, "%s order, %s: %s (--bf16-order host)", bf16_order_choices.name(best), how(best, by),
                 expect_of(best, speed, &measured));
    return text;
}
