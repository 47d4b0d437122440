/* Rows of the table of options: files, and what a text and its tokens are. */
#include "option_rows.h"

/* clang-format off */
static const struct option rows[] = {
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
};
/* clang-format on */

const struct option_rows option_rows_files = ROWS(rows);
