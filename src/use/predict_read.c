/* Files of bench --json as measurements to predict from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/sys/json_read.h"
#include "unroll/use/predict.h"

#define SECONDS_MAX 1e6

/* Which of the names the text at `path` is. */
static enum status read_choice(const struct json_read *in, const char *path, const struct choices *choices, int *value,
                               struct error *e)
{
    const char *text;
    enum status status = json_read_string(in, path, &text, e);
    if (status)
        return status;
    *value = choices_find(choices, text);
    if (*value >= 0)
        return STATUS_OK;
    return error_set(e, STATUS_DATA, "cannot use '%s': '%.50s' is no known '%s'; write the report anew", in->path, text,
                     path);
}

static enum status read_list(const struct json_read *in, const char *path, const struct model_field *field,
                             struct model_config *model, struct error *e)
{
    const char *text;
    enum status status = json_read_string(in, path, &text, e);
    if (!status && !model_field_set_list(field, model, text))
        status =
            error_set(e, STATUS_DATA, "cannot use '%s': '%.50s' of '%s' is no list of numbers; write the report anew",
                      in->path, text, path);
    return status;
}

/* Files from before there was an optional field have none, and no file one that the model has not. */
static enum status read_field(const struct json_read *in, const struct model_field *field, struct model_config *model,
                              struct error *e)
{
    char name[MODEL_FIELD_NAME], path[MODEL_FIELD_NAME + 8];
    bool flag = false;
    double real = 0;
    int value = 0;
    enum status status;
    snprintf(path, sizeof path, "model.%s", model_field_measured(field, name));
    if (field->optional ? !json_read_has(in, path) : !model_field_applies(field, model))
        return STATUS_OK;
    if (field->type == MODEL_LIST)
        return read_list(in, path, field, model, e);
    if (field->type == MODEL_REAL) {
        status = json_read_double(in, path, field->least, field->most, &real, e);
        return status ? status : model_field_take_real(field, model, real, e);
    }
    if (field->type == MODEL_CHOICE)
        status = read_choice(in, path, field->choices, &value, e);
    else if (field->type == MODEL_FLAG)
        status = json_read_bool(in, path, &flag, e);
    else
        status = json_read_int(in, path, (int)field->least, (int)field->most, &value, e);
    model_field_set_integer(field, model, flag ? 1 : value);
    return status;
}

static enum status read_setting(const struct json_read *in, struct predict_setting *setting, struct error *e)
{
    int reduction = 0;
    enum status status = STATUS_OK;
    for (int i = 0; i < model_field_count && !status; i++)
        if (model_fields[i].lists & MODEL_SPEED)
            status = read_field(in, &model_fields[i], &setting->model, e);
    if (!status)
        status = read_choice(in, "model.optimizer", &optimizer_choices, &setting->optimizer, e);
    if (!status)
        status = read_choice(in, "model.reduction", &reduction_choices, &reduction, e);
    if (!status)
        status = json_read_int(in, "model.bptt", 1, 65535, &setting->bptt, e);
    if (!status)
        status = json_read_int(in, "threads", 1, 4096, &setting->threads, e);
    setting->reduction = (enum reduction)reduction;
    return status ? status : model_config_check(&setting->model, e);
}

static enum status read_link(const struct json_read *in, const char *name, struct network_link *link, struct error *e)
{
    char path[64];
    snprintf(path, sizeof path, "network.%s.latency", name);
    enum status status = json_read_double(in, path, 0, SECONDS_MAX, &link->latency, e);
    snprintf(path, sizeof path, "network.%s.start_up", name);
    if (!status)
        status = json_read_double(in, path, 0, SECONDS_MAX, &link->start_up, e);
    snprintf(path, sizeof path, "network.%s.bandwidth", name);
    return status ? status : json_read_double(in, path, 1, 1e15, &link->bandwidth, e);
}

/* Links between hosts and inside them, as far as this file knows them and none before did. */
static enum status read_network(const struct json_read *in, struct predict_config *config, struct error *e)
{
    enum status status = STATUS_OK;
    if (!config->has_between && json_read_has(in, "network.between_hosts")) {
        status = read_link(in, "between_hosts", &config->network.between, e);
        config->has_between = !status;
    }
    if (!status && !config->has_inside && json_read_has(in, "network.inside_hosts")) {
        status = read_link(in, "inside_hosts", &config->network.inside, e);
        config->has_inside = !status;
    }
    return status;
}

static enum status check_setting(const char *path, const struct predict_setting *a, const struct predict_setting *b,
                                 struct error *e)
{
    const char *differs = a->bptt != b->bptt             ? "bptt"
                          : a->threads != b->threads     ? "threads"
                          : a->optimizer != b->optimizer ? "optimizer"
                          : a->reduction != b->reduction ? "reduction"
                                                         : NULL;
    for (int i = model_field_count - 1; i >= 0; i--) /* the first that differs */
        if (model_fields[i].lists & MODEL_SPEED && model_field_differs(&model_fields[i], &a->model, &b->model))
            differs = model_field_option(&model_fields[i]);
    if (differs)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '%s' with the files before it: another --%s; measure all with the same options but "
            "for --batch",
            path, differs);
    return STATUS_OK;
}

/* Puts the measurement into its place, or into the mean of those with as many lanes. */
static enum status add_measured(const char *path, const struct predict_measured *measured,
                                struct predict_config *config, struct error *e)
{
    int at = 0;
    while (at < config->count && config->measured[at].lanes < measured->lanes)
        at++;
    struct predict_measured *place = &config->measured[at];
    if (at < config->count && place->lanes == measured->lanes) {
        place->files++;
        for (int phase = 0; phase < BENCH_PHASES; phase++)
            place->phase[phase] += (measured->phase[phase] - place->phase[phase]) / place->files;
        return STATUS_OK;
    }
    if (config->count == PREDICT_MEASURED_MAX)
        return error_set(e, STATUS_CONFIG, "cannot use '%s': more than %d different batches; leave some out", path,
                         PREDICT_MEASURED_MAX);
    memmove(place + 1, place, (size_t)(config->count - at) * sizeof *place);
    *place = *measured;
    config->count++;
    return STATUS_OK;
}

static enum status read_measured(const struct json_read *in, struct predict_config *config, struct error *e)
{
    struct predict_setting setting = {.bptt = 0};
    struct predict_measured measured = {.files = 1};
    enum status status = read_setting(in, &setting, e);
    if (!status)
        status = json_read_int(in, "model.batch", 1, 1 << 20, &measured.lanes, e);
    for (int phase = 0; phase < BENCH_PHASES && !status; phase++) {
        char path[64];
        snprintf(path, sizeof path, "phases.%s", bench_phase_name((enum bench_phase)phase));
        status = json_read_double(in, path, 0, SECONDS_MAX, &measured.phase[phase], e);
    }
    if (!status && config->count > 0)
        status = check_setting(in->path, &config->setting, &setting, e);
    if (status)
        return status;
    if (config->count == 0) {
        config->setting = setting;
        config->first_lanes = measured.lanes;
    }
    return add_measured(in->path, &measured, config, e);
}

enum status predict_read(const char *path, struct predict_config *config, struct error *e)
{
    struct json_read in;
    int ranks = 0;
    double add_rate = 0;
    enum status status = json_read_open(path, &in, e);
    if (!status)
        status = json_read_int(&in, "ranks", 1, 1 << 20, &ranks, e);
    if (!status)
        status = json_read_double(&in, "added_floats_per_second", 1, 1e15, &add_rate, e);
    if (!status && ranks > 1 && !json_read_has(&in, "network"))
        status = error_set(e, STATUS_CONFIG,
                           "cannot predict from '%s': made by %d ranks without --network; run 'unroll bench' on one "
                           "rank for the phases of a step, and with --network on several for links",
                           path, ranks);
    if (!status && json_read_has(&in, "network"))
        status = read_network(&in, config, e);
    if (!status && ranks == 1) {
        bool first = config->count == 0;
        status = read_measured(&in, config, e);
        config->network.add_rate = first ? add_rate : fmin(config->network.add_rate, add_rate);
    }
    json_read_close(&in);
    return status;
}
