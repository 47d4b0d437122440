/* Checks options that exclude or need each other, and sets defaults that follow from other options. */
#include "unroll/cli/option_together.h"

#include <stdio.h>
#include <string.h>

#include "options_private.h"

#include "unroll/base/file.h"
#include "unroll/base/number.h"
#include "unroll/base/window.h"
#include "unroll/data/cuts.h"
#include "unroll/nn/output.h"

/* ---- defaults ---- */

/* What was not given has another default where texts are classified. */
static void set_classify_defaults(struct options *options)
{
    struct error e;
    for (const struct option *option = NULL; (option = option_next(options->command, option));)
        if (option->classify && options->memory->origin[option_number(options, option)] == ORIGIN_DEFAULT)
            CHECK(!option_set(option, options, option->classify, option->name, STATUS_INTERNAL, &e));
}

static int widths_given(const struct options *options)
{
    int count = 0;
    while (count < MODEL_LAYERS_MAX && options->hidden[count])
        count++;
    return count;
}

void options_take_dropout(const struct options *options, struct model_config *model)
{
    model->dropout_input = options->dropout_input < 0 ? 0 : model_dropout_held(model, options->dropout_input);
    model->dropout_hidden = options->dropout_hidden < 0 ? 0 : model_dropout_held(model, options->dropout_hidden);
    model->dropout_output = options->dropout_output < 0 ? 0 : model_dropout_held(model, options->dropout_output);
}

/* Defaults that follow from other options. */
void options_settle_all(struct options *options)
{
    if (options->train.step.model.task == TASK_CLASSIFY)
        set_classify_defaults(options);
    int widths = widths_given(options);
    if (widths > 1 && options_origin(options, "layers") == ORIGIN_DEFAULT)
        options->train.step.model.layers = widths;
    if (widths == 1 || widths == options->train.step.model.layers) /* else options_check_all refuses them */
        model_set_widths(&options->train.step.model, options->hidden);
    if (widths > 1 && !options->train.step.model.widths[0] && options->train.step.model.hidden == options->hidden[0])
        memset(options->hidden + 1, 0, sizeof options->hidden - sizeof *options->hidden); /* all equal: one number */
    options_take_dropout(options, &options->train.step.model);
    if (options->train.step.model.embedding == 0)
        options->train.step.model.embedding = options->train.step.model.hidden;
    if (options->train.schedule.lr < 0)
        options->train.schedule.lr = optimizer_default_lr(options->train.step.optimizer.kind) /
                                     (options->train.step.model.task == TASK_CLASSIFY ? 2 : 1);
    if (options->train.step.optimizer.epsilon < 0)
        options->train.step.optimizer.epsilon = optimizer_default_epsilon(options->train.step.optimizer.kind);
    if (optimizer_averages(options->train.step.optimizer.kind) && options->command == COMMAND_TRAIN &&
        !options_given(options, "schedule"))
        options->train.schedule.kind = SCHEDULE_CONSTANT;
    if (options->train.patience < 0 && options->train.schedule.kind != SCHEDULE_CONSTANT &&
        options->train.schedule.kind != SCHEDULE_PLATEAU)
        options->train.patience = 0; /* they end where their last step is */
}

void options_settle_prepare(struct options *options)
{
    options->prepare.labelled = options->prepare.labelled || options->classes > 0;
    if (options->prepare.labelled && !options_given(options, "level"))
        options->prepare.level = LEVEL_WORD;
}

void options_settle_train(struct options *options)
{
    if (options->train.max_steps > 0 && options_origin(options, "epochs") == ORIGIN_DEFAULT)
        options->train.epochs = OPTION_EPOCHS_MAX;
}

/* The configuration file of a run says what it was trained with, and so does the model. */
void options_settle_use(struct options *options)
{
    if (options_origin(options, "precision") != ORIGIN_FLAG)
        options->use_precision = OPTION_PRECISION_TRAINED;
    if (options_origin(options, "bf16-order") != ORIGIN_FLAG)
        options->use_order = OPTION_ORDER_TRAINED;
}

void options_settle_eval(struct options *options)
{
    options_settle_use(options);
    if (options_origin(options, "batch") != ORIGIN_FLAG)
        options->eval.batch = options->eval.cache.size > 0 || options->per_token_file ? 1 : -1;
    if (options_origin(options, "bptt") != ORIGIN_FLAG)
        options->eval.bptt = 0;
    if (options_origin(options, "lr") != ORIGIN_FLAG || options->eval.lr < 0)
        options->eval.lr = options->eval.rms ? 0.0002 : 0.1;
}

/* ---- what excludes each other ---- */

static enum status check_order(const struct options *options, struct error *e)
{
    if (options->train.step.model.precision == PRECISION_BF16 || options_origin(options, "bf16-order") != ORIGIN_FLAG)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot use '--bf16-order' with --precision float32, whose sums have one order; leave it out, or "
                     "add '--precision bf16'");
}

/* How to be without an option that a file has, which the command line overrides: more than leaving it out. */
static const char *without(const struct options *options, const char *name, const char *value, char text[80])
{
    text[0] = '\0';
    if (options_origin(options, name) != ORIGIN_FLAG)
        snprintf(text, 80, " of the file, add '--%s %s'", name, value);
    return text;
}

/* Options of regularisers that the model has no place for, wherever they come from: a run whose files say that weights
 * are dropped drops weights. Recipes give way (option_recipe.c). */
static enum status check_places(const struct options *options, struct error *e)
{
    const struct model_config *model = &options->train.step.model;
    char text[80];
    const struct cell_kind *cell = cell_kind(model->cell);
    const struct {
        const char *name;
        double p;
    } of_recurrence[] = {{"dropout-state", model->dropout_state}, {"weight-drop", model->weight_drop}};
    for (size_t i = 0; i < 2 && cell->recurrent_gates == 0; i++)
        if (of_recurrence[i].p > 0)
            return error_set(
                e, STATUS_CONFIG,
                "cannot use '--%s' with --cell %s, which has no recurrent weights; leave it out%s, or choose "
                "another cell",
                of_recurrence[i].name, cell->name, without(options, of_recurrence[i].name, "0", text));
    if (model->layers == 1 && options->dropout_hidden > 0)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--dropout-hidden' with --layers 1: nothing lies between layers; leave it out%s, "
                         "or add layers",
                         without(options, "dropout-hidden", "dropout", text));
    return STATUS_OK;
}

/* Options that are of some output layers alone. */
static enum status check_output(const struct options *options, struct error *e)
{
    static const char *const of_samples[] = {"samples", "proposal"};
    static const char *const of_clusters[] = {"cutoffs", "div"};
    const struct model_config *model = &options->train.step.model;
    const struct output_kind *kind = output_kind(model);
    char layer[64] = "--task classify";
    if (model->task == TASK_LM)
        snprintf(layer, sizeof layer, "--output-layer %s", kind->name);
    for (size_t i = 0; i < sizeof of_samples / sizeof *of_samples && !(kind->uses & OUTPUT_SAMPLES); i++)
        if (options_origin(options, of_samples[i]) == ORIGIN_FLAG)
            return error_set(e, STATUS_CONFIG,
                             "cannot use '--%s' with %s, which draws no samples; leave it out, or add --output-layer "
                             "sampled or nce",
                             of_samples[i], layer);
    for (size_t i = 0; i < sizeof of_clusters / sizeof *of_clusters && !(kind->uses & OUTPUT_CLUSTERS); i++)
        if (options_origin(options, of_clusters[i]) == ORIGIN_FLAG)
            return error_set(e, STATUS_CONFIG,
                             "cannot use '--%s' with %s, which has no clusters; leave it out, or add --output-layer "
                             "adaptive",
                             of_clusters[i], layer);
    if (model->task == TASK_CLASSIFY && model->output_layer != 0)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--output-layer %s' with --task classify: it is for vocabularies, and labels are "
                         "few; leave it out",
                         output_layer_choices.name(model->output_layer));
    return STATUS_OK;
}

enum status options_check_all(const struct options *options, struct error *e)
{
    int widths = widths_given(options);
    if (widths <= 1 || widths == options->train.step.model.layers)
        return STATUS_OK;
    return error_set(e, STATUS_CONFIG,
                     "cannot use '--layers %d' with --hidden of %d layers; leave --layers out, or write one number for "
                     "each layer",
                     options->train.step.model.layers, widths);
}

static enum status check_windows(const struct options *options, struct error *e)
{
    int bptt = options->train.step.bptt, most = WINDOW_STEPS_MAX - CUTS_MORE;
    if (!options->train.bptt_vary)
        return STATUS_OK;
    if (options->train.step.model.task == TASK_CLASSIFY)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--bptt-vary' with --task classify: a window there holds whole texts; leave it "
                         "out");
    if (bptt < CUTS_LEAST || bptt > most)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--bptt-vary' with --bptt %d: its windows have %d to %d tokens; use --bptt %d to "
                         "%d",
                         bptt, CUTS_LEAST, WINDOW_STEPS_MAX, CUTS_LEAST, most);
    return STATUS_OK;
}

/* Options that are of cells with rounds alone. */
static enum status check_rounds(const struct options *options, struct error *e)
{
    static const char *const of_rounds[] = {"mogrify", "mogrify-rank"};
    const struct cell_kind *kind = cell_kind(options->train.step.model.cell);
    char cells[CHOICES_TEXT];
    for (size_t i = 0; i < sizeof of_rounds / sizeof *of_rounds && !kind->rounds; i++)
        if (options_origin(options, of_rounds[i]) == ORIGIN_FLAG)
            return error_set(
                e, STATUS_CONFIG,
                "cannot use '--%s' with --cell %s, which has no rounds; leave it out, or choose a cell that "
                "has some: %s",
                of_rounds[i], kind->name, cell_words(of_rounds[i], cells));
    return STATUS_OK;
}

enum status options_check_step(const struct options *options, struct error *e)
{
    char first[NUMBER_TEXT], second[NUMBER_TEXT];
    if (options->train.step.model.task == TASK_CLASSIFY &&
        (options->train.step.model.tied || options->train.reset_at_eos))
        return error_set(e, STATUS_CONFIG, "cannot use '%s' with --task classify: %s; leave it out",
                         options->train.step.model.tied ? "--tied" : "--reset-at eos",
                         options->train.step.model.tied ? "labels are no words" : "each text stands alone anyway");
    if (options->train.step.model.task == TASK_CLASSIFY && options->train.gradflow_every > 0)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--gradflow-every' with --task classify: it follows predictions of tokens; leave it out");
    if (options->train.step.model.task == TASK_CLASSIFY && options->train.sample_every)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--sample-every' with --task classify: a classifier writes no text; leave it out");
    if (options->train.step.model.task == TASK_CLASSIFY &&
        (options->train.step.model.ar > 0 || options->train.step.model.tar > 0))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--%s' with --task classify: it is for outputs that all predict something; leave "
                         "it out",
                         options->train.step.model.ar > 0 ? "ar" : "tar");
    if (options->train.step.model.task == TASK_LM && options->train.word_dropout > 0)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--word-dropout' with --task lm; leave it out, or add --task "
                         "classify");
    if (options->train.step.model.tied && options->train.step.model.embedding != options->train.step.model.hidden)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--tied': --embedding is %d but --hidden of the top layer is %d; make them equal",
                         options->train.step.model.embedding, options->train.step.model.hidden);
    if (options->train.batch > 0 && options->train.groups > options->train.batch) /* else --batch is made for them */
        return error_set(e, STATUS_CONFIG,
                         "bad value '%d' for '--lane-groups': more than the %d lanes of --batch; write 1 to %d",
                         options->train.groups, options->train.batch, options->train.batch);
    if (options->train.schedule.kind != SCHEDULE_CONSTANT &&
        options->train.schedule.minimum > options->train.schedule.lr)
        return error_set(e, STATUS_CONFIG, "bad value '%s' for '--lr-min': above --lr, which is %s; write 0 to %s",
                         number_format(options->train.schedule.minimum, first),
                         number_format(options->train.schedule.lr, second), second);
    enum status status = check_output(options, e);
    if (!status)
        status = check_windows(options, e);
    if (!status)
        status = check_places(options, e);
    if (!status)
        status = check_rounds(options, e);
    return status ? status : check_order(options, e);
}

/* Options of one way to average weights alone. */
static enum status check_average(const struct options *options, struct error *e)
{
    const struct average_config *average = &options->train.average;
    const char *optimizer = optimizer_name(options->train.step.optimizer.kind);
    bool by_optimizer = optimizer_averages(options->train.step.optimizer.kind);
    if (by_optimizer && average->kind != AVERAGE_NONE)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--average %s' together with '--optimizer %s', which averages by itself; leave one "
            "out",
            average_name((int)average->kind), optimizer);
    if (by_optimizer && options->train.patience > 0 && options->train.patience <= average->nonmono)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--patience %lld' with --nonmono %lld: the run would end before averaging begins; "
                         "write at least %lld",
                         (long long)options->train.patience, (long long)average->nonmono,
                         (long long)average->nonmono + 1);
    if (!by_optimizer && options_origin(options, "nonmono") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--nonmono' with --optimizer %s; leave it out, or add --optimizer ntasgd",
                         optimizer);
    if (average->kind != AVERAGE_EMA && options_origin(options, "average-decay") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG, "cannot use '--average-decay' without '--average ema'; add it");
    if (average->kind == AVERAGE_NONE && options_origin(options, "average-from") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG, "cannot use '--average-from' without '--average epochs' or ema; add one");
    return STATUS_OK;
}

enum status options_check_train(const struct options *options, struct error *e)
{
    if (!options->train.sample_every && options_origin(options, "sample-length") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--sample-length' without '--sample-every': no sample is written; add "
                         "'--sample-every STEPS'");
    enum status status = check_average(options, e);
    return status ? status : options_check_step(options, e);
}

/* Without --cell all are checked, those that have the place among them. */
enum status options_check_gradcheck(const struct options *options, struct error *e)
{
    enum status status = options_given(options, "cell") ? check_places(options, e) : STATUS_OK;
    return status ? status : check_order(options, e);
}

/* The vocabulary is there: nothing is chosen. */
static enum status check_vocab_from(const struct options *options, struct error *e)
{
    static const char *const of_making[] = {"vocab-size", "min-count", "lowercase"};
    for (size_t i = 0; options->vocab_from && i < sizeof of_making / sizeof *of_making; i++)
        if (options_given(options, of_making[i]))
            return error_set(
                e, STATUS_CONFIG,
                "cannot use '--%s%s' together with '--vocab-from', whose vocabulary is taken as it is; leave "
                "one out",
                strcmp(of_making[i], "lowercase") == 0 && !options->prepare.lowercase ? "no-" : "", of_making[i]);
    return STATUS_OK;
}

enum status options_check_prepare(const struct options *options, struct error *e)
{
    enum status status = check_vocab_from(options, e);
    if (status)
        return status;
    bool other = options->vocab_from && options->valid_files + options->test_files > 0;
    if (options->train_files == 0 && options->classes == 0 && !other)
        return error_set(e, STATUS_USAGE,
                         "missing option '--train': 'prepare' needs it; add '--train FILE...', for example: %s",
                         options->info->example);
    if (options->prepare.percent[0] > 0 && (options->valid_files || options->test_files))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--split' together with '--%s': both say where a split comes "
                         "from; leave one out",
                         options->valid_files ? "valid" : "test");
    return STATUS_OK;
}

/* Options that mean nothing without another, which `there` says was given. */
static enum status check_parts(const struct options *options, bool there, const char *of, const char *const *parts,
                               struct error *e)
{
    for (; *parts && !there; parts++)
        if (options_origin(options, *parts) == ORIGIN_FLAG)
            return error_set(e, STATUS_CONFIG, "cannot use '--%s' without '--%s', of which it is a part; add that",
                             *parts, of);
    return STATUS_OK;
}

static const char *const of_eval_cache[] = {"theta", "lambda", NULL}, *const of_score_cache[] = {"theta",
                                                                                                 "cache-lambda", NULL};

enum status options_check_eval(const struct options *options, struct error *e)
{
    static const char *const of_dynamic[] = {"lr", "bptt", "rms", NULL};
    static const char *const of_rms[] = {"rms-decay", "rms-epsilon", "rms-windows", NULL};
    enum status status = check_parts(options, options->eval.dynamic, "dynamic", of_dynamic, e);
    if (!status)
        status = check_parts(options, options->eval.rms, "rms", of_rms, e);
    if (!status)
        status = check_parts(options, options->eval.cache.size > 0, "cache", of_eval_cache, e);
    if (!status && options->per_token_file && options->eval.batch != 1)
        status = error_set(e, STATUS_CONFIG,
                           "cannot use '--batch' together with '--per-token': tokens are written in the order of the "
                           "text, which is that of one lane; leave one out, or write --batch 1");
    return status;
}

enum status options_check_score(const struct options *options, struct error *e)
{
    static const char *const of_lists[] = {"weight", "best", "feature"};
    static const char *const of_lines[] = {"per-token", "format", "carry-state"};
    for (int i = 0; i < 3; i++) {
        if (!options->nbest && options_given(options, of_lists[i]))
            return error_set(e, STATUS_CONFIG, "cannot use '--%s' without '--nbest': it is about lists of hypotheses",
                             of_lists[i]);
        if (options->nbest && options_given(options, of_lines[i]))
            return error_set(e, STATUS_CONFIG, "cannot use '--%s' together with '--nbest': %s; leave one out",
                             of_lines[i], i < 2 ? "that says what is printed" : "no hypothesis follows another");
    }
    if (options->nbest == NBEST_KALDI && options_given(options, "weight"))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--weight' with '--nbest kaldi': its lines have no score to add to; combine the "
                         "scores printed with others of the same keys");
    if (options->nbest == NBEST_KALDI && options_given(options, "feature"))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--feature' with '--nbest kaldi': its lines have no features; leave it out");
    if (options->context && file_is_standard(options->context) &&
        (options->files == 0 || file_is_standard(options->file[0])))
        return error_set(e, STATUS_CONFIG,
                         "cannot read '-' for both --context and the lines to score: there is one standard input; name "
                         "a file for one of them");
    if (options->eval.cache.size > 0 && options->unnormalised)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--unnormalised' together with '--cache': a cache is mixed with probabilities; leave one out");
    enum status status = check_parts(options, options->eval.cache.size > 0, "cache", of_score_cache, e);
    if (status)
        return status;
    if (options->mix && options->unnormalised)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--unnormalised' together with '--mix': a mixture is of probabilities; leave one out");
    if (!options->mix && options_given(options, "lambda"))
        return error_set(e, STATUS_CONFIG, "cannot use '--lambda' without '--mix FILE': there is nothing to mix with");
    return STATUS_OK;
}

enum status options_check_sample(const struct options *options, struct error *e)
{
    static const char *const of_drawing[] = {"temperature", "top-k", "top-p", "seed"};
    if (options->prime && options->prime_file)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--prime' together with '--prime-file': there is one text to go on from; leave one "
            "out");
    if (options->end.min_length > options->end.max_length)
        return error_set(e, STATUS_CONFIG,
                         "cannot write texts of at least '--min-length %lld' and at most '--length %lld' tokens; "
                         "raise one or lower the other",
                         (long long)options->end.min_length, (long long)options->end.max_length);
    for (size_t i = 0; options->beam.width && i < sizeof of_drawing / sizeof *of_drawing; i++)
        if (options_origin(options, of_drawing[i]) == ORIGIN_FLAG)
            return error_set(e, STATUS_CONFIG,
                             "cannot use '--%s' together with '--beam': a search draws nothing; leave one out",
                             of_drawing[i]);
    if (options->beam.width && options->count > options->beam.width)
        return error_set(e, STATUS_CONFIG, "cannot write '%lld' texts of a beam of %d; use a larger --beam",
                         (long long)options->count, options->beam.width);
    if (!options->beam.width && options_given(options, "length-norm"))
        return error_set(e, STATUS_CONFIG, "cannot use '--length-norm' without '--beam': only a search compares texts");
    return STATUS_OK;
}

/* A checkpoint says itself what it is; a configuration file of its run may say it, too. */
enum status options_check_gradflow(const struct options *options, struct error *e)
{
    static const char *const of_new_models[] = {"cell", "layers", "hidden", "embedding", "tied", "init", "seed"};
    for (size_t i = 0; options->flow_models && i < sizeof of_new_models / sizeof *of_new_models; i++) {
        if (options_origin(options, of_new_models[i]) == ORIGIN_FLAG)
            return error_set(e, STATUS_CONFIG,
                             "cannot use '--%s' together with '--model': the checkpoint says what the model is; leave "
                             "one out",
                             of_new_models[i]);
    }
    return STATUS_OK;
}

enum status options_check_import(const struct options *options, struct error *e)
{
    for (int i = 0; i < options->renames; i++) {
        size_t from = strcspn(options->rename[i], "=");
        if (from == 0 || !options->rename[i][from])
            return error_set(e, STATUS_USAGE, "bad value '%.100s' for '--rename': write FROM=TO, such as net.rec.=rnn.",
                             options->rename[i]);
    }
    return STATUS_OK;
}
