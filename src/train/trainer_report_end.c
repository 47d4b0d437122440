/* What rank 0 tells in the end: what the last weights are worth and what those of best.h5, which file holds which,
 * and what to type next. */
#include "trainer_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/number.h"
#include "unroll/base/shell.h"

/* ---- the log ---- */

/* Rounds a loss to six digits, as `eval` prints it, and then to four, so that both outputs agree. */
static double as_eval_prints(double loss)
{
    return rint(loss * 1e6) / 1e6;
}

/* "validation loss 1.2345  perplexity 3.44, test loss ...": what is known. */
static void describe_outcome(const struct trainer *trainer, const struct outcome *outcome, char *text, size_t size)
{
    char valid[32], test[32];
    int length = 0;
    text[0] = '\0';
    if (trainer_has(trainer, SPLIT_VALID))
        length = snprintf(text, size, "validation loss %.4f%s", as_eval_prints(outcome->valid_loss),
                          trainer_quality(trainer, outcome->valid_loss, outcome->valid_accuracy, valid));
    if (trainer_has(trainer, SPLIT_TEST))
        snprintf(text + length, size - (size_t)length, "%stest loss %.4f%s", length ? ", " : "",
                 as_eval_prints(outcome->test_loss),
                 trainer_quality(trainer, outcome->test_loss, outcome->test_accuracy, test));
}

/* ", averaged since step 300" of weights that are an average. */
static const char *tell_since(const struct outcome *outcome, char room[48])
{
    room[0] = '\0';
    if (outcome->averaged_since >= 0)
        snprintf(room, 48, ", averaged since step %lld", (long long)outcome->averaged_since);
    return room;
}

/* The last weights are the best: two files hold them. */
static void tell_both(struct trainer *trainer, const char *text)
{
    const char *run = trainer->rundir->path;
    char line[2 * FILE_PATH_MAX], room[48];
    const char *since = tell_since(&trainer->last, room);
    int length = snprintf(line, sizeof line,
                          "the last weights are the best, step %lld%s, in '%.300s/best.h5' and '%.300s/latest':",
                          (long long)trainer->last.step, since, run, run);
    if (length <= TERMINAL_COLUMNS)
        reporter_tell(&trainer->reporter, "%s\n  %s", line, text);
    else
        reporter_tell(
            &trainer->reporter,
            "the last weights are the best, step %lld%s,\n  in '%.300s/best.h5'\n  and '%.300s/latest':\n  %s",
            (long long)trainer->last.step, since, run, run, text);
}

/* The last weights: how good, and where. */
static void tell_last(struct trainer *trainer)
{
    const struct outcome *last = &trainer->last;
    const char *run = trainer->rundir->path;
    char text[200], room[48];
    const char *since = tell_since(last, room);
    describe_outcome(trainer, last, text, sizeof text);
    if (!trainer_is_saved(trainer))
        reporter_tell(&trainer->reporter, "last weights, step %lld%s, not saved:\n  %s", (long long)last->step, since,
                      *text ? text : "not tested");
    else if (trainer->best.step == last->step)
        tell_both(trainer, text);
    else
        reporter_tell(&trainer->reporter, "last weights, step %lld%s, in '%.300s/latest':\n  %s", (long long)last->step,
                      since, run, *text ? text : "not tested");
    if (trainer->average.state.kind != AVERAGE_NONE && trainer->average.state.count == 0)
        reporter_tell(&trainer->reporter, "averaging has not begun: all weights are as they were trained");
    if (trainer_is_of_no_use(trainer))
        reporter_tell(&trainer->reporter, "these weights are of no use: a guess is as good");
}

/* The best first: they are what there is to use. */
static void tell_outcomes(struct trainer *trainer)
{
    const struct outcome *last = &trainer->last, *best = &trainer->best;
    char text[200], room[48];
    /* else they are the last; or there are none, or a warning has said why they are not known */
    if (best->step >= 0 && (best->step != last->step || !trainer_is_saved(trainer))) {
        describe_outcome(trainer, best, text, sizeof text);
        reporter_tell(&trainer->reporter, "best weights, step %lld%s, in '%.300s/best.h5':\n  %s",
                      (long long)best->step, tell_since(best, room), trainer->rundir->path, text);
    }
    tell_last(trainer);
}

/* What there is to use: the best weights, or the last. */
static void name_model(const struct trainer *trainer, char path[FILE_PATH_MAX])
{
    rundir_file(trainer->rundir, "best.h5", path);
    if (access(path, R_OK) != 0)
        rundir_file(trainer->rundir, "latest", path);
}

/* A path as a word that a shell takes for a value, also one that begins as options do. */
static void path_word(const char *path, char *word, size_t size)
{
    char plain[FILE_PATH_MAX + 2];
    snprintf(plain, sizeof plain, "%s%s", path[0] == '-' ? "./" : "", path);
    shell_word(plain, word, size);
}

/* A command, indented; where it is too long for a line its last options stand on the next, as a shell takes it. */
static void tell_command(struct trainer *trainer, const char *command, const char *options)
{
    bool fits = strlen("  ") + strlen(command) + strlen(" ") + strlen(options) <= TERMINAL_COLUMNS;
    reporter_tell(&trainer->reporter, "  %s %s%s", command, fits ? "" : "\\\n      ", options);
}

/* The directory of the run, and the first number that makes a new one. */
static void name_next_run(const struct trainer *trainer, char path[FILE_PATH_MAX])
{
    for (int i = 2; i < 100; i++) {
        snprintf(path, FILE_PATH_MAX, "%.*s-%d", FILE_PATH_MAX - 8, trainer->rundir->path, i);
        if (access(path, F_OK) != 0)
            return;
    }
}

/* A run that has diverged: the same with a rate that may do. */
static void tell_lower_rate(struct trainer *trainer)
{
    const struct schedule_config *schedule = &trainer->config->schedule;
    char path[FILE_PATH_MAX], next[FILE_PATH_MAX], config[SHELL_WORD(FILE_PATH_MAX + 2)],
        run[SHELL_WORD(FILE_PATH_MAX + 2)];
    char program[SHELL_WORD(FILE_PATH_MAX)], command[sizeof program + sizeof config + 40], options[sizeof run + 60];
    rundir_file(trainer->rundir, "config.ini", path);
    name_next_run(trainer, next);
    shell_word(program_invocation_name, program, sizeof program);
    path_word(path, config, sizeof config);
    path_word(next, run, sizeof run);
    snprintf(command, sizeof command, "%s train --config %s", program, config);
    snprintf(options, sizeof options, "--run %s --lr %g", run, fmax(schedule->lr / 10, schedule->minimum));
    tell_command(trainer, command, options);
}

void trainer_report_next(struct trainer *trainer)
{
    char path[FILE_PATH_MAX], model[SHELL_WORD(FILE_PATH_MAX + 2)], corpus[SHELL_WORD(FILE_PATH_MAX + 2)];
    char program[SHELL_WORD(FILE_PATH_MAX)], command[sizeof program + sizeof model + 40], options[sizeof corpus + 40];
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    if (!trainer->rundir)
        return;
    name_model(trainer, path);
    shell_word(program_invocation_name, program, sizeof program);
    path_word(path, model, sizeof model);
    path_word(trainer->config->corpus, corpus, sizeof corpus);
    reporter_tell(&trainer->reporter, "next:");
    if (trainer_is_of_no_use(trainer)) {
        tell_lower_rate(trainer);
        return;
    }
    if (trainer_has(trainer, SPLIT_TEST)) {
        snprintf(command, sizeof command, "%s eval --model %s", program, model);
        snprintf(options, sizeof options, "--corpus %s --split test", corpus);
        tell_command(trainer, command, options);
    }
    if (classifies)
        snprintf(command, sizeof command, "echo 'a text' | %s classify", program);
    else
        snprintf(command, sizeof command, "%s sample --model %s", program, model);
    snprintf(options, sizeof options, "--model %s", model);
    tell_command(trainer, command, classifies ? options : "--length 500");
}

/* ---- the last line of metrics.jsonl ---- */

static void put_accuracies(struct json *json, const struct outcome *outcome, const char *valid, const char *test)
{
    if (!isnan(outcome->valid_accuracy))
        json_put_double(json, valid, outcome->valid_accuracy);
    if (!isnan(outcome->test_accuracy))
        json_put_double(json, test, outcome->test_accuracy);
}

/* True if the best weights differ from the last and best.h5 holds them. A disk fault must not change metrics.jsonl. */
static bool are_best_known(const struct trainer *trainer)
{
    const struct outcome *last = &trainer->last, *best = &trainer->best;
    const struct progress *progress = &trainer->progress;
    return best->step >= 0 && best->step != last->step && best->step == progress->best_step &&
           !trainer_improves(trainer, trainer->last_on_the_way);
}

static void put_end(struct trainer *trainer, const char *why)
{
    const struct progress *progress = &trainer->progress;
    struct json json;
    metrics_begin_line(&json, "end");
    json_put_int(&json, "step", progress->step);
    json_put_int(&json, "epoch", progress->window == 0 ? progress->epoch : progress->epoch + 1);
    json_put_int(&json, "tokens", progress->tokens);
    json_put_string(&json, "why", why);
    json_put_double(&json, "train_loss", trainer_train_loss(trainer));
    if (trainer_has(trainer, SPLIT_VALID))
        json_put_double(&json, "valid_loss", trainer->last.valid_loss);
    if (trainer_has(trainer, SPLIT_TEST))
        json_put_double(&json, "test_loss", trainer->last.test_loss);
    put_accuracies(&json, &trainer->last, "valid_accuracy", "test_accuracy");
    trainer_put_since(&json, "averaged_since", trainer->last.averaged_since);
    if (trainer_has(trainer, SPLIT_TEST) && are_best_known(trainer)) {
        json_put_int(&json, "best_step", trainer->best.step);
        json_put_double(&json, "best_valid_loss", trainer->best.valid_loss);
        json_put_double(&json, "best_test_loss", trainer->best.test_loss);
        put_accuracies(&json, &trainer->best, "best_valid_accuracy", "best_test_accuracy");
    }
    json_put_string(&json, "parameters_digest", trainer->digest);
    metrics_end_line(trainer->reporter.metrics, &json);
}

void trainer_report_end(struct trainer *trainer, const char *why)
{
    const struct progress *progress = &trainer->progress;
    char total[NUMBER_TEXT];
    if (!trainer->reporter.metrics)
        return;
    put_end(trainer, why);
    double elapsed = costs_elapsed(&trainer->costs);
    reporter_tell(&trainer->reporter, "finished (%s): %lld steps, %lld %s in %s", why, (long long)progress->step,
                  (long long)progress->tokens, trainer->shape.task == TASK_CLASSIFY ? "texts" : "tokens",
                  number_duration(progress->seconds, total));
    trainer_conclude(trainer);
    tell_outcomes(trainer);
    reporter_tell(&trainer->reporter, "checkpoints took %.1f %% of this start's %.0f s",
                  elapsed > 0 ? 100 * trainer->costs.saves / elapsed : 0, elapsed);
    trainer_advise_end(trainer);
}

/* ---- the summary ---- */

static void put_best(const struct trainer *trainer, struct json *json)
{
    const struct progress *progress = &trainer->progress;
    const struct outcome *best = &trainer->best;
    bool known = best->step >= 0;
    json_put_double(json, "best_valid_loss", known ? best->valid_loss : progress->best_valid_loss);
    json_put_int(json, "best_step", known ? best->step : progress->best_step);
    if (trainer_has(trainer, SPLIT_TEST) && trainer_has(trainer, SPLIT_VALID))
        json_put_double(json, "best_test_loss", best->test_loss);
    put_accuracies(json, best, "best_valid_accuracy", "best_test_accuracy");
    trainer_put_since(json, "best_averaged_since", best->averaged_since);
}

static void put_files(const struct trainer *trainer, struct json *json)
{
    char path[FILE_PATH_MAX];
    rundir_file(trainer->rundir, "latest", path);
    if (access(path, R_OK) == 0)
        json_put_string(json, "last_model", path);
    rundir_file(trainer->rundir, "best.h5", path);
    if (access(path, R_OK) == 0)
        json_put_string(json, "best_model", path);
}

/* How much was trained, in which time. Classifiers count texts, which the names of old say as well. */
static void put_amount(const struct trainer *trainer, struct json *json)
{
    const struct progress *progress = &trainer->progress;
    bool classifies = trainer->shape.task == TASK_CLASSIFY;
    double rate = trainer->costs.steps > 0 ? (double)trainer->costs.tokens / trainer->costs.steps
                  : progress->seconds > 0  ? (double)progress->tokens / progress->seconds
                                           : 0;
    json_put_int(json, "tokens", progress->tokens);
    if (classifies)
        json_put_int(json, "texts", progress->tokens);
    json_put_double(json, "seconds", progress->seconds);
    json_put_double(json, "tokens_per_second", rate);
    if (classifies)
        json_put_double(json, "texts_per_second", rate);
}

enum status trainer_write_summary(struct trainer *trainer, enum status exit_status, struct error *e)
{
    const struct progress *progress = &trainer->progress;
    const char *path = trainer->config->json_summary, *text;
    char hex[DIGEST_TEXT];
    struct json json;
    if (!path || trainer->comm->rank != 0 || !trainer->values)
        return STATUS_OK;
    memcpy(hex, trainer->digest, sizeof hex);
    if (!*hex)
        param_digest(&trainer->table, trainer_weights(trainer), hex);
    struct outcome last = trainer->last;
    last.averaged_since = trainer_averaged_since(trainer);
    bool ended = !isnan(last.valid_loss); /* else what is known is of the last validation */
    double valid = ended ? last.valid_loss : progress->valid_loss;
    json_init(&json);
    json_object_begin(&json, NULL);
    json_put_int(&json, "steps", progress->step);
    json_put_double(&json, "epochs", (double)progress->epoch + (double)progress->window / (double)trainer->windows);
    put_amount(trainer, &json);
    json_put_double(&json, "checkpoint_seconds", trainer->costs.saves);
    json_put_double(&json, "train_loss", trainer_train_loss(trainer));
    json_put_double(&json, "valid_loss", valid);
    if (trainer_has(trainer, SPLIT_VALID))
        json_put_int(&json, "valid_step", ended ? last.step : progress->valid_step);
    if (trainer->shape.task == TASK_LM)
        json_put_double(&json, "valid_perplexity", arithmetic_exp(valid));
    if (isnan(last.valid_accuracy))
        last.valid_accuracy = trainer->valid_accuracy;
    put_accuracies(&json, &last, "valid_accuracy", "test_accuracy");
    trainer_put_since(&json, "averaged_since", last.averaged_since);
    if (trainer_has(trainer, SPLIT_TEST))
        json_put_double(&json, "test_loss", last.test_loss);
    put_best(trainer, &json);
    put_files(trainer, &json);
    adviser_put(&trainer->adviser, &json);
    json_put_int(&json, "parameters", (int64_t)trainer->table.elements);
    json_put_string(&json, "parameters_digest", hex);
    json_put_int(&json, "skipped_steps", progress->skipped);
    json_put_int(&json, "ranks", trainer->build.ranks);
    json_put_int(&json, "threads", trainer->build.threads);
    json_put_double(&json, "waited_for_cores", placement_wait_share(&trainer->wait));
    json_put_int(&json, "exit_status", (int64_t)exit_status);
    json_object_end(&json);
    enum status status = json_text(&json, &text, e);
    if (!status)
        status = file_write_report(path, text, strlen(text), e);
    json_release(&json);
    return status;
}
