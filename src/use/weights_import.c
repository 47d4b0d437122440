/* Makes a checkpoint for use from weights in a foreign file. */
#include "weights_private.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/content.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/mem.h"
#include "unroll/data/vocab_text.h"
#include "unroll/nn/constants.h"

/* As many lanes and steps as `train` takes by itself. */
#define BATCH_DEFAULT 32
#define BPTT_DEFAULT 64
#define BATCH_MAX (1 << 20)
#define BPTT_MAX 65535

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
    bool told = source_fact_int(&in->source, "batch", 1, BATCH_MAX, &checkpoint->batch) || hints->has_batch;
    (void)source_fact_int(&in->source, "bptt", 1, BPTT_MAX, &checkpoint->bptt);
    if (hints->has_batch)
        checkpoint->batch = hints->batch;
    if (!told && checkpoint->model.task == TASK_LM)
        snprintf(in->report->lanes, sizeof in->report->lanes, "%d; --batch sets the number of training",
                 checkpoint->batch);
    if (hints->has_bptt)
        checkpoint->bptt = hints->bptt;
    if (hints->has_batch || !source_fact_int(&in->source, "lane_groups", 1, checkpoint->batch, &checkpoint->groups))
        checkpoint->groups = lane_groups_choose(0, checkpoint->batch, checkpoint->bptt);
    (void)source_fact_int(&in->source, "step", 0, INT_MAX, &step);
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
        status = import_choose_model(in);
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
