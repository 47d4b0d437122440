/* The rows of the table of commands, and how a row is found by its name. */
#include "unroll/cli/command_table.h"

#include <string.h>

#include "unroll/cli/commands.h"
#include "unroll/cli/option_together.h"
#include "unroll/cli/options.h"
#include "unroll/cli/suggest.h"

/* clang-format off */
const struct command_info command_table[COMMANDS] = {
    [COMMAND_PREPARE] = {
        .name = "prepare", .summary = "turn text into a corpus file",
        .description = "Cuts a text into tokens, makes the vocabulary from the training text, and writes both into "
                       "one HDF5 file. Texts are UTF-8; at level byte any file will do. --split cuts one text by "
                       "position, or --valid and --test name texts of their own. '<unk>' in a text of words is an "
                       "unknown word.",
        .example = "unroll prepare --level char --train book.txt --split 90,5,5 -o book.h5", .meant = "train",
        .together = cmd_prepare, .settle = options_settle_prepare, .check = options_check_prepare},
    [COMMAND_TRAIN] = {
        .name = "train", .summary = "train a model, or go on with a run",
        .description = "Trains a language model, or a classifier of texts, on a corpus file. The run directory "
                       "receives config.ini, metrics.jsonl, checkpoints/ and best.h5. If it holds a run already, the "
                       "run goes on from its newest checkpoint, on any number of ranks; without a checkpoint it "
                       "begins again. Status 75 means: stopped early with a checkpoint; run the same command again.",
        .example = "unroll train --corpus book.h5 --run runs/book",
        .second = "mpirun -n 2 unroll train --corpus book.h5 --run runs/book --threads 1", .meant = "corpus",
        .together = cmd_train, .settle = options_settle_train, .check = options_check_train},
    [COMMAND_EVAL] = {
        .name = "eval", .summary = "loss and perplexity of a model on a split",
        .description = "Prints the mean loss (natural logarithm), the perplexity and the bits per token of a split; "
                       "of a classifier, how often it is right. The split is cut into the lanes of training, or fewer "
                       "if it is short; each begins with an empty state. To compare models of different tokens or "
                       "lanes, take --batch 1, and of what it prints the perplexity per word (exp of the total loss "
                       "over words and line ends) or the bits per byte of the text. The digits are the same on any "
                       "number of ranks and threads.",
        .example = "unroll eval --model runs/book/best.h5 --corpus book.h5 --split test", .meant = "model",
        .together = cmd_eval, .settle = options_settle_eval, .check = options_check_eval},
    [COMMAND_SCORE] = {
        .name = "score", .summary = "log-probability of each line of a text",
        .description = "Prints one natural log-probability for each line of FILE, or of standard input; counts and "
                       "perplexities go to standard error. Each line stands alone: the model starts from zero, reads "
                       "a line end, and predicts every token of the line and its line end. So did a model trained "
                       "with --reset-at eos see its sentences. If the vocabulary has no line ends, the second token "
                       "is the first that is predicted. --context puts a text before every line, --carry-state the "
                       "lines before it. Unknown tokens count as <unk>. If the model's vocabulary, of characters or "
                       "words, has no capitals, the text is turned into lower case. With --nbest moses every line "
                       "comes back with ' Unroll= X' behind its features, X being its log-probability (--feature "
                       "gives another name), and with a new score if --weight is given. With --nbest kaldi its key "
                       "and -X come back; with --best, utterance and text. A list is lines in a row with the same id, "
                       "or with the same key up to its last '-'.",
        .operand = "[FILE]", .files_max = 1,
        .example = "echo 'In the beginning' | unroll score --model runs/book/best.h5",
        .together = cmd_score, .settle = options_settle_use, .check = options_check_score},
    [COMMAND_CLASSIFY] = {
        .name = "classify", .summary = "label of each line of a text",
        .description = "Prints label, tab and probability for each line of FILE, or of standard input. The model must "
                       "be one trained with --task classify. Unknown tokens count as <unk>. Of a long line only the "
                       "first tokens count, as many as --bptt of the training; in the end it says how many lines were "
                       "cut. If the model's vocabulary, of characters or words, has no capitals, the text is turned "
                       "into lower case. Output order and digits are the same on any number of ranks and threads.",
        .operand = "[FILE]", .files_max = 1,
        .example = "echo 'a quiet , moving film' | unroll classify --model runs/reviews/latest",
        .together = cmd_classify, .settle = options_settle_use},
    [COMMAND_SAMPLE] = {
        .name = "sample", .summary = "write new text",
        .description = "Draws text from a model, or with --beam searches the likeliest. The model starts from zero, "
                       "reads a line end and the prime, and goes on from there. If its vocabulary has no line ends "
                       "and there is no prime, the first token is drawn by the counts of the training text, evenly if "
                       "they are not known; --per-token marks it 'counts'. <unk> is never written. The same seed "
                       "gives the same text on any machine, and text K of --count does not depend on the count and "
                       "the threads. Text is printed as it is made.",
        .example = "unroll sample --model runs/book/best.h5 --prime 'And God said' --length 300", .meant = "model",
        .together = cmd_sample, .settle = options_settle_use, .check = options_check_sample},
    [COMMAND_EXPORT] = {
        .name = "export", .summary = "weights for other programs",
        .description = "Writes a model's weights, with PyTorch's names and shapes: as a safetensors file, whose "
                       "metadata hold options and vocabulary, or as text. 'unroll import' reads the safetensors file "
                       "back to the same bits. A checkpoint itself opens in h5py and needs no export for that.",
        .example = "unroll export --model runs/book/best.h5 --to safetensors -o book.safetensors", .meant = "model",
        .alone = cmd_export},
    [COMMAND_IMPORT] = {
        .name = "import", .summary = "a model from other programs' weights",
        .description = "Makes a model for 'eval', 'score', 'sample' and 'classify' from weights with PyTorch's names: "
                       "encoder.weight, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0, ..., "
                       "decoder.weight, decoder.bias. Names such as lstm., rec., embedding., fc. and linear., with "
                       "module. or other words in front, are known, too; --rename tells the rest. Missing biases are "
                       "zeros; float16, bfloat16 and float64 become float32. HDF5 must have checksums, as "
                       "h5py.File(name, 'w', libver='v108') writes it. Cell, layers and sizes follow from names and "
                       "shapes. --cell is needed where several fit, --vocab-from where the file was not made by "
                       "'unroll export'.",
        .operand = "FILE", .files_min = 1, .files_max = 1,
        .example = "unroll import --from safetensors book.safetensors -o again.h5",
        .alone = cmd_import, .check = options_check_import},
    [COMMAND_INSPECT] = {
        .name = "inspect", .summary = "what a corpus or checkpoint holds",
        .description = "Describes corpus files and checkpoints: sizes, options, progress, digests. Of a run directory "
                       "it takes best.h5, else the latest checkpoint.",
        .operand = "FILE...", .files_min = 1, .files_max = OPTION_FILES_MAX, .files_of_run = true,
        .example = "unroll inspect --json runs/book/best.h5",
        .alone = cmd_inspect},
    [COMMAND_VERIFY] = {
        .name = "verify", .summary = "whether corpora and checkpoints are whole",
        .description = "Reads every byte of corpus files and checkpoints and compares the digests stored in them. "
                       "Prints a line for each file. If several fail, the exit status is that of the worst: an error "
                       "in reading, then a damaged checkpoint (76), a damaged corpus (65), a missing file (66).",
        .operand = "FILE...", .files_min = 1, .files_max = OPTION_FILES_MAX, .files_of_run = true,
        .example = "unroll verify runs/book/checkpoints/*.h5",
        .alone = cmd_verify},
    [COMMAND_RUNS] = {
        .name = "runs", .summary = "runs side by side, the best first",
        .description = "Prints a line for each run: its best validation loss, the options in which it differs from "
                       "the others, and what became of it: running, finished, stopped with a checkpoint, killed, "
                       "failed, diverged or not begun. DIR is a run directory or a folder that holds some, up to "
                       "three levels deep; without one, the current folder. Losses compare only within a task and "
                       "corpus, so each has a table of its own. On a terminal the table is made to fit. Nothing is "
                       "changed, and runs that go on are not disturbed.",
        .operand = "[DIR...]", .files_max = OPTION_OPERANDS_MAX,
        .example = "unroll runs runs",
        .alone = cmd_runs},
    [COMMAND_GRADCHECK] = {
        .name = "gradcheck", .summary = "check the gradients numerically",
        .description = "Compares gradients on small random models: those of a plain reference in double precision "
                       "with central differences, and those of the fast code with the reference.",
        .example = "unroll gradcheck --cell lstm --layers 2",
        .alone = cmd_gradcheck, .check = options_check_gradcheck},
    [COMMAND_GRADFLOW] = {
        .name = "gradflow", .summary = "the vanishing gradient: its norm by time lag",
        .description = "Prints for each lag k the norm of the derivative of the loss at a step t with respect to a "
                       "layer's output k steps before (and to its cell, where it has one), averaged over lanes and "
                       "over many t. It measures checkpoints, or new models of every cell side by side. The digits "
                       "are the same on any number of ranks and threads.",
        .example = "unroll gradflow --corpus book.h5 --layers 1 --csv flow.csv", .meant = "corpus",
        .together = cmd_gradflow, .settle = options_settle_use, .check = options_check_gradflow},
    [COMMAND_BENCH] = {
        .name = "bench", .summary = "speed of training, as a share of this machine's GEMM",
        .description = "Times whole training steps on made-up tokens, with the model options of 'train', and BLIS's "
                       "sgemm on the same cores. Says what the time goes into, and whether the memory is what "
                       "'unroll plan' says.",
        .example = "unroll bench --hidden 512 --vocab-size 65 --json bench.json",
        .together = cmd_bench, .check = options_check_step},
    [COMMAND_PLAN] = {
        .name = "plan", .summary = "memory, flops and bytes on the wire of a run",
        .description = "Says beforehand what a run with these options of 'train' needs on each rank, and which ranks "
                       "and threads would suit it. It takes the config.ini of a run, too. Without a corpus it says "
                       "what it assumes. With --nodes it predicts time, speed and efficiency of steps on many ranks "
                       "from steps measured on one.",
        .example = "unroll plan --nodes 1024 --network 1.5us,12GB --from bench.json --batch 4096",
        .together = cmd_plan, .check = options_check_step},
    [COMMAND_SELFTEST] = {
        .name = "selftest", .summary = "whether this build gives the right bits here",
        .description = "Says what computes here, and compares it with what it should be: matrix products with plain "
                       "C, elementary functions with those of the C library, and small trainings of every cell, task "
                       "and optimizer with digests that are the same on every processor. It takes seconds. If "
                       "something differs it says what, and ends with 70. Under mpirun every rank checks itself.",
        .example = "unroll selftest",
        .together = cmd_selftest},
};
/* clang-format on */

enum command command_find(const char *name)
{
    int command = 0;
    while (command < COMMANDS && strcmp(command_table[command].name, name) != 0)
        command++;
    return (enum command)command;
}

const char *command_suggest(const char *name)
{
    const char *nearest = NULL;
    int best = SUGGEST_FAR;
    for (int i = 0; i < COMMANDS; i++) {
        if (suggest_command_means(name, command_table[i].name))
            return command_table[i].name;
        int distance = suggest_distance(name, command_table[i].name);
        if (distance < best) {
            best = distance;
            nearest = command_table[i].name;
        }
    }
    return nearest;
}
