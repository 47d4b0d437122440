/* THE table of what a model is: a member of struct model_config is one row. Files, reports, comparisons and checks
 * walk it. */
#include <stdio.h>
#include <string.h>

#include "unroll/base/number.h"
#include "unroll/nn/model_config.h"
#include "unroll/nn/output.h"
#include "unroll/nn/proposal.h"
#include "unroll/sys/json.h"

static bool of_classifier(const struct model_config *config)
{
    return config->task == TASK_CLASSIFY;
}

static bool of_language_model(const struct model_config *config)
{
    return config->task == TASK_LM;
}

static bool has_clusters(const struct model_config *config)
{
    return output_kind(config)->uses & OUTPUT_CLUSTERS;
}

static bool is_ordered(const struct model_config *config)
{
    return output_kind(config)->uses & OUTPUT_ORDER;
}

static bool has_samples(const struct model_config *config)
{
    return output_kind(config)->uses & OUTPUT_SAMPLES;
}

static bool has_rounds(const struct model_config *config)
{
    return cell_kind(config->cell)->rounds;
}

static bool is_recurrent(const struct model_config *config)
{
    return cell_kind(config->cell)->recurrent_gates > 0;
}

static bool of_bf16(const struct model_config *config)
{
    return config->precision == PRECISION_BF16;
}

#define PLACE(member)                                                   \
    .stored = #member, .offset = offsetof(struct model_config, member), \
    .size = sizeof(((struct model_config *)0)->member)
#define RANGE(name, from, to) .ranged = name, .least = from, .most = to
#define PROBABILITY(name) \
    .type = MODEL_REAL, .option = name, .optional = true, .lists = MODEL_BENCH | MODEL_FACT, RANGE("--" name, 0, 1)
#define OVERRIDE(name) PROBABILITY(name), .override = true
#define LAYERS MODEL_LAYERS | MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED

/* In the order in which reports tell them; `task` and `precision` stand before what depends on them. */
const struct model_field model_fields[] = {
    {PLACE(cell), .type = MODEL_CHOICE, .choices = &cell_choices, .lists = LAYERS},
    {PLACE(layers), .type = MODEL_INT, .lists = LAYERS, RANGE("--layers", 1, MODEL_LAYERS_MAX)},
    {PLACE(embedding), .type = MODEL_INT, .lists = LAYERS, RANGE("--embedding", 1, MODEL_WIDTH_MAX)},
    {PLACE(hidden), .type = MODEL_INT, .lists = LAYERS, RANGE("--hidden", 1, MODEL_WIDTH_MAX)},
    {PLACE(widths), .type = MODEL_LIST, .option = "hidden", .covered = true, .optional = true, .lists = LAYERS},
    {PLACE(mogrify), .type = MODEL_INT, .lists = LAYERS, .optional = true, .applies = has_rounds,
     RANGE("--mogrify", 1, MOGRIFY_ROUNDS_MAX)},
    {PLACE(mogrify_rank), .type = MODEL_INT, .option = "mogrify-rank", .lists = LAYERS, .optional = true,
     .applies = has_rounds, RANGE("--mogrify-rank", 0, MODEL_WIDTH_MAX)},
    {PLACE(vocab), .type = MODEL_INT, .option = "vocab-size", RANGE("vocabulary size", 1, VOCAB_MAX),
     .lists = MODEL_TABLE | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED},
    {PLACE(tied), .type = MODEL_FLAG, .lists = MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED},
    {PLACE(dropout), .type = MODEL_REAL, .lists = MODEL_BENCH | MODEL_FACT, RANGE("--dropout", 0, 1)},
    {PLACE(dropout_input), OVERRIDE("dropout-input")},
    {PLACE(dropout_hidden), OVERRIDE("dropout-hidden")},
    {PLACE(dropout_output), OVERRIDE("dropout-output")},
    {PLACE(dropout_kind), .type = MODEL_CHOICE, .option = "dropout-kind", .choices = &dropout_kind_choices,
     .optional = true, .lists = MODEL_BENCH | MODEL_FACT},
    {PLACE(dropout_embedding), PROBABILITY("dropout-embedding")},
    {PLACE(dropout_state), PROBABILITY("dropout-state"), .applies = is_recurrent},
    {PLACE(weight_drop), PROBABILITY("weight-drop"), .applies = is_recurrent},
    {PLACE(reset_token), .type = MODEL_TOKEN, .told = "reset_at", .option = "reset-at", .optional = true,
     .ranged = "token of --reset-at"},
    {PLACE(ar), .type = MODEL_REAL, .optional = true, .lists = MODEL_BENCH, RANGE("--ar", 0, 1e6)},
    {PLACE(tar), .type = MODEL_REAL, .optional = true, .lists = MODEL_BENCH, RANGE("--tar", 0, 1e6)},
    {PLACE(task), .type = MODEL_CHOICE, .choices = &task_choices, .optional = true, .lists = MODEL_SHAPE,
     .applies = of_classifier},
    {PLACE(output_layer), .type = MODEL_CHOICE, .option = "output-layer", .choices = &output_layer_choices,
     .optional = true, .applies = of_language_model,
     .lists = MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED | MODEL_FACT},
    {PLACE(cutoffs), .type = MODEL_LIST, .lists = MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED | MODEL_FACT,
     .optional = true, .ascends = true, .applies = has_clusters},
    {PLACE(div), .type = MODEL_REAL, .lists = MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED | MODEL_FACT,
     .optional = true, .applies = has_clusters, RANGE("--div", 1, 1e6)},
    {PLACE(samples), .type = MODEL_INT, .lists = MODEL_BENCH | MODEL_SPEED | MODEL_FACT, .optional = true,
     .applies = has_samples, RANGE("--samples", 1, VOCAB_MAX)},
    {PLACE(proposal), .type = MODEL_CHOICE, .choices = &proposal_choices, .optional = true, .applies = has_samples,
     .lists = MODEL_WEIGHTS | MODEL_SHAPE | MODEL_BENCH | MODEL_SPEED | MODEL_FACT},
    {PLACE(reordered), .type = MODEL_FLAG, .lists = MODEL_SHAPE, .optional = true, .applies = is_ordered},
    {PLACE(labels), .type = MODEL_INT, .lists = MODEL_TABLE | MODEL_SHAPE, RANGE("number of labels", 2, LABELS_MAX),
     .applies = of_classifier},
    {PLACE(pool), .type = MODEL_CHOICE, .choices = &pool_choices, .lists = MODEL_FACT, .applies = of_classifier},
    {PLACE(precision), .type = MODEL_CHOICE, .choices = &precision_choices, .optional = true,
     .lists = MODEL_BENCH | MODEL_SPEED | MODEL_FACT},
    {PLACE(bf16_order), .type = MODEL_CHOICE, .option = "bf16-order", .choices = &bf16_order_choices,
     .lists = MODEL_BENCH | MODEL_SPEED | MODEL_FACT, .applies = of_bf16},
};
const int model_field_count = (int)(sizeof model_fields / sizeof *model_fields);

const char *model_field_told(const struct model_field *field)
{
    return field->told ? field->told : field->stored;
}

const char *model_field_option(const struct model_field *field)
{
    return field->option ? field->option : field->stored;
}

const char *model_field_measured(const struct model_field *field, char name[MODEL_FIELD_NAME])
{
    snprintf(name, MODEL_FIELD_NAME, "%s", field->covered ? field->stored : model_field_option(field));
    for (char *place = name; *place; place++)
        if (*place == '-')
            *place = '_';
    return name;
}

/* ---- values ---- */

static const char *value_of(const struct model_field *field, const struct model_config *config)
{
    return (const char *)config + field->offset;
}

int64_t model_field_integer(const struct model_field *field, const struct model_config *config)
{
    if (field->type == MODEL_FLAG)
        return *(const bool *)value_of(field, config);
    if (field->type == MODEL_TOKEN)
        return *(const uint32_t *)value_of(field, config);
    return *(const int *)value_of(field, config);
}

void model_field_set_integer(const struct model_field *field, struct model_config *config, int64_t value)
{
    char *place = (char *)config + field->offset;
    if (field->type == MODEL_FLAG)
        *(bool *)place = value;
    else if (field->type == MODEL_TOKEN)
        *(uint32_t *)place = (uint32_t)value;
    else
        *(int *)place = (int)value;
}

static double held_real(const struct model_field *field, const struct model_config *config)
{
    return *(const double *)value_of(field, config);
}

double model_field_real(const struct model_field *field, const struct model_config *config)
{
    double held = held_real(field, config);
    return field->override && held == DROPOUT_NONE ? 0 : held;
}

double model_dropout_held(const struct model_config *config, double p)
{
    return p == config->dropout ? 0 : p == 0 ? DROPOUT_NONE : p;
}

enum status model_field_check_real(const struct model_field *field, double value, struct error *e)
{
    if (value >= field->least && value < field->most) /* a NaN fails too */
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG, "value out of range for '%s': %g; use %g or more, below %g", field->ranged,
                     value, field->least, field->most);
}

enum status model_field_take_real(const struct model_field *field, struct model_config *config, double value,
                                  struct error *e)
{
    enum status status = model_field_check_real(field, value, e);
    if (!status)
        model_field_set_real(field, config, value);
    return status;
}

void model_field_set_real(const struct model_field *field, struct model_config *config, double value)
{
    *(double *)((char *)config + field->offset) = field->override ? model_dropout_held(config, value) : value;
}

bool model_field_set_list(const struct model_field *field, struct model_config *config, const char *text)
{
    return number_parse_list(text, (int)(field->size / sizeof(int)), field->ascends,
                             (int *)((char *)config + field->offset)) == 0;
}

const char *model_field_text(const struct model_field *field, const struct model_config *config,
                             char text[MODEL_FIELD_TEXT])
{
    if (field->type == MODEL_REAL)
        return number_format(model_field_real(field, config), text);
    if (field->type == MODEL_LIST)
        return number_format_list((const int *)value_of(field, config), (int)(field->size / sizeof(int)), text,
                                  MODEL_FIELD_TEXT);
    int64_t value = model_field_integer(field, config);
    if (field->type == MODEL_FLAG)
        return value ? "true" : "false";
    if (field->type == MODEL_TOKEN)
        return value ? "eos" : "none";
    if (field->type == MODEL_CHOICE)
        return field->choices->name((int)value);
    snprintf(text, MODEL_FIELD_TEXT, "%lld", (long long)value);
    return text;
}

const char *model_widths_text(const struct model_config *config, char text[MODEL_WIDTHS_TEXT])
{
    return number_format_list(config->widths[0] ? config->widths : &config->hidden,
                              config->widths[0] ? config->layers : 1, text, MODEL_WIDTHS_TEXT);
}

const char *model_field_option_text(const struct model_field *field, const struct model_config *config,
                                    char text[MODEL_FIELD_TEXT])
{
    if (field->offset == offsetof(struct model_config, hidden))
        return model_widths_text(config, text);
    return model_field_text(field, config, text);
}

void model_field_put(struct json *json, const char *key, const struct model_field *field,
                     const struct model_config *config)
{
    char text[MODEL_FIELD_TEXT];
    if (field->type == MODEL_INT)
        json_put_int(json, key, model_field_integer(field, config));
    else if (field->type == MODEL_REAL)
        json_put_double(json, key, model_field_real(field, config));
    else if (field->type == MODEL_FLAG)
        json_put_bool(json, key, model_field_integer(field, config));
    else
        json_put_string(json, key, model_field_text(field, config, text));
}

/* ---- which are said, and which differ ---- */

bool model_field_applies(const struct model_field *field, const struct model_config *config)
{
    return !field->applies || field->applies(config);
}

bool model_field_is_said(const struct model_field *field, const struct model_config *config)
{
    bool is_zero = field->type == MODEL_REAL   ? held_real(field, config) == 0
                   : field->type == MODEL_LIST ? *(const int *)value_of(field, config) == 0
                                               : model_field_integer(field, config) == 0;
    return model_field_applies(field, config) && !(field->optional && is_zero);
}

bool model_field_differs(const struct model_field *field, const struct model_config *a, const struct model_config *b)
{
    return memcmp(value_of(field, a), value_of(field, b), field->size) != 0;
}

bool model_config_differs(const struct model_config *a, const struct model_config *b, unsigned list)
{
    for (int i = 0; i < model_field_count; i++)
        if (model_fields[i].lists & list && model_field_differs(&model_fields[i], a, b))
            return true;
    return false;
}

const char *model_config_options(const struct model_config *config, unsigned list, char text[MODEL_OPTIONS_TEXT])
{
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < model_field_count && length < MODEL_OPTIONS_TEXT; i++) {
        const struct model_field *field = &model_fields[i];
        const char *name = model_field_option(field), *space = length ? " " : "";
        char value[MODEL_FIELD_TEXT];
        if (!(field->lists & list) || !model_field_is_said(field, config) || field->covered)
            continue;
        if (field->type == MODEL_FLAG)
            length += (size_t)snprintf(text + length, MODEL_OPTIONS_TEXT - length, "%s--%s%s", space,
                                       model_field_integer(field, config) ? "" : "no-", name);
        else
            length += (size_t)snprintf(text + length, MODEL_OPTIONS_TEXT - length, "%s--%s %s", space, name,
                                       model_field_option_text(field, config, value));
    }
    return text;
}
