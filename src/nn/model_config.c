/* What a configuration may be. */
#include "unroll/nn/model_config.h"

#include <string.h>

#include "unroll/nn/output.h"

static enum status check_integer(const struct model_field *field, int64_t value, int64_t least, int64_t most,
                                 struct error *e)
{
    if (value >= least && value <= most)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG, "value out of range for '%s': %lld; use %lld to %lld", field->ranged,
                     (long long)value, (long long)least, (long long)most);
}

static enum status check_field(const struct model_field *field, const struct model_config *config, struct error *e)
{
    if (field->type == MODEL_REAL)
        return model_field_check_real(field, model_field_real(field, config), e);
    if (field->type == MODEL_LIST)
        return STATUS_OK; /* its owner's check */
    int64_t value = model_field_integer(field, config);
    if (field->type == MODEL_CHOICE && (value < 0 || value >= field->choices->count))
        return error_set(e, STATUS_CONFIG, "unknown %s number '%lld'; use 0 to %d", field->choices->what,
                         (long long)value, field->choices->count - 1);
    if (field->type == MODEL_TOKEN)
        return check_integer(field, value, 0, config->vocab - 1, e);
    return field->ranged ? check_integer(field, value, (int64_t)field->least, (int64_t)field->most, e) : STATUS_OK;
}

int model_widest(const struct model_config *config)
{
    int widest = config->hidden;
    for (int l = 0; l < config->layers; l++)
        if (model_width(config, l) > widest)
            widest = model_width(config, l);
    return widest;
}

void model_set_widths(struct model_config *config, const int *widths)
{
    bool differ = false;
    memset(config->widths, 0, sizeof config->widths);
    for (int l = 1; l < config->layers && widths[1]; l++)
        differ = differ || widths[l] != widths[0];
    config->hidden = differ ? widths[config->layers - 1] : widths[0];
    if (differ)
        memcpy(config->widths, widths, sizeof *widths * (size_t)config->layers);
}

/* One for each layer, the last of them `hidden`. */
static enum status check_widths(const struct model_config *config, struct error *e)
{
    int count = 0;
    while (count < MODEL_LAYERS_MAX && config->widths[count] > 0 && config->widths[count] <= MODEL_WIDTH_MAX)
        count++;
    if (!config->widths[0] || (count == config->layers && config->widths[count - 1] == config->hidden))
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG, "bad widths of %d layers: they must be 1 to %d each, the last of them %d",
                     config->layers, MODEL_WIDTH_MAX, config->hidden);
}

double model_dropout(const struct model_config *config, int site)
{
    double held = site == 0                ? config->dropout_input
                  : site == config->layers ? config->dropout_output
                                           : config->dropout_hidden;
    return held == DROPOUT_NONE ? 0 : held == 0 ? config->dropout : held;
}

void model_config_evaluated(struct model_config *config)
{
    config->dropout = config->dropout_input = config->dropout_hidden = config->dropout_output = 0;
    config->dropout_kind = DROPOUT_ELEMENT;
    config->dropout_embedding = config->dropout_state = config->weight_drop = 0;
    config->ar = config->tar = 0;
}

int model_usual_rounds(enum cell cell)
{
    return cell_kind(cell)->rounds ? MOGRIFY_ROUNDS_USUAL : 0;
}

void model_config_settle(struct model_config *config)
{
    if (!cell_kind(config->cell)->rounds)
        config->mogrify = config->mogrify_rank = 0;
    else if (config->mogrify == 0)
        config->mogrify = model_usual_rounds(config->cell);
}

/* Rounds are of cells that have them; a product of two matrices of a rank as large as theirs would only be more
 * numbers. */
static enum status check_rounds(const struct model_config *config, struct error *e)
{
    const struct cell_kind *kind = cell_kind(config->cell);
    if (!kind->rounds && (config->mogrify || config->mogrify_rank))
        return error_set(e, STATUS_CONFIG, "cell '%s' has no rounds: mogrify (%d) and mogrify_rank (%d) must be 0",
                         kind->name, config->mogrify, config->mogrify_rank);
    int narrow = config->embedding;
    for (int l = 0; l < config->layers; l++)
        narrow = model_width(config, l) < narrow ? model_width(config, l) : narrow;
    if (config->mogrify_rank == 0 || config->mogrify_rank < narrow)
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "value out of range for '--mogrify-rank': %d is not below the '%d' numbers of the narrowest input or "
        "state; use a smaller one, or --mogrify-rank full",
        config->mogrify_rank, narrow);
}

enum status model_config_check(const struct model_config *config, struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < model_field_count && !status; i++)
        if (model_fields[i].type == MODEL_CHOICE || model_field_applies(&model_fields[i], config))
            status = check_field(&model_fields[i], config, e);
    if (!status)
        status = check_widths(config, e);
    if (!status)
        status = check_rounds(config, e);
    if (!status)
        status = output_kind(config)->check(config, e);
    return status;
}
