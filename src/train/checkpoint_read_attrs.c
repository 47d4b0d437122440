/* Reads the attributes of a checkpoint, each against its digest and its range. */
#include "checkpoint_private.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static enum status read_root(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    struct attrs *attrs = in->attrs;
    char format[64];
    int64_t version, resumable = 0;
    attrs->object = "/";
    enum status status = h5_attr_string(in->file, "/", "format", format, sizeof format, in->e);
    if (!status && strcmp(format, CHECKPOINT_FORMAT) != 0)
        status =
            error_set(in->e, STATUS_CHECKPOINT, "it is a file of format '%s', not '%s'", format, CHECKPOINT_FORMAT);
    if (!status)
        status = h5_attr_i64(in->file, "/", "version", &version, in->e);
    if (!status && (version < 1 || version > CHECKPOINT_VERSION))
        status = error_set(in->e, STATUS_CHECKPOINT,
                           "it has version %lld of the format, this program reads versions 1 to %d", (long long)version,
                           CHECKPOINT_VERSION);
    if (!status)
        status = attrs_read(attrs, in->file, in->e);
    if (!status)
        status = attrs_string(attrs, "format", format, sizeof format, in->e);
    if (!status)
        status = attrs_i64(attrs, "version", 1, CHECKPOINT_VERSION, &version, in->e);
    if (!status)
        status = attrs_string(attrs, "parameters_digest", in->checkpoint->parameters_digest,
                              sizeof in->checkpoint->parameters_digest, in->e);
    if (!status)
        status =
            attrs_string(attrs, "corpus_digest", checkpoint->corpus_digest, sizeof checkpoint->corpus_digest, in->e);
    if (!status)
        status = attrs_i64(attrs, "step", INT64_MIN, INT64_MAX, &checkpoint->progress.step, in->e);
    if (!status)
        status = attrs_i64(attrs, "resumable", 0, 1, &resumable, in->e);
    in->checkpoint->resumable = resumable;
    return status ? status : attrs_all_taken(attrs, in->e);
}

/* A name. An optional one is not written for value 0, so it may not be that of 0. */
static enum status read_choice(struct reading *in, const struct model_field *field, struct model_config *model)
{
    char name[32];
    int value = 0;
    enum status status = attrs_string(in->attrs, field->stored, name, sizeof name, in->e);
    if (!status && field->optional && choices_find(field->choices, name) <= 0)
        status = error_set(in->e, STATUS_CHECKPOINT, "the attribute '%s' of '/model' is '%s'", field->stored, name);
    if (!status)
        status = choices_parse(field->choices, name, &value, in->e);
    model_field_set_integer(field, model, value);
    return status;
}

static enum status read_list(struct reading *in, const struct model_field *field, struct model_config *model)
{
    char text[MODEL_FIELD_TEXT];
    enum status status = attrs_string(in->attrs, field->stored, text, sizeof text, in->e);
    if (!status && !model_field_set_list(field, model, text))
        status = error_set(in->e, STATUS_CHECKPOINT, "the attribute '%s' of '/model' is '%s', no list of numbers",
                           field->stored, text);
    return status;
}

static enum status read_value(struct reading *in, const struct model_field *field, struct model_config *model)
{
    if (field->type == MODEL_CHOICE)
        return read_choice(in, field, model);
    if (field->type == MODEL_LIST)
        return read_list(in, field, model);
    enum status status;
    if (field->type == MODEL_REAL) {
        double real = 0;
        status = attrs_f64(in->attrs, field->stored, &real, in->e);
        return status ? status : model_field_take_real(field, model, real, in->e);
    }
    int value = 0, least = field->type == MODEL_INT ? INT_MIN : field->optional;
    status = attrs_int(in->attrs, field->stored, least, field->type == MODEL_FLAG ? 1 : INT_MAX, &value, in->e);
    model_field_set_integer(field, model, value);
    return status;
}

/* One that says itself which models have it, as the task does, is read first. */
static enum status read_field(struct reading *in, const struct model_field *field, struct model_config *model)
{
    if (field->optional ? !attrs_has(in->attrs, field->stored) : !model_field_applies(field, model))
        return STATUS_OK;
    enum status status = read_value(in, field, model);
    if (!status && !model_field_applies(field, model))
        status =
            error_set(in->e, STATUS_CHECKPOINT, "'/model' has an attribute '%s' that no such model has", field->stored);
    return status;
}

static enum status read_model(struct reading *in)
{
    in->attrs->object = "/model";
    enum status status = attrs_read(in->attrs, in->file, in->e);
    for (int i = 0; i < model_field_count && !status; i++)
        status = read_field(in, &model_fields[i], &in->checkpoint->model);
    return status ? status : attrs_all_taken(in->attrs, in->e);
}

static enum status read_progress(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    struct attrs *attrs = in->attrs;
    int64_t step = checkpoint->progress.step;
    attrs->object = "/progress";
    enum status status = attrs_read(attrs, in->file, in->e);
    if (!status)
        status = attrs_int(attrs, "batch", INT_MIN, INT_MAX, &checkpoint->batch, in->e);
    if (!status)
        status = attrs_int(attrs, "bptt", INT_MIN, INT_MAX, &checkpoint->bptt, in->e);
    if (!status)
        status = attrs_int(attrs, "lane_groups", INT_MIN, INT_MAX, &checkpoint->groups, in->e);
    for (int i = 0; i < progress_field_count && !status; i++) {
        const struct progress_field *field = &progress_fields[i];
        char *value = (char *)&checkpoint->progress + field->offset;
        if (field->rule == FIELD_COUNT)
            status = attrs_i64(attrs, field->name, INT64_MIN, INT64_MAX, (int64_t *)value, in->e);
        else
            status = attrs_f64(attrs, field->name, (double *)value, in->e);
    }
    if (!status && checkpoint->progress.step != step)
        status = error_set(in->e, STATUS_CHECKPOINT, "the step of '/progress' is not that of the file");
    return status ? status : attrs_all_taken(attrs, in->e);
}

static enum status read_vocab_level(struct reading *in)
{
    char level[32], markers[32], normal[32];
    in->attrs->object = "/vocab";
    enum status status = attrs_read(in->attrs, in->file, in->e);
    if (!status)
        status = attrs_string(in->attrs, "level", level, sizeof level, in->e);
    if (!status)
        status = level_parse(level, &in->level, in->e);
    if (!status && attrs_has(in->attrs, "normalise")) {
        status = attrs_string(in->attrs, "normalise", normal, sizeof normal, in->e);
        if (!status && (!normal_parse(normal, &in->normal) || !level_kind(in->level)->utf8))
            status =
                error_set(in->e, STATUS_CHECKPOINT, "the attribute 'normalise' of '/vocab' is none that Unroll knows");
    }
    if (!status && attrs_has(in->attrs, "unicode"))
        status = attrs_string(in->attrs, "unicode", in->unicode, sizeof in->unicode, in->e);
    if (!status && attrs_has(in->attrs, "markers")) {
        status = attrs_string(in->attrs, "markers", markers, sizeof markers, in->e);
        if (!status && !markers_parse(markers, &in->checkpoint->markers))
            status =
                error_set(in->e, STATUS_CHECKPOINT, "the attribute 'markers' of '/vocab' is none that Unroll knows");
    }
    return status ? status : attrs_all_taken(in->attrs, in->e);
}

static enum status read_options(struct reading *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    in->attrs->object = "/config";
    enum status status = attrs_read(in->attrs, in->file, in->e);
    for (int i = 0; i < in->attrs->count && !status; i++) {
        const struct attr *attr = &in->attrs->item[i];
        struct checkpoint_option *option = &checkpoint->option[i];
        if (attr->type != H5_ATTR_STRING)
            return error_set(in->e, STATUS_CHECKPOINT, "the attribute '%s' of '/config' is no text", attr->name);
        memcpy(option->name, attr->name, sizeof option->name);
        memcpy(option->value, attr->text, sizeof option->value);
        checkpoint->options = i + 1;
    }
    return status;
}

static enum status read_build(struct reading *in)
{
    struct checkpoint_build *build = &in->checkpoint->build;
    struct attrs *attrs = in->attrs;
    const struct {
        const char *name;
        char *text;
        size_t size;
    } texts[] = {
        {"version", build->version, sizeof build->version},
        {"revision", build->revision, sizeof build->revision},
        {"compiler", build->compiler, sizeof build->compiler},
        {"flags", build->flags, sizeof build->flags},
        {"libraries", build->libraries, sizeof build->libraries},
        {"instructions", build->instructions, sizeof build->instructions},
        {"kernel", build->kernel, sizeof build->kernel},
    };
    attrs->object = "/build";
    enum status status = attrs_read(attrs, in->file, in->e);
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts) && !status; i++)
        status = attrs_string(attrs, texts[i].name, texts[i].text, texts[i].size, in->e);
    if (!status)
        status = attrs_int(attrs, "ranks", INT_MIN, INT_MAX, &build->ranks, in->e);
    if (!status)
        status = attrs_int(attrs, "threads", INT_MIN, INT_MAX, &build->threads, in->e);
    if (!status && attrs_has(attrs, "arithmetic"))
        status = attrs_int(attrs, "arithmetic", INT_MIN, INT_MAX, &build->arithmetic, in->e);
    return status ? status : attrs_all_taken(attrs, in->e);
}

static enum status read_optimizer_config(struct reading *in)
{
    struct optimizer_config *config = &in->checkpoint->rule;
    struct attrs *attrs = in->attrs;
    char kind[32];
    if (!in->checkpoint->resumable)
        return STATUS_OK;
    attrs->object = "/optimizer";
    enum status status = attrs_read(attrs, in->file, in->e);
    if (!status)
        status = attrs_string(attrs, "kind", kind, sizeof kind, in->e);
    if (!status)
        status = choices_parse(&optimizer_choices, kind, &config->kind, in->e);
    if (!status)
        status = attrs_i64(attrs, "updates", 0, INT64_MAX, &in->checkpoint->updates, in->e);
    for (int i = 0; i < optimizer_number_count && !status; i++)
        status = attrs_f64(attrs, optimizer_numbers[i].name, (double *)((char *)config + optimizer_numbers[i].offset),
                           in->e);
    return status ? status : attrs_all_taken(attrs, in->e);
}

static enum status read_validations(struct reading *in, struct average_state *state)
{
    struct attrs *attrs = in->attrs;
    enum status status = attrs_i64(attrs, "nonmono", 1, AVERAGE_NONMONO_MAX, &state->nonmono, in->e);
    if (!status)
        status = attrs_i64(attrs, "validations", 0, INT64_MAX, &state->validations, in->e);
    if (!status)
        status = attrs_f64(attrs, "least", &state->least, in->e);
    for (int i = 0; i < state->nonmono && !status; i++) {
        char name[32];
        snprintf(name, sizeof name, "recent_%02d", i);
        status = attrs_f64(attrs, name, &state->recent[i], in->e);
    }
    return status;
}

/* Where there is none the weights are not averaged. */
static enum status read_average(struct reading *in)
{
    struct average_state *state = &in->checkpoint->average;
    struct attrs *attrs = in->attrs;
    char kind[32];
    if (!h5_exists(in->file, "/average"))
        return STATUS_OK;
    attrs->object = "/average";
    enum status status = attrs_read(attrs, in->file, in->e);
    if (!status)
        status = attrs_string(attrs, "kind", kind, sizeof kind, in->e);
    for (int i = AVERAGE_EPOCHS; i <= AVERAGE_UPDATES && !status; i++)
        state->kind = strcmp(kind, average_name(i)) == 0 ? i : state->kind;
    if (!status && state->kind == AVERAGE_NONE)
        status = error_set(in->e, STATUS_CHECKPOINT, "the attribute 'kind' of '/average' is '%s'", kind);
    if (!status)
        status = attrs_i64(attrs, "count", 0, INT64_MAX, &state->count, in->e);
    if (!status)
        status = attrs_i64(attrs, "began", -1, INT64_MAX, &state->began, in->e);
    if (!status && state->kind == AVERAGE_UPDATES)
        status = read_validations(in, state);
    return status ? status : attrs_all_taken(attrs, in->e);
}

enum status reading_attributes(struct reading *in)
{
    enum status (*const steps[])(struct reading *) = {
        read_root,    read_model, read_progress,         read_vocab_level,
        read_options, read_build, read_optimizer_config, read_average,
    };
    enum status status = STATUS_OK;
    for (int i = 0; i < (int)(sizeof steps / sizeof *steps) && !status; i++)
        status = steps[i](in);
    return status ? status : checkpoint_check(in->checkpoint, in->e);
}
