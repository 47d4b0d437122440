/* The names of precisions and of orders of addition. */
#include "unroll/nn/precision.h"

static const char *const precisions[] = {[PRECISION_FLOAT32] = "float32", [PRECISION_BF16] = "bf16"};
static const char *const orders[] = {[BF16_TILE] = "tile", [BF16_PAIR] = "pair"};

static const char *name_of_precision(int value)
{
    return precisions[value];
}

static const char *name_of_order(int value)
{
    return orders[value];
}

const struct choices precision_choices = {"precision", sizeof precisions / sizeof *precisions, name_of_precision};
const struct choices bf16_order_choices = {"order of bf16 sums", sizeof orders / sizeof *orders, name_of_order};
