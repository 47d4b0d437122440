/* Makes a checkpoint for use from weights in a foreign file. */
#include "weights_private.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/data/vocab_text.h"
#include "unroll/nn/constants.h"

/* As many lanes and steps as `train` takes by itself. */
#define BATCH_DEFAULT 32
#define BPTT_DEFAULT 64
#define BATCH_MAX (1 << 20)
#define BPTT_MAX 65535

/* ---- what the model is ---- */

static const struct source_tensor *tensor_of_layer(const struct source *source, const char *kind, int layer)
{
    char name[SAFETENSORS_NAME];
    snprintf(name, sizeof name, "rnn.%s_l%d", kind, layer);
    return source_find(source, name);
}

/* Of an integer between `least` and `most`; false if the file does not tell one. */
static bool fact_int(const struct source *source, const char *name, int least, int most, int *value)
{
    char text[SOURCE_FACT_TEXT];
    int64_t wide;
    if (!source_fact(source, name, text) || number_parse_i64(text, &wide) != 0 || wide < least || wide > most)
        return false;
    *value = (int)wide;
    return true;
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
        if (read || !field->optional)
            model_field_set_real(field, model, read ? real : 0);
        return STATUS_OK;
    } else {
        (void)fact_int(&in->source, model_field_told(field), 0, INT_MAX, &value);
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

static enum status choose_model(struct importing *in)
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

/* ---- numbers ---- */

/* `at`: which of the parameter's numbers. */
static enum status refuse_number(const struct importing *in, const struct param *param, size_t at)
{
    char reason[240], place[60];
    size_t columns = (size_t)param->shape[1];
    if (param->rank == 2)
        snprintf(place, sizeof place, "[%zu][%zu]", at / columns, at % columns);
    else
        snprintf(place, sizeof place, "[%zu]", at);
    snprintf(reason, sizeof reason,
             "holds a number that is not finite, or too large for float32, at %s; look where it comes from: a training "
             "that diverged leaves such",
             place);
    return import_refuse(in, param->name, reason);
}

static enum status read_values(struct importing *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    checkpoint->values = mem_alloc(checkpoint->table.total, sizeof(float), "the parameters of a model", in->e);
    if (!checkpoint->values)
        return STATUS_OS;
    for (int i = 0; i < checkpoint->table.count; i++) {
        const struct param *param = &checkpoint->table.param[i];
        float *values = checkpoint->values + param->offset;
        if (param->alias >= 0)
            continue;
        const struct source_tensor *tensor = source_find(&in->source, param->name);
        if (!tensor)
            continue; /* a bias: zeros */
        enum status status = source_read(&in->source, tensor, 0, (int64_t)param->count, values, in->e);
        if (status)
            return status;
        for (size_t k = 0; k < param->count; k++)
            if (!isfinite(values[k]))
                return refuse_number(in, param, k);
    }
    struct error reason = {0};
    if (constants_check(&checkpoint->model, &checkpoint->table, checkpoint->values, &reason))
        return error_set(in->e, reason.status == STATUS_OS ? STATUS_OS : STATUS_DATA, "cannot import '%.200s': %.300s",
                         in->source.path, reason.text);
    return STATUS_OK;
}

/* ---- vocabulary ---- */

static enum status own_vocab(const struct importing *in, struct vocab **vocab)
{
    const char *text = in->source.safetensors ? safetensors_metadata(in->source.safetensors, "vocabulary") : NULL;
    char level_text[SOURCE_FACT_TEXT], normal_text[SOURCE_FACT_TEXT], unicode[SOURCE_FACT_TEXT];
    enum level level;
    enum normal normal = NORMAL_NONE;
    *vocab = NULL;
    if (!text && content_of_file(in->source.path) == CONTENT_CHECKPOINT)
        return error_set(in->e, STATUS_DATA,
                         "cannot use '%.200s' as weights: %s; use it as --model, without an import, or with another "
                         "vocabulary by --vocab-from",
                         in->source.path, content_says(CONTENT_CHECKPOINT));
    if (!text || !source_fact(&in->source, "level", level_text) || level_parse(level_text, &level, NULL))
        return error_set(
            in->e, STATUS_USAGE,
            "missing option '--vocab-from': '%.200s' does not tell what its tokens are; name the corpus or the model "
            "whose vocabulary it is, or a text with a token a line",
            in->source.path);
    if (source_fact(&in->source, "normalise", normal_text) &&
        (!normal_parse(normal_text, &normal) || !level_kind(level)->utf8))
        return error_set(in->e, STATUS_DATA,
                         "cannot import '%.200s': it tells of a normal form '%.40s', which is unknown", in->source.path,
                         normal_text);
    enum status status = vocab_text_read(text, strlen(text), level, in->source.path, vocab, in->e);
    if (!status)
        vocab_set_normal(*vocab, normal, source_fact(&in->source, "unicode", unicode) ? unicode : NULL);
    return status;
}

static enum status choose_vocab(struct importing *in)
{
    struct vocab *vocab = NULL;
    enum status status = in->hints->vocab ? vocab_copy(in->hints->vocab, &vocab, in->e) : own_vocab(in, &vocab);
    in->checkpoint->vocab = vocab;
    char markers[SOURCE_FACT_TEXT];
    if (!in->hints->vocab && source_fact(&in->source, "markers", markers))
        (void)markers_parse(markers, &in->checkpoint->markers);
    if (!status && vocab->size != in->checkpoint->model.vocab)
        status = error_set(in->e, STATUS_DATA,
                           "cannot import '%.200s': 'encoder.weight' has %d rows but the vocabulary %d entries; name "
                           "the vocabulary that the model was trained with",
                           in->source.path, in->checkpoint->model.vocab, vocab->size);
    return status;
}

/* Whether sentences are independent. */
static enum status choose_reset(const struct importing *in)
{
    char text[SOURCE_FACT_TEXT];
    bool at_eos = in->hints->reset_at_eos;
    const struct vocab *vocab = in->checkpoint->vocab;
    if (!in->hints->has_reset)
        at_eos = (source_fact(&in->source, "reset_at", text) && strcmp(text, "eos") == 0) ||
                 source_fact(&in->source, "reset_token", text);
    if (at_eos && vocab->eos < 0)
        return error_set(in->e, STATUS_DATA,
                         "cannot import '%.200s' with --reset-at eos: the vocabulary has no line end; write "
                         "'--reset-at none'",
                         in->source.path);
    in->checkpoint->model.reset_token = at_eos ? (uint32_t)vocab->eos : 0;
    return STATUS_OK;
}

/* ---- the rest of a checkpoint ---- */

/* Takes what has the form of an option; the name is a name in the checkpoint, where others are not allowed. */
static void take_option(void *context, const char *key, const char *value)
{
    struct checkpoint *checkpoint = context;
    size_t prefix = strlen(WEIGHTS_OPTION), length = strlen(key);
    struct checkpoint_option *option = &checkpoint->option[checkpoint->options];
    if (checkpoint->options == CHECKPOINT_OPTIONS_MAX || length <= prefix || length - prefix >= sizeof option->name ||
        strncmp(key, WEIGHTS_OPTION, prefix) != 0 || strlen(value) >= sizeof option->value)
        return;
    const char *name = key + prefix;
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != length - prefix)
        return;
    strcpy(option->name, name);
    strcpy(option->value, value);
    checkpoint->options++;
}

static void fill_rest(struct importing *in)
{
    struct checkpoint *checkpoint = in->checkpoint;
    const struct weights_hints *hints = in->hints;
    int step = 0;
    checkpoint->batch = BATCH_DEFAULT;
    checkpoint->bptt = BPTT_DEFAULT;
    (void)fact_int(&in->source, "batch", 1, BATCH_MAX, &checkpoint->batch);
    (void)fact_int(&in->source, "bptt", 1, BPTT_MAX, &checkpoint->bptt);
    if (hints->has_batch)
        checkpoint->batch = hints->batch;
    if (hints->has_bptt)
        checkpoint->bptt = hints->bptt;
    if (hints->has_batch || !fact_int(&in->source, "lane_groups", 1, checkpoint->batch, &checkpoint->groups))
        checkpoint->groups = lane_groups_choose(0, checkpoint->batch, checkpoint->bptt);
    (void)fact_int(&in->source, "step", 0, INT_MAX, &step);
    checkpoint->progress =
        (struct progress){.step = step, .valid_loss = NAN, .best_valid_loss = NAN, .lr_factor = 1, .valid_step = -1};
    char digest[SOURCE_FACT_TEXT];
    if (source_fact(&in->source, "corpus_digest", digest) && strlen(digest) < sizeof checkpoint->corpus_digest)
        strcpy(checkpoint->corpus_digest, digest);
    checkpoint_build_here(&checkpoint->build);
    if (in->source.safetensors)
        safetensors_each_metadata(in->source.safetensors, take_option, checkpoint);
}

enum status weights_import(const char *path, enum weights_source source, const struct weights_hints *hints,
                           struct checkpoint *checkpoint, struct weights_report *report, struct error *e)
{
    *checkpoint = (struct checkpoint){.owned = true};
    *report = (struct weights_report){.renamed = ""};
    struct importing *in = mem_alloc(1, sizeof *in, "weights to import", e);
    if (!in)
        return STATUS_OS;
    in->hints = hints;
    in->checkpoint = checkpoint;
    in->report = report;
    in->e = e;
    enum status status = source_open(&in->source, path, source, e);
    if (!status)
        status = choose_model(in);
    if (!status)
        status = choose_vocab(in);
    if (!status)
        status = choose_reset(in);
    if (!status)
        status = read_values(in);
    if (!status) {
        import_tell_converted(in);
        fill_rest(in);
    }
    source_close(&in->source);
    mem_free(in);
    if (status)
        checkpoint_release(checkpoint);
    return status;
}
