/* What options may choose from, where no room of its own says it. */
#include "option_rows.h"

/* clang-format off */
static const char *cell_or_all_name(int value)
{
    return value == OPTION_CELL_ALL ? "all" : cell_name((enum cell)value);
}
const struct choices cell_or_all_choices = {"cell", OPTION_CELL_ALL + 1, cell_or_all_name};

static const char *order_name(int value)
{
    return value == OPTION_ORDER_TRAINED ? "trained"
           : value == OPTION_ORDER_HOST  ? "host"
                                         : bf16_order_choices.name(value);
}
const struct choices order_or_host_choices = {"order of bf16 sums", OPTION_ORDER_HOST + 1, order_name};
const struct choices order_of_use_choices = {"order of bf16 sums", OPTION_ORDER_TRAINED + 1, order_name};

static const char *precision_name(int value)
{
    return value == OPTION_PRECISION_TRAINED ? "trained" : precision_choices.name(value);
}
const struct choices precision_of_use_choices = {"precision", OPTION_PRECISION_TRAINED + 1, precision_name};

#define CHOICE_OF(kind, ...)                                                  \
    static const char *const kind##_names[] = {__VA_ARGS__};                  \
    static const char *kind##_choice(int value)                               \
    {                                                                         \
        return kind##_names[value];                                           \
    }                                                                         \
    const struct choices kind##_choices = {#kind, sizeof kind##_names / sizeof *kind##_names, kind##_choice};
CHOICE_OF(invalid, "refuse", "replace")
CHOICE_OF(resume, "auto", "never", "must")
CHOICE_OF(writer, "auto", "single", "parallel")
CHOICE_OF(to, "safetensors", "text")
CHOICE_OF(from, "safetensors", "hdf5")
CHOICE_OF(format, "tsv", "json")
CHOICE_OF(nbest, "none", "moses", "kaldi")
CHOICE_OF(reset, "none", "eos")
/* clang-format on */
