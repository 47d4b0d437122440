/* unroll eval: loss, perplexity and bits per token of a model on a split of a corpus; of a classifier how often it is right. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/cli/class_output.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/sys/json.h"
#include "unroll/train/evaluator.h"

/* The split to use: the one asked for, else the test split, else the validation split. */
static enum status choose_split(const struct options *options, const struct corpus *corpus, enum split *split,
                                struct error *e)
{
    if (options_given(options, "split"))
        *split = options->split;
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

/* Token ids mean the same in both only if the vocabularies are the same. */
static enum status check_vocabulary(const struct options *options, const struct checkpoint *checkpoint,
                                    const struct corpus *corpus, struct error *e)
{
    const struct vocab *of_model = checkpoint->vocab, *of_corpus = corpus->vocab;
    if (of_model->level != of_corpus->level)
        return error_set(e, STATUS_DATA,
                         "cannot evaluate on '%s': its tokens are of level %s and those of '%s' of "
                         "level %s; use the corpus that the model was trained on",
                         options->corpus, level_name(of_corpus->level), options->model_file,
                         level_name(of_model->level));
    char digest_of_model[33], digest_of_corpus[33];
    vocab_digest(of_model, digest_of_model);
    vocab_digest(of_corpus, digest_of_corpus);
    if (strcmp(digest_of_model, digest_of_corpus) == 0)
        return checkpoint->labels ? check_labels(options, checkpoint->labels, corpus->labels, e) : STATUS_OK;
    return error_set(e, STATUS_DATA,
                     "cannot evaluate on '%s': its vocabulary (%d entries) is not that of '%s' (%d "
                     "entries); use the corpus that the model was trained on, or one prepared from the same training "
                     "text",
                     options->corpus, of_corpus->size, options->model_file, of_model->size);
}

/* Collective. */
static enum status open_corpus(const struct comm *comm, const struct options *options,
                               const struct checkpoint *checkpoint, struct corpus **corpus, enum split *split,
                               struct error *e)
{
    enum status status = corpus_open_shared(comm, options->corpus, corpus, e);
    if (!status)
        status = check_vocabulary(options, checkpoint, *corpus, e);
    if (!status)
        status = choose_split(options, *corpus, split, e);
    return status;
}

static void begin_json(struct json *json, const struct options *options, enum split split)
{
    json_init(json);
    json_object_begin(json, NULL);
    json_put_string(json, "model", options->model_file);
    json_put_string(json, "corpus", options->corpus);
    json_put_string(json, "split", split_name(split));
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

static enum status print_result(const struct options *options, const struct corpus *corpus, enum split split,
                                double loss, int64_t targets, struct error *e)
{
    if (!options->json) {
        printf("split           %s\n", split_name(split));
        if (options->dynamic)
            printf("dynamic         learning rate %g\n", options->eval_lr);
        printf("tokens          %lld\n", (long long)targets);
        printf("unknown         %lld\n", (long long)corpus->unknowns[split]);
        printf("loss            %.6f nats per token\n", loss);
        printf("perplexity      %.6g\n", arithmetic_exp(loss));
        printf("bits per token  %.6f\n", loss / M_LN2);
        return finish_output(e);
    }
    struct json json;
    begin_json(&json, options, split);
    if (options->dynamic)
        json_put_double(&json, "dynamic_lr", options->eval_lr);
    json_put_int(&json, "tokens", targets);
    json_put_int(&json, "unknown", corpus->unknowns[split]);
    json_put_double(&json, "loss", loss);
    json_put_double(&json, "perplexity", arithmetic_exp(loss));
    json_put_double(&json, "bits_per_token", loss / M_LN2);
    return print_json(&json, e);
}

/* ---- classifiers ---- */

/* `confusion` is NULL if there are too many labels. */
static enum status print_classes(const struct options *options, const struct corpus *corpus, enum split split,
                                 double loss, int64_t texts, int64_t correct, const int64_t *confusion, struct error *e)
{
    if (!options->json) {
        printf("split           %s\n", split_name(split));
        printf("texts           %lld\n", (long long)texts);
        printf("loss            %.6f nats per text\n", loss);
        printf("accuracy        %.6f\n", (double)correct / (double)texts);
        if (confusion) {
            printf("macro-F1        %.6f\n", class_macro_f1(corpus->labels, confusion));
            class_output_print(corpus->labels, confusion);
        }
        return finish_output(e);
    }
    struct json json;
    begin_json(&json, options, split);
    json_put_int(&json, "texts", texts);
    json_put_double(&json, "loss", loss);
    json_put_double(&json, "accuracy", (double)correct / (double)texts);
    if (confusion)
        class_output_json(corpus->labels, confusion, &json);
    return print_json(&json, e);
}

static enum status evaluate(const struct comm *comm, const struct options *options, const struct checkpoint *checkpoint,
                            struct corpus *corpus, enum split split, struct error *e)
{
    struct evaluator_config config = {
        .split = split,
        .model = checkpoint->model,
        .batch = checkpoint->batch,
        .bptt = checkpoint->bptt,
        .groups = checkpoint->groups,
        .dynamic = options->dynamic,
        .lr = options->eval_lr,
    };
    struct evaluator *evaluator = NULL;
    bool classify = checkpoint->model.task == TASK_CLASSIFY;
    size_t labels = (size_t)checkpoint->model.labels;
    enum status status = load_threads(comm, options, &config.threads, e);
    if (!status && classify && labels <= CLASS_OUTPUT_LABELS_MAX) {
        config.confusion = mem_alloc(labels * labels, sizeof *config.confusion, "a confusion matrix", e);
        status = comm_agree(comm, config.confusion ? STATUS_OK : STATUS_OS, e);
    }
    if (!status)
        status = evaluator_create(comm, corpus, &config, checkpoint->values, &evaluator, e);
    double loss_sum = 0;
    int64_t targets = 1, correct = 0;
    if (!status) {
        status = evaluator_run(evaluator, &loss_sum, &targets, e);
        correct = evaluator_correct(evaluator);
    }
    evaluator_free(evaluator);
    double loss = loss_sum / (double)targets;
    if (!status && !isfinite(loss))
        status = error_set(e, STATUS_CHECKPOINT,
                           "cannot evaluate with '%s': the loss is not finite; its training "
                           "diverged: use an earlier checkpoint%s",
                           options->model_file, options->dynamic ? ", or a lower --lr" : "");
    if (!status && comm->rank == 0)
        status = classify ? print_classes(options, corpus, split, loss, targets, correct, config.confusion, e)
                          : print_result(options, corpus, split, loss, targets, e);
    mem_free(config.confusion);
    return comm_agree(comm, status, e);
}

enum status cmd_eval(const struct comm *comm, const struct options *options, struct error *e)
{
    struct checkpoint checkpoint;
    struct corpus *corpus = NULL;
    enum split split = SPLIT_TEST;
    /* learning from what was just predicted is for running text */
    enum status status = load_model(comm, options, options->dynamic ? TASK_LM : LOAD_ANY, &checkpoint, e);
    if (!status)
        status = open_corpus(comm, options, &checkpoint, &corpus, &split, e);
    if (!status)
        status = evaluate(comm, options, &checkpoint, corpus, split, e);
    corpus_close(corpus);
    checkpoint_release(&checkpoint);
    return status;
}
