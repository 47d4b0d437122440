/* What computes a model's matrix products on this processor, and what speed to expect of it, in words for people. The
 * bits do not depend on it. Not collective: hosts may differ. */
#ifndef UNROLL_NN_UNIT_H
#define UNROLL_NN_UNIT_H

#include "unroll/nn/model_config.h"

#define UNIT_TEXT 160

/* "float32", "bf16 in pair order". Returns `text`. */
const char *unit_numbers(const struct model_config *model, char text[UNIT_TEXT]);

/* "float32", "bf16 in pair order, by AVX512_BF16", "bf16 in tile order, emulated". Returns `text`. */
const char *unit_describe(const struct model_config *model, char text[UNIT_TEXT]);

/* The name alone: "float32", "AMX", "AVX512_BF16", "emulation". */
const char *unit_name(const struct model_config *model);

/* "0.8 to 1 times the speed of float32", and whether that was not measured; empty for float32. Returns `text`. */
const char *unit_expect(const struct model_config *model, char text[UNIT_TEXT]);

/* Of a model in bf16, what would be faster here: "pair order, by AVX512_BF16: 1 to 1.8 times (--bf16-order host)",
 * or float32 where no unit speeds bf16 up. Empty if nothing is. Returns `text`. */
const char *unit_faster(const struct model_config *model, char text[UNIT_TEXT]);

#endif
