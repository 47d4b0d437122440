/* What rank 0 tells while it trains: the log for people, metrics.jsonl and timing.jsonl. */
#include "trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/build_info.h"
#include "unroll/data/quote.h"
#include "unroll/nn/output.h"
#include "unroll/nn/proposal.h"
#include "unroll/nn/unit.h"
#include "unroll/sys/blas.h"
#include "unroll/sys/json.h"

#define QUOTE_MARGIN "  | " /* nothing that a model writes looks like a line of the log */

static double mean(double sum, int64_t count)
{
    return count > 0 ? sum / (double)count : NAN;
}

void trainer_report_run(struct trainer *trainer)
{
    const struct trainer_config *config = trainer->config;
    struct json json;
    if (!trainer->reporter.metrics || metrics_bytes(trainer->reporter.metrics) > 0)
        return;
    metrics_begin_line(&json, "run");
    for (int i = 0; i < model_field_count; i++)
        if (model_field_is_said(&model_fields[i], &trainer->shape))
            model_field_put(&json, model_field_told(&model_fields[i]), &model_fields[i], &trainer->shape);
    if (trainer->shape.task == TASK_CLASSIFY)
        json_put_double(&json, "word_dropout", config->word_dropout);
    json_put_int(&json, "parameters", (int64_t)trainer->table.elements);
    json_put_int(&json, "batch", config->batch);
    json_put_int(&json, "bptt", config->step.bptt);
    if (config->bptt_vary)
        json_put_bool(&json, "bptt_vary", true);
    json_put_int(&json, "lane_groups", trainer->share.groups);
    json_put_string(&json, "optimizer", optimizer_name(config->step.optimizer.kind));
    if (trainer->average.state.kind != AVERAGE_NONE)
        json_put_string(&json, "average", average_name((int)trainer->average.state.kind));
    json_put_string(&json, "schedule", schedule_name(config->schedule.kind));
    json_put_uint(&json, "seed", config->step.seed);
    json_put_string(&json, "corpus_digest", trainer->corpus->digest);
    json_put_int(&json, "steps_per_epoch", trainer->windows);
    if (trainer->shape.task == TASK_CLASSIFY)
        json_put_int(&json, "texts_per_epoch", trainer->corpus->texts[SPLIT_TRAIN]);
    else
        json_put_int(&json, "tokens_per_epoch", trainer->corpus->tokens[SPLIT_TRAIN] - 1);
    if (trainer->branched_from >= 0)
        json_put_int(&json, "branched_from", trainer->branched_from);
    metrics_end_line(trainer->reporter.metrics, &json);
}

/* In one line, or in two where a path makes that too long. */
static void tell_of(struct trainer *trainer, const char *what, const char *path, const char *more)
{
    bool fits = strlen(what) + strlen(path) + strlen(more) + strlen(" '': ") <= TERMINAL_COLUMNS;
    reporter_tell(&trainer->reporter, "%s '%s':%s%s", what, path, fits ? " " : "\n  ", more);
}

static void tell_data(struct trainer *trainer)
{
    char more[120];
    const struct corpus *corpus = trainer->corpus;
    snprintf(more, sizeof more, "%lld tokens to train on, vocabulary %d (%s)", (long long)corpus->tokens[SPLIT_TRAIN],
             trainer->shape.vocab, level_name(corpus->vocab->level));
    tell_of(trainer, "corpus", trainer->config->corpus, more);
    if (trainer->shape.task == TASK_CLASSIFY)
        reporter_tell(&trainer->reporter,
                      "classifying: %lld texts to train on, %d labels, at most %d tokens of each, pool %s",
                      (long long)corpus->texts[SPLIT_TRAIN], trainer->shape.labels, trainer->bptt,
                      pool_name(trainer->shape.pool));
}

static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static void tell_work(struct trainer *trainer)
{
    const struct checkpoint_build *build = &trainer->build;
    const struct trainer_config *config = trainer->config;
    char widths[MODEL_WIDTHS_TEXT];
    reporter_tell(&trainer->reporter, "model: %s, %d x %s, embedding %d, %zu parameters",
                  cell_name(trainer->shape.cell), trainer->shape.layers, model_widths_text(&trainer->shape, widths),
                  trainer->shape.embedding, trainer->table.elements);
    char windows[48];
    if (config->bptt_vary)
        snprintf(windows, sizeof windows, "about %d tokens, %d to %d", config->step.bptt, CUTS_LEAST, trainer->bptt);
    else
        snprintf(windows, sizeof windows, "%d token%s", trainer->bptt, plural(trainer->bptt));
    reporter_tell(&trainer->reporter, "computing: %d rank%s x %d thread%s, %d lane%s in %d group%s, windows of %s",
                  build->ranks, plural(build->ranks), build->threads, plural(build->threads), config->batch,
                  plural(config->batch), trainer->share.groups, plural(trainer->share.groups), windows);
}

/* What else is not of every run. */
static void tell_precision(struct trainer *trainer)
{
    char unit[UNIT_TEXT], expected[UNIT_TEXT], faster[UNIT_TEXT];
    if (trainer->shape.precision == PRECISION_FLOAT32)
        return;
    reporter_tell(&trainer->reporter, "precision: %s", unit_describe(&trainer->shape, unit));
    reporter_tell(&trainer->reporter, "  expect %s", unit_expect(&trainer->shape, expected));
    if (*unit_faster(&trainer->shape, faster))
        reporter_tell(&trainer->reporter, "  %s", faster);
}

/* What the losses of sampled output layers are. */
static void tell_sampled(struct trainer *trainer)
{
    const struct model_config *shape = &trainer->shape;
    const struct output_kind *kind = output_kind(shape);
    if (!(kind->uses & OUTPUT_SAMPLES))
        return;
    reporter_tell(&trainer->reporter, "output layer: %s, %d samples a step, proposal %s%s", kind->name, shape->samples,
                  proposal_choices.name(shape->proposal),
                  shape->reordered ? ", by the order of counts, which is not the vocabulary's" : "");
    reporter_tell(&trainer->reporter, "  its training loss is %s; validation is by the full softmax",
                  kind->uses & OUTPUT_NORMALISER ? "that of telling words from noise, from which no perplexity follows"
                                                 : "that among the samples, below the full softmax's");
}

static void tell_clusters(struct trainer *trainer)
{
    const struct model_config *shape = &trainer->shape;
    char cutoffs[MODEL_FIELD_TEXT], div[NUMBER_TEXT];
    if (!(output_kind(shape)->uses & OUTPUT_CLUSTERS))
        return;
    reporter_tell(&trainer->reporter, "output layer: %s, clusters from rank %s on%s, each %s times narrower%s",
                  output_kind(shape)->name,
                  number_format_list(shape->cutoffs, OUTPUT_CUTOFFS_MAX, cutoffs, sizeof cutoffs),
                  trainer->config->step.model.cutoffs[0] ? "" : " (chosen by cost)", number_format(shape->div, div),
                  shape->reordered ? ", by the order of counts, which is not the vocabulary's" : "");
}

/* How weights are averaged, and since when. */
static void tell_average(struct trainer *trainer)
{
    const struct average_config *config = &trainer->average.config;
    const struct average_state *state = &trainer->average.state;
    char since[64] = "";
    if (config->kind == AVERAGE_NONE)
        return;
    if (state->began >= 0)
        snprintf(since, sizeof since, ": it has begun at step %lld", (long long)state->began);
    if (config->kind == AVERAGE_UPDATES)
        reporter_tell(&trainer->reporter,
                      "averaging weights over updates, once a validation loss is above the lowest but the last %lld%s",
                      (long long)config->nonmono, since);
    else
        reporter_tell(&trainer->reporter, "averaging weights over %s from epoch %lld on%s",
                      config->kind == AVERAGE_EMA ? "updates, exponentially," : "ends of epochs",
                      (long long)config->from, since);
}

/* Which part of the validation text is read on the way, unless it is all. */
static void tell_validation(struct trainer *trainer)
{
    if (!trainer->valid_is_part)
        return;
    int lanes = evaluator_lane_count(trainer->valid);
    int64_t tokens = evaluator_windows(trainer->valid) * trainer->config->step.bptt;
    reporter_tell(&trainer->reporter,
                  "validation on the way: %lld of %lld tokens, the first %lld of each of %d lanes (--eval-tokens);\n"
                  "  at the end: all",
                  (long long)(tokens * lanes), (long long)trainer->corpus->tokens[SPLIT_VALID] - 1, (long long)tokens,
                  lanes);
}

/* Where the run writes, and from which step on. */
static void tell_place(struct trainer *trainer, bool resumed)
{
    const struct trainer_config *config = trainer->config;
    int64_t total = trainer_total_steps(trainer);
    char more[120];
    if (trainer->begins_again)
        reporter_tell(&trainer->reporter, "the run was ended before its first checkpoint: it begins again");
    if (trainer->branched_from >= 0) {
        reporter_tell(&trainer->reporter, "branching from '%s' at step %lld into '%s'", config->run,
                      (long long)trainer->branched_from, trainer->rundir->path);
    } else if (resumed) {
        reporter_tell(&trainer->reporter, "resuming '%s' at step %lld of %lld", trainer->rundir->path,
                      (long long)trainer->progress.step, (long long)total);
    } else {
        snprintf(more, sizeof more, "%s, %lld steps, %s%lld in an epoch", trainer->begins_again ? "begun again" : "new",
                 (long long)total, config->bptt_vary ? "about " : "", (long long)trainer_epoch_steps(trainer));
        tell_of(trainer, "run directory", trainer->rundir->path, more);
    }
}

/* What computes here, for whoever asks later: the first lines of timing.jsonl's starts. */
static void put_start(struct trainer *trainer)
{
    const struct checkpoint_build *build = &trainer->build;
    struct json json;
    char host[COMM_HOST];
    metrics_begin_line(&json, "start");
    json_put_int(&json, "step", trainer->progress.step);
    metrics_put_time(&json);
    comm_host(host);
    json_put_string(&json, "host", host);
    json_put_int(&json, "hosts", trainer->placement.hosts);
    json_put_int(&json, "ranks", build->ranks);
    json_put_int(&json, "threads", build->threads);
    json_put_string(&json, "version", build->version);
    json_put_int(&json, "arithmetic", build->arithmetic);
    json_put_string(&json, "compiler", build_compiler());
    json_put_string(&json, "flags", build_flags());
    json_put_string(&json, "libraries", build_libraries());
    json_put_string(&json, "blis", blas_version());
    json_put_string(&json, "kernel", build->kernel);
    json_put_string(&json, "instructions", build->instructions);
    if (trainer->shape.precision != PRECISION_FLOAT32)
        json_put_string(&json, "unit", unit_name(&trainer->shape));
    metrics_end_line(trainer->reporter.timing, &json);
}

void trainer_report_start(struct trainer *trainer, bool resumed)
{
    const struct trainer_config *config = trainer->config;
    if (!trainer->reporter.log)
        return;
    tell_data(trainer);
    tell_work(trainer);
    tell_precision(trainer);
    tell_clusters(trainer);
    tell_sampled(trainer);
    tell_average(trainer);
    tell_validation(trainer);
    tell_place(trainer, resumed);
    long mpirun = comm_mpirun_on_terminal();
    if (mpirun > 0)
        reporter_tell(&trainer->reporter, "Ctrl-C ends mpirun without a checkpoint; to stop with one: kill -USR1 %ld",
                      mpirun);
    if (resumed && config->init_from)
        reporter_tell(&trainer->reporter, "--init-from '%.300s' is not read: the run goes on from its own weights",
                      config->init_from);
    put_start(trainer);
}

/* Times of the phases of the steps since the last line. */
static void put_timing(struct trainer *trainer, double seconds, double rate)
{
    struct model_phases phases;
    struct json json;
    model_take_phases(trainer->step->model, &phases);
    metrics_begin_line(&json, "train");
    json_put_int(&json, "step", trainer->progress.step);
    metrics_put_time(&json);
    json_put_double(&json, "seconds", seconds);
    json_put_double(&json, "tokens_per_second", rate);
    json_object_begin(&json, "phases");
    json_put_double(&json, "input_projection", phases.input_projection);
    json_put_double(&json, "recurrent_forward", phases.recurrent_forward);
    json_put_double(&json, "output_layer", phases.output_layer);
    json_put_double(&json, "recurrent_backward", phases.recurrent_backward);
    json_put_double(&json, "weight_gradients", phases.weight_gradients);
    json_put_double(&json, "other", phases.other);
    json_object_end(&json);
    metrics_end_line(trainer->reporter.timing, &json);
}

const char *trainer_quality(const struct trainer *trainer, double loss, double accuracy, char room[32])
{
    room[0] = '\0';
    if (trainer->shape.task == TASK_LM)
        snprintf(room, 32, arithmetic_exp(loss) < 1e7 ? "  perplexity %.2f" : "  perplexity %.2g",
                 arithmetic_exp(loss));
    else if (!isnan(accuracy))
        snprintf(room, 32, "  accuracy %.4f", accuracy);
    return room;
}

void trainer_report_step(struct trainer *trainer, int64_t epoch)
{
    const struct progress *progress = &trainer->progress;
    if (!trainer->reporter.metrics)
        return;
    double loss = mean(progress->log_loss, progress->log_tokens);
    struct json json;
    metrics_begin_line(&json, "train");
    json_put_int(&json, "step", progress->step);
    json_put_int(&json, "epoch", epoch + 1);
    json_put_int(&json, "tokens", progress->tokens);
    json_put_double(&json, "loss", loss);
    json_put_double(&json, "grad_norm", trainer->grad_norm);
    json_put_double(&json, "lr", trainer->lr);
    json_put_int(&json, "skipped", progress->skipped);
    metrics_end_line(trainer->reporter.metrics, &json);

    double seconds = trainer->costs.steps - trainer->reporter.seconds;
    double rate = seconds > 0 ? (double)(trainer->costs.tokens - trainer->reporter.tokens) / seconds : 0;
    trainer->reporter.seconds = trainer->costs.steps;
    trainer->reporter.tokens = trainer->costs.tokens;
    put_timing(trainer, seconds, rate);
    adviser_train(&trainer->adviser, &trainer->reporter,
                  &(struct advice_train){.step = progress->step,
                                         .tokens = progress->tokens,
                                         .skipped = progress->skipped,
                                         .loss = loss,
                                         .grad_norm = trainer->grad_norm,
                                         .lr = trainer->lr});
}

void trainer_report_skip(struct trainer *trainer, const char *what)
{
    struct json json;
    if (!trainer->reporter.metrics)
        return;
    metrics_begin_line(&json, "skip");
    json_put_int(&json, "step", trainer->progress.step);
    json_put_string(&json, "not_finite", what);
    metrics_end_line(trainer->reporter.metrics, &json);
    reporter_warn(&trainer->reporter, "step %lld was skipped: its %s is not finite (%lld in a row)",
                  (long long)trainer->progress.step, what, (long long)trainer->progress.skipped_in_row);
}

void trainer_put_since(struct json *json, const char *key, int64_t step)
{
    if (step >= 0)
        json_put_int(json, key, step);
}

void trainer_report_average(struct trainer *trainer)
{
    const struct progress *progress = &trainer->progress;
    struct json json;
    if (!trainer->reporter.metrics)
        return;
    metrics_begin_line(&json, "average");
    json_put_int(&json, "step", progress->step);
    json_put_int(&json, "since", trainer->average.state.began);
    json_put_string(&json, "average", average_name((int)trainer->average.state.kind));
    metrics_end_line(trainer->reporter.metrics, &json);
    reporter_tell(&trainer->reporter, "averaging begins at step %lld: from now on the average is validated and kept",
                  (long long)trainer->average.state.began);
}

void trainer_report_valid(struct trainer *trainer, bool best, bool lr_changed)
{
    const struct progress *progress = &trainer->progress;
    bool plateau = trainer->config->schedule.kind == SCHEDULE_PLATEAU;
    int64_t epoch = progress->window == 0 ? progress->epoch : progress->epoch + 1;
    struct json json;
    if (!trainer->reporter.metrics)
        return;
    metrics_begin_line(&json, "valid");
    json_put_int(&json, "step", progress->step);
    json_put_int(&json, "epoch", epoch);
    json_put_int(&json, "tokens", progress->tokens);
    json_put_double(&json, "loss", progress->valid_loss);
    if (trainer->shape.task == TASK_CLASSIFY)
        json_put_double(&json, "accuracy", trainer->valid_accuracy);
    else
        json_put_double(&json, "perplexity", arithmetic_exp(progress->valid_loss));
    json_put_bool(&json, "best", best);
    trainer_put_since(&json, "averaged_since", trainer_averaged_since(trainer));
    if (plateau)
        json_put_double(&json, "lr_factor", progress->lr_factor);
    metrics_end_line(trainer->reporter.metrics, &json);
    char change[64] = "", room[32];
    if (lr_changed)
        snprintf(change, sizeof change, "; lr now %.3g", trainer_next_lr(trainer));
    reporter_tell(&trainer->reporter, "epoch %lld  step %lld  validation loss %.4f%s%s%s", (long long)epoch,
                  (long long)progress->step, progress->valid_loss,
                  trainer_quality(trainer, progress->valid_loss, trainer->valid_accuracy, room), best ? "  (best)" : "",
                  change);
    adviser_valid(&trainer->adviser, &trainer->reporter, progress->step, epoch, progress->valid_loss);
}

void trainer_report_flow(struct trainer *trainer, const double *norms, int64_t samples)
{
    struct json json;
    char name[16];
    if (!trainer->reporter.metrics)
        return;
    metrics_begin_line(&json, "gradflow");
    json_put_int(&json, "step", trainer->progress.step);
    json_put_int(&json, "samples", samples);
    for (int state = 0; state < model_state_count(&trainer->shape); state++) {
        json_array_begin(&json, model_state_name(&trainer->shape, state, name));
        for (int lag = 0; lag < trainer->config->step.bptt; lag++)
            json_put_double(&json, NULL, *norms++);
        json_array_end(&json);
    }
    metrics_end_line(trainer->reporter.metrics, &json);
}

static void put_quoted(void *context, const char *line)
{
    reporter_tell(context, QUOTE_MARGIN "%s", line);
}

void trainer_report_sample(struct trainer *trainer, const char *text, size_t length)
{
    struct json json;
    if (!trainer->reporter.metrics)
        return;
    metrics_begin_line(&json, "sample");
    json_put_int(&json, "step", trainer->progress.step);
    if (text)
        json_put_string_n(&json, "text", text, length);
    else
        json_put_null(&json, "text");
    metrics_end_line(trainer->reporter.metrics, &json);
    if (!text) {
        reporter_warn(&trainer->reporter, "no sample at step %lld: the weights give no finite probabilities",
                      (long long)trainer->progress.step);
        return;
    }
    reporter_tell(&trainer->reporter, "sample at step %lld:", (long long)trainer->progress.step);
    quote_lines(text, length, TERMINAL_COLUMNS - (int)strlen(QUOTE_MARGIN), put_quoted, &trainer->reporter);
}

void trainer_report_saved(struct trainer *trainer, double seconds)
{
    struct json json;
    if (!trainer->reporter.timing)
        return;
    metrics_begin_line(&json, "checkpoint");
    json_put_int(&json, "step", trainer->progress.step);
    metrics_put_time(&json);
    json_put_double(&json, "seconds", seconds);
    json_put_double(&json, "run_seconds", trainer->progress.seconds);
    metrics_end_line(trainer->reporter.timing, &json);
}

void trainer_report_stop(struct trainer *trainer, enum status exit_status)
{
    struct json json;
    if (!trainer->reporter.timing)
        return;
    metrics_begin_line(&json, "stop");
    json_put_int(&json, "step", trainer->progress.step);
    metrics_put_time(&json);
    json_put_int(&json, "exit_status", (int64_t)exit_status);
    json_put_double(&json, "run_seconds", costs_of_run(&trainer->costs));
    metrics_end_line(trainer->reporter.timing, &json);
}

void trainer_report_cores(struct trainer *trainer)
{
    char advice[ERROR_TEXT];
    const struct placement_wait *wait = &trainer->wait;
    placement_wait_report(trainer->comm, trainer->placement.threads, &trainer->wait, advice);
    if (advice[0])
        reporter_warn(&trainer->reporter, "%s", advice);
    if (!trainer->reporter.timing)
        return;
    struct json json;
    metrics_begin_line(&json, "cores");
    json_put_int(&json, "step", trainer->progress.step);
    json_put_double(&json, "waited_share", placement_wait_share(wait));
    json_put_double(&json, "waited_seconds", wait->waited);
    json_put_int(&json, "rank", wait->rank);
    json_put_string(&json, "host", wait->host);
    metrics_end_line(trainer->reporter.timing, &json);
}
