/* The attributes of a checkpoint that is written, and what they say of this build. */
#include "checkpoint_private.h"

#include <stdio.h>

#include "unroll/base/build_info.h"
#include "unroll/base/mem.h"

void checkpoint_build_here(struct checkpoint_build *build)
{
    *build = (struct checkpoint_build){.ranks = 0};
    snprintf(build->version, sizeof build->version, "%s", build_version());
    snprintf(build->revision, sizeof build->revision, "%s", build_revision());
    snprintf(build->compiler, sizeof build->compiler, "%s", build_compiler());
    snprintf(build->flags, sizeof build->flags, "%s", build_flags());
    snprintf(build->libraries, sizeof build->libraries, "%s", build_libraries());
    snprintf(build->instructions, sizeof build->instructions, "%s", build_instructions());
    build->arithmetic = build_arithmetic();
}

static void describe_root(struct attrs *attrs, const struct checkpoint *checkpoint, bool resumable)
{
    char hex[DIGEST_TEXT];
    param_digest(&checkpoint->table, checkpoint->values, hex);
    attrs_add_string(attrs, "format", CHECKPOINT_FORMAT);
    attrs_add_i64(attrs, "version", vocab_is_new(checkpoint->vocab) ? CHECKPOINT_VERSION : 1);
    attrs_add_string(attrs, "parameters_digest", hex);
    attrs_add_string(attrs, "corpus_digest", checkpoint->corpus_digest);
    attrs_add_i64(attrs, "step", checkpoint->progress.step);
    attrs_add_i64(attrs, "resumable", resumable);
}

static void describe_model(struct attrs *attrs, const struct checkpoint *checkpoint)
{
    const struct model_config *model = &checkpoint->model;
    char text[MODEL_FIELD_TEXT];
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        if (!model_field_is_said(field, model))
            continue;
        if (field->type == MODEL_CHOICE || field->type == MODEL_LIST)
            attrs_add_string(attrs, field->stored, model_field_text(field, model, text));
        else if (field->type == MODEL_REAL)
            attrs_add_f64(attrs, field->stored, model_field_real(field, model));
        else
            attrs_add_i64(attrs, field->stored, model_field_integer(field, model));
    }
}

static void describe_optimizer(struct attrs *attrs, const struct optimizer *optimizer)
{
    const struct optimizer_config *config = &optimizer->config;
    attrs_add_string(attrs, "kind", optimizer_name(config->kind));
    attrs_add_i64(attrs, "updates", optimizer->updates);
    for (int i = 0; i < optimizer_number_count; i++)
        attrs_add_f64(attrs, optimizer_numbers[i].name,
                      *(const double *)((const char *)config + optimizer_numbers[i].offset));
}

static void describe_average(struct attrs *attrs, const struct average_state *state)
{
    attrs_add_string(attrs, "kind", average_name((int)state->kind));
    attrs_add_i64(attrs, "count", state->count);
    attrs_add_i64(attrs, "began", state->began);
    if (state->kind != AVERAGE_UPDATES)
        return;
    attrs_add_i64(attrs, "nonmono", state->nonmono);
    attrs_add_i64(attrs, "validations", state->validations);
    attrs_add_f64(attrs, "least", state->least);
    for (int i = 0; i < state->nonmono; i++) {
        char name[32];
        snprintf(name, sizeof name, "recent_%02d", i);
        attrs_add_f64(attrs, name, state->recent[i]);
    }
}

static void describe_progress(struct attrs *attrs, const struct checkpoint *checkpoint)
{
    attrs_add_i64(attrs, "batch", checkpoint->batch);
    attrs_add_i64(attrs, "bptt", checkpoint->bptt);
    attrs_add_i64(attrs, "lane_groups", checkpoint->groups);
    for (int i = 0; i < progress_field_count; i++) {
        const struct progress_field *field = &progress_fields[i];
        const char *value = (const char *)&checkpoint->progress + field->offset;
        if (field->rule == FIELD_COUNT)
            attrs_add_i64(attrs, field->name, *(const int64_t *)value);
        else
            attrs_add_f64(attrs, field->name, *(const double *)value);
    }
}

static void describe_build(struct attrs *attrs, const struct checkpoint_build *build)
{
    attrs_add_string(attrs, "version", build->version);
    attrs_add_string(attrs, "revision", build->revision);
    attrs_add_string(attrs, "compiler", build->compiler);
    attrs_add_string(attrs, "flags", build->flags);
    attrs_add_string(attrs, "libraries", build->libraries);
    attrs_add_string(attrs, "instructions", build->instructions);
    attrs_add_string(attrs, "kernel", build->kernel);
    attrs_add_i64(attrs, "ranks", build->ranks);
    attrs_add_i64(attrs, "threads", build->threads);
    attrs_add_i64(attrs, "arithmetic", build->arithmetic);
}

static enum status write_object(struct attrs *attrs, struct h5 *file, const char *next, struct error *e)
{
    enum status status = attrs_write(attrs, file, e);
    attrs->count = 0;
    attrs->object = next;
    return status;
}

enum status checkpoint_write_attributes(struct h5 *file, const struct checkpoint *checkpoint, bool resumable,
                                        struct error *e)
{
    struct attrs *attrs = attrs_new("/", e);
    if (!attrs)
        return STATUS_OS;
    describe_root(attrs, checkpoint, resumable);
    enum status status = write_object(attrs, file, "/model", e);
    describe_model(attrs, checkpoint);
    if (!status)
        status = write_object(attrs, file, "/progress", e);
    describe_progress(attrs, checkpoint);
    if (!status)
        status = write_object(attrs, file, "/vocab", e);
    attrs_add_string(attrs, "level", level_name(checkpoint->vocab->level));
    if (checkpoint->vocab->normal != NORMAL_NONE)
        attrs_add_string(attrs, "normalise", normal_name(checkpoint->vocab->normal));
    if (*checkpoint->vocab->unicode)
        attrs_add_string(attrs, "unicode", checkpoint->vocab->unicode);
    if (checkpoint->markers != MARKERS_REFUSE)
        attrs_add_string(attrs, "markers", markers_name(checkpoint->markers));
    if (!status)
        status = write_object(attrs, file, "/config", e);
    for (int i = 0; i < checkpoint->options; i++)
        attrs_add_string(attrs, checkpoint->option[i].name, checkpoint->option[i].value);
    if (!status)
        status = write_object(attrs, file, "/build", e);
    describe_build(attrs, &checkpoint->build);
    if (!status)
        status = write_object(attrs, file, "/average", e);
    if (checkpoint->average.kind != AVERAGE_NONE) {
        describe_average(attrs, &checkpoint->average);
        if (!status)
            status = write_object(attrs, file, NULL, e);
    }
    attrs->object = "/optimizer";
    if (resumable) {
        describe_optimizer(attrs, checkpoint->optimizer);
        if (!status)
            status = write_object(attrs, file, NULL, e);
    }
    mem_free(attrs);
    return status;
}
