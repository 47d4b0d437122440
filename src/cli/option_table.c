#include "unroll/cli/option_table.h"

#include <string.h>

#include "unroll/cli/suggest.h"
#include "unroll/data/prepare.h"
#include "unroll/use/beam.h"

/* clang-format off */
/* The names of choices come from the rooms that own them. */
#define CHOICE(kind, enumeration, values)                                    \
    static const char *kind##_choice(int value)                              \
    {                                                                        \
        return kind##_name((enum enumeration)value);                         \
    }                                                                        \
    static const struct choices kind##_choices = {#kind, values, kind##_choice};
CHOICE(level, level, LEVEL_GRAPHEME + 1)
CHOICE(markers, markers, MARKERS_KEEP + 1)
CHOICE(normal, normal, NORMAL_NFC + 1)
CHOICE(cell, cell, CELLS)
CHOICE(init, init, INIT_ORTHOGONAL + 1)
CHOICE(split, split, SPLIT_TEST + 1)
CHOICE(task, task, TASK_CLASSIFY + 1)
CHOICE(pool, pool, POOL_MAX + 1)

static const char *cell_or_all_name(int value)
{
    return value == OPTION_CELL_ALL ? "all" : cell_name((enum cell)value);
}
static const struct choices cell_or_all_choices = {"cell", OPTION_CELL_ALL + 1, cell_or_all_name};

#define CHOICE_OF(kind, ...)                                                  \
    static const char *const kind##_names[] = {__VA_ARGS__};                  \
    static const char *kind##_choice(int value)                               \
    {                                                                         \
        return kind##_names[value];                                           \
    }                                                                         \
    static const struct choices kind##_choices = {#kind, sizeof kind##_names / sizeof *kind##_names, kind##_choice};
CHOICE_OF(invalid, "refuse", "replace")
CHOICE_OF(resume, "auto", "never", "must")
CHOICE_OF(writer, "auto", "single", "parallel")
CHOICE_OF(to, "safetensors", "text")
CHOICE_OF(from, "safetensors", "hdf5")
CHOICE_OF(format, "tsv", "json")
CHOICE_OF(nbest, "none", "moses", "kaldi")
CHOICE_OF(reset, "none", "eos")

#define PREPARE (1u << COMMAND_PREPARE)
#define TRAIN (1u << COMMAND_TRAIN)
#define EVAL (1u << COMMAND_EVAL)
#define SCORE (1u << COMMAND_SCORE)
#define CLASSIFY (1u << COMMAND_CLASSIFY)
#define SAMPLE (1u << COMMAND_SAMPLE)
#define EXPORT (1u << COMMAND_EXPORT)
#define IMPORT (1u << COMMAND_IMPORT)
#define INSPECT (1u << COMMAND_INSPECT)
#define VERIFY (1u << COMMAND_VERIFY)
#define RUNS (1u << COMMAND_RUNS)
#define GRADCHECK (1u << COMMAND_GRADCHECK)
#define GRADFLOW (1u << COMMAND_GRADFLOW)
#define BENCH (1u << COMMAND_BENCH)
#define PLAN (1u << COMMAND_PLAN)
#define SELFTEST (1u << COMMAND_SELFTEST)
#define STEP (TRAIN | BENCH)
#define RUN (STEP | PLAN)

#define FIELD(field) .offset = offsetof(struct options, field), .size = sizeof(((struct options *)0)->field)
#define COUNT(field) .count_offset = offsetof(struct options, field)
#define READS .path = OPTION_PATH_READ
#define READS_LABELLED .path = OPTION_PATH_LABELLED
#define WRITES_RUN .path = OPTION_PATH_RUN
#define WRITES_STREAM .path = OPTION_PATH_STREAM
#define WRITES_HDF5 .path = OPTION_PATH_HDF5
#define FROM(least, most) .min = least, .max = most
#define WORD(text, value) .word = {{text, value}}
#define WORDS(text, value, text2, value2) .word = {{text, value}, {text2, value2}}
#define CHOICES(kind) .type = OPTION_CHOICE, .choices = &kind##_choices
#define FOLLOWS(...) .follows = {__VA_ARGS__}

#define MANY 1e15 /* more steps or tokens than any run has; exact in a double */

const struct option option_table[] = {
    {"corpus", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "corpus file, made by 'unroll prepare'; needed unless DIR of --run holds a run, which knows its own"},
    {"corpus", .type = OPTION_TEXT, .commands = EVAL | GRADFLOW, .required = EVAL | GRADFLOW, FIELD(corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE", .help = "corpus file, made by 'unroll prepare'"},
    {"corpus", .type = OPTION_TEXT, .commands = PLAN, FIELD(train.corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "corpus file of the run, which says vocabulary, labels and lanes; that of a run's config.ini does, too"},
    {"run", .type = OPTION_TEXT, .commands = TRAIN, .required = TRAIN, FIELD(train.run), WRITES_RUN,
     .kept = OPTION_OF_A_START, .class = OPTION_CONDUCT, .section = "Files", .metavar = "DIR",
     .help = "run directory, made if it does not exist; if it holds a run, that goes on, with the options that it began "
             "with and those that are given now"},
    {"model", .type = OPTION_TEXT, .commands = EVAL | SCORE | CLASSIFY | SAMPLE | EXPORT,
     .required = EVAL | SCORE | CLASSIFY | SAMPLE | EXPORT, FIELD(model_file), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "a checkpoint, or a run directory: its best.h5, else its latest"},
    {"model", .type = OPTION_FILES, .commands = GRADFLOW, FIELD(flow_model), COUNT(flow_models), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...",
     .help = "checkpoints or run directories, at most one of each cell; without any, models are made anew"},
    {"config", .type = OPTION_FILES, .singly = true,
     .commands = PREPARE | TRAIN | EVAL | SCORE | CLASSIFY | SAMPLE | GRADCHECK | GRADFLOW | BENCH | PLAN,
     FIELD(config_file), COUNT(config_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "INI file (also valid TOML) with options as 'name = value'; may be given several times: later files override "
             "earlier ones, the command line all"},
    {"train", .type = OPTION_FILES, .commands = PREPARE, FIELD(train_file), COUNT(train_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...",
     .help = "training text, needed unless --class or --vocab-from says what it would: files, folders (all files in them but "
             "hidden ones, in the order of their paths), or '-', standard input; .gz, .xz and .zst are unpacked by gzip, xz "
             "and zstd"},
    {"valid", .type = OPTION_FILES, .commands = PREPARE, FIELD(valid_file), COUNT(valid_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...", .help = "validation text"},
    {"test", .type = OPTION_FILES, .commands = PREPARE, FIELD(test_file), COUNT(test_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...", .help = "test text"},
    {"split", .type = OPTION_PERCENTS, .commands = PREPARE, FIELD(prepare.percent),
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "A,B,C",
     .help = "instead of --valid and --test: cut the training text into A, B and C percent, in this order"},
    {"labelled", .type = OPTION_BOOL, .commands = PREPARE, FIELD(prepare.labelled),
     .class = OPTION_CONDUCT, .section = "Files",
     .help = "the lines are label, tab and text, for --task classify; --split deals out the texts of each label, and "
             "--level is word unless named; implied by a --vocab-from that has labels"},
    {"class", .type = OPTION_FILES, .commands = PREPARE, FIELD(class_file), COUNT(classes), READS_LABELLED,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "NAME=FILE...",
     .help = "training texts of one label, a line each; implies --labelled"},
    {"output", 'o', .type = OPTION_TEXT, .commands = PREPARE, .required = PREPARE, FIELD(prepare.output), WRITES_HDF5,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE", .help = "corpus file to write"},
    {"to", CHOICES(to), .commands = EXPORT, FIELD(to), .initial = "safetensors",
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FORMAT", .help = "of the output"},
    {"from", CHOICES(from), .commands = IMPORT, FIELD(from), .initial = "safetensors",
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FORMAT", .help = "of FILE"},
    {"vocab-from", .type = OPTION_TEXT, .commands = IMPORT, FIELD(vocab_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "corpus or model whose vocabulary it is, or a text with a token a line, '<unk>' first"},
    {"rename", .type = OPTION_FILES, .singly = true, .commands = IMPORT, FIELD(rename), COUNT(renames),
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FROM=TO",
     .help = "call the tensor FROM, or all whose names begin so, TO: net.rec.=rnn. or w.out=decoder.weight; a whole name "
             "without TO is left out; may be given several times"},
    {"output", 'o', .type = OPTION_TEXT, .commands = EXPORT, .required = EXPORT, FIELD(output), WRITES_STREAM,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "file to write; '-': standard output"},
    {"output", 'o', .type = OPTION_TEXT, .commands = IMPORT, .required = IMPORT, FIELD(output), WRITES_HDF5,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "HDF5 file to write"},

    {"output", 'o', .type = OPTION_TEXT, .commands = GRADFLOW, FIELD(output), WRITES_HDF5,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE", .help = "HDF5 file to write"},
    {"csv", .type = OPTION_TEXT, .commands = GRADFLOW, FIELD(csv), WRITES_STREAM,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "table to write: cell,layer,quantity,lag,norm; '-': on standard output, instead of the other"},

    {"level", CHOICES(level), .commands = PREPARE, FIELD(prepare.level), .initial = "char",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "LEVEL",
     .help = "what a token is: a Unicode character (code point), a word between white space or a line end, a byte, or a "
             "grapheme: what a reader takes for one character, such as a letter with its accents or an emoji with its skin "
             "tone and joiners"},
    {"normalise", CHOICES(normal), .commands = PREPARE, FIELD(prepare.normal), .initial = "none",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "FORM",
     .help = "nfc: bring what Unicode writes in several ways into its form C first, such as an 'e' and an accent into one "
             "character, so that the vocabulary has each once; the model's other texts are treated alike"},
    {"vocab-from", .type = OPTION_TEXT, .commands = PREPARE, FIELD(vocab_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "FILE",
     .help = "take the vocabulary of this model, run directory or corpus as it is, with its level, lower case, markers and "
             "labels, so that the new corpus fits 'eval --model', --init-from and --branch; words that it lacks become "
             "<unk>; --train may then be missing. Of a text, a token a line, --level must be given"},
    {"vocab-size", .type = OPTION_INT64, .commands = PREPARE, FIELD(prepare.vocab_size), FROM(2, VOCAB_MAX), WORD("none", 0),
     .initial = "none", .class = OPTION_CONDUCT, .section = "Text", .metavar = "N",
     .help = "keep the N most frequent tokens, <unk> among them; the others become <unk>"},
    {"min-count", .type = OPTION_INT64, .commands = PREPARE, FIELD(prepare.min_count), FROM(1, MANY),
     WORD("auto", PREPARE_MIN_COUNT_AUTO), .initial = "auto", .class = OPTION_CONDUCT, .section = "Text", .metavar = "N",
     .help = "tokens seen less often become <unk>; auto: 1, but 2 for words without --vocab-size or labels, so that the "
             "model learns what to expect of unknown words, unless those seen once are half of the text or more"},
    {"lowercase", .type = OPTION_BOOL, .commands = PREPARE, FIELD(prepare.lowercase),
     .class = OPTION_CONDUCT, .section = "Text", .help = "turn the text into lower case"},
    {"invalid", CHOICES(invalid), .commands = PREPARE, FIELD(prepare.replace), .initial = "refuse",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "HOW",
     .help = "bytes that are not UTF-8, and NUL: refuse the text, or put U+FFFD for them and count"},
    {"markers", CHOICES(markers), .commands = PREPARE | SCORE | CLASSIFY | SAMPLE,
     FIELD(markers), .initial = "refuse", .class = OPTION_CONDUCT, .section = "Text", .metavar = "HOW",
     .help = "words '<s>' and '</s>' in the text, whose line ends become '</s>' by themselves: refuse it, leave them "
             "out, or keep them, '</s>' as one more line end and '<s>' as a word"},

    {"task", CHOICES(task), .commands = RUN, FIELD(train.model.task), .initial = "lm",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "TASK",
     .help = "predict the next token at every step, or a label for each text of a labelled corpus"},
    {"pool", CHOICES(pool), .commands = RUN, FIELD(train.model.pool), .initial = "mean",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "HOW",
     .help = "to classify: from the output at a text's last token, or their mean or maximum over all its tokens"},
    {"labels", .type = OPTION_INT, .commands = BENCH | PLAN, FIELD(train.model.labels), FROM(2, MODEL_LABELS_MAX),
     .initial = "2", .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "to classify: labels, which otherwise come from the corpus"},
    {"cell", CHOICES(cell), .commands = RUN, FIELD(train.model.cell), .initial = "lstm",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "CELL", .help = "recurrent cell"},
    {"layers", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.model.layers), FROM(1, MODEL_LAYERS_MAX),
     .initial = "2", .classify = "1", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N", .help = "recurrent layers"},
    {"hidden", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.model.hidden), FROM(1, MODEL_WIDTH_MAX), .initial = "256", .classify = "128",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N", .help = "units in each layer"},
    {"embedding", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.model.embedding), FROM(1, MODEL_WIDTH_MAX),
     WORD("hidden", 0), .initial = "hidden", FOLLOWS("hidden"), .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "width of a token's vector; 'hidden': as --hidden"},
    {"tied", .type = OPTION_BOOL, .commands = RUN | GRADFLOW, FIELD(train.model.tied),
     .class = OPTION_MATHEMATICS, .section = "Model",
     .help = "input and output layer share their weights; needs --embedding equal to --hidden"},
    {"dropout", .type = OPTION_DOUBLE, .commands = RUN, FIELD(train.model.dropout), FROM(0, 1), .below_max = true,
     .initial = "0.2", .classify = "0.5", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "P",
     .help = "probability of dropping a unit before, between and after the layers"},
    {"word-dropout", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.word_dropout), FROM(0, 1), .below_max = true,
     .initial = "0", .classify = "0.3", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "P",
     .help = "to classify: probability of reading a training text's word as <unk>"},
    {"init-from", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.init_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "FILE",
     .help = "checkpoint of the same cell, sizes and level that a new run starts from: its layers are copied, and of every "
             "token that both vocabularies have the embedding, and between language models the output weights and bias; "
             "all else starts as by --init, step and optimizer from nothing"},
    {"vocab-size", .type = OPTION_INT, .commands = BENCH | PLAN, FIELD(train.model.vocab), FROM(1, MODEL_VOCAB_MAX),
     .initial = "10000", .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "entries of the vocabulary, which otherwise comes from the corpus"},
    {"init", CHOICES(init), .commands = STEP | GRADFLOW, FIELD(train.init), .initial = "auto",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "HOW",
     .help = "how weights start: uniform within 1/sqrt(hidden); orthogonal: recurrent weights orthogonal, biases 0, but 1 of "
             "lstm's forget gate; auto: uniform, but for rnn-relu recurrent weights 0.9 times the identity, small input "
             "weights, biases 0; embedding and output always uniform within 0.1, output bias 0"},
    {"seed", .type = OPTION_UINT64, .commands = TRAIN | SAMPLE | GRADCHECK | GRADFLOW | BENCH, FIELD(train.seed), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "everything random is a function of it; ranks and threads change nothing"},

    {"batch", .type = OPTION_INT, .commands = TRAIN | PLAN, FIELD(train.batch), FROM(1, 1 << 20), WORD("auto", 0), .initial = "auto",
     .classify = "32", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "lanes of text trained side by side, over all ranks together, fewer to validate a short split; 'auto': 8 to 64, "
             "for about 400 steps an epoch; to classify, texts of a step"},
    {"batch", .type = OPTION_INT, .commands = BENCH, FIELD(train.batch), FROM(1, 1 << 20), .initial = "32",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "lanes of text trained side by side, over all ranks together; to classify, texts of a step"},
    {"bptt", .type = OPTION_INT, .commands = RUN, FIELD(train.bptt), FROM(1, 65535), .initial = "64", .classify = "256",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "time steps that a window unrolls and gradients flow back; to classify, the most tokens of a text"},
    {"lane-groups", .type = OPTION_INT, .commands = RUN, FIELD(train.groups), FROM(1, 1 << 20), WORD("auto", 0),
     .initial = "auto", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "units of exact summation: at most this many ranks can take part"},
    {"reset-at", CHOICES(reset), .commands = TRAIN, FIELD(train.reset_at_eos), .initial = "none",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "WHERE",
     .help = "'eos': the state is emptied before every sentence end that is read, so that sentences are independent"},
    {"reduction", CHOICES(reduction), .commands = RUN, FIELD(train.reduction),
     .initial = "exact", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "HOW",
     .help = "gradient sums: the same bits on any ranks and processors, or a plain allreduce"},

    {"optimizer", CHOICES(optimizer), .commands = RUN, FIELD(train.optimizer.kind),
     .initial = "adam", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "NAME",
     .help = "update rule, with PyTorch's formulas"},
    {"lr", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.schedule.lr), FROM(0, 1e6), WORD("auto", -1), .initial = "auto",
     FOLLOWS("optimizer"), .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "learning rate; 'auto': %s; half of it to classify", .words = optimizer_words},
    {"momentum", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.momentum), FROM(0, 1), .below_max = true,
     .initial = "0.9", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X", .help = "of %s: share of the last step that the next one keeps", .words = optimizer_words},
    {"beta1", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.beta1), FROM(0, 1), .below_max = true,
     .initial = "0.9", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean gradient", .words = optimizer_words},
    {"beta2", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.beta2), FROM(0, 1), .below_max = true,
     .initial = "0.999", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean square of the gradient", .words = optimizer_words},
    {"alpha", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.alpha), FROM(0, 1), .below_max = true,
     .initial = "0.99", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean square of the gradient", .words = optimizer_words},
    {"epsilon", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.epsilon), FROM(0, 1), WORD("auto", -1),
     .initial = "auto", FOLLOWS("optimizer"), .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "added to the root of the squares; 'auto': %s", .words = optimizer_words},
    {"weight-decay", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.optimizer.weight_decay), FROM(0, 1e6),
     .initial = "0", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "L2 penalty added to the gradient; decoupled from it for %s", .words = optimizer_words},
    {"clip", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.clip), FROM(0, 1e30), WORD("none", 0),
     .initial = "5", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "scale the gradient down to this global norm; 'none' or 0: never"},

    {"schedule", CHOICES(schedule), .commands = TRAIN, FIELD(train.schedule.kind),
     .initial = "plateau", .classify = "cosine",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "NAME",
     .help = "of the learning rate: step divides it every --lr-step epochs, plateau where validation stalls, cosine goes "
             "down to --lr-min, with which the last step is made, unless that is still in --warmup: of 2 steps one trains if it is 0"},
    {"lr-decay", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.decay), FROM(1, 1e6), .above_min = true,
     .initial = "2",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X", .help = "step and plateau divide by this"},
    {"lr-step", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.every), FROM(1, OPTION_EPOCHS_MAX), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "N", .help = "step divides every N epochs"},
    {"lr-patience", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.patience), FROM(1, MANY), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "N",
     .help = "plateau divides after N validations without improvement"},
    {"lr-min", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.minimum), FROM(0, 1e6), .initial = "0",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "the rate falls no lower: step and plateau stop here, cosine ends here"},
    {"warmup", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.warmup), FROM(0, MANY), .initial = "0",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "STEPS",
     .help = "let the learning rate rise linearly over the first steps; it holds before the schedule does"},

    {"epochs", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.epochs), FROM(1, OPTION_EPOCHS_MAX),
     WORD("auto", 0), .initial = "auto", .classify = "8", FOLLOWS("max-steps"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "passes over the training text; 'auto': 1 to 20, by its length, 10 for a million tokens; without limit if "
             "--max-steps alone is given"},
    {"max-steps", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.max_steps), FROM(1, MANY), WORD("none", 0),
     .initial = "none", FOLLOWS("epochs"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "optimizer steps after which the run is finished"},
    {"patience", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.patience), FROM(1, MANY),
     WORDS("none", 0, "auto", -1), .initial = "auto", FOLLOWS("schedule", "eval-every"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "finish after N validations without improvement; 'auto': 10, or the validations of an epoch if those are more; "
             "'none' with --schedule cosine or step, without validation text, and where a run goes on that began without"},
    {"max-time", .type = OPTION_DURATION, .commands = TRAIN, FIELD(train.max_time), FROM(0, 1e9), .above_min = true,
     WORD("none", 0), .initial = "none", .kept = OPTION_TOLD, .class = OPTION_CONDUCT, .section = "How far to go", .metavar = "TIME",
     .help = "stop with a checkpoint and status 75 after this time: seconds, or as in 90s, 5m, 1h, 2d, HH:MM:SS or D-HH:MM:SS"},

    {"eval-every", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.eval_every), FROM(1, MANY), 
     WORDS("epoch", 0, "auto", -1), .initial = "auto", .classify = "epoch", .class = OPTION_MATHEMATICS,
     .section = "Validation and checkpoints", .metavar = "STEPS",
     .help = "steps from one validation to the next, or 'epoch'; 'auto': an epoch, or a part of one if the text has over a "
             "million tokens, for ten validations in the epochs that suit it"},
    {"gradflow-every", .type = OPTION_INT64, .commands = TRAIN | PLAN, FIELD(train.gradflow_every), FROM(1, MANY),
     WORD("never", 0), .initial = "never", .class = OPTION_CONDUCT, .section = "Validation and checkpoints",
     .metavar = "STEPS", .help = "steps between gradients by time lag in metrics.jsonl, on validation text"},
    {"sample-every", .type = OPTION_INT64, .commands = TRAIN | PLAN, FIELD(train.sample_every), FROM(1, MANY),
     WORDS("never", 0, "epoch", TRAINER_EPOCH), .initial = "never", .class = OPTION_CONDUCT,
     .section = "Validation and checkpoints", .metavar = "STEPS",
     .help = "steps from one sample to the next, in the log and in metrics.jsonl, or 'epoch': the text that 'unroll sample' "
             "writes with the weights of that step and --seed"},
    {"sample-length", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.sample_length), FROM(1, 10000), .initial = "200",
     .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "N", .help = "tokens in each sample"},
    {"checkpoint-every", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.checkpoint_every), FROM(1, MANY),
     WORD("epoch", 0), .initial = "1000", .class = OPTION_CONDUCT, .section = "Validation and checkpoints",
     .metavar = "STEPS", .help = "steps from one checkpoint to the next, or 'epoch'"},
    {"keep", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.keep), FROM(1, 1e6), .initial = "2",
     .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "N",
     .help = "checkpoints to keep, besides the best"},
    {"resume", CHOICES(resume), .commands = TRAIN, FIELD(train.resume), .initial = "auto",
     .kept = OPTION_OF_A_START, .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "HOW",
     .help = "go on with the run in --run if it holds one; never: refuse one that does; must: refuse one that does not"},
    {"branch", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.branch), WRITES_RUN,
     .kept = OPTION_OF_A_START, .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "NEWDIR",
     .help = "start a new run there from this one's newest checkpoint, with changed options"},
    {"checkpoint-writer", CHOICES(writer), .commands = TRAIN | PLAN,
     FIELD(train.writer),
     .initial = "auto", .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "HOW",
     .help = "rank 0 from memory, or all ranks through parallel HDF5"},
    {"check-replicas", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.check_replicas), FROM(1, MANY),
     WORD("checkpoint", 0), .initial = "1000", .class = OPTION_CONDUCT, .section = "Validation and checkpoints",
     .metavar = "STEPS", .help = "steps between comparisons of the ranks' parameters, or 'checkpoint'; at checkpoints always"},

    /* the fields of `train`; without them gradcheck goes through all */
    {"cell", CHOICES(cell), .commands = GRADCHECK, FIELD(train.model.cell),
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "CELL", .help = "only this cell, not all"},
    {"task", CHOICES(task), .commands = GRADCHECK, FIELD(train.model.task), .initial = "lm",
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "TASK",
     .help = "language models, or classifiers with each way to pool"},
    {"layers", .type = OPTION_INT, .commands = GRADCHECK, FIELD(train.model.layers), FROM(1, MODEL_LAYERS_MAX),
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "N", .help = "so many layers, not 1 and 2"},
    {"tied", .type = OPTION_BOOL, .commands = GRADCHECK, FIELD(train.model.tied),
     .class = OPTION_CONDUCT, .section = "Models", .help = "only with tied weights, or only without; not both"},
    {"dropout", .type = OPTION_DOUBLE, .commands = GRADCHECK, FIELD(train.model.dropout), FROM(0, 1), .below_max = true,
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "P",
     .help = "only with this probability, not with and without dropout"},
    {"reset-at", CHOICES(reset), .commands = GRADCHECK, FIELD(train.reset_at_eos),
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "WHERE",
     .help = "only with the state reset there, or only without; not both"},

    {"cell", CHOICES(cell_or_all), .commands = GRADFLOW, FIELD(flow_cell), .initial = "all",
     .class = OPTION_CONDUCT, .section = "Models", .metavar = "CELL", .help = "recurrent cell of new models"},
    {"split", CHOICES(split), .commands = GRADFLOW, FIELD(flow.split), .initial = "valid",
     .class = OPTION_CONDUCT, .section = "Measurement", .metavar = "SPLIT", .help = "part of the corpus"},
    {"lags", .type = OPTION_INT, .commands = GRADFLOW, FIELD(flow.lags), FROM(1, 65534), .initial = "64",
     .class = OPTION_CONDUCT, .section = "Measurement", .metavar = "K", .help = "steps to follow gradients back"},
    {"batch", .type = OPTION_INT, .commands = GRADFLOW, FIELD(flow.batch), FROM(1, 1 << 20), .initial = "32",
     .class = OPTION_CONDUCT, .section = "Measurement", .metavar = "N",
     .help = "lanes of text side by side; fewer if the split is short"},
    {"windows", .type = OPTION_INT64, .commands = GRADFLOW, FIELD(flow.windows), FROM(1, MANY), .initial = "16",
     .class = OPTION_CONDUCT, .section = "Measurement", .metavar = "N",
     .help = "windows of K + 1 steps in each lane, one t at the end of each"},

    /* the fields of `train`; without them import goes by the file */
    {"cell", CHOICES(cell), .commands = IMPORT, FIELD(import.cell),
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "CELL", .help = "where the weights fit several"},
    {"tied", .type = OPTION_BOOL, .commands = IMPORT, FIELD(import.tied), .class = OPTION_CONDUCT, .section = "Model",
     .help = "whether input and output layer share their weights; else tied if they are the same"},
    {"level", CHOICES(level), .commands = IMPORT, FIELD(prepare.level),
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "LEVEL",
     .help = "what a token is, if --vocab-from is a text"},
    {"normalise", CHOICES(normal), .commands = IMPORT, FIELD(prepare.normal), .initial = "none",
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "FORM",
     .help = "nfc: that the model's texts were in this form of Unicode, if --vocab-from is a text"},
    {"dropout", .type = OPTION_DOUBLE, .commands = IMPORT, FIELD(import.dropout), FROM(0, 1), .below_max = true,
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "P",
     .help = "that the model was trained with; only told by 'inspect'"},
    {"reset-at", CHOICES(reset), .commands = IMPORT, FIELD(import.reset_at_eos),
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "WHERE",
     .help = "'eos': the model takes each sentence alone; as the file tells if not given"},
    {"batch", .type = OPTION_INT, .commands = IMPORT, FIELD(import.batch), FROM(1, 1 << 20),
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "lanes that 'eval' cuts a long split into; 32 if neither this nor the file tells"},
    {"bptt", .type = OPTION_INT, .commands = IMPORT, FIELD(import.bptt), FROM(1, 65535),
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "time steps that 'eval' computes at once; 64 if neither this nor the file tells"},

    {"split", CHOICES(split), .commands = EVAL, FIELD(eval.split), .initial = "test",
     .class = OPTION_CONDUCT, .section = "Evaluation", .metavar = "SPLIT",
     .help = "part of the corpus; if there is no test split and none is named, valid"},
    {"batch", .type = OPTION_INT, .commands = EVAL, FIELD(eval.batch), FROM(1, 1 << 20), WORD("trained", -1),
     .initial = "trained", .class = OPTION_CONDUCT, .section = "Evaluation", .metavar = "N",
     .help = "lanes to cut the split into; 'trained': those of training, fewer where each would have less than 64 "
             "tokens; 1: none is cut, and the first token is predicted too, behind a line end as by 'score'. Not taken from a "
             "--config, which says what was trained with"},
    {"dynamic", .type = OPTION_BOOL, .commands = EVAL, FIELD(eval.dynamic),
     .class = OPTION_CONDUCT, .section = "Evaluation",
     .help = "dynamic evaluation: after each window learn from it by a step of SGD"},
    {"lr", .type = OPTION_DOUBLE, .commands = EVAL, FIELD(eval.lr), FROM(0, 1e6), .initial = "0.1",
     .class = OPTION_CONDUCT, .section = "Evaluation", .metavar = "X",
     .help = "learning rate of --dynamic, for the gradient of a window's mean loss"},

    {"per-token", .type = OPTION_BOOL, .commands = SCORE, FIELD(per_token),
     .class = OPTION_CONDUCT, .section = "Scoring",
     .help = "print line number, token and log-probability, a token a line, below a line that names the vocabulary; a byte "
             "that is no character is \\xHH, in JSON too"},
    {"all", .type = OPTION_BOOL, .commands = CLASSIFY, FIELD(all_labels),
     .class = OPTION_CONDUCT, .section = "Classifying", .help = "print every label, the likeliest first"},
    {"format", CHOICES(format), .commands = CLASSIFY, FIELD(score_tsv_json), .initial = "tsv",
     .class = OPTION_CONDUCT, .section = "Classifying", .metavar = "FORMAT", .help = "of the output"},
    {"json", .type = OPTION_BOOL, .commands = CLASSIFY, FIELD(score_tsv_json), .class = OPTION_CONDUCT,
     .section = "Classifying", .help = "print JSON, one object a line: the same as --format json"},
    {"format", CHOICES(format), .commands = SCORE, FIELD(score_tsv_json), .initial = "tsv",
     .class = OPTION_CONDUCT, .section = "Scoring", .metavar = "FORMAT", .help = "of the output"},
    {"json", .type = OPTION_BOOL, .commands = SCORE, FIELD(score_tsv_json),
     .class = OPTION_CONDUCT, .section = "Scoring", .help = "print JSON, one object a line: the same as --format json"},
    {"context", .type = OPTION_TEXT, .commands = SCORE, FIELD(context), READS,
     .class = OPTION_CONDUCT, .section = "Scoring", .metavar = "FILE",
     .help = "score every line behind the text of FILE ('-': standard input), whose own tokens do not count"},
    {"carry-state", .type = OPTION_BOOL, .commands = SCORE, FIELD(carry_state),
     .class = OPTION_CONDUCT, .section = "Scoring",
     .help = "score every line behind those before it, as one running text, in one lane, by rank 0 alone; the sum is that "
             "of 'eval --batch 1' where the vocabulary has line ends and the text ends with one"},
    {"oov-penalty", .type = OPTION_DOUBLE, .commands = SCORE, FIELD(oov_penalty), FROM(0, 1e6), .initial = "0",
     .class = OPTION_CONDUCT, .section = "Scoring", .metavar = "X",
     .help = "subtract X from the log-probability of every unknown token, which is that of <unk>"},
    {"mix", .type = OPTION_TEXT, .commands = SCORE, FIELD(mix), READS,
     .class = OPTION_CONDUCT, .section = "Scoring", .metavar = "FILE",
     .help = "interpolate with the probabilities of another model of the same vocabulary: what its 'score --per-token' "
             "printed for this text"},
    {"lambda", .type = OPTION_DOUBLE, .commands = SCORE, FIELD(lambda), FROM(0, 1), .initial = "0.5",
     .class = OPTION_CONDUCT, .section = "Scoring", .metavar = "X",
     .help = "share of this model in --mix: p = X own + (1 - X) other"},
    {"nbest", CHOICES(nbest), .commands = SCORE, FIELD(nbest), .initial = "none",
     .class = OPTION_CONDUCT, .section = "N-best lists", .metavar = "FORMAT",
     .help = "lines are hypotheses: moses 'id ||| text ||| features ||| score', kaldi 'utterance-N text'"},
    {"weight", .type = OPTION_DOUBLE, .commands = SCORE, FIELD(weight), FROM(-1e6, 1e6), .initial = "0",
     .class = OPTION_CONDUCT, .section = "N-best lists", .metavar = "X",
     .help = "moses: add X times the log-probability to the score and put each list's best first"},
    {"feature", .type = OPTION_TEXT, .commands = SCORE, FIELD(feature), .initial = "Unroll",
     .class = OPTION_CONDUCT, .section = "N-best lists", .metavar = "NAME",
     .help = "moses: what the log-probability is called among the features, without blanks, '=' and '|'"},
    {"best", .type = OPTION_BOOL, .commands = SCORE, FIELD(nbest_best),
     .class = OPTION_CONDUCT, .section = "N-best lists", .help = "print only the best of each list"},

    {"length", .type = OPTION_INT64, .commands = SAMPLE, FIELD(end.max_length), FROM(1, MANY), .initial = "500",
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "N",
     .help = "tokens in each text; the most, if it can stop before"},
    {"min-length", .type = OPTION_INT64, .commands = SAMPLE, FIELD(end.min_length), FROM(1, MANY), .initial = "1",
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "N",
     .help = "no text ends with fewer tokens: before, no --stop is heeded, and with --stop-at-eos no line end drawn"},
    {"stop-at-eos", .type = OPTION_BOOL, .commands = SAMPLE, FIELD(end.at_eos),
     .class = OPTION_CONDUCT, .section = "Sampling", .help = "a text ends with its first line end, </s>"},
    {"stop", .type = OPTION_TEXT, .commands = SAMPLE, FIELD(end.stop),
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "TEXT",
     .help = "a text ends with the token that completes TEXT in it, the prime not counted; TEXT is read as --prime is"},
    {"prime", .type = OPTION_TEXT, .commands = SAMPLE, FIELD(prime),
     .may_be_empty = true, .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "TEXT",
     .help = "text to go on from, read as 'score' reads a text"},
    {"prime-file", .type = OPTION_TEXT, .commands = SAMPLE, FIELD(prime_file), READS,
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "FILE",
     .help = "go on from the text of FILE, '-': standard input; a line end at its end belongs to it"},
    {"temperature", .type = OPTION_DOUBLE, .commands = SAMPLE, FIELD(sampler.rule.temperature), FROM(0, 1000), .initial = "1",
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "X",
     .help = "below 1 keeps to likely tokens, above 1 is wilder; 0 takes the likeliest token"},
    {"top-k", .type = OPTION_INT64, .commands = SAMPLE, FIELD(sampler.rule.top_k), FROM(1, VOCAB_MAX), WORD("all", 0),
     .initial = "all", .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "N",
     .help = "draw from the N likeliest tokens only"},
    {"top-p", .type = OPTION_DOUBLE, .commands = SAMPLE, FIELD(sampler.rule.top_p), FROM(0, 1), .above_min = true, .initial = "1",
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "P",
     .help = "draw from the fewest likeliest tokens, of those of --top-k, that together have this share"},
    {"count", .type = OPTION_INT64, .commands = SAMPLE, FIELD(count), FROM(1, 1e9), .initial = "1",
     .class = OPTION_CONDUCT, .section = "Sampling", .metavar = "N",
     .help = "texts to write; with --beam the N best of the search"},
    {"per-token", .type = OPTION_BOOL, .commands = SAMPLE, FIELD(sampler.logp),
     .class = OPTION_CONDUCT, .section = "Sampling",
     .help = "print text number, token and its natural log-probability in the model, a token a line"},
    {"beam", .type = OPTION_INT, .commands = SAMPLE, FIELD(beam.width), FROM(1, BEAM_WIDTH_MAX), WORD("none", 0),
     .initial = "none", .class = OPTION_CONDUCT, .section = "Beam search", .metavar = "N",
     .help = "draw nothing: search the likeliest text, keeping the N best beginnings of each length"},
    {"length-norm", .type = OPTION_DOUBLE, .commands = SAMPLE, FIELD(beam.alpha), FROM(0, 10), .initial = "0",
     .class = OPTION_CONDUCT, .section = "Beam search", .metavar = "A",
     .help = "order texts by log-probability / length^A: 0 favours short ones, 1 the best mean token"},

    {"nodes", .type = OPTION_INT, .commands = PLAN, FIELD(plan_nodes), FROM(1, 1 << 20), WORD("none", 0),
     .initial = "none", .class = OPTION_CONDUCT, .section = "Prediction", .metavar = "N",
     .help = "predict steps on 1, 2, 4 ... N nodes, of --batch lanes in all and of the first measurement's for each rank"},
    {"ranks-per-node", .type = OPTION_INT, .commands = PLAN, FIELD(ranks_per_node), FROM(1, 4096), .initial = "1",
     .class = OPTION_CONDUCT, .section = "Prediction", .metavar = "N", .help = "neighbours that share a node and its link"},
    {"network", .type = OPTION_TEXT, .commands = PLAN, FIELD(plan_network),
     .class = OPTION_CONDUCT, .section = "Prediction", .metavar = "LATENCY,BANDWIDTH",
     .help = "of the link of a node, such as 30us,1Gbit or 1.5us,12GB; without it, as --from has measured between hosts"},
    {"node-network", .type = OPTION_TEXT, .commands = PLAN, FIELD(node_network),
     .class = OPTION_CONDUCT, .section = "Prediction", .metavar = "LATENCY,BANDWIDTH",
     .help = "between ranks of a node; without it, as --from has measured inside hosts, else 1us,5GB"},
    {"from", .type = OPTION_FILES, .commands = PLAN, FIELD(from_file), COUNT(from_files), READS,
     .class = OPTION_CONDUCT, .section = "Prediction", .metavar = "FILE...",
     .help = "what 'bench --json' wrote: on one rank for the phases of a step, best with several --batch, and with "
             "--network on several ranks for links; the model is theirs"},

    {"steps", .type = OPTION_INT64, .commands = BENCH, FIELD(bench_steps), FROM(1, MANY), WORD("auto", 0),
     .initial = "auto", .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "N",
     .help = "steps to time; 'auto': as many as take a few seconds"},
    {"network", .type = OPTION_BOOL, .commands = BENCH, FIELD(bench_network),
     .class = OPTION_CONDUCT, .section = "Conduct",
     .help = "measure latency and bandwidth between ranks, the sum of gradients and the speed of hosts, too"},
    {"ranks", .type = OPTION_INT, .commands = PLAN, FIELD(plan_ranks), FROM(1, 1 << 20), WORD("auto", 0),
     .initial = "auto", .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "N",
     .help = "MPI ranks of the run; 'auto': those that run this command, or of --nodes as many as lane groups allow"},
    {"threads", .type = OPTION_INT, .commands = TRAIN | EVAL | SCORE | CLASSIFY | SAMPLE | GRADCHECK | GRADFLOW | BENCH | PLAN,
     FIELD(train.threads), FROM(1, 4096),
     WORD("auto", 0), .initial = "auto", .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "N",
     .help = "of each rank; 'auto': OMP_NUM_THREADS, else the rank's share of the cores it is bound to"},
    {"threads", .type = OPTION_INT, .commands = SELFTEST, FIELD(train.threads), FROM(1, 4096), WORD("auto", 0),
     .initial = "1", .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "N",
     .help = "of each rank; 'auto': OMP_NUM_THREADS, else the rank's share of the cores it is bound to"},
    {"print", .type = OPTION_BOOL, .commands = SELFTEST, FIELD(print_digests), .class = OPTION_CONDUCT,
     .section = "Conduct", .help = "print the digests as they are here, for src/use/selftest_digests.h; check nothing"},
    {"stall-timeout", .type = OPTION_DURATION, .commands = TRAIN, FIELD(train.stall_timeout), FROM(0, 1e9),
     .above_min = true, WORD("none", 0), .initial = "00:30:00", .class = OPTION_CONDUCT, .section = "Conduct",
     .metavar = "TIME",
     .help = "end the run with status 74 where it stands still for so long, naming rank, host and phase; files have a second "
             "for each megabyte besides; 'none': never"},
    {"log-every", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.log_every), FROM(1, MANY), .initial = "100",
     .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "STEPS",
     .help = "steps between lines of metrics.jsonl and timing.jsonl; what is shown goes by time: each second on a terminal, else "
             "after 2, 5, 10, 20, 30 s, each minute, later less often"},
    {"json-summary", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.json_summary), WRITES_STREAM,
     .kept = OPTION_TOLD, .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "FILE", .help = "the same as --json=FILE"},
    {"json", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.json_summary), WRITES_STREAM, .bare = "-",
     .kept = OPTION_TOLD, .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "FILE",
     .help = "at the end print one JSON object on standard output, or write it to FILE"},
    {"json", .type = OPTION_TEXT, .commands = BENCH | PLAN, FIELD(json_summary), WRITES_STREAM, .bare = "-",
     .class = OPTION_CONDUCT, .section = "Conduct", .metavar = "FILE",
     .help = "print one JSON object on standard output instead of the table, or write it to FILE, too"},
    {"json", .type = OPTION_BOOL, .commands = INSPECT | EVAL | RUNS, FIELD(json),
     .class = OPTION_CONDUCT, .section = "Conduct", .help = "print JSON, one object a line"},
};
/* clang-format on */

const int option_count = sizeof option_table / sizeof *option_table;

const struct option *option_find(enum command command, const char *name)
{
    for (int i = 0; i < option_count; i++)
        if (option_table[i].commands >> command & 1 && strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

const struct option *option_of_field(enum command command, const struct option *option)
{
    const struct option *first = option_table;
    while (first->offset != option->offset || !(first->commands >> command & 1))
        first++;
    return first;
}

static bool is_taken(enum command command, const struct option *option)
{
    return command == COMMANDS || option->commands >> command & 1;
}

/* A name that other programs have for an option counts before any that only looks similar. */
const char *option_suggest(enum command command, const char *name)
{
    const char *nearest = NULL;
    int best = SUGGEST_FAR;
    for (int i = 0; i < option_count; i++)
        if (is_taken(command, &option_table[i]) && suggest_alike(name, option_table[i].name))
            return option_table[i].name;
    for (int rank = 0; (nearest = suggest_option_meant(name, rank)) != NULL; rank++)
        for (int i = 0; i < option_count; i++)
            if (is_taken(command, &option_table[i]) && strcmp(option_table[i].name, nearest) == 0)
                return nearest;
    for (int i = 0; i < option_count; i++) {
        int distance = is_taken(command, &option_table[i]) ? suggest_distance(name, option_table[i].name) : SUGGEST_FAR;
        if (distance < best) {
            best = distance;
            nearest = option_table[i].name;
        }
    }
    return nearest;
}
