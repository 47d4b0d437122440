/* unroll eval: loss, perplexity and bits per token of a model on a split of a corpus; of a classifier how often it
 * is right. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/content.h"
#include "unroll/base/lane_share.h"
#include "unroll/base/mem.h"
#include "unroll/cli/class_output.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/load.h"
#include "unroll/cli/token_log.h"
#include "unroll/data/escape.h"
#include "unroll/data/measure.h"
#include "unroll/sys/json.h"
#include "unroll/train/evaluator.h"

/* The split to use: the one asked for, else the test split, else the validation split. */
static enum status choose_split(const struct options *options, const struct corpus *corpus, enum split *split,
                                struct error *e)
{
    if (options_given(options, "split"))
        *split = options->eval.split;
    else
        *split = corpus->tokens[SPLIT_TEST] > 0 ? SPLIT_TEST : SPLIT_VALID;
    if (corpus->tokens[*split] > 0)
        return STATUS_OK;
    if (options_given(options, "split"))
        return error_set(e, STATUS_DATA,
                         "cannot evaluate on the %s split of '%s': there is none; choose another with "
                         "--split, or prepare the corpus with one",
                         split_name(*split), options->corpus);
    return error_set(e, STATUS_DATA,
                     "cannot evaluate on '%s': it has neither a test nor a valid split; prepare it with "
                     "--split, --test or --valid, or say --split train",
                     options->corpus);
}

/* So do labels. */
static enum status check_labels(const struct options *options, const struct labels *of_model,
                                const struct labels *of_corpus, struct error *e)
{
    char digest_of_model[33], digest_of_corpus[33];
    if (!of_corpus)
        return error_set(
            e, STATUS_DATA,
            "cannot evaluate on '%s': it has no labels, and '%s' is a classifier; prepare it with --labelled "
            "or --class",
            options->corpus, options->model_file);
    labels_digest(of_model, digest_of_model);
    labels_digest(of_corpus, digest_of_corpus);
    if (strcmp(digest_of_model, digest_of_corpus) == 0)
        return STATUS_OK;
    return error_set(
        e, STATUS_DATA,
        "cannot evaluate on '%s': its labels (%d) are not those of '%s' (%d), or in another order; use the "
        "corpus that the model was trained on",
        options->corpus, of_corpus->count, options->model_file, of_model->count);
}

/* An entry in one line, cut off if it is long. */
static const char *show_entry(const struct vocab *vocab, int token, char room[80])
{
    const char *at = vocab->bytes + vocab->offsets[token], *end = vocab->bytes + vocab->offsets[token + 1];
    char piece[ESCAPE_MAX];
    size_t length = 0;
    for (*room = '\0'; at < end && length + 2 * ESCAPE_MAX < 80; length += strlen(piece)) {
        at += escape_next(at, (size_t)(end - at), piece);
        strcpy(room + length, piece);
    }
    return room;
}

/* Of two vocabularies of the same size, and of the same level. */
static enum status name_difference(const struct options *options, const struct vocab *of_model,
                                   const struct vocab *of_corpus, struct error *e)
{
    char shown_of_model[80], shown_of_corpus[80];
    int token = 0;
    while (token < of_model->size - 1 &&
           vocab_find(of_corpus, of_model->bytes + of_model->offsets[token],
                      of_model->offsets[token + 1] - of_model->offsets[token]) == (uint32_t)token)
        token++;
    return error_set(
        e, STATUS_DATA,
        "cannot evaluate on '%.150s': its vocabulary has as many entries as that of '%.150s', but not the "
        "same: entry %d is '%s', and '%s' in the model; make the text fit by 'unroll prepare --vocab-from'",
        options->corpus, options->model_file, token, show_entry(of_corpus, token, shown_of_corpus),
        show_entry(of_model, token, shown_of_model));
}

/* Token ids mean the same in both only if the vocabularies are the same. */
static enum status check_vocabulary(const struct options *options, const struct checkpoint *checkpoint,
                                    const struct corpus *corpus, struct error *e)
{
    const struct vocab *of_model = checkpoint->vocab, *of_corpus = corpus->vocab;
    char kind_of_model[VOCAB_KIND], kind_of_corpus[VOCAB_KIND];
    if (of_model->level != of_corpus->level || of_model->normal != of_corpus->normal)
        return error_set(e, STATUS_DATA,
                         "cannot evaluate on '%s': its tokens are of level %s and those of '%s' of "
                         "level %s; use the corpus that the model was trained on",
                         options->corpus, vocab_kind(of_corpus, kind_of_corpus), options->model_file,
                         vocab_kind(of_model, kind_of_model));
    char digest_of_model[33], digest_of_corpus[33];
    vocab_digest(of_model, digest_of_model);
    vocab_digest(of_corpus, digest_of_corpus);
    if (strcmp(digest_of_model, digest_of_corpus) == 0)
        return checkpoint->labels ? check_labels(options, checkpoint->labels, corpus->labels, e) : STATUS_OK;
    if (of_model->size == of_corpus->size)
        return name_difference(options, of_model, of_corpus, e);
    return error_set(e, STATUS_DATA,
                     "cannot evaluate on '%s': its vocabulary (%d entries) is not that of '%s' (%d "
                     "entries); use the corpus that the model was trained on, or make the text fit by 'unroll prepare "
                     "--vocab-from'",
                     options->corpus, of_corpus->size, options->model_file, of_model->size);
}

/* Rank 0: a corpus whose markers were treated otherwise than those of the model's own text. */
static void warn_markers(const struct options *options, const struct checkpoint *checkpoint,
                         const struct corpus *corpus)
{
    char shown[ESCAPE_SHOWN];
    bool kept = corpus->markers == MARKERS_KEEP, keeps = checkpoint->markers == MARKERS_KEEP;
    if (kept != keeps)
        fprintf(stderr,
                "note: the text of '%s' %s '<s>' and '</s>' (--markers keep), that of the model %s: the numbers do not "
                "compare\n",
                escape_shown(options->corpus, shown), kept ? "holds" : "does not hold", kept ? "does not" : "does");
    else if (!kept && corpus->markers == MARKERS_REFUSE && level_kind(corpus->vocab->level)->markers &&
             vocab_find(corpus->vocab, MARKERS_BEGIN, strlen(MARKERS_BEGIN)) != VOCAB_UNK)
        fprintf(stderr,
                "note: the vocabulary of '%s' holds '<s>': an earlier version made it of a text with markers, and each "
                "'</s>' in it counts as one more line end; make it again with 'unroll prepare --markers strip'\n",
                escape_shown(options->corpus, shown));
}

/* Rank 0: a text in place of the corpus becomes one with the model's vocabulary. */
static void advise_text(const struct options *options, struct error *e)
{
    if (content_of_file(options->corpus) != CONTENT_TEXT)
        return;
    char name[FILE_PATH_MAX];
    snprintf(name, sizeof name, "%s", content_shell_name(options->corpus));
    error_set(e, STATUS_DATA,
              "cannot use '%.100s' as a corpus: it is a text; 'unroll prepare --vocab-from %s --test %s -o CORPUS.h5' "
              "makes a corpus of it that fits the model",
              options->corpus,
              strcmp(content_shell_name(options->model_file), "FILE") == 0 ? "MODEL" : options->model_file, name);
}

/* Collective. */
static enum status open_corpus(const struct comm *comm, const struct options *options,
                               const struct checkpoint *checkpoint, struct corpus **corpus, enum split *split,
                               struct error *e)
{
    enum status status = corpus_open_shared(comm, options->corpus, corpus, e);
    if (status == STATUS_DATA && comm->rank == 0)
        advise_text(options, e);
    if (!status)
        status = check_vocabulary(options, checkpoint, *corpus, e);
    if (!status)
        status = choose_split(options, *corpus, split, e);
    if (!status && comm->rank == 0)
        warn_markers(options, checkpoint, *corpus);
    return status;
}

/* What was found, on rank 0. */
struct result {
    enum split split;
    int lanes, trained_lanes;
    int64_t targets, correct, cut;
    int longest;  /* tokens of a text that count */
    double total; /* loss */
    struct text_measure text;
    bool has_normaliser;
    double normaliser, deviation; /* of its logarithm: mean and standard deviation */
};

static double mean_loss(const struct result *result)
{
    return result->total / (double)result->targets;
}

static void begin_json(struct json *json, const struct options *options, const struct result *result)
{
    json_init(json);
    json_object_begin(json, NULL);
    json_put_string(json, "model", options->model_file);
    json_put_string(json, "corpus", options->corpus);
    json_put_string(json, "split", split_name(result->split));
}

static enum status print_json(struct json *json, struct error *e)
{
    json_object_end(json);
    const char *text;
    enum status status = json_text(json, &text, e);
    if (!status) {
        printf("%s\n", text);
        status = finish_output(e);
    }
    json_release(json);
    return status;
}

/* By what models of different tokens compare. */
static void print_text(const struct result *result, int64_t unknown)
{
    const struct text_measure *text = &result->text;
    if (text->words > 0)
        printf("per word        perplexity %.6g, of %lld words and line ends\n",
               arithmetic_exp(result->total / (double)text->words), (long long)text->words);
    if (text->bytes > 0)
        printf("per byte        %.6f bits, of %lld bytes%s\n", result->total / M_LN2 / (double)text->bytes,
               (long long)text->bytes, unknown > 0 ? "; too few: <unk> does not spell what it stands for" : "");
    else
        printf("per byte        not known: the corpus does not say how many bytes the text has\n");
}

static void put_text(const struct result *result, struct json *json)
{
    const struct text_measure *text = &result->text;
    bool words = text->words > 0, bytes = text->bytes > 0;
    json_put_int(json, "words", text->words);
    json_put_double(json, "perplexity_per_word", words ? arithmetic_exp(result->total / (double)text->words) : NAN);
    if (bytes)
        json_put_int(json, "bytes", text->bytes);
    else
        json_put_null(json, "bytes");
    json_put_double(json, "bits_per_byte", bytes ? result->total / M_LN2 / (double)text->bytes : NAN);
}

/* What is done besides predicting. */
static void print_methods(const struct evaluator_config *config)
{
    const struct dynamic_config *rms = &config->statistics;
    const struct cache_config *cache = &config->cache;
    if (config->dynamic && config->rms)
        printf("dynamic         learning rate %g, root mean squares, decay %g, epsilon %g\n", config->lr, rms->decay,
               rms->epsilon);
    else if (config->dynamic)
        printf("dynamic         learning rate %g\n", config->lr);
    if (cache->size > 0)
        printf("cache           %d positions, theta %g, lambda %g\n", cache->size, cache->theta, cache->lambda);
}

static void put_methods(const struct evaluator_config *config, struct json *json)
{
    const struct dynamic_config *rms = &config->statistics;
    const struct cache_config *cache = &config->cache;
    if (config->dynamic)
        json_put_double(json, "dynamic_lr", config->lr);
    if (config->dynamic && config->rms) {
        json_put_double(json, "rms_decay", rms->decay);
        json_put_double(json, "rms_epsilon", rms->epsilon);
        if (rms->windows > 0)
            json_put_int(json, "rms_windows", rms->windows);
        else
            json_put_string(json, "rms_windows", "all");
    }
    if (cache->size > 0) {
        json_put_int(json, "cache", cache->size);
        json_put_double(json, "cache_theta", cache->theta);
        json_put_double(json, "cache_lambda", cache->lambda);
    }
}

static void print_plain(const struct options *options, const struct corpus *corpus, const struct result *result)
{
    double loss = mean_loss(result);
    printf("split           %s\n", split_name(result->split));
    if (result->lanes < result->trained_lanes && options->eval.batch < 1)
        printf("lanes           %d: the split is too short for the %d of training\n", result->lanes,
               result->trained_lanes);
    else
        printf("lanes           %d\n", result->lanes);
    print_methods(&options->eval);
    printf("tokens          %lld\n", (long long)result->targets);
    printf("unknown         %lld\n", (long long)corpus->unknowns[result->split]);
    printf("loss            %.6f nats per token\n", loss);
    printf("perplexity      %.6g\n", arithmetic_exp(loss));
    printf("bits per token  %.6f\n", loss / M_LN2);
    print_text(result, corpus->unknowns[result->split]);
    if (result->has_normaliser)
        printf("log normaliser  mean %.6f, standard deviation %.6f\n", result->normaliser, result->deviation);
}

static enum status print_result(const struct options *options, const struct corpus *corpus, const struct result *result,
                                struct error *e)
{
    if (!options->json) {
        print_plain(options, corpus, result);
        return finish_output(e);
    }
    struct json json;
    double loss = mean_loss(result);
    begin_json(&json, options, result);
    json_put_int(&json, "lanes", result->lanes);
    put_methods(&options->eval, &json);
    json_put_int(&json, "tokens", result->targets);
    json_put_int(&json, "unknown", corpus->unknowns[result->split]);
    json_put_double(&json, "loss", loss);
    json_put_double(&json, "perplexity", arithmetic_exp(loss));
    json_put_double(&json, "bits_per_token", loss / M_LN2);
    json_put_double(&json, "log_probability", -result->total);
    put_text(result, &json);
    if (result->has_normaliser) {
        json_put_double(&json, "log_normaliser_mean", result->normaliser);
        json_put_double(&json, "log_normaliser_deviation", result->deviation);
    }
    return print_json(&json, e);
}

/* ---- classifiers ---- */

/* `confusion` is NULL if there are too many labels. */
static enum status print_classes(const struct options *options, const struct corpus *corpus,
                                 const struct result *result, const int64_t *confusion, struct error *e)
{
    double accuracy = (double)result->correct / (double)result->targets;
    if (!options->json) {
        printf("split           %s\n", split_name(result->split));
        printf("texts           %lld\n", (long long)result->targets);
        if (result->cut > 0)
            printf(
                "cut             %lld texts longer than the %d tokens of training (--bptt), of which the first count\n",
                (long long)result->cut, result->longest);
        printf("loss            %.6f nats per text\n", mean_loss(result));
        printf("accuracy        %.6f\n", accuracy);
        if (confusion) {
            printf("macro-F1        %.6f\n", class_macro_f1(corpus->labels, confusion));
            class_output_print(corpus->labels, confusion);
        }
        return finish_output(e);
    }
    struct json json;
    begin_json(&json, options, result);
    json_put_int(&json, "texts", result->targets);
    json_put_int(&json, "cut", result->cut);
    json_put_double(&json, "loss", mean_loss(result));
    json_put_double(&json, "accuracy", accuracy);
    if (confusion)
        class_output_json(corpus->labels, confusion, &json);
    return print_json(&json, e);
}

/* Lanes as the model was trained with, or as --batch says. One lane is read as `score` reads a line. */
static void choose_lanes(const struct options *options, const struct checkpoint *checkpoint,
                         struct evaluator_config *config)
{
    config->batch = checkpoint->batch;
    config->groups = checkpoint->groups;
    if (options->eval.batch < 1)
        return;
    config->batch = options->eval.batch;
    config->exact_lanes = true;
    if (options->eval.batch > checkpoint->batch)
        config->groups = lane_groups_choose(0, options->eval.batch, checkpoint->bptt);
    if (options->eval.batch == 1 && checkpoint->vocab->eos >= 0 && checkpoint->model.task == TASK_LM)
        config->before = (uint32_t)checkpoint->vocab->eos;
}

/* Collective. */
static enum status run_evaluator(const struct comm *comm, const struct evaluator_config *config,
                                 const struct checkpoint *checkpoint, struct corpus *corpus, struct result *result,
                                 struct error *e)
{
    struct evaluator *evaluator;
    enum status status = evaluator_create(comm, corpus, config, checkpoint->values, &evaluator, e);
    if (status)
        return status;
    status = evaluator_run(evaluator, &result->total, &result->targets, e);
    result->correct = evaluator_correct(evaluator);
    result->cut = evaluator_cut(evaluator);
    result->lanes = evaluator_lane_count(evaluator);
    result->has_normaliser = evaluator_normaliser(evaluator, &result->normaliser, &result->deviation);
    evaluator_free(evaluator);
    return status;
}

/* Rank 0. */
static enum status report(const struct options *options, const struct evaluator_config *config, struct corpus *corpus,
                          struct result *result, struct error *e)
{
    if (config->model.task == TASK_CLASSIFY)
        return print_classes(options, corpus, result, config->confusion, e);
    enum status status = measure_split(corpus, config->split, config->before == VOCAB_UNK, &result->text, e);
    return status ? status : print_result(options, corpus, result, e);
}

static enum status open_log(const struct comm *comm, const struct checkpoint *checkpoint, const char *model,
                            struct evaluator_config *config, struct token_log **log, struct error *e)
{
    if (checkpoint->vocab->eos < 0)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--per-token' with '%.300s': its vocabulary has no line end, by which tokens are "
                         "numbered; leave it out",
                         model);
    if (comm->rank > 0)
        return STATUS_OK;
    enum status status = token_log_open(checkpoint->vocab, log, e);
    config->look = token_log_look;
    config->look_context = *log;
    return status;
}

static enum status evaluate(const struct comm *comm, const struct options *options, const struct checkpoint *checkpoint,
                            struct corpus *corpus, enum split split, struct error *e)
{
    struct evaluator_config config = options->eval;
    struct token_log *log = NULL; /* on rank 0, which has the only lane */
    struct result result = {
        .split = split, .trained_lanes = checkpoint->batch, .longest = checkpoint->bptt, .targets = 1};
    size_t labels = (size_t)checkpoint->model.labels;
    config.split = split;
    config.model = checkpoint->model;
    if (config.bptt == 0)
        config.bptt = checkpoint->bptt;
    config.statistics.batch = checkpoint->batch;
    config.statistics.groups = checkpoint->groups;
    choose_lanes(options, checkpoint, &config);
    enum status status = load_threads(comm, options, &config.threads, e);
    if (!status && checkpoint->model.task == TASK_CLASSIFY && labels <= CLASS_OUTPUT_LABELS_MAX) {
        config.confusion = mem_alloc(labels * labels, sizeof *config.confusion, "a confusion matrix", e);
        status = comm_agree(comm, config.confusion ? STATUS_OK : STATUS_OS, e);
    }
    if (!status && options->per_token_file)
        status = comm_agree(comm, open_log(comm, checkpoint, options->model_file, &config, &log, e), e);
    if (!status)
        status = run_evaluator(comm, &config, checkpoint, corpus, &result, e);
    if (!status && !isfinite(mean_loss(&result)))
        status = error_set(e, STATUS_CHECKPOINT,
                           "cannot evaluate with '%s': the loss is not finite; its training "
                           "diverged: use an earlier checkpoint%s",
                           options->model_file, options->eval.dynamic ? ", or a lower --lr" : "");
    if (!status && comm->rank == 0)
        status = report(options, &config, corpus, &result, e);
    if (!status && log)
        status = token_log_write(log, options->per_token_file, e);
    token_log_free(log);
    mem_free(config.confusion);
    status = comm_agree(comm, status, e);
    if (!status)
        (void)load_report_cores(comm, config.threads);
    return status;
}

enum status cmd_eval(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    struct corpus *corpus = NULL;
    enum split split = SPLIT_TEST;
    /* learning from what was just predicted, or remembering it, is for running text */
    bool running = options->eval.dynamic || options->eval.cache.size > 0 || options->per_token_file;
    enum status status = load_model(comm, options, running ? TASK_LM : LOAD_ANY, &checkpoint, e);
    if (!status && checkpoint.model.task == TASK_CLASSIFY && options->eval.batch >= 1) /* the same on all ranks */
        status =
            error_set(e, STATUS_CONFIG,
                      "cannot use '--batch' with '%.300s': it is a classifier, to which each text stands alone; leave "
                      "it out",
                      options->model_file);
    if (!status)
        status = open_corpus(comm, options, &checkpoint, &corpus, &split, e);
    if (!status)
        status = evaluate(comm, options, &checkpoint, corpus, split, e);
    corpus_close(corpus);
    checkpoint_release(&checkpoint);
    return status;
}
