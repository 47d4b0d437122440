/* What model the tensors and facts of a foreign file are of. */
#include "weights_private.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/number.h"
#include "unroll/nn/constants.h"

static const struct source_tensor *tensor_of_layer(const struct source *source, const char *kind, int layer)
{
    char name[SAFETENSORS_NAME];
    snprintf(name, sizeof name, "rnn.%s_l%d", kind, layer);
    return source_find(source, name);
}

/* Parts of tensor names of models that Unroll does not have, and the message for each. */
static const struct {
    const char *part, *reason;
} strangers[] = {
    {"_reverse", "is of a bidirectional model; a language model must not see the words to come: train it with "
                 "bidirectional=False"},
    {"weight_hr_l", "is of an LSTM with projections, which Unroll has not: train it without proj_size"},
    {"_raw", "is of an LSTM with weight dropping, such as fastai's AWD-LSTM; save the plain weight_hh_l0 instead: "
             "names without _raw, and without 'module.' beside them"},
    {"parametrizations", "is of a module with a parametrization; remove that before saving: "
                         "torch.nn.utils.parametrize.remove_parametrizations(module, name)"},
    {"self_attn", "is of a Transformer; Unroll has recurrent models only"},
    {"attn.", "is of a Transformer; Unroll has recurrent models only"},
    {"attention.", "is of a Transformer; Unroll has recurrent models only"},
    {"wpe.", "is of a Transformer; Unroll has recurrent models only"},
    {".A_log", "is of a state-space model (Mamba); Unroll has recurrent models only"},
    {"time_mix", "is of RWKV; Unroll has recurrent cells of PyTorch's kind only"},
    {"weight_ci", "is of an LSTM with peepholes, which Unroll has not: train PyTorch's nn.LSTM"},
    {"layer_norm",
     "is of a model with layer normalisation, which Unroll has not: train PyTorch's recurrent module alone"},
    {"running_mean",
     "is of a model with batch normalisation, which Unroll has not: train PyTorch's recurrent module alone"},
};

static enum status refuse_strangers(const struct importing *in)
{
    for (int i = 0; i < in->source.count; i++)
        for (size_t k = 0; in->source.tensor[i].name[0] && k < sizeof strangers / sizeof *strangers; k++)
            if (strstr(in->source.tensor[i].given, strangers[k].part))
                return error_set(in->e, STATUS_DATA, "cannot import '%.200s': '%.60s' %s", in->source.path,
                                 in->source.tensor[i].given, strangers[k].reason);
    return STATUS_OK;
}

/* There are no recurrent layers, or several and their order is unknown. */
static enum status refuse_layers(const struct importing *in)
{
    const char *path = in->source.path;
    char list[300], modules[CELL_MODULES_TEXT];
    for (int i = 0; i < in->source.count; i++) {
        const char *name = in->source.tensor[i].name, *end = strstr(name, "weight_hh");
        int before = end ? (int)(end - name) : 0;
        if (end)
            return error_set(
                in->e, STATUS_DATA,
                "cannot import '%.150s': '%.60s' is of one of several recurrent modules; say which layer each is, "
                "name by name: '--rename %.*s=rnn.weight_hh_l0' ...",
                path, name, before + 12, name);
    }
    names_list(&in->source, false, 0, list, sizeof list);
    return error_set(
        in->e, STATUS_DATA,
        "cannot import '%.150s': none of its tensors is called weight_hh_l0, as those of %s are; it has %s; say which "
        "are which by '--rename NAME=rnn.weight_hh_l0' ...",
        path, cell_torch_modules(modules), *list ? list : "none");
}

static enum status refuse_embedding(const struct importing *in, const struct source_tensor *input)
{
    const char *path = in->source.path;
    char list[200];
    int64_t E = input && input->rank == 2 ? input->shape[1] : 0;
    const struct source_tensor *output = source_find(&in->source, "decoder.weight");
    if (output && E > 0 && E == output->shape[0] && E != output->shape[1])
        return error_set(
            in->e, STATUS_DATA,
            "cannot import '%.150s': it has no embedding and seems to read one-hot vectors of %lld tokens; add "
            "the embedding that does the same: tensors['encoder.weight'] = torch.eye(%lld)",
            path, (long long)E, (long long)E);
    int count = names_list(&in->source, true, E, list, sizeof list);
    return error_set(
        in->e, STATUS_DATA,
        "cannot import '%.150s': 'encoder.weight', the embedding, is not there as a matrix; if it is called "
        "otherwise, write '--rename NAME=encoder.weight'%s%s",
        path, count ? "; of its width are " : "", list);
}

/* Units of a layer by its weight_hh, or, without such, its weight_ih. One that cannot be is left to the check of all
 * tensors' shapes: the layer is then as wide as it can. */
static int width_of(const struct source_tensor *tensor, const struct model_config *model, bool recurrent)
{
    int64_t width = recurrent ? tensor->shape[1] : tensor->shape[0] / cell_kind(model->cell)->gates;
    return width < 1 ? 1 : width > MODEL_WIDTH_MAX ? MODEL_WIDTH_MAX : (int)width;
}

/* Cell, layers and widths, by the shapes of the tensors that every model has. */
static enum status infer_model(struct importing *in, struct model_config *model)
{
    const struct source *source = &in->source;
    const struct source_tensor *embedding = source_find(source, "encoder.weight");
    const struct source_tensor *recurrent = tensor_of_layer(source, "weight_hh", 0);
    const char *every_layer = recurrent ? "weight_hh" : "weight_ih"; /* has one */
    struct weights_cell cell = {.hidden = 0};
    if (!recurrent && !cell_without_recurrence(source, in->hints))
        return refuse_layers(in);
    if (recurrent && (recurrent->rank != 2 || recurrent->shape[1] < 1))
        return import_refuse(in, "rnn.weight_hh_l0", "is not there as a matrix");
    if (!embedding || embedding->rank != 2)
        return refuse_embedding(in, tensor_of_layer(source, "weight_ih", 0));
    enum status status = cell_of_weights(source, in->hints, in->report, &cell, in->e);
    if (status)
        return status;
    if (embedding->shape[0] > VOCAB_MAX || embedding->shape[1] > MODEL_WIDTH_MAX || cell.hidden > MODEL_WIDTH_MAX)
        return import_refuse(in, "encoder.weight", "or 'rnn.weight_hh_l0' is wider than Unroll's models can be");
    model->cell = cell.cell;
    cell_rounds_of_weights(source, model);
    model->vocab = (int)embedding->shape[0];
    model->embedding = (int)embedding->shape[1];
    int widths[MODEL_LAYERS_MAX] = {0};
    while (model->layers < MODEL_LAYERS_MAX && tensor_of_layer(source, every_layer, model->layers)) {
        widths[model->layers] = width_of(tensor_of_layer(source, every_layer, model->layers), model, recurrent);
        model->layers++;
    }
    widths[0] = (int)cell.hidden;
    model_set_widths(model, widths);
    return STATUS_OK;
}

/* Neither an output layer nor an embedding that it could be. */
static enum status refuse_output(const struct importing *in, int hidden)
{
    char list[200];
    int count = names_list(&in->source, true, hidden, list, sizeof list);
    return error_set(
        in->e, STATUS_DATA,
        "cannot import '%.150s': 'decoder.weight', the output layer, is not there; if it is called otherwise, "
        "write '--rename NAME=decoder.weight'%s%s",
        in->source.path, count ? "; of its width are " : "", list);
}

/* Tied if the caller or the file says so, if the second name is missing, or if both hold the same numbers, which
 * `same` tells. */
static enum status choose_tied(const struct importing *in, bool same, bool *tied)
{
    const struct model_config *model = &in->checkpoint->model;
    char text[SOURCE_FACT_TEXT];
    bool missing = !source_find(&in->source, "decoder.weight");
    if (output_kind(model)->uses & OUTPUT_CLUSTERS) { /* its decoder is another */
        *tied = in->hints->has_tied && in->hints->tied;
        return STATUS_OK;
    }
    if (in->hints->has_tied)
        *tied = in->hints->tied;
    else if (missing && model->embedding != model->hidden)
        return refuse_output(in, model->hidden);
    else if (missing)
        *tied = true;
    else if (source_fact(&in->source, "tied", text))
        *tied = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    else
        *tied = same;
    if (!*tied && missing)
        return import_refuse(in, "decoder.weight", "is missing, but an untied model has one; leave --no-tied out");
    return STATUS_OK;
}

/* ---- labels of a classifier ---- */

static enum status read_labels(const struct importing *in, const char *text, struct labels *labels)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), label_length = strcspn(line, "\t\n");
        char count[NUMBER_TEXT] = "";
        int label;
        if (labels_find(labels, line, label_length) >= 0)
            return import_refuse(in, "labels", "hold a label twice; make the file again");
        struct error reason = {0};
        enum status status = labels_add(labels, line, label_length, &label, &reason);
        if (status)
            return error_set(in->e, status, "cannot import '%.200s': %.300s", in->source.path, reason.text);
        if (length > label_length && length - label_length - 1 < sizeof count)
            memcpy(count, line + label_length + 1, length - label_length - 1);
        if (number_parse_u64(count, &labels->counts[label]) != 0)
            return import_refuse(in, "labels", "hold a line that is not LABEL<tab>COUNT; make the file again");
        line += length + (line[length] == '\n');
    }
    return STATUS_OK;
}

/* A classifier is known by its labels, which only files of 'unroll export' hold. */
static enum status choose_task(const struct importing *in, struct model_config *model)
{
    const char *text = in->source.safetensors ? safetensors_metadata(in->source.safetensors, "labels") : NULL;
    char name[SOURCE_FACT_TEXT];
    if (!text || !source_fact(&in->source, "task", name) || strcmp(name, task_name(TASK_CLASSIFY)) != 0)
        return STATUS_OK;
    struct labels *labels = labels_new(in->e);
    in->checkpoint->labels = labels;
    if (!labels)
        return STATUS_OS;
    enum status status = read_labels(in, text, labels);
    if (status)
        return status;
    model->task = TASK_CLASSIFY;
    model->labels = labels->count;
    return STATUS_OK;
}

/* A required fact that is missing or unknown is an error. Any other fact that cannot be read is ignored. */
static enum status take_fact(const struct importing *in, const struct model_field *field, struct model_config *model)
{
    char text[SOURCE_FACT_TEXT], known[CHOICES_TEXT], reason[CHOICES_TEXT + 60];
    bool told = source_fact(&in->source, model_field_told(field), text);
    double real = 0;
    int value = 0;
    if (field->type == MODEL_CHOICE) {
        value = told ? choices_find(field->choices, text) : field->optional ? 0 : -1;
        snprintf(reason, sizeof reason, "is none of %s; make the file again",
                 choices_text(field->choices, " and ", known));
        if (value < 0)
            return import_refuse(in, model_field_told(field), reason);
    } else if (field->type == MODEL_FLAG) {
        value = told && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
    } else if (field->type == MODEL_LIST) {
        if (told)
            (void)model_field_set_list(field, model, text);
        return STATUS_OK;
    } else if (field->type == MODEL_REAL) {
        bool read = told && number_parse_double(text, &real) == 0;
        return read || !field->optional ? model_field_take_real(field, model, read ? real : 0, in->e) : STATUS_OK;
    } else {
        (void)source_fact_int(&in->source, model_field_told(field), 0, INT_MAX, &value);
    }
    model_field_set_integer(field, model, value);
    return STATUS_OK;
}

static enum status take_facts(const struct importing *in, struct model_config *model)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < model_field_count && !status; i++)
        if (model_fields[i].lists & MODEL_FACT && model_field_applies(&model_fields[i], model))
            status = take_fact(in, &model_fields[i], model);
    return status;
}

enum status import_choose_model(struct importing *in)
{
    struct model_config *model = &in->checkpoint->model;
    bool same = false;
    struct error reason = {0};
    enum status status = names_rename(&in->source, in->hints->rename, in->hints->renames, in->report, in->e);
    if (!status)
        status = refuse_strangers(in);
    if (!status)
        status = names_recognise(&in->source, in->report, in->e);
    if (!status)
        status = infer_model(in, model);
    if (!status)
        status = choose_task(in, model);
    if (!status)
        status = take_facts(in, model);
    if (!status)
        status = adaptive_infer(&in->source, model, in->e);
    if (!status)
        status = import_compare_tied(in, &same);
    if (!status)
        status = choose_tied(in, same, &model->tied);
    if (status)
        return status;
    if (in->hints->has_dropout)
        model->dropout = in->hints->dropout;
    if (model_config_check(model, &reason))
        return error_set(in->e, STATUS_DATA, "cannot import '%.200s': %.300s", in->source.path, reason.text);
    if (model->tied && source_find(&in->source, "decoder.weight") && !same)
        return import_refuse(in, "decoder.weight",
                             "differs from 'encoder.weight', to which it is said to be tied; write "
                             "--no-tied");
    model->reordered = source_find(&in->source, CONSTANTS_ORDER) && output_kind(model)->uses & OUTPUT_ORDER;
    param_table_build(model, &in->checkpoint->table);
    return import_check_tensors(in, &in->checkpoint->table);
}
