/* Which output layer a configuration means. */
#include "unroll/nn/output.h"

#define KIND(kind) &output_kind_##kind,
static const struct output_kind *const kinds[] = {OUTPUT_TABLE(KIND)};
#undef KIND
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static const char *name_of(int layer)
{
    return kinds[layer]->name;
}

const struct choices output_layer_choices = {"output layer", OUTPUT_LAYERS, name_of};

const struct output_kind *output_kind(const struct model_config *config)
{
    if (config->task == TASK_LM)
        return kinds[config->output_layer];
    for (int i = 0; i < KINDS; i++)
        if (kinds[i]->task == config->task)
            return kinds[i];
    CHECK(!"a task without an output layer");
    return NULL;
}
