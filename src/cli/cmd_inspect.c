/* unroll inspect: what a checkpoint or a corpus holds, for people or as one JSON object. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/number.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/file_kind.h"
#include "unroll/cli/load.h"
#include "unroll/sys/json.h"
#include "unroll/train/checkpoint.h"

/* One walk over the facts serves both forms: for people a heading or an aligned line each, for programs a member. */
struct report {
    struct json *json; /* NULL: plain text */
};

static void begin(struct report *report, const char *key, const char *heading)
{
    if (report->json)
        json_object_begin(report->json, key);
    else
        printf("\n%s\n", heading);
}

static void end(struct report *report)
{
    if (report->json)
        json_object_end(report->json);
}

static void tell(struct report *report, const char *key, const char *text)
{
    if (report->json)
        json_put_string(report->json, key, text);
    else
        printf("  %-20s %s\n", key, text);
}

static void tell_int(struct report *report, const char *key, int64_t value)
{
    if (report->json)
        json_put_int(report->json, key, value);
    else
        printf("  %-20s %lld\n", key, (long long)value);
}

static void tell_double(struct report *report, const char *key, double value)
{
    char text[NUMBER_TEXT];
    if (report->json)
        json_put_double(report->json, key, value);
    else
        printf("  %-20s %s\n", key, isnan(value) ? "none yet" : number_format(value, text));
}

static void tell_bool(struct report *report, const char *key, bool value)
{
    if (report->json)
        json_put_bool(report->json, key, value);
    else
        printf("  %-20s %s\n", key, value ? "yes" : "no");
}

static void tell_vocabulary(struct report *report, const struct vocab *vocab, enum markers markers)
{
    char digest[33];
    vocab_digest(vocab, digest);
    begin(report, "vocabulary", "vocabulary");
    tell(report, "level", level_name(vocab->level));
    if (vocab->normal != NORMAL_NONE)
        tell(report, "normalise", normal_name(vocab->normal));
    if (*vocab->unicode)
        tell(report, "unicode", vocab->unicode);
    tell_int(report, "size", vocab->size);
    tell(report, "digest", digest);
    if (markers != MARKERS_REFUSE)
        tell(report, "markers", markers_name(markers));
    end(report);
}

/* Each label with its training texts. */
static void tell_labels(struct report *report, const struct labels *labels)
{
    begin(report, "labels", "labels: training texts");
    for (int label = 0; label < labels->count; label++) {
        char name[LABEL_BYTES_MAX + 1];
        size_t length;
        const char *text = labels_text(labels, label, &length);
        memcpy(name, text, length);
        name[length] = '\0';
        tell_int(report, name, (int64_t)labels->counts[label]);
    }
    end(report);
}

/* ---- checkpoints ---- */

static void tell_field(struct report *report, const struct model_field *field, const struct model_config *model)
{
    const char *name = model_field_told(field);
    char text[MODEL_FIELD_TEXT];
    if (field->type == MODEL_REAL)
        tell_double(report, name, model_field_real(field, model));
    else if (field->type == MODEL_FLAG)
        tell_bool(report, name, model_field_integer(field, model));
    else if (field->type == MODEL_INT)
        tell_int(report, name, model_field_integer(field, model));
    else
        tell(report, name, model_field_text(field, model, text));
}

static void tell_model(struct report *report, const struct checkpoint *checkpoint)
{
    const struct model_config *model = &checkpoint->model;
    begin(report, "model", "model");
    for (int i = 0; i < model_field_count; i++) {
        const struct model_field *field = &model_fields[i];
        if (!(field->lists & MODEL_TABLE) && model_field_is_said(field, model))
            tell_field(report, field, model);
    }
    end(report);
}

static void tell_parameters(struct report *report, const struct checkpoint *checkpoint)
{
    const char *digest = checkpoint->parameters_digest;
    if (report->json) {
        json_put_string(report->json, "parameters_digest", digest);
        json_put_int(report->json, "parameters", (int64_t)checkpoint->table.elements);
        json_array_begin(report->json, "tensors");
    } else {
        printf("\nparameters\n");
        printf("  %-20s %s\n", "digest", digest);
        printf("  %-20s %zu\n", "trainable numbers", checkpoint->table.elements);
    }
    for (int i = 0; i < checkpoint->table.count; i++) {
        const struct param *param = &checkpoint->table.param[i];
        const char *alias = param->alias >= 0 ? checkpoint->table.param[param->alias].name : NULL;
        if (report->json) {
            json_object_begin(report->json, NULL);
            json_put_string(report->json, "name", param->name);
            json_array_begin(report->json, "shape");
            for (int dim = 0; dim < param->rank; dim++)
                json_put_int(report->json, NULL, param->shape[dim]);
            json_array_end(report->json);
            if (alias)
                json_put_string(report->json, "tied_to", alias);
            json_object_end(report->json);
            continue;
        }
        printf("  %-20s [%lld]", param->name, (long long)param->shape[0]);
        if (param->rank == 2)
            printf("[%lld]", (long long)param->shape[1]);
        if (alias)
            printf("  tied to %s", alias);
        printf("\n");
    }
    if (report->json)
        json_array_end(report->json);
}

static void tell_progress(struct report *report, const struct progress *progress)
{
    begin(report, "progress", "progress");
    tell_int(report, "step", progress->step);
    tell_int(report, "epoch", progress->epoch);
    tell_int(report, "window", progress->window);
    tell_int(report, "tokens", progress->tokens);
    tell_int(report, "skipped", progress->skipped);
    tell_double(report, "valid_loss", progress->valid_loss);
    tell_double(report, "best_valid_loss", progress->best_valid_loss);
    tell_int(report, "best_step", progress->best_step);
    tell_double(report, "seconds", progress->seconds);
    tell_bool(report, "finished", progress->finished != 0);
    end(report);
}

/* Whose parameters are an average, or may become one. */
static void tell_average(struct report *report, const struct checkpoint *checkpoint)
{
    const struct average_state *state = &checkpoint->average;
    if (state->kind == AVERAGE_NONE)
        return;
    begin(report, "average", "average of weights");
    tell(report, "kind", average_name((int)state->kind));
    tell_bool(report, "parameters_are_it", state->count > 0);
    if (state->began >= 0)
        tell_int(report, "since_step", state->began);
    tell_int(report, "weights_in_it", state->count);
    end(report);
}

static void tell_options(struct report *report, const struct checkpoint *checkpoint)
{
    begin(report, "options", "options");
    for (int i = 0; i < checkpoint->options; i++)
        tell(report, checkpoint->option[i].name, checkpoint->option[i].value);
    end(report);
}

static void tell_build(struct report *report, const struct checkpoint_build *build)
{
    begin(report, "build", "written by");
    tell(report, "version", build->version);
    tell(report, "revision", build->revision);
    tell(report, "compiler", build->compiler);
    tell(report, "flags", build->flags);
    tell(report, "libraries", build->libraries);
    tell(report, "instructions", build->instructions);
    tell(report, "kernel", build->kernel);
    tell_int(report, "arithmetic", build->arithmetic);
    tell_int(report, "ranks", build->ranks);
    tell_int(report, "threads", build->threads);
    end(report);
}

static enum status inspect_checkpoint(struct report *report, const char *path, struct error *e)
{
    struct checkpoint checkpoint;
    enum status status = checkpoint_read(path, CHECKPOINT_FACTS, &checkpoint, e);
    if (status)
        return status;
    tell(report, "file", path);
    tell(report, "format", CHECKPOINT_FORMAT);
    tell_int(report, "step", checkpoint.progress.step);
    tell_int(report, "epoch", checkpoint.progress.epoch);
    tell_model(report, &checkpoint);
    tell_vocabulary(report, checkpoint.vocab, checkpoint.markers);
    if (checkpoint.labels)
        tell_labels(report, checkpoint.labels);
    tell_parameters(report, &checkpoint);
    begin(report, "training", "training");
    tell_int(report, "batch", checkpoint.batch);
    tell_int(report, "bptt", checkpoint.bptt);
    tell_int(report, "lane_groups", checkpoint.groups);
    tell(report, "corpus_digest", checkpoint.corpus_digest);
    end(report);
    tell_average(report, &checkpoint);
    tell_progress(report, &checkpoint.progress);
    tell_options(report, &checkpoint);
    tell_build(report, &checkpoint.build);
    checkpoint_release(&checkpoint);
    return status;
}

/* ---- corpora ---- */

static enum status inspect_corpus(struct report *report, const char *path, struct error *e)
{
    struct corpus *corpus;
    enum status status = corpus_open(path, &corpus, e);
    if (status)
        return status;
    tell(report, "file", path);
    tell(report, "format", CORPUS_FORMAT);
    tell(report, "digest", corpus->digest);
    tell_bool(report, "lowercase", corpus->lowercase);
    tell_vocabulary(report, corpus->vocab, corpus->markers);
    if (corpus->labels)
        tell_labels(report, corpus->labels);
    for (int split = 0; split < SPLITS; split++) {
        if (corpus->tokens[split] == 0)
            continue;
        begin(report, split_name(split), split_name(split));
        tell_int(report, "tokens", corpus->tokens[split]);
        tell_int(report, "unknown", corpus->unknowns[split]);
        if (corpus->labels)
            tell_int(report, "texts", corpus->texts[split]);
        end(report);
    }
    corpus_close(corpus);
    return STATUS_OK;
}

/* ---- files ---- */

static enum status inspect(struct report *report, const char *path, struct error *e)
{
    enum file_kind kind;
    enum status status = file_kind(path, &kind, e);
    if (status)
        return status;
    return kind == FILE_CHECKPOINT ? inspect_checkpoint(report, path, e) : inspect_corpus(report, path, e);
}

/* One object, on a line. */
static enum status inspect_json(const char *path, struct json *json, struct error *e)
{
    struct report report = {json};
    const char *text;
    json_clear(json);
    json_object_begin(json, NULL);
    enum status status = inspect(&report, path, e);
    if (status)
        return status;
    json_object_end(json);
    status = json_text(json, &text, e);
    if (!status)
        printf("%s\n", text);
    return status;
}

enum status cmd_inspect(const struct options *options, struct error *e)
{
    struct json json;
    struct report plain = {NULL};
    enum status status = STATUS_OK;
    json_init(&json);
    for (int i = 0; i < options->files && !status; i++) {
        if (i > 0 && !options->json)
            printf("\n");
        status = options->json ? inspect_json(options->file[i], &json, e) : inspect(&plain, options->file[i], e);
    }
    json_release(&json);
    return status ? status : finish_output(e);
}
