/* The distance between a word as typed and one that exists, and what options of other programs are called here. */
#include "unroll/cli/suggest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 48

static int least(int a, int b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

int suggest_distance(const char *typed, const char *known)
{
    int m = (int)strnlen(typed, WORD_MAX), n = (int)strnlen(known, WORD_MAX);
    if (m == WORD_MAX || n == WORD_MAX)
        return SUGGEST_FAR;
    if (least(m, n) >= 3 && strncasecmp(typed, known, (size_t)least(m, n)) == 0)
        return m == n ? 0 : 1;
    int cost[WORD_MAX + 1][WORD_MAX + 1]; /* [i][j] turns the first i letters of `typed` into the first j of `known` */
    for (int i = 0; i <= m; i++)
        cost[i][0] = i;
    for (int j = 0; j <= n; j++)
        cost[0][j] = j;
    for (int i = 1; i <= m; i++) {
        for (int j = 1; j <= n; j++) {
            int differ = !same_letter(typed[i - 1], known[j - 1]);
            cost[i][j] = least(cost[i - 1][j - 1] + differ, 1 + least(cost[i - 1][j], cost[i][j - 1]));
            if (i > 1 && j > 1 && same_letter(typed[i - 1], known[j - 2]) && same_letter(typed[i - 2], known[j - 1]))
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    int allowed = least(m, n) <= 4 ? 1 : 1 + least(m, n) / 4;
    return cost[m][n] <= allowed ? cost[m][n] : SUGGEST_FAR;
}

/* The next letter or digit in small, 0 at the end; moves *at behind it. */
static int next_sign(const char **at)
{
    while (**at == '-' || **at == '_')
        (*at)++;
    return **at ? tolower((unsigned char)*(*at)++) : 0;
}

bool suggest_alike(const char *typed, const char *known)
{
    int sign;
    do {
        sign = next_sign(&typed);
        if (sign != next_sign(&known))
            return false;
    } while (sign);
    return true;
}

/* Whether `typed` is one of the words of `list`, which blanks divide. */
static bool is_one_of(const char *typed, const char *list)
{
    char word[WORD_MAX];
    while (*list) {
        size_t length = strcspn(list, " ");
        memcpy(word, list, length);
        word[length] = '\0';
        if (suggest_alike(typed, word))
            return true;
        list += length;
        list += strspn(list, " ");
    }
    return false;
}

/* What people type who know other programs. A word may stand in several rows: which is meant depends on the command. */
static const struct {
    const char *known, *typed;
} options[] = {
    {"lr", "learning-rate step-size eta initial-lr base-lr lr0"},
    {"layers", "num-layers n-layers nlayers layer depth num-hidden-layers"},
    {"hidden",
     "units hidden-size hidden-dim hidden-units n-hidden nhid num-units rnn-size rnn-units width d-model cell-size"},
    {"embedding", "emb-size embedding-size embedding-dim embed-size embed-dim embed emsize emb emb-dim word-dim ninp"},
    {"tied", "tie tie-weights tie-embeddings share-embeddings weight-tying"},
    {"dropout", "drop dropout-rate dropout-prob drop-prob p-drop"},
    {"batch", "batch-size bs minibatch minibatch-size lanes num-lanes train-batch-size eval-batch-size"},
    {"bptt",
     "seq-len seq-length sequence-length max-seq-len max-seq-length time-steps num-steps unroll window window-size "
     "context context-length block-size chunk-size truncate max-len max-length"},
    {"length", "max-len max-length max-tokens max-new-tokens num-tokens num-chars num-words n-chars size tokens"},
    {"epochs", "n-epochs num-epochs max-epochs epoch num-train-epochs passes"},
    {"max-steps",
     "max-iters max-iter iterations iters num-iters n-iters num-steps steps max-updates num-updates updates "
     "train-steps total-steps num-train-steps training-steps"},
    {"steps", "max-iters iterations iters num-iters num-steps max-steps repeat repetitions"},
    {"optimizer", "optim optimiser opt solver algorithm trainer"},
    {"weight-decay", "wd l2 l2-penalty l2-reg regularization"},
    {"clip",
     "grad-clip gradient-clip clip-grad clip-norm clip-grad-norm max-grad-norm max-norm grad-norm clipping clipnorm"},
    {"schedule", "lr-scheduler scheduler lr-schedule lr-policy sched"},
    {"lr-decay", "gamma lr-gamma decay decay-rate lr-decay-factor lr-factor anneal anneal-factor"},
    {"lr-min", "min-lr final-lr end-lr eta-min"},
    {"lr-patience", "plateau-patience"},
    {"warmup", "warmup-steps warm-up num-warmup-steps lr-warmup warmup-updates"},
    {"patience", "early-stopping early-stop early-stopping-patience"},
    {"max-time", "time-limit time walltime wall-time max-seconds max-runtime timeout"},
    {"stall-timeout", "hang-timeout watchdog"},
    {"checkpoint-every",
     "save-every save-interval save-steps save-freq save-frequency checkpoint-interval checkpoint-freq "
     "checkpoint-steps checkpoint-frequency ckpt-every ckpt-interval"},
    {"keep", "keep-last save-total-limit max-checkpoints max-to-keep keep-checkpoints"},
    {"eval-every",
     "eval-interval eval-steps eval-freq validate-every valid-every valid-interval val-interval val-every "
     "validation-interval test-every"},
    {"log-every", "log-interval logging-steps log-steps log-freq print-every print-freq print-interval report-interval "
                  "report-every"},
    {"gradflow-every", "gradflow"},
    {"sample-every", "sample sample-interval sample-steps sample-freq samples generate-every sampling-every"},
    {"sample-length", "length sample-tokens max-new-tokens sample-size"},
    {"run",
     "output-dir out-dir save-dir checkpoint-dir ckpt-dir log-dir logdir work-dir run-dir exp-dir experiment-dir "
     "model-dir dir directory save save-to out output output-file resume-from load-from continue continue-from "
     "restore restore-from restart load load-checkpoint resume-checkpoint name"},
    {"model",
     "checkpoint ckpt load load-from load-checkpoint restore weights model-file model-path model-dir run run-dir "
     "checkpoint-file pretrained init-from"},
    {"init-from",
     "init-model pretrained pretrain init-checkpoint init-weights finetune finetune-from fine-tune weights model"},
    {"output", "out output-file output-dir out-file outfile out-dir save save-to dest destination write"},
    {"corpus", "input in data dataset data-file data-path data-dir corpus-file corpus-dir text train-data train-file"},
    {"train", "input in data dataset corpus text file train-data train-file training-data input-file source"},
    {"valid", "val dev validation valid-file valid-data val-file val-data dev-file eval-file"},
    {"test", "test-file test-data"},
    {"threads", "num-threads n-threads threads-per-rank omp-threads num-workers workers n-jobs jobs cores cpus ncpus"},
    {"ranks", "np n-proc num-ranks num-procs world-size processes"},
    {"seed", "random-seed rng-seed manual-seed random-state rng"},
    {"cell", "rnn-type model-type cell-type rnn type arch architecture model"},
    {"vocab-size", "vocab vocabulary max-vocab max-vocab-size vocabulary-size vocab-limit num-words max-words nvocab"},
    {"vocab-from", "vocab vocab-file vocabulary vocab-path dict dictionary"},
    {"min-count", "min-freq min-frequency cutoff threshold min-word-freq min-occurrences"},
    {"lowercase", "lower lower-case uncased do-lower-case"},
    {"level", "tokenizer tokenization token-type tokens unit units mode"},
    {"normalise", "normalize normalization normalisation nfc nfkc unicode unicode-form"},
    {"split", "split-ratio val-split valid-split test-split ratio fractions subset part"},
    {"temperature", "temp tau"},
    {"top-k", "k"},
    {"top-p", "p nucleus"},
    {"count", "num-samples n-samples samples num-return-sequences number n num num-texts"},
    {"prime", "prompt start start-text seed-text prefix primer context begin text initial-text"},
    {"beam", "beam-size beam-width num-beams"},
    {"length-norm", "length-penalty len-penalty"},
    {"stop-at-eos", "eos stop-at-end until-eos"},
    {"stop", "stop-token stop-sequence stop-string"},
    {"config", "config-file conf cfg ini options-file params"},
    {"format", "output-format"},
    {"json", "json-file json-output json-summary format output-format as-json report"},
    {"to", "format output-format as"},
    {"from", "format input-format"},
    {"beta1", "betas beta adam-beta1"},
    {"beta2", "adam-beta2"},
    {"epsilon", "adam-epsilon adam-eps"},
    {"sparse-update", "lazy lazy-adam lazy-update sparse sparse-adam"},
    {"init", "initializer init-method weight-init init-scheme"},
    {"word-dropout", "token-dropout"},
    {"ar", "activation-reg activation-regularization activation-regularisation"},
    {"tar", "temporal-activation-reg temporal-activation-regularization"},
    {"lambda", "mix-weight interpolation interpolate"},
    {"per-token", "per-word tokenwise verbose"},
};

static const struct {
    const char *remark, *typed;
    bool of_files; /* only where files stand behind the options */
} remarks[] = {
    {"it computes on processors, with --threads of each rank",
     "device gpu gpus cuda use-cuda use-gpu num-gpus accelerator no-cuda gpu-id", false},
    {"it computes in 32 bits", "fp16 bf16 amp precision dtype half mixed-precision tf32", false},
    {"ranks come from the launcher, as in 'mpirun -n 4 unroll train ...'",
     "ranks np n-proc num-ranks num-procs world-size processes distributed local-rank nodes", false},
    {"what it says goes to standard output, and '>' leads that to a file", "output out output-file outfile save o",
     false},
    {"the files that it reads stand behind the options, without one",
     "input in data text file input-file dataset corpus", true},
    {"'unroll plan' says beforehand what a run needs", "dry-run estimate", false},
};

static const struct {
    const char *known, *typed;
} commands[] = {
    {"prepare", "preprocess tokenize tokenise encode build-vocab vocab dataset binarize"},
    {"train", "fit learn training resume continue finetune fine-tune pretrain run"},
    {"eval", "test validate valid perplexity ppl"},
    {"score", "rescore logprob log-prob nll interpolate"},
    {"classify", "predict label infer inference"},
    {"sample", "generate gen write complete text decode"},
    {"export", "convert save dump-weights"},
    {"import", "load read"},
    {"inspect", "info show describe dump cat print ls list summary"},
    {"verify", "check fsck checksum digest"},
    {"gradcheck", "check-gradients check-grad"},
    {"bench", "speed profile time throughput"},
    {"plan", "memory estimate size predict-time flops"},
    {"selftest", "self-check doctor"},
};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

const char *suggest_option_meant(const char *typed, int number)
{
    for (int i = 0; i < COUNT(options); i++)
        if (is_one_of(typed, options[i].typed) && number-- == 0)
            return options[i].known;
    return NULL;
}

bool suggest_command_means(const char *typed, const char *known)
{
    for (int i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].known, known) == 0)
            return is_one_of(typed, commands[i].typed);
    return false;
}

const char *suggest_remark(const char *typed, bool takes_files)
{
    for (int i = 0; i < COUNT(remarks); i++)
        if (is_one_of(typed, remarks[i].typed) && (takes_files || !remarks[i].of_files))
            return remarks[i].remark;
    return NULL;
}
