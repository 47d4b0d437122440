#include "options_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/content.h"
#include "unroll/base/file.h"
#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/cli/suggest.h"
#include "unroll/train/rundir.h"

/* ---- defaults ---- */

/* All fields get theirs, also those that the command does not take: a field means the same everywhere. Where two commands
 * give one field different defaults, that of `command` comes last. */
static void set_defaults(struct options *options, enum command command)
{
    struct error e;
    for (int own = 0; own < 2; own++) {
        for (int i = 0; i < option_count; i++) {
            const struct option *option = &option_table[i];
            bool mine = option->commands >> command & 1;
            if (option->initial && mine == own)
                CHECK(option_set(option, options, option->initial, option->name, STATUS_INTERNAL, &e) == STATUS_OK);
        }
    }
}

/* ---- command line ---- */

struct arguments {
    int count, next;
    char **text;
    enum command command;
    struct options *options;
    struct error *e;
};

static enum status unknown_option(const struct arguments *arguments, const char *typed, const char *name)
{
    const char *command = command_table[arguments->command].name;
    const char *near = option_suggest(arguments->command, name);
    const char *remark = suggest_remark(name, command_table[arguments->command].files_max > 0);
    bool elsewhere = false;
    if (!near && remark)
        return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; %s", typed, command,
                         remark);
    for (int other = 0; other < COMMANDS && !elsewhere; other++) {
        elsewhere = option_find((enum command)other, name) != NULL;
        if (elsewhere && !near)
            return error_set(arguments->e, STATUS_USAGE,
                             "unknown option '%s': '%s' does not take it, '%s' does; see 'unroll %s --help'", typed,
                             command, command_table[other].name, command);
    }
    if (near)
        return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; did you mean '--%s'?",
                         typed, command, near);
    return error_set(arguments->e, STATUS_USAGE, "unknown option '%s': '%s' does not take it; see 'unroll %s --help'",
                     typed, command, command);
}

/* True if an argument looks like an option rather than a value: "-o", "--name", but not "-", "-1" or "-.5". */
static bool looks_like_option(const char *text)
{
    return text[0] == '-' && text[1] && !strchr("0123456789.", text[1]);
}

static enum status missing_value(const struct arguments *arguments, const struct option *option)
{
    char dashed[200] = "";
    if (arguments->next < arguments->count)
        snprintf(dashed, sizeof dashed, ", or '--%s=%.80s' if that is meant", option->name,
                 arguments->text[arguments->next]);
    return error_set(arguments->e, STATUS_USAGE, "missing value for '--%s': it takes %s; write '--%s %s'%s",
                     option->name, option->metavar, option->name, option->metavar, dashed);
}

/* `value` is what followed '=', or NULL. An option that can do without one takes the next word only where no file can be
 * meant by it. */
static enum status take_flag(struct arguments *arguments, const struct option *option, const char *value)
{
    char where[80];
    snprintf(where, sizeof where, "'--%s'", option->name);
    unsigned char *origin = &arguments->options->memory->origin[option_number(arguments->options, option)];
    *origin = ORIGIN_FLAG;
    bool alone = arguments->next == arguments->count || looks_like_option(arguments->text[arguments->next]);
    if (option->type == OPTION_BOOL && !value)
        value = "true";
    else if (option->bare && !value && (alone || command_table[arguments->command].files_max > 0))
        value = option->bare;
    else if (!value && alone)
        return missing_value(arguments, option);
    bool several = option->type == OPTION_FILES && !option->singly && !value;
    do {
        if (!value)
            value = arguments->text[arguments->next++];
        enum status status = option_set(option, arguments->options, value, where, STATUS_USAGE, arguments->e);
        if (status != STATUS_OK)
            return status;
        value = NULL;
    } while (several && arguments->next < arguments->count && !looks_like_option(arguments->text[arguments->next]));
    return STATUS_OK;
}

static enum status take_long(struct arguments *arguments, const char *typed)
{
    char name[64];
    size_t length = strcspn(typed + 2, "=");
    if (length >= sizeof name)
        return error_set(arguments->e, STATUS_USAGE,
                         "unknown option '%.80s...': no option is that long; see 'unroll %s "
                         "--help'",
                         typed, command_table[arguments->command].name);
    memcpy(name, typed + 2, length);
    name[length] = '\0';
    const char *value = typed[2 + length] ? typed + 2 + length + 1 : NULL;
    const struct option *option = option_find(arguments->command, name);
    if (option)
        return take_flag(arguments, option, value);
    if (strncmp(name, "no-", 3) == 0) {
        option = option_find(arguments->command, name + 3);
        if (option && (option->type == OPTION_BOOL || option->bare)) {
            if (value)
                return error_set(arguments->e, STATUS_USAGE, "bad option '%s': '--%s' takes no value; leave it out",
                                 typed, name);
            return take_flag(arguments, option, "false");
        }
    }
    char shown[80];
    snprintf(shown, sizeof shown, "--%s", name);
    return unknown_option(arguments, shown, name);
}

static enum status take_short(struct arguments *arguments, const char *typed)
{
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->commands >> arguments->command & 1 && option->letter && option->letter == typed[1])
            return take_flag(arguments, option, typed[2] ? typed + 2 : NULL);
    }
    return unknown_option(arguments, typed, typed + 1);
}

/* Whether an operand of score or classify seems to be the text itself. */
static bool is_line(const char *text)
{
    return !file_is_standard(text) && access(text, F_OK) != 0;
}

/* The option that an operand of a command that takes none was meant for, by what the file is, else by the command; NULL if
 * nothing can be told. */
static const char *operand_meant(const struct arguments *arguments, const char *text)
{
    static const char *const usual[COMMANDS] = {
        [COMMAND_PREPARE] = "train", [COMMAND_TRAIN] = "corpus", [COMMAND_EVAL] = "model",
        [COMMAND_SAMPLE] = "model",  [COMMAND_EXPORT] = "model", [COMMAND_GRADFLOW] = "corpus"};
    const char *meant = usual[arguments->command], *dot = strrchr(text, '.');
    enum content content = content_of_file(text);
    if (content == CONTENT_CORPUS)
        meant = "corpus";
    else if (dot && strcmp(dot, ".ini") == 0)
        meant = "config";
    else if (content == CONTENT_DIRECTORY && arguments->command == COMMAND_TRAIN)
        meant = "run";
    else if (content == CONTENT_CHECKPOINT || (content == CONTENT_DIRECTORY && arguments->command != COMMAND_PREPARE))
        meant = "model";
    return meant && option_find(arguments->command, meant) ? meant : NULL;
}

static enum status refuse_operand(const struct arguments *arguments, const char *text)
{
    const char *command = command_table[arguments->command].name, *meant = operand_meant(arguments, text);
    const struct options *options = arguments->options;
    if (arguments->command == COMMAND_SAMPLE && options->prime && is_line(text))
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': put a text of several words in quotes: --prime '%s %s'", text,
                         options->prime, text);
    if (arguments->command == COMMAND_SAMPLE && options->model_file && is_line(text))
        meant = "prime";
    if (meant)
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': '%s' takes options only; write '--%s %s'", text, command, meant,
                         text);
    return error_set(arguments->e, STATUS_USAGE,
                     "unexpected argument '%s': '%s' takes options only; see 'unroll %s --help'", text, command,
                     command);
}

static enum status take_operand(struct arguments *arguments, const char *text)
{
    const struct command_info *command = &command_table[arguments->command];
    struct options *options = arguments->options;
    if (command->files_max == 0)
        return refuse_operand(arguments, text);
    if (options->files == command->files_max && is_line(options->file[0]))
        return error_set(arguments->e, STATUS_USAGE,
                         "unexpected argument '%s': there is no file '%s'; a text comes from standard input: echo "
                         "'...' | unroll %s ...",
                         text, options->file[0], command->name);
    if (options->files == command->files_max)
        return error_set(arguments->e, STATUS_USAGE,
                         "too many files at '%s': '%s' takes at most %d; run it again for "
                         "the others",
                         text, command->name, command->files_max);
    options->file[options->files++] = text;
    return STATUS_OK;
}

static enum status take_all(struct arguments *arguments)
{
    bool operands_only = false;
    while (arguments->next < arguments->count) {
        const char *text = arguments->text[arguments->next++];
        enum status status;
        if (!operands_only && strcmp(text, "--") == 0) {
            operands_only = true;
            continue;
        }
        if (!operands_only && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            arguments->options->help = true;
            return STATUS_OK;
        }
        if (operands_only || text[0] != '-' || !text[1])
            status = take_operand(arguments, text);
        else if (text[1] == '-')
            status = take_long(arguments, text);
        else
            status = take_short(arguments, text);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- all together ---- */

/* `train`: neither the command line nor the run directory names one. */
static enum status corpus_missing(const struct options *options, struct error *e)
{
    struct stat about;
    if (stat(options->train.run, &about) == 0 && !S_ISDIR(about.st_mode))
        return error_set(e, STATUS_USAGE, "bad value '%.200s' for '--run': it is a file; name the run's directory",
                         options->train.run);
    if (options->train.resume == RESUME_MUST)
        return error_set(
            e, STATUS_USAGE,
            "cannot resume '%.200s': it holds no run that names its corpus; name another directory, or add "
            "'--corpus FILE'",
            options->train.run);
    return error_set(e, STATUS_USAGE,
                     "missing option '--corpus': '%.200s' holds no run that names its corpus; add '--corpus FILE', "
                     "for example: %s",
                     options->train.run, command_table[COMMAND_TRAIN].example);
}

static enum status check_required(const struct options *options, enum command command, struct error *e)
{
    const struct command_info *info = &command_table[command];
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->required >> command & 1 &&
            options->memory->origin[option_number(options, option)] == ORIGIN_DEFAULT)
            return error_set(e, STATUS_USAGE, "missing option '--%s': '%s' needs it; add '--%s %s', for example: %s",
                             option->name, info->name, option->name, option->metavar, info->example);
    }
    if (command == COMMAND_TRAIN && !options->train.corpus)
        return corpus_missing(options, e);
    if (options->files < info->files_min)
        return error_set(e, STATUS_USAGE, "missing argument '%s': '%s' needs a file; for example: %s", info->operand,
                         info->name, info->example);
    return STATUS_OK;
}

/* Where a model may be named by its run directory, the file that it is read from takes the place. */
static enum status take_model(struct options *options, const char **path, struct error *e)
{
    char model[FILE_PATH_MAX];
    enum status status = rundir_model(*path, model, e);
    if (status || strcmp(model, *path) == 0)
        return status;
    *path = options_keep(options, model, e);
    return *path ? STATUS_OK : STATUS_OS;
}

static enum status take_models(struct options *options, enum command command, struct error *e)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (!(option->commands >> command & 1) || !option->of_run)
            continue;
        int count;
        const char **path = (const char **)option_texts(option, options, &count);
        for (int k = 0; k < count && !status; k++)
            status = take_model(options, &path[k], e);
    }
    for (int i = 0; i < options->files && command_table[command].files_of_run && !status; i++)
        status = take_model(options, &options->file[i], e);
    return status;
}

/* What was not given has another default where texts are classified. */
static void set_classify_defaults(struct options *options, enum command command)
{
    struct error e;
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->classify && option->commands >> command & 1 &&
            options->memory->origin[option_number(options, option)] == ORIGIN_DEFAULT)
            CHECK(option_set(option, options, option->classify, option->name, STATUS_INTERNAL, &e) == STATUS_OK);
    }
}

/* Defaults that follow from other options. */
static void derive(struct options *options, enum command command)
{
    if (options->train.model.task == TASK_CLASSIFY)
        set_classify_defaults(options, command);
    if (options->train.model.embedding == 0)
        options->train.model.embedding = options->train.model.hidden;
    if (options->train.schedule.lr < 0)
        options->train.schedule.lr =
            optimizer_default_lr(options->train.optimizer.kind) / (options->train.model.task == TASK_CLASSIFY ? 2 : 1);
    if (options->train.optimizer.epsilon < 0)
        options->train.optimizer.epsilon = optimizer_default_epsilon(options->train.optimizer.kind);
    if (command == COMMAND_PREPARE) {
        options->prepare.labelled = options->prepare.labelled || options->classes > 0;
        if (options->prepare.labelled && !options_given(options, "level"))
            options->prepare.level = LEVEL_WORD;
    }
    if (command == COMMAND_EVAL && options_origin(options, "batch") != ORIGIN_FLAG)
        options->eval.batch = -1; /* the configuration file of a run says what it was trained with */
    if (options->train.patience < 0 && options->train.schedule.kind != SCHEDULE_CONSTANT &&
        options->train.schedule.kind != SCHEDULE_PLATEAU)
        options->train.patience = 0; /* they end where their last step is */
    if (command == COMMAND_TRAIN && options->train.max_steps > 0 && options_origin(options, "epochs") == ORIGIN_DEFAULT)
        options->train.epochs = OPTION_EPOCHS_MAX;
}

static enum status check_train(const struct options *options, struct error *e)
{
    char first[NUMBER_TEXT], second[NUMBER_TEXT];
    if (options->train.model.task == TASK_CLASSIFY && (options->train.model.tied || options->train.reset_at_eos))
        return error_set(e, STATUS_CONFIG, "cannot use '%s' with --task classify: %s; leave it out",
                         options->train.model.tied ? "--tied" : "--reset-at eos",
                         options->train.model.tied ? "labels are no words" : "each text stands alone anyway");
    if (options->train.model.task == TASK_CLASSIFY && options->train.gradflow_every > 0)
        return error_set(
            e, STATUS_CONFIG,
            "cannot use '--gradflow-every' with --task classify: it follows predictions of tokens; leave it out");
    if (options->train.model.task == TASK_CLASSIFY && options->train.sample_every)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--sample-every' with --task classify: a classifier writes no text; leave it out");
    if (options->train.model.task == TASK_LM && options->train.word_dropout > 0)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--word-dropout' with --task lm; leave it out, or add --task "
                         "classify");
    if (options->train.model.tied && options->train.model.embedding != options->train.model.hidden)
        return error_set(e, STATUS_CONFIG, "cannot use '--tied': --embedding is %d but --hidden is %d; make them equal",
                         options->train.model.embedding, options->train.model.hidden);
    if (options->train.batch > 0 && options->train.groups > options->train.batch) /* else --batch is made for them */
        return error_set(e, STATUS_CONFIG,
                         "bad value '%d' for '--lane-groups': more than the %d lanes of --batch; write 1 to %d",
                         options->train.groups, options->train.batch, options->train.batch);
    if (options->train.schedule.kind != SCHEDULE_CONSTANT &&
        options->train.schedule.minimum > options->train.schedule.lr)
        return error_set(e, STATUS_CONFIG, "bad value '%s' for '--lr-min': above --lr, which is %s; write 0 to %s",
                         number_format(options->train.schedule.minimum, first),
                         number_format(options->train.schedule.lr, second), second);
    return STATUS_OK;
}

static enum status check_sample_length(const struct options *options, struct error *e)
{
    if (!options->train.sample_every && options_origin(options, "sample-length") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--sample-length' without '--sample-every': no sample is written; add "
                         "'--sample-every STEPS'");
    return STATUS_OK;
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

static enum status check_prepare(const struct options *options, struct error *e)
{
    enum status status = check_vocab_from(options, e);
    if (status)
        return status;
    bool other = options->vocab_from && options->valid_files + options->test_files > 0;
    if (options->train_files == 0 && options->classes == 0 && !other)
        return error_set(e, STATUS_USAGE,
                         "missing option '--train': 'prepare' needs it; add '--train FILE...', for example: %s",
                         command_table[COMMAND_PREPARE].example);
    if (options->prepare.percent[0] > 0 && (options->valid_files || options->test_files))
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--split' together with '--%s': both say where a split comes "
                         "from; leave one out",
                         options->valid_files ? "valid" : "test");
    return STATUS_OK;
}

static enum status check_eval(const struct options *options, struct error *e)
{
    if (!options->eval.dynamic && options_origin(options, "lr") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG, "cannot use '--lr' without '--dynamic': nothing else learns here");
    return STATUS_OK;
}

static enum status check_score(const struct options *options, struct error *e)
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
    if (!options->mix && options_given(options, "lambda"))
        return error_set(e, STATUS_CONFIG, "cannot use '--lambda' without '--mix FILE': there is nothing to mix with");
    return STATUS_OK;
}

static enum status check_sample(const struct options *options, struct error *e)
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
static enum status check_gradflow(const struct options *options, struct error *e)
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

static enum status check_import(const struct options *options, struct error *e)
{
    for (int i = 0; i < options->renames; i++) {
        size_t from = strcspn(options->rename[i], "=");
        if (from == 0 || !options->rename[i][from])
            return error_set(e, STATUS_USAGE, "bad value '%.100s' for '--rename': write FROM=TO, such as net.rec.=rnn.",
                             options->rename[i]);
    }
    return STATUS_OK;
}

/* What fits together only as a whole, command by command. */
static enum status check_together(const struct options *options, enum command command, struct error *e)
{
    enum status status = STATUS_OK;
    switch (command) {
    case COMMAND_TRAIN:
        status = check_sample_length(options, e);
        return status ? status : check_train(options, e);
    case COMMAND_BENCH:
    case COMMAND_PLAN:
        return check_train(options, e);
    case COMMAND_PREPARE:
        return check_prepare(options, e);
    case COMMAND_EVAL:
        return check_eval(options, e);
    case COMMAND_SCORE:
        return check_score(options, e);
    case COMMAND_SAMPLE:
        return check_sample(options, e);
    case COMMAND_IMPORT:
        return check_import(options, e);
    case COMMAND_GRADFLOW:
        return check_gradflow(options, e);
    default:
        return STATUS_OK;
    }
}

enum status options_parse(int argc, char **argv, struct options *options, struct error *e)
{
    *options = (struct options){0};
    CHECK(argc > 0);
    enum command command = command_find(argv[0]);
    CHECK(command != COMMANDS);
    options->command = command_table[command].name;
    options->memory = mem_alloc(1, sizeof *options->memory, "options", e);
    if (!options->memory)
        return STATUS_OS;
    options->memory->origin = mem_alloc((size_t)option_count, 1, "options", e);
    if (!options->memory->origin)
        return STATUS_OS;
    set_defaults(options, command);
    struct arguments arguments = {argc, 1, argv, command, options, e};
    enum status status = take_all(&arguments);
    if (options->help)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = options_take_files(options, command, e);
    if (status == STATUS_OK)
        status = options_take_run(options, command, e);
    if (status == STATUS_OK)
        status = check_required(options, command, e);
    if (status == STATUS_OK)
        status = take_models(options, command, e);
    if (status != STATUS_OK)
        return status;
    derive(options, command);
    return check_together(options, command, e);
}

/* ---- as text ---- */

void options_each_of_run(const struct options *options,
                         void (*visit)(void *context, const char *name, const char *value, enum option_class class),
                         void *context)
{
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        char room[96];
        if (!is_of_run(options, option))
            continue;
        const char *value = option_text(option, options, room);
        if (value)
            visit(context, option->name, value, option->class);
    }
}
