/* Names, widths and places of the states that a model carries. */
#include "unroll/nn/state.h"

#include <string.h>

int model_state_arrays(const struct model_config *config)
{
    int arrays = 0;
    for (int l = 0; l < config->layers; l++)
        arrays += cell_states(cell_kind(config->cell), l);
    return arrays;
}

int model_state_count(const struct model_config *config)
{
    return config->task == TASK_CLASSIFY ? 0 : model_state_arrays(config);
}

const char *model_state_name(const struct model_config *config, int index, char name[16])
{
    name[0] = cell_kind(config->cell)->state[index / config->layers].letter;
    memcpy(name + 1, "_l", 2);
    name[3] = (char)('0' + index % config->layers); /* layers are at most MODEL_LAYERS_MAX = 8 */
    name[4] = '\0';
    return name;
}

int model_state_width(const struct model_config *config, int index)
{
    int l = index % config->layers;
    return cell_state_width(cell_kind(config->cell), index / config->layers, model_width(config, l),
                            model_inputs(config, l));
}

size_t model_state_offset(const struct model_config *config, int index)
{
    size_t offset = 0;
    for (int i = 0; i < index; i++)
        offset += (size_t)model_state_width(config, i);
    return offset;
}

size_t model_state_total(const struct model_config *config)
{
    return model_state_offset(config, model_state_count(config));
}

int model_state_widest(const struct model_config *config)
{
    int widest = 0;
    for (int i = 0; i < model_state_arrays(config); i++)
        if (model_state_width(config, i) > widest)
            widest = model_state_width(config, i);
    return widest;
}
