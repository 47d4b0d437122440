/* Rows of the table of options: files, and what a text and its tokens are. */
#include "option_rows.h"

/* clang-format off */
static const struct option rows[] = {
    {"corpus", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "corpus file, made by 'unroll prepare'; a run that goes on knows it"},
    {"corpus", .type = OPTION_TEXT, .commands = EVAL | GRADFLOW, .required = EVAL | GRADFLOW, FIELD(corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE", .help = "corpus file, made by 'unroll prepare'"},
    {"corpus", .type = OPTION_TEXT, .commands = PLAN, FIELD(train.corpus), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "corpus file of the run, for its vocabulary, labels and length; a run's config.ini names it, too"},
    {"run", .type = OPTION_TEXT, .commands = TRAIN, .required = TRAIN, FIELD(train.run), WRITES_RUN,
     .kept = OPTION_OF_A_START, .class = OPTION_CONDUCT, .section = "Files", .metavar = "DIR",
     .help = "run directory, made if it does not exist; if it holds a run, that run goes on, with its own options and "
             "those given now"},
    {"model", .type = OPTION_TEXT, .commands = EVAL | SCORE | CLASSIFY | SAMPLE | EXPORT,
     .required = EVAL | SCORE | CLASSIFY | SAMPLE | EXPORT, FIELD(model_file), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "a checkpoint, or a run directory: its best.h5, else its latest"},
    {"model", .type = OPTION_FILES, .commands = GRADFLOW, FIELD(flow_model), COUNT(flow_models), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...",
     .help = "checkpoints or run directories, at most one of each cell; without it, new models are made"},
    {"config", .type = OPTION_FILES, .singly = true,
     .commands = PREPARE | TRAIN | EVAL | SCORE | CLASSIFY | SAMPLE | GRADCHECK | GRADFLOW | BENCH | PLAN,
     FIELD(config_file), COUNT(config_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "INI file (also valid TOML) of options, as 'name = value'. It may be given several times: later files "
             "override earlier ones, and the command line overrides all"},
    {"train", .type = OPTION_FILES, .commands = PREPARE, FIELD(train_file), COUNT(train_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...",
     .help = "training text: files, folders, or '-' for standard input. Of a folder all files are read, in the order "
             "of their paths, but not hidden ones. gzip, xz and zstd unpack .gz, .xz and .zst. Not needed with "
             "--class, nor with --vocab-from and other text"},
    {"valid", .type = OPTION_FILES, .commands = PREPARE, FIELD(valid_file), COUNT(valid_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...", .help = "validation text"},
    {"test", .type = OPTION_FILES, .commands = PREPARE, FIELD(test_file), COUNT(test_files), READS,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE...", .help = "test text"},
    {"split", .type = OPTION_PERCENTS, .commands = PREPARE, FIELD(prepare.percent),
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "A,B,C",
     .help = "cut the training text into A, B and C percent, in this order, instead of --valid and --test"},
    {"labelled", .type = OPTION_BOOL, .commands = PREPARE, FIELD(prepare.labelled),
     .class = OPTION_CONDUCT, .section = "Files",
     .help = "each line is a label, a tab and a text, for --task classify. --split deals out the texts of each label, "
             "and --level is word unless it is given. A --vocab-from that has labels implies it"},
    {"class", .type = OPTION_FILES, .commands = PREPARE, FIELD(class_file), COUNT(classes), READS_LABELLED,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "NAME=FILE...",
     .help = "training texts of one label, one a line; implies --labelled"},
    {"output", 'o', .type = OPTION_TEXT, .commands = PREPARE, .required = PREPARE, FIELD(prepare.output), WRITES_HDF5,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE", .help = "corpus file to write"},
    {"to", CHOICES(to), .commands = EXPORT, FIELD(to), .initial = "safetensors",
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FORMAT",
     .help = "format of the output"},
    {"from", CHOICES(from), .commands = IMPORT, FIELD(from), .initial = "safetensors",
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FORMAT",
     .help = "format of FILE"},
    {"vocab-from", .type = OPTION_TEXT, .commands = IMPORT, FIELD(vocab_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FILE",
     .help = "where the vocabulary is: a corpus, a model, or a text with one token a line, '<unk>' first"},
    {"rename", .type = OPTION_FILES, .singly = true, .commands = IMPORT, FIELD(rename), COUNT(renames),
     .class = OPTION_CONDUCT, .section = "Files", .metavar = "FROM=TO",
     .help = "give the tensor FROM the name TO, or change the beginning FROM of names: net.rec.=rnn. or "
             "w.out=decoder.weight. A tensor FROM without TO is left out. It may be given several times"},
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
     .help = "table to write: cell,layer,quantity,lag,norm; '-' prints it instead of the other table"},

    {"level", CHOICES(level), .commands = PREPARE, FIELD(prepare.level), .initial = "char",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "LEVEL",
     .help = "what a token is: a character (Unicode code point), a word between white space or a line end, a byte, or "
             "a grapheme: what a reader takes for one character, such as a letter with its accents or an emoji with "
             "its skin tone"},
    {"normalise", CHOICES(normal), .commands = PREPARE, FIELD(prepare.normal), .initial = "none",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "FORM",
     .help = "nfc: first bring the text into Unicode's form C, so that what can be written in several ways, such as "
             "an 'e' with an accent, is one character and stands in the vocabulary once. Other texts for the model "
             "are treated alike"},
    {"vocab-from", .type = OPTION_TEXT, .commands = PREPARE, FIELD(vocab_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "FILE",
     .help = "take the vocabulary of this model, run directory or corpus, with its level, lower case, markers and "
             "labels. The new corpus then fits 'eval --model', --init-from and --branch. Words that the vocabulary "
             "lacks become <unk>, and --train may be missing. FILE may also be a text with one token a line; then "
             "--level must be given"},
    {"vocab-size", .type = OPTION_INT64, .commands = PREPARE, FIELD(prepare.vocab_size), FROM(2, VOCAB_MAX), WORD("none", 0),
     .initial = "none", .class = OPTION_CONDUCT, .section = "Text", .metavar = "N",
     .help = "keep the N most frequent tokens, <unk> among them; the others become <unk>"},
    {"min-count", .type = OPTION_INT64, .commands = PREPARE, FIELD(prepare.min_count), FROM(1, MANY),
     WORD("auto", PREPARE_MIN_COUNT_AUTO), .initial = "auto", .class = OPTION_CONDUCT, .section = "Text", .metavar = "N",
     .help = "tokens seen less often become <unk>. 'auto': 1, but 2 for words without --vocab-size or labels, so that "
             "the model learns what to expect of unknown words, unless words seen once are half of the text or more"},
    {"lowercase", .type = OPTION_BOOL, .commands = PREPARE, FIELD(prepare.lowercase),
     .class = OPTION_CONDUCT, .section = "Text", .help = "turn the text into lower case"},
    {"invalid", CHOICES(invalid), .commands = PREPARE, FIELD(prepare.replace), .initial = "refuse",
     .class = OPTION_CONDUCT, .section = "Text", .metavar = "HOW",
     .help = "what to do with bytes that are not UTF-8, and with NUL: refuse the text, or replace them by U+FFFD and "
             "say how many they were"},
    {"markers", CHOICES(markers), .commands = PREPARE | SCORE | CLASSIFY | SAMPLE,
     FIELD(markers), .initial = "refuse", .class = OPTION_CONDUCT, .section = "Text", .metavar = "HOW",
     .help = "what to do with the words '<s>' and '</s>' in a text, whose line ends become '</s>' anyway: refuse the "
             "text, strip the words, or keep them, '</s>' as one more line end and '<s>' as a word"},
};
/* clang-format on */

const struct option_rows option_rows_files = ROWS(rows);
