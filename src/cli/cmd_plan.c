/* unroll plan: memory, flops and bytes on the wire of a run, without running it; a corpus is not needed, but says
 * more. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/lane_share.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/load.h"
#include "unroll/cli/plan_prediction.h"
#include "unroll/cli/precision.h"
#include "unroll/cli/recipes.h"
#include "unroll/data/corpus.h"
#include "unroll/data/cuts.h"
#include "unroll/nn/output.h"
#include "unroll/nn/unit.h"
#include "unroll/sys/json.h"
#include "unroll/train/fit.h"
#include "unroll/use/plan.h"

#define LANES_ASSUMED 32 /* where neither options nor a corpus say them */

/* What nobody has said. */
struct assumed {
    bool vocabulary, lanes;
};

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* The lines of the memory table, for people and for programs. */
static const struct {
    const char *name;
    size_t offset;
} parts[] = {
    {"parameters", offsetof(struct plan_memory, parameters)}, {"gradients", offsetof(struct plan_memory, gradients)},
    {"optimizer", offsetof(struct plan_memory, optimizer)},   {"workspace", offsetof(struct plan_memory, workspace)},
    {"reducer", offsetof(struct plan_memory, reducer)},       {"streams", offsetof(struct plan_memory, streams)},
    {"evaluator", offsetof(struct plan_memory, evaluator)},   {"checkpoint", offsetof(struct plan_memory, checkpoint)},
    {"process", offsetof(struct plan_memory, process)},       {"total", offsetof(struct plan_memory, total)},
};
#define PARTS ((int)(sizeof parts / sizeof *parts))

static size_t part_of(const struct plan_memory *memory, int part)
{
    size_t bytes;
    memcpy(&bytes, (const char *)memory + parts[part].offset, sizeof bytes);
    return bytes;
}

/* ---- for people ---- */

static void print_memory(const struct plan_config *config, const struct plan *plan)
{
    printf("\nmemory, MiB        rank 0%s\n", config->ranks > 1 ? "    others" : "");
    for (int part = 0; part < PARTS; part++) {
        printf("  %-13s %9.1f", parts[part].name, mib(part_of(&plan->first, part)));
        if (config->ranks > 1)
            printf(" %9.1f", mib(part_of(&plan->most, part)));
        printf("\n");
    }
    if (config->step.model.task == TASK_CLASSIFY)
        printf("  and %d bytes on each rank for every text\n", PLAN_TEXT_BYTES);
    size_t host = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    if (plan->first.total > host)
        printf("  more than the %.1f MiB of this host\n", mib(host));
}

static void print_splits(const struct plan_config *config, const struct plan_split *splits, int count, int best)
{
    int cores = config->ranks * config->step.threads;
    if (count == 0)
        return;
    printf("\n%d %s as ranks x threads, with threads for the cores of this host:\n"
           "  ranks  threads   busy   MiB a rank   MiB sent a step\n",
           cores, cores == 1 ? "core" : "cores");
    for (int i = 0; i < count; i++)
        printf("  %5d  %7d  %4.0f %%  %11.1f  %16.1f%s\n", splits[i].ranks, splits[i].threads, 100 * splits[i].busy,
               mib(splits[i].rank_bytes), mib(splits[i].wire_bytes), i == best ? "  <- try this first" : "");
    if (splits[best].ranks > 1)
        printf("start it with: mpirun -n %d --map-by slot:PE=%d unroll train --threads %d ...\n", splits[best].ranks,
               splits[best].threads, splits[best].threads);
}

static void print_plan(const struct plan_config *config, const struct assumed *assumed, const struct plan *plan)
{
    const struct model_config *model = &config->step.model;
    char widths[MODEL_WIDTHS_TEXT];
    printf("model        %s, %d %s, embedding %d, hidden %s, vocabulary %d%s\n", cell_name(model->cell), model->layers,
           model->layers == 1 ? "layer" : "layers", model->embedding, model_widths_text(model, widths), model->vocab,
           model->tied ? ", tied" : "");
    if (assumed->vocabulary)
        printf("vocabulary   %d, assumed: --vocab-size or --corpus says it\n", model->vocab);
    if (assumed->lanes)
        printf("lanes        %d, assumed: --batch or --corpus says it\n", config->batch);
    if (model->task == TASK_CLASSIFY)
        printf("task         classify, %d labels, pool %s, texts of up to %d tokens\n", model->labels,
               pool_name(model->pool), config->step.bptt);
    precision_print(model, 13);
    printf("parameters   %zu\n", plan->table.elements);
    printf("step         %d lanes x %d = %lld tokens, %.3g GFLOP (6 for each weight and token)\n", config->batch,
           config->step.bptt, (long long)plan->tokens_per_step,
           1e-9 * plan->flops_per_token * (double)plan->tokens_per_step);
    if (config->vary)
        printf("windows      %d to %d tokens long, about %d (--bptt-vary): memory is for the longest\n", CUTS_LEAST,
               plan->bptt, config->step.bptt);
    printf("ranks        %d of %d %s, %s%d lanes each; at most %d (lane groups)\n", config->ranks, config->step.threads,
           config->step.threads == 1 ? "thread" : "threads", config->batch % config->ranks ? "up to " : "",
           plan->lanes_max, config->groups);
    printf("on the wire  %.1f MiB a step sent by each rank, and received\n", mib(plan->wire_bytes));
    print_memory(config, plan);
}

/* ---- for programs ---- */

static void put_memory(struct json *json, const char *key, const struct plan_memory *memory)
{
    json_object_begin(json, key);
    for (int part = 0; part < PARTS; part++)
        json_put_uint(json, parts[part].name, part_of(memory, part));
    json_object_end(json);
}

static void put_precision(struct json *json, const struct model_config *model)
{
    json_put_string(json, "precision", precision_choices.name(model->precision));
    if (model->precision == PRECISION_BF16)
        json_put_string(json, "bf16_order", bf16_order_choices.name(model->bf16_order));
    json_put_string(json, "unit", unit_name(model));
}

/* `prediction` may be NULL. */
static enum status write_json(const char *path, const struct plan_config *config, const struct assumed *assumed,
                              const struct plan *plan, const struct plan_split *splits, int count, int best,
                              const struct predict_config *prediction, struct error *e)
{
    struct json json;
    json_init(&json);
    json_object_begin(&json, NULL);
    json_put_uint(&json, "parameters", plan->table.elements);
    json_put_int(&json, "vocabulary", config->step.model.vocab);
    json_put_bool(&json, "vocabulary_assumed", assumed->vocabulary);
    put_precision(&json, &config->step.model);
    json_put_double(&json, "flops_per_token", plan->flops_per_token);
    json_put_double(&json, "flops_per_step", plan->flops_per_token * (double)plan->tokens_per_step);
    json_put_int(&json, "tokens_per_step", plan->tokens_per_step);
    if (config->vary)
        json_put_int(&json, "window_max", plan->bptt);
    json_put_int(&json, "ranks", config->ranks);
    json_put_int(&json, "threads", config->step.threads);
    json_put_int(&json, "ranks_max", config->groups);
    json_put_int(&json, "lanes_per_rank", plan->lanes_max);
    json_put_uint(&json, "wire_bytes_per_step", plan->wire_bytes);
    put_memory(&json, "memory", &plan->first);
    if (config->ranks > 1)
        put_memory(&json, "memory_of_others", &plan->most);
    json_array_begin(&json, "splits");
    for (int i = 0; i < count; i++) {
        json_object_begin(&json, NULL);
        json_put_int(&json, "ranks", splits[i].ranks);
        json_put_int(&json, "threads", splits[i].threads);
        json_put_double(&json, "busy", splits[i].busy);
        json_put_uint(&json, "rank_bytes", splits[i].rank_bytes);
        json_put_uint(&json, "wire_bytes_per_step", splits[i].wire_bytes);
        json_put_bool(&json, "suggested", i == best);
        json_object_end(&json);
    }
    json_array_end(&json);
    if (prediction)
        prediction_put(&json, "prediction", prediction);
    json_object_end(&json);
    enum status status = write_report(path, &json, e);
    json_release(&json);
    return status;
}

/* ---- the command ---- */

/* As `train` fits a run to its text. A corpus that a configuration file names may be out of reach here. */
static enum status fit_to_corpus(const struct options *options, struct plan_config *config, struct assumed *assumed,
                                 struct error *e)
{
    struct corpus *corpus = NULL;
    int64_t tokens = 0;
    struct error unreadable;
    bool wanted = options->train.corpus && options_origin(options, "corpus") == ORIGIN_FLAG;
    enum status status =
        options->train.corpus ? corpus_open(options->train.corpus, &corpus, wanted ? e : &unreadable) : STATUS_OK;
    if (status && wanted)
        return status;
    *assumed = (struct assumed){.vocabulary = !corpus && !options_given(options, "vocab-size")};
    if (corpus && !options_given(options, "vocab-size"))
        config->step.model.vocab = corpus->vocab->size;
    if (corpus && corpus->labels && !options_given(options, "labels"))
        config->step.model.labels = corpus->labels->count;
    if (corpus)
        tokens = corpus->tokens[SPLIT_TRAIN];
    char doubt[RECIPE_DOUBT];
    if (corpus && recipe_doubt(recipe_of(options->recipe), corpus->vocab->level, options->train.corpus, doubt))
        fprintf(stderr, "unroll: warning: %s\n", doubt);
    bool of_corpus = corpus && corpus->vocab->size == config->step.model.vocab && vocab_has_counts(corpus->vocab);
    model_config_settle(&config->step.model);
    status = output_settle(&config->step.model, of_corpus ? corpus->vocab->counts : NULL, e);
    corpus_close(corpus);
    if (status)
        return status;
    assumed->lanes = config->batch == 0 && tokens == 0;
    if (assumed->lanes)
        config->batch = options->train.groups > LANES_ASSUMED ? options->train.groups : LANES_ASSUMED;
    else if (config->batch == 0)
        config->batch = fit_lanes(tokens, config->step.bptt, options->train.groups);
    config->groups = lane_groups_choose(options->train.groups, config->batch, config->step.bptt);
    return STATUS_OK;
}

/* The model of a prediction is that which was measured. */
static enum status fit_or_adopt(const struct options *options, struct plan_config *config, struct assumed *assumed,
                                struct predict_config *prediction, struct error *e)
{
    struct options fitted = *options;
    if (prediction && options->train.corpus && options_origin(options, "corpus") == ORIGIN_FLAG)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--corpus' together with '--nodes', which predicts for the model that was "
                         "measured; leave one out");
    enum status status = fit_to_corpus(options, config, assumed, e);
    if (status || !prediction)
        return status;
    fitted.train.batch = config->batch;
    status = prediction_read(&fitted, prediction, e);
    if (!status)
        prediction_adopt(options, prediction, config);
    *assumed = (struct assumed){.vocabulary = false};
    return status;
}

static enum status plan_alone(const struct options *options, struct plan_config *config, struct error *e)
{
    struct assumed assumed = {.vocabulary = false};
    struct plan plan;
    struct predict_config prediction, *predicted = options->plan_nodes ? &prediction : NULL;
    struct plan_split splits[PLAN_SPLITS_MAX];
    enum status status = fit_or_adopt(options, config, &assumed, predicted, e);
    if (!status)
        status = plan_build(config, &plan, e);
    if (status)
        return status;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int best, threads_max = cores > config->step.threads ? (int)cores : config->step.threads;
    int count = plan_splits(config, config->ranks * config->step.threads, threads_max, splits, &best);
    bool table = !file_is_standard(options->json_summary);
    if (table) {
        print_plan(config, &assumed, &plan);
        print_splits(config, splits, count, best);
    }
    if (table && predicted)
        prediction_print(predicted);
    status = finish_output(e);
    if (!status && options->json_summary)
        status = write_json(options->json_summary, config, &assumed, &plan, splits, count, best, predicted, e);
    return status;
}

enum status cmd_plan(const struct comm *comm, const struct options *options, struct error *e)
{
    struct plan_config config = {
        .step = options->train.step,
        .vary = options->train.bptt_vary,
        .batch = options->train.batch,
        .ranks = options->plan_ranks ? options->plan_ranks : comm->size,
        .run = true,
        .flow = options->train.gradflow_every > 0,
        .sample = options->train.sample_every != 0,
        .averages =
            options->train.average.kind != AVERAGE_NONE || optimizer_averages(options->train.step.optimizer.kind),
    };
    enum status status = load_threads(comm, options, &config.step.threads, e);
    if (!status)
        status = comm_agree(comm, comm->rank == 0 ? plan_alone(options, &config, e) : STATUS_OK, e);
    return status;
}
