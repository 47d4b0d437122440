/* The option table, the command line, the INI file, and options as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unroll/base/mem.h"
#include "unroll/base/rng.h"
#include "unroll/cli/option_table.h"
#include "unroll/cli/recipes.h"
#include "unroll/cli/suggest.h"

#define ARGUMENTS_MAX 80

static struct options options;
static struct error error;

/* Parses a command line given as one text, cut at blanks; it lives until the next call. */
static enum status parse(const char *line)
{
    static char text[4000];
    static char *argv[ARGUMENTS_MAX];
    int argc = 0;
    options_free(&options);
    error = (struct error){0};
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    return options_parse(argc, argv, &options, &error);
}

static void accepted(const char *line)
{
    if (parse(line) != STATUS_OK)
        fail_msg("'%s' refused: %s", line, error.text);
}

static void refused(const char *line, enum status status, const char *message)
{
    enum status got = parse(line);
    if (got != status || !strstr(error.text, message))
        fail_msg("'%s' gave %d '%s' instead of %d '%s'", line, (int)got, error.text, (int)status, message);
    assert_int_equal(error.status, status);
}

#define TRAIN "train --corpus c.h5 --run r "

/* Every line of the table is complete, its default lies in its range, and no command has a name twice. */
static void the_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        assert_non_null(option->help);
        assert_non_null(option->section);
        assert_true(option->commands != 0 && (option->required & ~option->commands) == 0);
        assert_true((option->type == OPTION_BOOL) == (option->metavar == NULL));
        assert_true((option->type == OPTION_CHOICE) == (option->choices != NULL));
        assert_true(option->offset > 0 && option->offset + option->size <= sizeof options);
        assert_true(option->min <= option->max);
        assert_true(strncmp(option->name, "no-", 3) != 0);
        if (option->initial) {
            struct options some = {0};
            assert_int_equal(option_set(option, &some, option->initial, "x", STATUS_USAGE, &error), STATUS_OK);
        }
        assert_true(option->initial || !option->classify);
        if (option->classify) {
            struct options some = {0};
            assert_int_equal(option_set(option, &some, option->classify, "x", STATUS_USAGE, &error), STATUS_OK);
        }
        for (int j = 0; j < i; j++)
            assert_true(strcmp(option->name, option_at(j)->name) != 0 || !(option->commands & option_at(j)->commands));
    }
    /* names of choices are the rooms' own */
    assert_string_equal(option_find(COMMAND_TRAIN, "cell")->choices->name(CELL_GRU), "gru");
    assert_ptr_equal(option_find(COMMAND_TRAIN, "schedule")->choices, &schedule_choices);
    assert_ptr_equal(option_find(COMMAND_TRAIN, "optimizer")->choices, &optimizer_choices);
}

static void defaults_train_a_model(void **state)
{
    (void)state;
    accepted("train --corpus c.h5 --run r");
    assert_int_equal(options.train.step.model.cell, CELL_LSTM);
    assert_int_equal(options.train.step.model.embedding, options.train.step.model.hidden);
    assert_string_equal(optimizer_name(options.train.step.optimizer.kind), "adam");
    assert_true(options.train.schedule.lr > 0 && options.train.step.clip > 0 && options.train.step.bptt > 0);
    assert_true(options.train.step.optimizer.epsilon == 1e-8);
    assert_int_equal(options.train.step.reduction, REDUCTION_EXACT);
    assert_true(options.train.batch == 0 && options.train.epochs == 0 &&
                options.train.eval_every < 0); /* as fits the text */
    assert_string_equal(options.train.corpus, "c.h5");
    assert_false(options_given(&options, "cell"));
    assert_true(options_given(&options, "run"));
    accepted("sample --model m.h5");
    assert_true(options.sampler.rule.temperature == 1 && options.sampler.rule.top_p == 1 &&
                options.train.step.seed == 1);
}

/* What classifies has defaults of its own; what is given stands. */
static void classifiers_have_other_defaults(void **state)
{
    (void)state;
    accepted(TRAIN "--task classify");
    assert_int_equal(options.train.step.model.layers, 1);
    assert_int_equal(options.train.step.model.hidden, 128);
    assert_int_equal(options.train.step.model.embedding, 128);
    assert_int_equal(options.train.step.model.pool, POOL_MEAN);
    assert_int_equal(options.train.schedule.kind, SCHEDULE_COSINE);
    assert_int_equal(options.train.epochs, 8);
    assert_true(options.train.step.model.dropout == 0.5 && options.train.word_dropout == 0.3 &&
                options.train.schedule.lr == 0.001);
    accepted(TRAIN "--hidden 64 --task classify --dropout 0.1 --lr 0.5 --schedule plateau");
    assert_int_equal(options.train.step.model.hidden, 64);
    assert_int_equal(options.train.schedule.kind, SCHEDULE_PLATEAU);
    assert_true(options.train.step.model.dropout == 0.1 && options.train.schedule.lr == 0.5);
    accepted(TRAIN "--task lm");
    assert_true(options.train.step.model.layers == 2 && options.train.word_dropout == 0 &&
                options.train.schedule.lr == 0.002);
    refused(TRAIN "--task classify --tied", STATUS_CONFIG, "--tied");
    refused(TRAIN "--task classify --reset-at eos", STATUS_CONFIG, "--reset-at eos");
    refused(TRAIN "--task classify --gradflow-every 5", STATUS_CONFIG, "--gradflow-every");
    refused(TRAIN "--task classify --sample-every epoch", STATUS_CONFIG, "a classifier writes no text");
    refused(TRAIN "--sample-length 5", STATUS_CONFIG, "without '--sample-every'");
    refused(TRAIN "--word-dropout 0.1", STATUS_CONFIG, "--word-dropout");
    refused(TRAIN "--task tag", STATUS_CONFIG, "lm, classify");
}

static void forms_of_flags(void **state)
{
    (void)state;
    accepted(TRAIN "--hidden 100 --layers=3 --tied --no-tied --lr .5e-1 --cell rnn-relu");
    assert_int_equal(options.train.step.model.hidden, 100);
    assert_int_equal(options.train.step.model.embedding, 100);
    assert_int_equal(options.train.step.model.layers, 3);
    assert_false(options.train.step.model.tied);
    assert_true(options.train.schedule.lr == 0.05);
    assert_int_equal(options.train.step.model.cell, CELL_RNN_RELU);

    accepted(TRAIN "--hidden 115,115,40 --tied");
    assert_int_equal(options.train.step.model.layers, 3);
    assert_int_equal(model_width(&options.train.step.model, 1), 115);
    assert_int_equal(options.train.step.model.hidden, 40);
    assert_int_equal(options.train.step.model.embedding, 40);
    accepted(TRAIN "--hidden 40,40 --layers 2"); /* is --hidden 40 */
    assert_int_equal(options.train.step.model.widths[0], 0);
    assert_int_equal(options.train.step.model.hidden, 40);
    refused(TRAIN "--hidden 40,30 --layers 3", STATUS_CONFIG,
            "cannot use '--layers 3' with --hidden of 2 layers; leave --layers out");
    accepted(TRAIN "--tied=yes --hidden 10 --hidden 20");
    assert_true(options.train.step.model.tied);
    assert_int_equal(options.train.step.model.hidden, 20);
    accepted(TRAIN "--seed 18446744073709551615");
    assert_true(options.train.step.seed == UINT64_MAX);

    accepted("prepare --train a b c --valid d -o out.h5 --train e --test=f");
    assert_int_equal(options.train_files, 4);
    assert_string_equal(options.train_file[3], "e");
    assert_int_equal(options.valid_files, 1);
    assert_string_equal(options.prepare.output, "out.h5");
    assert_string_equal(options.test_file[0], "f");
    accepted("prepare --train a -oout.h5 --split 90,10");
    assert_string_equal(options.prepare.output, "out.h5");
    assert_true(options.prepare.percent[1] == 10 && options.prepare.percent[2] == 0);
    accepted("prepare --train - --output out.h5");
    assert_string_equal(options.train_file[0], "-");

    accepted("score --model m.h5 --format json -- --odd-name");
    assert_true(options.score_tsv_json);
    assert_string_equal(options.file[0], "--odd-name");
    accepted("verify a b c");
    assert_int_equal(options.files, 3);
    accepted("sample --model m.h5 --prime=--x --top-k all");
    assert_string_equal(options.prime, "--x");
    refused("train --nonsense --help", STATUS_USAGE, "unknown option '--nonsense'");
}

static void help_asks_for_nothing_else(void **state)
{
    (void)state;
    accepted("train --help");
    assert_true(options.help);
    accepted("verify -h");
    assert_true(options.help);
}

static void words_beside_numbers(void **state)
{
    (void)state;
    accepted(TRAIN "--clip none --max-steps none --threads auto --lr auto --optimizer sgd --eval-every epoch");
    assert_true(options.train.step.clip == 0 && options.train.max_steps == 0 && options.train.threads == 0 &&
                options.train.eval_every == 0);
    assert_true(options.train.schedule.lr == 1);
    accepted(TRAIN "--clip 0 --optimizer adagrad");
    assert_true(options.train.step.clip == 0 && options.train.step.optimizer.epsilon == 1e-10);
    refused(TRAIN "--lr -1", STATUS_CONFIG, "bad value '-1' for '--lr': out of range");
    accepted(TRAIN "--max-steps 500");
    assert_true(options.train.max_steps == 500 && options.train.epochs == OPTION_EPOCHS_MAX);
    accepted(TRAIN "--max-steps 500 --epochs 3");
    assert_true(options.train.epochs == 3);
}

/* No 0 means 'all', 'auto', 'none' or 'hidden' untold: the word says it. */
static void zero_is_no_word(void **state)
{
    (void)state;
    int words = 0;
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        struct options some = {0};
        char wanted[200];
        bool zero = option->min < 0 || (option->min == 0 && !option->above_min);
        if (!option->word[0].text || zero)
            continue;
        words++;
        snprintf(wanted, sizeof wanted, "write '%s', ", option->word[0].text);
        assert_int_equal(option_set(option, &some, "0", "it", STATUS_USAGE, &error), STATUS_CONFIG);
        assert_non_null(strstr(error.text, wanted));
    }
    assert_true(words >= 15);
    refused("sample --model m --top-k 0", STATUS_CONFIG, "write 'all', or 1 to ");
    refused(TRAIN "--max-steps 0", STATUS_CONFIG, "write 'none', or 1 to 1000000000000000");
    refused(TRAIN "--sample-every 0", STATUS_CONFIG, "write 'never', 'epoch', or 1 to 1000000000000000");
    refused(TRAIN "--sample-every -1", STATUS_CONFIG, "write 'never', 'epoch', or 1 to 1000000000000000");
    refused(TRAIN "--threads 0", STATUS_CONFIG, "write 'auto', or 1 to 4096");
    refused(TRAIN "--max-time 0", STATUS_CONFIG, "write 'none', or above 0 and at most 1000000000");
    refused("prepare --train a -o b --vocab-size 0", STATUS_CONFIG, "write 'none', or 2 to ");
    /* where it is a number like others */
    accepted(TRAIN "--clip 0 --dropout 0 --warmup 0 --weight-decay 0 --lr-min 0 --seed 0 --lr 0");
    assert_true(options.train.step.clip == 0 && options.train.step.model.dropout == 0 &&
                options.train.schedule.lr == 0);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90", 90},  {"1.5", 1.5}, {"00:01:30", 90}, {"100:00:00", 360000}, {"2-03:04:05", 183845}, {"none", 0},
                {"90s", 90}, {"5m", 300},  {"5min", 300},    {"1.5h", 5400},        {"2d", 172800}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char line[100];
        snprintf(line, sizeof line, TRAIN "--max-time %s", good[i].text);
        accepted(line);
        assert_true(options.train.max_time == good[i].seconds);
    }
    static const char *const bad[] = {"1:30",    "00:60:00", "00:00:60", "1-24:00:00", "x",   "1-",  "0:0:0:0",
                                      "1:-1:00", "2-3",      "s",        "5x",         "5mm", "-5m", "1.2.3s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[100];
        snprintf(line, sizeof line, TRAIN "--max-time %s", bad[i]);
        refused(line, STATUS_USAGE, strcmp(bad[i], "1:30") == 0 ? "hours or minutes? write HH:MM:SS" : "no time span");
    }
    refused(TRAIN "--max-time=-5", STATUS_CONFIG, "out of range");
}

static void usage_errors(void **state)
{
    (void)state;
    refused(TRAIN "--hiden 3", STATUS_USAGE,
            "unknown option '--hiden': 'train' does not take it; did you mean '--hidden'?");
    refused(TRAIN "--hidden-units 3", STATUS_USAGE, "did you mean '--hidden'?");
    refused("eval --temperature 1", STATUS_USAGE, "'eval' does not take it, 'sample' does");
    refused(TRAIN "--zzzzzzzz", STATUS_USAGE, "see 'unroll train --help'");
    refused(TRAIN "-x", STATUS_USAGE, "unknown option '-x'");
    refused(TRAIN "--hidden", STATUS_USAGE, "missing value for '--hidden': it takes N; write '--hidden N'");
    refused("train --corpus --run r", STATUS_USAGE, "write '--corpus FILE', or '--corpus=--run' if that is meant");
    refused("prepare --train -o x", STATUS_USAGE, "missing value for '--train'");
    refused(TRAIN "--hidden many", STATUS_USAGE,
            "bad value 'many' for '--hidden': not a whole number; write 1 to 65536");
    refused(TRAIN "--hidden 1.5", STATUS_USAGE, "not a whole number");
    refused(TRAIN "--lr 1e-3x", STATUS_USAGE, "not a number");
    refused(TRAIN "--lr nan", STATUS_USAGE, "not a number");
    refused(TRAIN "--lr 0,001", STATUS_USAGE, "write a decimal point: 0.001");
    refused(TRAIN "--dropout 20%", STATUS_USAGE, "not a number; write 0.2");
    refused(TRAIN "--lr 1,2,3", STATUS_USAGE, "not a number; write 'auto'");
    refused(TRAIN "--tied=maybe", STATUS_USAGE, "write true or false");
    refused(TRAIN "--no-tied=true", STATUS_USAGE, "takes no value");
    refused(TRAIN "--no-hidden", STATUS_USAGE, "unknown option '--no-hidden'");
    refused(TRAIN "more", STATUS_USAGE, "unexpected argument 'more'");
    refused("train --run r", STATUS_USAGE, "missing option '--corpus'");
    refused("verify", STATUS_USAGE, "missing argument 'FILE...'");
    refused("score --model m /dev/null b", STATUS_USAGE, "at most 1");
    refused("score --model m absent b", STATUS_USAGE, "there is no file 'absent'; a text comes from standard input");
    refused(TRAIN "--json-summary=", STATUS_USAGE, "empty");
    refused("prepare -o x --train a --split 90", STATUS_USAGE, "not two or three numbers");
    refused("prepare -o x --train a --split 50,20,20,10", STATUS_USAGE, "not two or three numbers");

    char line[1000] = "prepare -o x --train";
    for (int i = 0; i <= OPTION_FILES_MAX; i++)
        strcat(line, " f");
    refused(line, STATUS_USAGE, "more than 64 files");
}

/* Dropout at single places goes by --dropout unless it is given. */
static void dropout_of_places(void **state)
{
    (void)state;
    accepted(TRAIN "");
    const struct model_config *model = &options.train.step.model;
    for (int site = 0; site <= model->layers; site++)
        assert_true(model_dropout(model, site) == 0.2);
    assert_true(model->dropout_kind == DROPOUT_ELEMENT && model->dropout_embedding == 0);
    options_free(&options);
    accepted(TRAIN "--layers 3 --dropout 0.3 --dropout-input 0 --dropout-hidden 0.4 --dropout-output dropout "
                   "--dropout-kind locked --dropout-embedding 0.1");
    assert_true(model_dropout(model, 0) == 0 && model_dropout(model, 1) == 0.4 && model_dropout(model, 2) == 0.4 &&
                model_dropout(model, 3) == 0.3);
    assert_true(model->dropout_kind == DROPOUT_LOCKED && model->dropout_embedding == 0.1);
    options_free(&options);
    accepted(TRAIN "--dropout-state 0.1 --weight-drop 0.5");
    assert_true(model->dropout_state == 0.1 && model->weight_drop == 0.5);
    options_free(&options);
    refused(TRAIN "--cell mingru --weight-drop 0.5", STATUS_CONFIG, "cannot use '--weight-drop' with --cell mingru");
    refused(TRAIN "--cell mingru --dropout-state 0.5", STATUS_CONFIG, "no recurrent weights");
    refused("gradcheck --cell sru --weight-drop 0.5", STATUS_CONFIG, "cannot use '--weight-drop' with --cell sru");
    accepted("gradcheck --weight-drop 0.5"); /* of all cells, those without recurrent weights among them */
    refused(TRAIN "--weight-drop 1", STATUS_CONFIG, "bad value '1' for '--weight-drop'");
    refused(TRAIN "--dropout-input 1", STATUS_CONFIG, "bad value '1' for '--dropout-input'");
    refused(TRAIN "--dropout-output=-1", STATUS_CONFIG, "bad value '-1' for '--dropout-output'");
    refused(TRAIN "--dropout-kind both", STATUS_CONFIG, "element, locked");
    refused(TRAIN "--layers 1 --dropout-hidden 0.1", STATUS_CONFIG, "cannot use '--dropout-hidden' with --layers 1");
}

static void values_that_are_not_allowed(void **state)
{
    (void)state;
    refused(TRAIN "--layers 9", STATUS_CONFIG, "bad value '9' for '--layers': out of range; write 1 to 8");
    refused(TRAIN "--layers 0", STATUS_CONFIG, "write 1 to 8");
    refused(TRAIN "--layers 99999999999999999999", STATUS_CONFIG, "out of range");
    refused(TRAIN "--hidden 4294967297", STATUS_CONFIG, "out of range"); /* not 1 */
    refused(TRAIN "--dropout 1", STATUS_CONFIG, "at least 0 and below 1");
    refused("sample --model m --top-p 0", STATUS_CONFIG, "above 0 and at most 1");
    refused(TRAIN "--seed=-1", STATUS_CONFIG, "0 to 18446744073709551615");
    refused(TRAIN "--clip=-1", STATUS_CONFIG, "write 'none', or 0 to 1e+30");
    /* also the bounds that nobody comes near */
    refused(TRAIN "--lr 1e7", STATUS_CONFIG, "write 'auto', or 0 to 1000000");
    refused(TRAIN "--max-steps 2000000000000000", STATUS_CONFIG, "1 to 1000000000000000");
    refused(TRAIN "--max-time 1e10", STATUS_CONFIG, "at most 1000000000");
    refused(TRAIN "--cell LSTM", STATUS_CONFIG, "did you mean 'lstm'?");
    refused(TRAIN "--cell lstmm", STATUS_CONFIG, "did you mean 'lstm'?");
    refused(TRAIN "--cell transformer", STATUS_CONFIG, "rnn-tanh, rnn-relu, lstm, gru");
    refused(TRAIN "--tied --embedding 10", STATUS_CONFIG, "--embedding is 10 but --hidden of the top layer is 256");
    refused(TRAIN "--batch 8 --lane-groups 9", STATUS_CONFIG, "more than the 8 lanes");
    refused(TRAIN "--lr 0.1 --lr-min 0.2 --schedule cosine", STATUS_CONFIG, "above --lr, which is 0.1");
    refused("prepare -o x --train a --split 90,5,6", STATUS_CONFIG, "sum to 100");
    refused("prepare -o x --train a --split 0,50,50", STATUS_CONFIG, "the first above 0");
    refused("prepare -o x --train a --split 90,5,5 --test b", STATUS_CONFIG,
            "cannot use '--split' together with '--test'");
}

/* Writes an INI file and parses `line` with " --config FILE" behind it. */
static enum status parse_with_file(const char *line, const char *content)
{
    char path[] = "/tmp/unroll-test-options-XXXXXX";
    char text[300];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, content, strlen(content)), strlen(content));
    close(descriptor);
    snprintf(text, sizeof text, "%s --config %s", line, path);
    enum status status = parse(text);
    unlink(path);
    return status;
}

static void file_refused(const char *line, const char *content, const char *message)
{
    assert_int_equal(parse_with_file(line, content), STATUS_CONFIG);
    if (!strstr(error.text, message))
        fail_msg("'%s' is not in '%s'", message, error.text);
}

static void flags_override_the_file(void **state)
{
    (void)state;
    assert_int_equal(parse_with_file("train --run r --hidden 64",
                                     "[model]\nhidden = 32 # too small\nlayers = 3\ntied = true\n"
                                     "[paths]\ncorpus = \"c d.h5\"\nmax-time = \"01:00:00\"\n"),
                     STATUS_OK);
    assert_int_equal(options.train.step.model.hidden, 64);
    assert_int_equal(options.train.step.model.layers, 3);
    assert_true(options.train.step.model.tied);
    assert_string_equal(options.train.corpus, "c d.h5");
    assert_true(options.train.max_time == 3600);
    assert_true(options_given(&options, "layers") && options_given(&options, "hidden"));
    assert_int_equal(options_origin(&options, "layers"), ORIGIN_FILE);
    assert_int_equal(options_origin(&options, "hidden"), ORIGIN_FLAG);
    assert_int_equal(options_origin(&options, "cell"), ORIGIN_DEFAULT);

    assert_int_equal(parse_with_file(TRAIN, "hidden = [24, 12]\nbatch = [4]\n"), STATUS_OK);
    assert_true(options.hidden[0] == 24 && options.hidden[1] == 12 && options.hidden[2] == 0);
    assert_int_equal(options.train.batch, 4);
    assert_int_equal(parse_with_file("prepare -o x", "train = [\"a\", \"b\"]\nvalid = c\n"), STATUS_OK);
    assert_int_equal(options.train_files, 2);
    assert_string_equal(options.train_file[1], "b");
    assert_string_equal(options.valid_file[0], "c");
}

/* Every recipe is a command line that train takes, and each value is written as config.ini writes it, so that values
 * can be compared as texts. */
static void recipes_are_sound(void **state)
{
    (void)state;
    accepted("plan --optimizer ntasgd"); /* commands without a schedule take any optimizer */
    accepted("bench --optimizer ntasgd");
    assert_string_equal(recipe_of(RECIPE_NONE)->name, "none");
    for (int number = 1; number < recipe_choices.count; number++) {
        const struct recipe *recipe = recipe_of(number);
        char line[1000], name[RECIPE_NAME], value[RECIPE_VALUE], room[96];
        snprintf(line, sizeof line, TRAIN "%s", recipe->options);
        accepted(line);
        snprintf(line, sizeof line, TRAIN "--recipe %s", recipe->name);
        accepted(line);
        assert_int_equal(options.recipe, number);
        assert_true(recipe->levels != 0);
        const char *at = recipe->options;
        while (recipe_next(&at, name, value)) {
            const struct option *option = option_find(COMMAND_TRAIN, name);
            assert_non_null(option);
            assert_int_equal(options_origin(&options, name), ORIGIN_RECIPE);
            assert_string_equal(option_text(option, &options, room), value);
            assert_true(strcmp(name, "corpus") != 0 && strcmp(name, "run") != 0 && strcmp(name, "recipe") != 0);
        }
        snprintf(line, sizeof line, "plan --recipe %s", recipe->name);
        accepted(line);
        snprintf(line, sizeof line, "bench --recipe %s", recipe->name);
        accepted(line);
    }
}

/* A file that says what the model has no place for is refused as the command line is; a recipe gives way. */
static void places_that_are_not_there(void **state)
{
    (void)state;
    static const char *const cells[] = {"mingru", "qrnn", "sru"};
    char line[200];
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "%s--cell %s", TRAIN, cells[i]);
        file_refused(line, "weight-drop = 0.5\n",
                     "which has no recurrent weights; leave it out of the file, add '--weight-drop 0', or choose");
        file_refused(line, "dropout-state = 0.5\n", "cannot use '--dropout-state' with --cell");
        assert_int_equal(parse_with_file(line, "weight-drop = 0\ndropout-state = 0\n"), STATUS_OK);
        snprintf(line, sizeof line, "%s--cell %s --weight-drop 0", TRAIN, cells[i]);
        assert_int_equal(parse_with_file(line, "weight-drop = 0.5\n"), STATUS_OK);
        snprintf(line, sizeof line, "%s--recipe word-awd --cell %s", TRAIN, cells[i]);
        accepted(line);
        assert_true(options.train.step.model.weight_drop == 0 && options.train.step.model.ar == 2);
        assert_int_equal(options_origin(&options, "weight-drop"), ORIGIN_DEFAULT);
        snprintf(line, sizeof line, "%s--recipe word-awd --cell %s --weight-drop 0.5", TRAIN, cells[i]);
        refused(line, STATUS_CONFIG, "cannot use '--weight-drop' with --cell");
    }
    file_refused(TRAIN "--layers 1", "dropout-hidden = 0.5\n",
                 "leave it out of the file, add '--dropout-hidden dropout', or add layers");
    assert_int_equal(parse_with_file(TRAIN "--layers 1", "dropout-hidden = dropout\n"), STATUS_OK);
    accepted(TRAIN "--layers 1 --dropout-hidden 0");
    accepted(TRAIN "--recipe word-awd");
    assert_true(options.train.step.model.weight_drop == 0.5 && options.train.eval_every == 0);
}

/* Flag, then file, then recipe, then default; what follows an option that was given otherwise gives way with it. */
static void recipes_come_before_defaults(void **state)
{
    (void)state;
    accepted(TRAIN "--recipe word-small --layers 1");
    assert_int_equal(options.train.step.model.layers, 1);
    assert_true(options.train.step.model.tied);
    assert_true(options_given(&options, "tied"));
    assert_int_equal(parse_with_file("train --corpus c --run r --layers 3 --no-tied",
                                     "recipe = \"char-small\"\nhidden = 32\nlayers = 4\n"),
                     STATUS_OK);
    assert_int_equal(options.train.step.model.layers, 3);
    assert_int_equal(options.train.step.model.hidden, 32);
    assert_int_equal(options.train.schedule.kind, SCHEDULE_COSINE);
    assert_int_equal(parse_with_file("train --corpus c --run r --recipe word-awd", "recipe = \"char-small\"\n"),
                     STATUS_OK);
    assert_int_equal(options.train.schedule.kind, SCHEDULE_CONSTANT);

    /* the recipe's rate is that of its optimizer */
    accepted(TRAIN "--recipe char-small --optimizer sgd");
    assert_true(options.train.schedule.lr == optimizer_default_lr(options.train.step.optimizer.kind));
    accepted(TRAIN "--recipe char-small --optimizer adam");
    assert_int_equal(options_origin(&options, "lr"), ORIGIN_RECIPE);
    assert_true(options.train.schedule.lr == 0.008);
    accepted(TRAIN "--recipe char-small --hidden 64");
    assert_int_equal(options.train.step.model.embedding, 64);
    accepted(TRAIN "--recipe char-small --hidden 48");
    assert_int_equal(options.train.step.model.embedding, 48);
    accepted(TRAIN "--recipe char-small --max-steps 300");
    assert_int_equal(options.train.epochs, OPTION_EPOCHS_MAX);
    accepted(TRAIN "--recipe none --max-steps 300");
    assert_int_equal(options_origin(&options, "layers"), ORIGIN_DEFAULT);

    /* of what --dropout and --layers say as a whole, the recipe has no other say */
    accepted(TRAIN "--recipe word-awd");
    assert_int_equal(options.train.step.model.layers, 3);
    assert_true(options.train.step.model.widths[0] == 1150 && options.train.step.model.embedding == 400);
    accepted(TRAIN "--recipe word-awd --dropout 0.2");
    assert_int_equal(options_origin(&options, "dropout-hidden"), ORIGIN_DEFAULT);
    assert_int_equal(options_origin(&options, "dropout-embedding"), ORIGIN_RECIPE);
    accepted(TRAIN "--recipe word-awd --dropout 0.2 --dropout-input 0.3");
    assert_int_equal(options_origin(&options, "dropout-input"), ORIGIN_FLAG);
    accepted(TRAIN "--recipe word-awd --layers 1 --hidden 290");
    assert_int_equal(options_origin(&options, "dropout-hidden"), ORIGIN_DEFAULT);
    accepted(TRAIN "--recipe word-awd --layers 2");
    assert_int_equal(options_origin(&options, "hidden"), ORIGIN_DEFAULT);
    accepted(TRAIN "--recipe word-awd --layers 3");
    assert_int_equal(options.train.step.model.hidden, 400);
    accepted(TRAIN "--recipe word-awd --hidden 290,290,100");
    assert_int_equal(options.train.step.model.embedding, 100);

    /* a task's own defaults stay behind it */
    accepted(TRAIN "--recipe reviews --dropout 0.25");
    assert_int_equal(options.train.step.model.task, TASK_CLASSIFY);
    assert_true(options.train.step.model.dropout == 0.25 && options.train.word_dropout == 0.2);
    assert_int_equal(options.train.step.bptt, 256);
    refused(TRAIN "--recipe word-smal", STATUS_CONFIG, "did you mean 'word-small'?");
}

/* Words of a recipe: values, switches and their negation. */
static void words_of_a_recipe(void **state)
{
    (void)state;
    const struct recipe recipe = {.name = "x", .options = "--tied --lr -1 --no-labelled --cutoffs 2000,10000"};
    char value[RECIPE_VALUE];
    assert_true(recipe_value(&recipe, "tied", value));
    assert_string_equal(value, "true");
    assert_true(recipe_value(&recipe, "lr", value));
    assert_string_equal(value, "-1");
    assert_true(recipe_value(&recipe, "labelled", value));
    assert_string_equal(value, "false");
    assert_true(recipe_value(&recipe, "cutoffs", value));
    assert_string_equal(value, "2000,10000");
    assert_false(recipe_value(&recipe, "hidden", value));
}

/* One file for all commands: what others take is passed over, a section with a command's name is that command's. */
static void one_file_for_several_commands(void **state)
{
    (void)state;
    const char *file =
        "seed = 5\nhidden = 32\ntemperature = 0.5\n[sample]\nlength = 9\n[train]\nseed = 6\nlayers = 1\n";
    assert_int_equal(parse_with_file("sample --model m", file), STATUS_OK);
    assert_true(options.train.step.seed == 5 && options.end.max_length == 9 && options.sampler.rule.temperature == 0.5);
    file_refused("train --corpus c --run r", file, "'seed' in '/tmp/unroll-test-options");
    file_refused("train --corpus c --run r", file, "line 7 is set a second time: line 1 has it too");
}

static void faults_of_the_file_name_the_line(void **state)
{
    (void)state;
    file_refused(TRAIN, "lr = 1\n\nhiden = 3\n", "line 3: no command takes it; did you mean 'hidden'?");
    file_refused(TRAIN, "hidden = 0\n", "bad value '0' for 'hidden' in '/tmp/unroll-test-options");
    file_refused(TRAIN, "hidden = 0\n", "line 1: out of range; write 1 to 65536");
    file_refused(TRAIN, "hidden = x\n", "line 1: not a whole number");
    file_refused(TRAIN, "hidden = ['1', '2']\n", "line 1: an array of strings; write numbers");
    file_refused(TRAIN, "batch = [1, 2]\n", "bad value '1,2' for 'batch' in '/tmp/unroll-test-options");
    file_refused(TRAIN, "config = other.ini\n", "cannot name another");
    file_refused(TRAIN, "hidden\n", "line 1: neither a section");
    assert_int_equal(parse(TRAIN "--config /nonexistent.ini"), STATUS_NOINPUT);
}

/* ---- as text ---- */

struct texts {
    int count;
    char line[128][160];
};

static void note(void *context, const char *name, const char *value, enum option_class class)
{
    struct texts *texts = context;
    assert_true(texts->count < 128);
    snprintf(texts->line[texts->count++], 160, "%s=%s/%d", name, value, (int)class);
}

static void texts_and_config_parse_back(void **state)
{
    (void)state;
    static struct texts before, after;
    char line[600];
    for (uint32_t i = 0; i < 200; i++) {
        struct rng_bits bits = rng_philox(3, RNG_TEST, i, 0, 0, 0);
        snprintf(line, sizeof line,
                 "train --run r --corpus /c.h5 --lr %.17g --dropout %.17g --seed %u --optimizer %s --max-time %.17g "
                 "--json-summary /a\"b\\c\td --clip none --tied --sample-every %s",
                 rng_uniform_float(bits.word[0]) * 1e-3, rng_uniform_double(bits.word[1], bits.word[2]), bits.word[3],
                 i % 2 ? "sgd" : "adagrad", 1 + rng_uniform_double(bits.word[2], bits.word[3]) * 1e6,
                 i % 3 == 0   ? "epoch"
                 : i % 3 == 1 ? "never"
                              : "40");
        accepted(line);
        before.count = after.count = 0;
        options_each_of_run(&options, note, &before);
        char *config;
        assert_int_equal(options_ini_text(&options, &config, &error), STATUS_OK);
        assert_null(strstr(config, "\nrun =") || strstr(config, "\nresume =") || strstr(config, "\nbranch =") ? config
                                                                                                              : NULL);
        if (parse_with_file("train --run r", config) != STATUS_OK)
            fail_msg("%s: %s", config, error.text);
        mem_free(config);
        options_each_of_run(&options, note, &after);
        assert_int_equal(after.count, before.count);
        for (int j = 0; j < before.count; j++)
            assert_string_equal(after.line[j], before.line[j]);
    }
    assert_string_equal(before.line[0], "corpus=/c.h5/2");
    accepted(TRAIN "--config /dev/null --epochs 7");
    before.count = 0;
    options_each_of_run(&options, note, &before);
    bool epochs = false;
    for (int j = 0; j < before.count; j++) {
        epochs = epochs || strcmp(before.line[j], "epochs=7/1") == 0;
        assert_true(strncmp(before.line[j], "config=", 7) != 0 && strncmp(before.line[j], "branch=", 7) != 0);
    }
    assert_true(epochs);
}

/* Where a file of options is read from makes no difference. */
static void paths_in_config_are_absolute(void **state)
{
    (void)state;
    char *config, folder[1000], wanted[1200];
    assert_non_null(getcwd(folder, sizeof folder));
    accepted("train --run r --corpus ./d/c.h5 --init-from /m.h5 --json -");
    assert_int_equal(options_ini_text(&options, &config, &error), STATUS_OK);
    snprintf(wanted, sizeof wanted, "\ncorpus = \"%s/d/c.h5\"\n", folder);
    assert_non_null(strstr(config, wanted));
    assert_non_null(strstr(config, "\ninit-from = \"/m.h5\"\n"));
    assert_non_null(strstr(config, "\njson-summary = \"-\"\n"));
    assert_null(strstr(config, "\njson ="));
    mem_free(config);
}

/* One way to ask for JSON, and those of before. */
static void json_has_one_name(void **state)
{
    (void)state;
    accepted(TRAIN "--json");
    assert_string_equal(options.train.json_summary, "-");
    accepted(TRAIN "--json=x.json --hidden 3");
    assert_string_equal(options.train.json_summary, "x.json");
    accepted(TRAIN "--json-summary y.json");
    assert_string_equal(options.train.json_summary, "y.json");
    accepted("bench --json --layers 1");
    assert_string_equal(options.json_summary, "-");
    accepted("plan --json p.json");
    assert_string_equal(options.json_summary, "p.json");
    accepted("plan --json --no-json");
    assert_null(options.json_summary);
    accepted("score --model m --json text");
    assert_true(options.score_tsv_json && options.files == 1);
    accepted("classify --model m --format json");
    assert_true(options.score_tsv_json);
    accepted("inspect --json file");
    assert_true(options.json && options.files == 1);
    accepted("eval --model m --corpus c --json");
    assert_true(options.json);
    refused("score --model m --nbest moses --json", STATUS_CONFIG, "together with '--nbest'");
    /* either name overrides the other one in a file */
    assert_int_equal(parse_with_file(TRAIN "--json", "json-summary = a.json\n"), STATUS_OK);
    assert_string_equal(options.train.json_summary, "-");
    assert_int_equal(parse_with_file(TRAIN, "json = true\n"), STATUS_OK);
    assert_string_equal(options.train.json_summary, "-");
    file_refused(TRAIN, "json = a\njson-summary = b\n", "set a second time: line 1");
}

static void synonyms(void **state)
{
    (void)state;
    static const struct {
        enum command command;
        const char *typed, *meant;
    } some[] = {
        {COMMAND_TRAIN, "learning-rate", "lr"},    {COMMAND_TRAIN, "learning_rate", "lr"},
        {COMMAND_TRAIN, "num-layers", "layers"},   {COMMAND_TRAIN, "save-every", "checkpoint-every"},
        {COMMAND_TRAIN, "output-dir", "run"},      {COMMAND_PREPARE, "out", "output"},
        {COMMAND_TRAIN, "units", "hidden"},        {COMMAND_TRAIN, "BatchSize", "batch"},
        {COMMAND_TRAIN, "Max_Steps", "max-steps"}, {COMMAND_BENCH, "num-steps", "bptt"},
        {COMMAND_EVAL, "checkpoint", "model"},     {COMMAND_PREPARE, "input", "train"},
        {COMMAND_SAMPLE, "max-tokens", "length"},  {COMMAND_SAMPLE, "prompt", "prime"},
        {COMMAND_TRAIN, "max-grad-norm", "clip"},  {COMMAND_TRAIN, "lr-scheduler", "schedule"},
        {COMMAND_TRAIN, "resume-from", "run"},     {COMMAND_EVAL, "format", "json"},
        {COMMAND_EXPORT, "format", "to"},          {COMMAND_GRADFLOW, "num-threads", "threads"},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_string_equal(option_suggest(some[i].command, some[i].typed), some[i].meant);
    refused(TRAIN "--gpu", STATUS_USAGE, "it computes on processors");
    refused("sample --model m --output x", STATUS_USAGE, "standard output");
    refused("score --model m --input x", STATUS_USAGE, "stand behind the options");
    file_refused(TRAIN, "learning_rate = 1\n", "did you mean 'lr'?");
    assert_string_equal(command_suggest("fit"), "train");
    assert_string_equal(command_suggest("generate"), "sample");
    /* every name that is offered exists */
    static const char *const typed[] = {"unit", "dir", "n", "text", "max-iters", "vocab", "format", "weights", "model"};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        const char *meant;
        for (int k = 0; (meant = suggest_option_meant(typed[i], k)) != NULL; k++) {
            bool exists = false;
            for (int j = 0; j < option_count(); j++)
                exists = exists || strcmp(option_at(j)->name, meant) == 0;
            assert_true(exists);
        }
    }
}

static void suggestions(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("train", "train"), 0);
    assert_int_equal(suggest_distance("trian", "train"), 1);
    assert_int_equal(suggest_distance("tain", "train"), 1);
    assert_int_equal(suggest_distance("checkpoint", "checkpoint-every"), 1);
    assert_int_equal(suggest_distance("zebra", "train"), SUGGEST_FAR);
    assert_int_equal(suggest_distance("", "lr"), SUGGEST_FAR);
    assert_string_equal(command_suggest("evaluate"), "eval");
    assert_string_equal(command_suggest("smaple"), "sample");
    assert_null(command_suggest("xyz"));
    assert_string_equal(option_suggest(COMMAND_TRAIN, "checkpoint"), "checkpoint-every");
    assert_string_equal(option_suggest(COMMANDS, "temprature"), "temperature");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(defaults_train_a_model),
        cmocka_unit_test(classifiers_have_other_defaults),
        cmocka_unit_test(forms_of_flags),
        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(words_beside_numbers),
        cmocka_unit_test(zero_is_no_word),
        cmocka_unit_test(durations),
        cmocka_unit_test(usage_errors),
        cmocka_unit_test(dropout_of_places),
        cmocka_unit_test(values_that_are_not_allowed),
        cmocka_unit_test(flags_override_the_file),
        cmocka_unit_test(recipes_are_sound),
        cmocka_unit_test(places_that_are_not_there),
        cmocka_unit_test(recipes_come_before_defaults),
        cmocka_unit_test(words_of_a_recipe),
        cmocka_unit_test(one_file_for_several_commands),
        cmocka_unit_test(faults_of_the_file_name_the_line),
        cmocka_unit_test(texts_and_config_parse_back),
        cmocka_unit_test(paths_in_config_are_absolute),
        cmocka_unit_test(json_has_one_name),
        cmocka_unit_test(synonyms),
        cmocka_unit_test(suggestions),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    options_free(&options);
    return failed;
}
