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

/* As many lanes and steps as `train` takes by itself. */
#define BATCH_DEFAULT 32
#define BPTT_DEFAULT 64
#define BATCH_MAX (1 << 20)
#define BPTT_MAX 65535

#define PIECE (1 << 18) /* numbers compared at once */

struct importing {
    struct source source;
    const struct weights_hints *hints;
    struct checkpoint *checkpoint;
    struct weights_report *report;
    struct error *e;
};

static enum status refuse(const struct importing *in, const char *name, const char *reason)
{
    return source_refuse(&in->source, name, in->e, "%s", reason);
}

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

/* What tensors of models that Unroll has none of are called like, and why it has none of them. */
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

/* No recurrent layers, or several that do not tell how they are connected. */
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

/* Cell, layers and widths, by the shapes of the tensors that every model has. */
static enum status infer_model(struct importing *in, struct model_config *model)
{
    const struct source *source = &in->source;
    const struct source_tensor *embedding = source_find(source, "encoder.weight");
    const struct source_tensor *recurrent = tensor_of_layer(source, "weight_hh", 0);
    const char *every_layer = recurrent ? "weight_hh" : "weight_ih"; /* has one */
    struct weights_cell cell = {.hidden = 0};
    if (!recurrent && !cell_without_recurrence(source))
        return refuse_layers(in);
    if (recurrent && (recurrent->rank != 2 || recurrent->shape[1] < 1))
        return refuse(in, "rnn.weight_hh_l0", "is not there as a matrix");
    if (!embedding || embedding->rank != 2)
        return refuse_embedding(in, tensor_of_layer(source, "weight_ih", 0));
    enum status status = cell_of_weights(source, in->hints, in->report, &cell, in->e);
    if (status)
        return status;
    if (embedding->shape[0] > VOCAB_MAX || embedding->shape[1] > MODEL_WIDTH_MAX || cell.hidden > MODEL_WIDTH_MAX)
        return refuse(in, "encoder.weight", "or 'rnn.weight_hh_l0' is wider than Unroll's models can be");
    model->cell = cell.cell;
    model->vocab = (int)embedding->shape[0];
    model->embedding = (int)embedding->shape[1];
    model->hidden = (int)cell.hidden;
    while (model->layers < MODEL_LAYERS_MAX && tensor_of_layer(source, every_layer, model->layers))
        model->layers++;
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
        return refuse(in, "decoder.weight", "is missing, but an untied model has one; leave --no-tied out");
    return STATUS_OK;
}

/* Before any of its numbers are read. */
static enum status check_type(const struct importing *in, const struct source_tensor *tensor)
{
    char reason[200];
    if (!tensor || tensor->is_float)
        return STATUS_OK;
    snprintf(reason, sizeof reason,
             "is %s, but weights are float32, float16, bfloat16 or float64; write it as one of them", tensor->type);
    return refuse(in, tensor->name, reason);
}

/* Whether both matrices are the same bits; piece by piece, for they may be large. */
static enum status compare_tied(const struct importing *in, bool *same)
{
    const struct source_tensor *one = source_find(&in->source, "encoder.weight");
    const struct source_tensor *two = source_find(&in->source, "decoder.weight");
    enum status status = check_type(in, one);
    if (!status)
        status = check_type(in, two);
    if (status)
        return status;
    *same = two && two->rank == 2 && one->shape[0] == two->shape[0] && one->shape[1] == two->shape[1];
    if (!*same)
        return STATUS_OK;
    float *pieces = mem_alloc(2 * PIECE, sizeof *pieces, "weights to compare", in->e);
    status = pieces ? STATUS_OK : STATUS_OS;
    int64_t elements = one->shape[0] * one->shape[1];
    for (int64_t done = 0; done < elements && *same && !status; done += PIECE) {
        int64_t count = elements - done < PIECE ? elements - done : PIECE;
        status = source_read(&in->source, one, done, count, pieces, in->e);
        if (!status)
            status = source_read(&in->source, two, done, count, pieces + PIECE, in->e);
        *same = !status && memcmp(pieces, pieces + PIECE, (size_t)count * sizeof *pieces) == 0;
    }
    mem_free(pieces);
    return status;
}

/* Whether a tensor without a place may be the output layer's, which is not there. */
static bool may_be_output(const struct importing *in, const struct source_tensor *tensor)
{
    const char *dot = strrchr(tensor->given, '.');
    return !source_find(&in->source, "decoder.weight") && dot && tensor->shape[0] == in->checkpoint->model.vocab &&
           (strcmp(dot, ".weight") == 0 || strcmp(dot, ".bias") == 0);
}

/* Tensors that such a model has no place for. */
static enum status refuse_unused(const struct importing *in, const struct param_table *table)
{
    char list[240], advice[240] = "";
    const struct source_tensor *first = NULL;
    size_t used = 0;
    int count = 0;
    for (int i = 0; i < in->source.count; i++) {
        const struct source_tensor *tensor = &in->source.tensor[i];
        if (!tensor->name[0] || param_find(table, tensor->name) >= 0)
            continue;
        first = first ? first : tensor;
        if (count++ < 3)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s'%.60s'", count > 1 ? ", " : "", tensor->given);
        if (may_be_output(in, tensor))
            snprintf(advice, sizeof advice, "; '--rename %.*s=decoder.' if that is the output layer",
                     (int)(strrchr(tensor->given, '.') - tensor->given) + 1, tensor->given);
    }
    if (count == 0)
        return STATUS_OK;
    if (count > 3)
        snprintf(list + used, sizeof list - used, " and %d more", count - 3);
    return error_set(
        in->e, STATUS_DATA,
        "cannot import '%.100s': %s %s no parameter%s of such a model; '--rename %.60s=' leaves one out, if the "
        "model works without%s",
        in->source.path, list, count > 1 ? "are" : "is", count > 1 ? "s" : "", first->given, advice);
}

/* A parameter's tensor has its shape, and numbers. */
static enum status check_tensor(const struct importing *in, const struct param *param,
                                const struct source_tensor *tensor)
{
    char reason[200];
    if (tensor->rank != param->rank || tensor->shape[0] != param->shape[0] || tensor->shape[1] != param->shape[1]) {
        snprintf(reason, sizeof reason, "is %s[%lld][%lld] where such a model has [%lld][%lld]",
                 tensor->rank > 2 ? "more than " : "", (long long)tensor->shape[0], (long long)tensor->shape[1],
                 (long long)param->shape[0], (long long)param->shape[1]);
        return refuse(in, param->name, reason);
    }
    return check_type(in, tensor);
}

/* Biases that are not there are zeros: of modules made with bias=False. */
static void tell_zeros(const struct importing *in, const struct param *param)
{
    char *text = in->report->zeros;
    size_t used = strlen(text), size = sizeof in->report->zeros;
    snprintf(text + used, size - used, "%s'%s'", used ? ", " : "", param->name);
}

/* Every parameter of the table is there with its shape, and nothing else. */
static enum status check_names(const struct importing *in, const struct param_table *table)
{
    enum status status = refuse_unused(in, table);
    for (int i = 0; i < table->count && !status; i++) {
        const struct param *param = &table->param[i];
        const struct source_tensor *tensor = source_find(&in->source, param->name);
        if (tensor)
            status = check_tensor(in, param, tensor);
        else if (strstr(param->name, "bias"))
            tell_zeros(in, param);
        else if (param->alias < 0)
            status = refuse(in, param->name, "is missing");
        else if (!in->hints->has_tied)
            snprintf(in->report->tied, sizeof in->report->tied, "'%s'", param->name);
    }
    return status;
}

/* How many of the tensors used were no float32, by type. */
static void tell_converted(const struct importing *in)
{
    static const char *const types[][2] = {{"F16", "float16"}, {"BF16", "bfloat16"}, {"F64", "float64"}};
    char *text = in->report->converted;
    size_t used = 0, size = sizeof in->report->converted;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        int count = 0;
        for (int i = 0; i < in->source.count; i++) {
            const struct source_tensor *tensor = &in->source.tensor[i];
            bool same = strcmp(tensor->type, types[k][0]) == 0 || strcmp(tensor->type, types[k][1]) == 0;
            count += tensor->name[0] && same;
        }
        if (count > 0)
            used += (size_t)snprintf(text + used, size - used, "%s%d of %s", used ? ", " : "", count, types[k][1]);
    }
}

/* ---- labels of a classifier ---- */

static enum status read_labels(const struct importing *in, const char *text, struct labels *labels)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), label_length = strcspn(line, "\t\n");
        char count[NUMBER_TEXT] = "";
        int label;
        if (labels_find(labels, line, label_length) >= 0)
            return refuse(in, "labels", "hold a label twice; make the file again");
        struct error reason = {0};
        enum status status = labels_add(labels, line, label_length, &label, &reason);
        if (status)
            return error_set(in->e, status, "cannot import '%.200s': %.300s", in->source.path, reason.text);
        if (length > label_length && length - label_length - 1 < sizeof count)
            memcpy(count, line + label_length + 1, length - label_length - 1);
        if (number_parse_u64(count, &labels->counts[label]) != 0)
            return refuse(in, "labels", "hold a line that is not LABEL<tab>COUNT; make the file again");
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

/* One that must be there is refused if it is not, or unknown; what else does not read is as if it was not told. */
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
            return refuse(in, model_field_told(field), reason);
    } else if (field->type == MODEL_FLAG) {
        value = told && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
    } else if (field->type == MODEL_REAL) {
        model_field_set_real(field, model, told && number_parse_double(text, &real) == 0 ? real : 0);
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
        status = compare_tied(in, &same);
    if (!status)
        status = choose_tied(in, same, &model->tied);
    if (status)
        return status;
    if (in->hints->has_dropout)
        model->dropout = in->hints->dropout;
    if (model_config_check(model, &reason))
        return error_set(in->e, STATUS_DATA, "cannot import '%.200s': %.300s", in->source.path, reason.text);
    if (model->tied && source_find(&in->source, "decoder.weight") && !same)
        return refuse(in, "decoder.weight",
                      "differs from 'encoder.weight', to which it is said to be tied; write "
                      "--no-tied");
    param_table_build(model, &in->checkpoint->table);
    return check_names(in, &in->checkpoint->table);
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
    return refuse(in, param->name, reason);
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
        tell_converted(in);
        fill_rest(in);
    }
    source_close(&in->source);
    mem_free(in);
    if (status)
        checkpoint_release(checkpoint);
    return status;
}
