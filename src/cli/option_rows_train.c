/* Rows of the table of options: the model and its training, of train, bench and plan. */
#include "option_rows.h"

#include "unroll/base/window.h"
#include "unroll/cli/recipes.h"
#include "unroll/nn/output.h"
#include "unroll/nn/proposal.h"
#include "unroll/train/average.h"
#include "unroll/train/optimizer.h"
#include "unroll/train/reducer.h"
#include "unroll/train/schedule.h"

/* clang-format off */
static const struct option rows[] = {
    {"recipe", CHOICES(recipe), .commands = RUN, FIELD(recipe), .initial = "none",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "NAME",
     .help = "options that go well together, before those of the command line and of --config: tools/README.md has what "
             "they reached. What config.ini spells out is the run's, whatever becomes of the recipe"},
    {"task", CHOICES(task), .commands = RUN, FIELD(train.step.model.task), .initial = "lm",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "TASK",
     .help = "what to predict: the next token at every step, or one label for each text of a labelled corpus"},
    {"pool", CHOICES(pool), .commands = RUN, FIELD(train.step.model.pool), .initial = "mean",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "HOW",
     .help = "to classify: predict from the output at a text's last token, or from the mean or maximum over all its "
             "tokens"},
    {"labels", .type = OPTION_INT, .commands = BENCH | PLAN, FIELD(train.step.model.labels), FROM(2, LABELS_MAX),
     .initial = "2", .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "to classify: number of labels, if no corpus tells it"},
    {"cell", CHOICES(cell), .commands = RUN, FIELD(train.step.model.cell), .initial = "lstm",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "CELL", .help = "recurrent cell"},
    {"mogrify", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.step.model.mogrify), FROM(1, MOGRIFY_ROUNDS_MAX),
     .initial = "5", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "of %s: rounds in which input and state gate one another before each step", .words = cell_words},
    {"mogrify-rank", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.step.model.mogrify_rank),
     FROM(1, MODEL_WIDTH_MAX), WORD("full", 0), .initial = "full", .class = OPTION_MATHEMATICS, .section = "Model",
     .metavar = "K", .help = "of %s: rank of the rounds' matrices, below --hidden and --embedding. 'full': whole ones",
     .words = cell_words},
#if OUTPUT_LAYERS > 1
    {"output-layer", CHOICES(output_layer), .commands = RUN, FIELD(train.step.model.output_layer), .initial = "full",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "KIND",
     .help = "output layer of a language model. full: a softmax over the whole vocabulary; adaptive: "
             "over clusters of words, the rarer the narrower; sampled: one over the target "
             "and --samples words while training; nce: noise contrastive estimation with as many"},
#endif
    {"cutoffs", .type = OPTION_LIST, .commands = RUN, FIELD(train.step.model.cutoffs), .ascends = true, WORD("auto", 0), .initial = "auto",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "LIST",
     .help = "of adaptive: the ranks at which clusters of rarer words begin, the most frequent word having rank 0, as in "
             "2000,10000. 'auto': those that cost least, by the counts"},
    {"div", .type = OPTION_DOUBLE, .commands = RUN, FIELD(train.step.model.div), FROM(1, 1e6), .below_max = true,
     .initial = "4", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "X",
     .help = "of adaptive: each cluster's vectors are so many times narrower than those of the one before"},
    {"samples", .type = OPTION_INT, .commands = RUN, FIELD(train.step.model.samples), FROM(1, VOCAB_MAX),
     WORD("auto", 0), .initial = "auto", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "K",
     .help = "of sampled and nce: words drawn for a step. 'auto': 1000, but at most half of the vocabulary"},
    {"proposal", CHOICES(proposal), .commands = RUN, FIELD(train.step.model.proposal), .initial = "log-uniform",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "NAME",
     .help = "of sampled and nce: what words are drawn from. log-uniform: Zipf's law over the order of counts; unigram: "
             "counts to the power of 0.75"},
    {"layers", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.step.model.layers), FROM(1, MODEL_LAYERS_MAX),
     .initial = "2", .classify = "1", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "recurrent layers"},
    {"hidden", .type = OPTION_LIST, .commands = RUN | GRADFLOW, FIELD(hidden), FROM(1, MODEL_WIDTH_MAX), .initial = "256", .classify = "128",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "units in each layer; or those of one layer after another, from the input on, as in 1150,1150,400, which "
             "sets --layers, too"},
    {"embedding", .type = OPTION_INT, .commands = RUN | GRADFLOW, FIELD(train.step.model.embedding), FROM(1, MODEL_WIDTH_MAX),
     WORD("hidden", 0), .initial = "hidden", FOLLOWS("hidden"), .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "width of a token's vector; 'hidden': that of the top layer"},
    {"tied", .type = OPTION_BOOL, .commands = RUN | GRADFLOW, FIELD(train.step.model.tied),
     .class = OPTION_MATHEMATICS, .section = "Model",
     .help = "input and output layer share their weights; --embedding must equal the top layer's --hidden"},
    {"precision", CHOICES(precision), .commands = RUN, FIELD(train.step.model.precision), .initial = "float32",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "KIND",
     .help = "numbers that matrix products multiply. bf16: half as long, for processors that have units for them; sums, "
             "weights and all else stay float32"},
    {"bf16-order", CHOICES(order_or_host), .commands = TRAIN | PLAN, FIELD(train.step.model.bf16_order), .initial = "tile",
     .yields = "host", .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "ORDER",
     .help = "order in which products of bf16 are added: part of the bits. tile: as AMX adds; pair: as AVX512_BF16 does; "
             "host: that which is fastest here when a run begins. Any processor computes either"},
    {"bf16-order", CHOICES(order_or_host), .commands = BENCH, FIELD(train.step.model.bf16_order), .initial = "host",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "ORDER",
     .help = "order in which products of bf16 are added. tile: as AMX adds; pair: as AVX512_BF16 does; host: that which "
             "is fastest here"},
    {"init-from", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.init_from), READS, .of_run = true,
     .class = OPTION_CONDUCT, .section = "Model", .metavar = "FILE",
     .help = "start a new run from this checkpoint, of the same cell, sizes and level. Copied are its layers and, of "
             "every token that both vocabularies have, the embedding; between language models also output weights and "
             "bias. All else starts as by --init, and step and optimizer from nothing"},
    {"vocab-size", .type = OPTION_INT, .commands = BENCH | PLAN, FIELD(train.step.model.vocab), FROM(1, VOCAB_MAX),
     .initial = "10000", .class = OPTION_CONDUCT, .section = "Model", .metavar = "N",
     .help = "entries of the vocabulary, if no corpus tells it"},
    {"init", CHOICES(init), .commands = STEP | GRADFLOW, FIELD(train.init), .initial = "auto",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "HOW",
     .help = "how weights start. uniform: within 1/sqrt(hidden). orthogonal: recurrent weights orthogonal, biases 0, "
             "but 1 for lstm's forget gate. auto: uniform, but for rnn-relu recurrent weights 0.9 times the identity, "
             "small input weights and biases 0. Embedding and output weights are always uniform within 0.1, the "
             "output bias is 0"},
    {"seed", .type = OPTION_UINT64, .commands = TRAIN | SAMPLE | GRADCHECK | GRADFLOW | BENCH, FIELD(train.step.seed), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Model", .metavar = "N",
     .help = "seed of all that is random; ranks and threads change nothing"},

    {"dropout", .type = OPTION_DOUBLE, .commands = RUN, FIELD(train.step.model.dropout), FROM(0, 1), .below_max = true,
     .initial = "0.2", .classify = "0.5", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "probability of dropping a unit before, between and after the layers"},
    {"dropout-input", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(dropout_input), FROM(0, 1), .below_max = true,
     WORD("dropout", -1), .initial = "dropout", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "... before the first layer; 'dropout': as --dropout says"},
    {"dropout-hidden", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(dropout_hidden), FROM(0, 1), .below_max = true,
     WORD("dropout", -1), .initial = "dropout", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "... between layers; 'dropout': as --dropout says"},
    {"dropout-output", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(dropout_output), FROM(0, 1), .below_max = true,
     WORD("dropout", -1), .initial = "dropout", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "... after the last layer; 'dropout': as --dropout says"},
    {"dropout-kind", CHOICES(dropout_kind), .commands = RUN | GRADCHECK, FIELD(train.step.model.dropout_kind), .initial = "element",
     .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "KIND",
     .help = "of these. element: units are dropped anew at each time step; locked: the same units in all steps of a "
             "lane's window"},
    {"dropout-embedding", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(train.step.model.dropout_embedding),
     FROM(0, 1), .below_max = true, .initial = "0", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "probability of dropping a word, wherever a window reads it, by its whole vector"},
    {"dropout-state", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(train.step.model.dropout_state),
     FROM(0, 1), .below_max = true, .initial = "0", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "probability of dropping a unit of the state that recurrent weights multiply, from a lane's window"},
    {"weight-drop", .type = OPTION_DOUBLE, .commands = RUN | GRADCHECK, FIELD(train.step.model.weight_drop),
     FROM(0, 1), .below_max = true, .initial = "0", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "probability of dropping a recurrent weight from a step"},
    {"ar", .type = OPTION_DOUBLE, .commands = RUN, FIELD(train.step.model.ar), FROM(0, 1e6), .below_max = true,
     .initial = "0", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "X",
     .help = "activation regularisation: adds X times the mean square of the top layer's outputs, after dropout, to the "
             "loss that is trained; reported losses are without it"},
    {"tar", .type = OPTION_DOUBLE, .commands = RUN, FIELD(train.step.model.tar), FROM(0, 1e6), .below_max = true,
     .initial = "0", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "X",
     .help = "temporal activation regularisation: the same of their changes from step to step, before dropout"},
    {"word-dropout", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.word_dropout), FROM(0, 1), .below_max = true,
     .initial = "0", .classify = "0.3", .class = OPTION_MATHEMATICS, .section = "Regularisation", .metavar = "P",
     .help = "to classify: probability that a word of a training text is read as <unk>"},

    {"batch", .type = OPTION_INT, .commands = TRAIN | PLAN, FIELD(train.batch), FROM(1, 1 << 20), WORD("auto", 0), .initial = "auto",
     .classify = "32", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "lanes of text trained side by side, over all ranks together; a short split is validated in fewer. "
             "'auto': 8 to 64, for about 400 steps an epoch. To classify: texts of a step"},
    {"batch", .type = OPTION_INT, .commands = BENCH, FIELD(train.batch), FROM(1, 1 << 20), .initial = "32",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "lanes of text trained side by side, over all ranks together; to classify: texts of a step"},
    {"bptt", .type = OPTION_INT, .commands = RUN, FIELD(train.step.bptt), FROM(1, WINDOW_STEPS_MAX), .initial = "64", .classify = "256",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "time steps of a window, over which gradients flow back; to classify: the most tokens of a text that "
             "count"},
    {"bptt-vary", .type = OPTION_BOOL, .commands = TRAIN | PLAN, FIELD(train.bptt_vary), .class = OPTION_MATHEMATICS,
     .section = "Training",
     .help = "draw each window's length: from a normal distribution of deviation 5 around --bptt, at every twentieth "
             "around half of it; 5 to --bptt + 20. The step's learning rate is multiplied by length / --bptt. "
             "Validation keeps --bptt"},
    {"lane-groups", .type = OPTION_INT, .commands = RUN, FIELD(train.groups), FROM(1, 1 << 20), WORD("auto", 0),
     .initial = "auto", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "N",
     .help = "groups of lanes, whose gradients are summed in a fixed order; at most so many ranks can take part"},
    {"reset-at", CHOICES(reset), .commands = TRAIN, FIELD(train.reset_at_eos), .initial = "none",
     .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "WHERE",
     .help = "eos: the state is set to zero before every sentence end that is read, so that sentences are independent"},
    {"reduction", CHOICES(reduction), .commands = RUN, FIELD(train.step.reduction),
     .initial = "exact", .class = OPTION_MATHEMATICS, .section = "Training", .metavar = "HOW",
     .help = "how gradients are summed over ranks. exact: the same bits on any ranks and processors; fast: a plain "
             "allreduce"},

    {"optimizer", CHOICES(optimizer), .commands = RUN, FIELD(train.step.optimizer.kind),
     .initial = "adam", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "NAME",
     .help = "update rule, with PyTorch's formulas. ntasgd: sgd, whose weights are averaged over all updates once validation "
             "has stalled (--nonmono)"},
    {"lr", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.schedule.lr), FROM(0, 1e6), WORD("auto", -1), .initial = "auto",
     FOLLOWS("optimizer"), .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "learning rate; 'auto': %s; half of it to classify", .words = optimizer_words},
    {"momentum", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.momentum), FROM(0, 1), .below_max = true,
     .initial = "0.9", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: share of the last step that the next one keeps", .words = optimizer_words},
    {"beta1", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.beta1), FROM(0, 1), .below_max = true,
     .initial = "0.9", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean gradient", .words = optimizer_words},
    {"beta2", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.beta2), FROM(0, 1), .below_max = true,
     .initial = "0.999", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean square of the gradient", .words = optimizer_words},
    {"alpha", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.alpha), FROM(0, 1), .below_max = true,
     .initial = "0.99", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of %s: decay of the mean square of the gradient", .words = optimizer_words},
    {"epsilon", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.epsilon), FROM(0, 1), WORD("auto", -1),
     .initial = "auto", FOLLOWS("optimizer"), .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "added to the root of the squares; 'auto': %s", .words = optimizer_words},
    {"weight-decay", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.optimizer.weight_decay), FROM(0, 1e6),
     .initial = "0", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "L2 penalty added to the gradient; decoupled from it for %s", .words = optimizer_words},
    {"sparse-update", CHOICES(sparse_update), .commands = STEP, FIELD(train.step.optimizer.sparse_update), .initial = "exact",
     .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "HOW",
     .help = "what becomes of rows of embedding and output weights that a step has no gradient for. exact: means and "
             "weight decay go on, as if all rows were updated, to the bit; lazy: they stay as they are, which takes "
             "less time and gives other numbers"},
    {"clip", .type = OPTION_DOUBLE, .commands = STEP, FIELD(train.step.clip), FROM(0, 1e30), WORD("none", 0),
     .initial = "5", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "scale the gradient down to this global norm; 'none' or 0: never"},

    {"average", CHOICES(average), .commands = TRAIN | PLAN, FIELD(train.average.kind), .initial = "none",
     .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "KIND",
     .help = "judge and keep an average of the weights, which training itself does not see. epochs: the mean of those at "
             "the ends of epochs; ema: an exponential mean over updates"},
    {"average-decay", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.average.decay), FROM(0, 1), .below_max = true,
     .initial = "0.999", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "X",
     .help = "of --average ema: what the mean keeps of itself in an update; less while it has few"},
    {"average-from", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.average.from), FROM(1, OPTION_EPOCHS_MAX),
     .initial = "1", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "N",
     .help = "of --average epochs and ema: the first epoch that counts"},
    {"nonmono", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.average.nonmono), FROM(1, AVERAGE_NONMONO_MAX),
     .initial = "5", .class = OPTION_MATHEMATICS, .section = "Optimizer", .metavar = "N",
     .help = "of ntasgd: averaging begins where a validation's loss is above the lowest of all before it but the last N. A "
             "validation is an epoch's, unless --eval-every says a number of steps: then N counts those"},

    {"schedule", CHOICES(schedule), .commands = TRAIN, FIELD(train.schedule.kind),
     .initial = "plateau", .classify = "cosine",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "NAME",
     .help = "how the learning rate falls ('constant' unless given, with --optimizer ntasgd). step: it is divided every --lr-step epochs; plateau: it is divided where "
             "validation stalls; cosine: it falls to --lr-min, which the last step has (with --lr-min 0 that step "
             "changes nothing); onecycle: it rises to --lr and falls to next to nothing, as PyTorch's OneCycleLR"},
    {"lr-decay", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.decay), FROM(1, 1e6), .above_min = true,
     .initial = "2",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "what step and plateau divide by"},
    {"lr-step", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.every), FROM(1, OPTION_EPOCHS_MAX), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "N", .help = "step divides every N epochs"},
    {"lr-patience", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.patience), FROM(1, MANY), .initial = "1",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "N",
     .help = "plateau divides after N validations without improvement"},
    {"lr-min", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.minimum), FROM(0, 1e6), .initial = "0",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "the learning rate falls no lower; cosine ends here"},
    {"cycle-rise", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.cycle_rise), FROM(0, 1), .initial = "0.3",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "of onecycle: share of all steps in which the rate rises (pct_start)"},
    {"cycle-start", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.cycle_start), FROM(1, 1e12), .initial = "25",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "of onecycle: the first rate is --lr divided by this (div_factor)"},
    {"cycle-end", .type = OPTION_DOUBLE, .commands = TRAIN, FIELD(train.schedule.cycle_end), FROM(1, 1e12), .initial = "10000",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "X",
     .help = "of onecycle: the last rate is the first divided by this (final_div_factor)"},
    {"warmup", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.schedule.warmup), FROM(0, MANY), .initial = "0",
     .class = OPTION_MATHEMATICS, .section = "Schedule", .metavar = "STEPS",
     .help = "let the learning rate rise linearly over the first steps"},

    {"epochs", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.epochs), FROM(1, OPTION_EPOCHS_MAX),
     WORD("auto", 0), .initial = "auto", .classify = "8", FOLLOWS("max-steps"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "passes over the training text. 'auto': 1 to 20, by its length, 10 for a million tokens; no limit if "
             "only --max-steps is given"},
    {"max-steps", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.max_steps), FROM(1, MANY), WORD("none", 0),
     .initial = "none", FOLLOWS("epochs"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "finish after so many optimizer steps"},
    {"patience", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.patience), FROM(1, MANY),
     WORDS("none", 0, "auto", -1), .initial = "auto", FOLLOWS("schedule", "eval-every"), .class = OPTION_EXTENT, .section = "How far to go", .metavar = "N",
     .help = "finish after N validations without improvement. 'auto': 10, or the validations of an epoch if they are "
             "more. But it is 'none' with --schedule cosine, onecycle or step, without validation text, and for a run that "
             "began without"},
    {"max-time", .type = OPTION_DURATION, .commands = TRAIN, FIELD(train.max_time), FROM(0, 1e9), .above_min = true,
     WORD("none", 0), .initial = "none", .kept = OPTION_TOLD, .class = OPTION_CONDUCT, .section = "How far to go", .metavar = "TIME",
     .help = "stop with a checkpoint and status 75 after this time: seconds, or as in 90s, 5m, 1h, 2d, HH:MM:SS or D-HH:MM:SS"},

    {"eval-every", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.eval_every), FROM(1, MANY), 
     WORDS("epoch", 0, "auto", -1), .initial = "auto", .classify = "epoch", .class = OPTION_MATHEMATICS,
     .section = "Validation and checkpoints", .metavar = "STEPS",
     .help = "steps from one validation to the next, or 'epoch'. 'auto': an epoch; if the text has over a million "
             "tokens, a part of one, so that --epochs auto has ten validations, but not for ntasgd, whose --nonmono counts "
             "epochs"},
    {"eval-tokens", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.eval_tokens), FROM(1, MANY),
     WORDS("all", 0, "auto", -1), .initial = "auto", .class = OPTION_MATHEMATICS,
     .section = "Validation and checkpoints", .metavar = "N",
     .help = "tokens of the validation text to validate on while training, the first of each lane in whole windows; at "
             "the end it is all. 'auto': all, but 20000 with --output-layer sampled or nce"},
    {"gradflow-every", .type = OPTION_INT64, .commands = TRAIN | PLAN, FIELD(train.gradflow_every), FROM(1, MANY),
     WORD("never", 0), .initial = "never", .class = OPTION_CONDUCT, .section = "Validation and checkpoints",
     .metavar = "STEPS",
     .help = "steps from one measurement of the gradient by time lag to the next, on validation text, in "
             "metrics.jsonl"},
    {"sample-every", .type = OPTION_INT64, .commands = TRAIN | PLAN, FIELD(train.sample_every), FROM(1, MANY),
     WORDS("never", 0, "epoch", TRAINER_EPOCH), .initial = "never", .class = OPTION_CONDUCT,
     .section = "Validation and checkpoints", .metavar = "STEPS",
     .help = "steps from one sample to the next, or 'epoch'. A sample is what 'unroll sample' writes with the weights "
             "of that step and --seed; it stands in the log and in metrics.jsonl"},
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
     .help = "whether a run in --run goes on. auto: if there is one; never: refuse if there is one; must: refuse if "
             "there is none"},
    {"branch", .type = OPTION_TEXT, .commands = TRAIN, FIELD(train.branch), WRITES_RUN,
     .kept = OPTION_OF_A_START, .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "NEWDIR",
     .help = "start a new run in NEWDIR from the newest checkpoint of --run, with changed options"},
    {"checkpoint-writer", CHOICES(writer), .commands = TRAIN | PLAN,
     FIELD(train.writer),
     .initial = "auto", .class = OPTION_CONDUCT, .section = "Validation and checkpoints", .metavar = "HOW",
     .help = "single: rank 0 writes the file; parallel: all ranks write it, by parallel HDF5, which gains where a file "
             "system has many disks; auto: single"},
    {"check-replicas", .type = OPTION_INT64, .commands = TRAIN, FIELD(train.check_replicas), FROM(1, MANY),
     WORD("checkpoint", 0), .initial = "1000", .class = OPTION_CONDUCT, .section = "Validation and checkpoints",
     .metavar = "STEPS",
     .help = "steps from one comparison of the ranks' parameters to the next; 'checkpoint': only at checkpoints, "
             "where they are always compared"},
};
/* clang-format on */

const struct option_rows option_rows_train = ROWS(rows);
