/* Reads what the files of a run directory say about its run. */
#include "unroll/train/run_record.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/mem.h"
#include "unroll/base/number.h"
#include "unroll/base/tail.h"
#include "unroll/data/cuts.h"
#include "unroll/sys/ini.h"
#include "unroll/sys/json_read.h"
#include "unroll/train/metrics.h"
#include "unroll/train/rundir.h"
#include "unroll/train/trainer.h"

const char *run_state_name(enum run_state state)
{
    static const char *const names[RUN_STATES] = {"not begun", "running",  "stopped", "killed",
                                                  "failed",    "diverged", "finished"};
    return names[state];
}

__attribute__((format(printf, 2, 3))) static void add_gap(struct run_record *record, const char *format, ...)
{
    va_list arguments;
    if (record->gaps == RUN_GAPS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(record->gap[record->gaps++], sizeof record->gap[0], format, arguments);
    va_end(arguments);
}

/* ---- the members of a line ---- */

static bool is_true(const struct json_read *line, const char *name)
{
    bool value = false;
    return !json_read_bool(line, name, &value, NULL) && value;
}

static void text_of(const struct json_read *line, const char *name, char *text, size_t size)
{
    const char *value;
    snprintf(text, size, "%s", json_read_string(line, name, &value, NULL) ? "" : value);
}

/* ---- config.ini ---- */

static enum status add_text(struct run_record *record, const char *text, struct error *e)
{
    void *options = record->options;
    size_t bytes = strlen(text) + 1;
    enum status status =
        mem_grow(&options, &record->options_capacity, record->options_bytes + bytes, 1, "the options of a run", e);
    if (status)
        return status;
    record->options = options;
    memcpy(record->options + record->options_bytes, text, bytes);
    record->options_bytes += bytes;
    return STATUS_OK;
}

/* Elements of an array come to be one value. */
static enum status take_option(void *context, const char *section, const char *name, const char *value, int element,
                               int line, struct error *e)
{
    struct run_record *record = context;
    (void)section, (void)line;
    if (element > 0) {
        record->options[record->options_bytes - 1] = ' ';
        return add_text(record, value, e);
    }
    enum status status = add_text(record, name, e);
    return status ? status : add_text(record, value, e);
}

bool run_record_next(const struct run_record *record, size_t *at, const char **name, const char **value)
{
    if (*at >= record->options_bytes)
        return false;
    *name = record->options + *at;
    *value = *name + strlen(*name) + 1;
    *at += strlen(*name) + strlen(*value) + 2;
    return true;
}

const char *run_record_option(const struct run_record *record, const char *name)
{
    const char *each, *value;
    for (size_t at = 0; run_record_next(record, &at, &each, &value);)
        if (strcmp(each, name) == 0)
            return value;
    return NULL;
}

/* Notes a file that could not be read as a gap. Only a lack of memory ends the reading. */
static enum status note_gap(struct run_record *record, const char *name, enum status status, const struct error *reason,
                            struct error *e)
{
    if (status == STATUS_OS && e)
        *e = *reason;
    if (status == STATUS_OS)
        return status;
    if (status == STATUS_NOINPUT)
        add_gap(record, "it has no %s", name);
    else if (status)
        add_gap(record, "%s: %.150s", name, reason->text);
    return STATUS_OK;
}

static enum status read_config(struct run_record *record, struct error *e)
{
    char path[FILE_PATH_MAX];
    struct error reason;
    enum status status = file_join(path, record->path, "config.ini", e);
    if (status)
        return status;
    status = ini_read_regular(path, take_option, record, &reason);
    return note_gap(record, "config.ini", status, &reason, e);
}

/* ---- metrics.jsonl ---- */

static double option_number(const struct run_record *record, const char *name)
{
    double value;
    const char *text = run_record_option(record, name);
    return text && number_parse_double(text, &value) == 0 ? value : NAN;
}

/* Steps of so many epochs that differ in length, as the line says them. */
static double count_varied(const struct run_record *record, const struct json_read *line, double epochs)
{
    const char *seed = run_record_option(record, "seed");
    int64_t tokens = metrics_whole(line, "tokens_per_epoch"), batch = metrics_whole(line, "batch"),
            bptt = metrics_whole(line, "bptt");
    struct cuts cuts = {.bptt = (int)bptt, .vary = true};
    if (tokens < 1 || batch < 1 || bptt < CUTS_LEAST || bptt > INT_MAX - CUTS_MORE ||
        !(epochs >= 1 && epochs < 0x1p53) || !seed || number_parse_u64(seed, &cuts.seed))
        return NAN;
    cuts.steps = (tokens + batch - 1) / batch;
    return (double)cuts_windows_of(&cuts, (int64_t)epochs);
}

/* By --epochs and --max-steps, whichever comes first. */
static void count_steps(struct run_record *record, const struct json_read *line)
{
    double epochs = option_number(record, "epochs");
    double by_epochs = is_true(line, "bptt_vary") ? count_varied(record, line, epochs)
                                                  : epochs * metrics_number(line, "steps_per_epoch");
    double by_steps = option_number(record, "max-steps");
    double steps = by_steps > 0 && !(by_steps > by_epochs) ? by_steps : by_epochs;
    if (steps >= 0 && steps <= 0x1p53)
        record->steps = (int64_t)steps;
}

/* The first line says what is trained. */
static enum status read_facts(struct run_record *record, const char *path, struct error *e)
{
    struct json_read line;
    char task[32];
    enum status status = metrics_first_line(path, &line, e);
    record->is_known = !status && metrics_is_type(&line, "run");
    if (record->is_known) {
        text_of(&line, "task", task, sizeof task);
        record->classifies = strcmp(task, "classify") == 0;
        text_of(&line, "corpus_digest", record->corpus_digest, sizeof record->corpus_digest);
        record->vocab = metrics_whole(&line, "vocab");
        record->parameters = metrics_whole(&line, "parameters");
        count_steps(record, &line);
    }
    json_read_close(&line);
    return status == STATUS_OS ? status : STATUS_OK; /* other faults of the file show in its other lines */
}

/* What is known from the later lines of the file. */
struct walk {
    bool step_known, best_known;
    bool at_end; /* nothing but steps that were skipped has been seen */
    int skips;   /* of them, in a row */
    int damaged; /* lines */
    int64_t end; /* the step of the line that says that the run has finished */
    double best_test_loss, best_test_accuracy;
};

/* The losses in the last line are of the last weights. These may be the best too. */
static void take_end(struct run_record *record, const struct json_read *line, struct walk *walk)
{
    record->state = RUN_FINISHED;
    text_of(line, "why", record->why, sizeof record->why);
    record->best_loss = metrics_number(line, "valid_loss");
    record->best_accuracy = metrics_number(line, "valid_accuracy");
    record->best_step = isnan(record->best_loss) ? RUN_UNKNOWN : record->step;
    record->averaged_since = metrics_whole(line, "averaged_since");
    record->test_loss = metrics_number(line, "test_loss");
    record->test_accuracy = metrics_number(line, "test_accuracy");
    walk->end = record->step;
    walk->best_test_loss = metrics_number(line, "best_test_loss");
    walk->best_test_accuracy = metrics_number(line, "best_test_accuracy");
}

/* The first of the lowest losses is that of best.h5. */
static void take_valid(struct run_record *record, const struct json_read *line, struct walk *walk)
{
    double loss = metrics_number(line, "loss");
    walk->best_known = is_true(line, "best");
    if (isnan(loss) || loss > record->best_loss)
        return;
    record->best_loss = loss;
    record->best_accuracy = metrics_number(line, "accuracy");
    record->best_step = metrics_whole(line, "step");
    record->averaged_since = metrics_whole(line, "averaged_since");
    if (record->best_step == walk->end)
        return;
    record->test_loss = walk->best_test_loss;
    record->test_accuracy = walk->best_test_accuracy;
}

static void count_skips(const struct run_record *record, int64_t step, bool skipped, struct walk *walk)
{
    int64_t expected = record->step - walk->skips;
    if (skipped && step == expected)
        walk->skips++;
    else if (step < expected)
        walk->at_end = false;
}

static void take_line(struct run_record *record, const struct json_read *line, struct walk *walk)
{
    int64_t step = metrics_whole(line, "step");
    if (!walk->step_known && step >= 0) {
        record->step = step;
        walk->step_known = true;
        if (metrics_is_type(line, "end"))
            take_end(record, line, walk);
    }
    if (walk->at_end && step >= 0)
        count_skips(record, step, metrics_is_type(line, "skip"), walk);
    if (metrics_is_type(line, "valid"))
        take_valid(record, line, walk);
}

/* False if a line cannot say anything new. Searching for a word is many times faster than parsing every line. */
static bool may_matter(const struct walk *walk, const char *text, size_t length)
{
    return !walk->step_known || walk->at_end || memmem(text, length, "\"valid\"", strlen("\"valid\"")) != NULL;
}

static bool is_done(const struct walk *walk)
{
    return walk->best_known && walk->step_known && !walk->at_end;
}

static enum status walk_metrics(struct run_record *record, const char *path, struct tail *tail, struct error *e)
{
    struct walk walk = {.at_end = true, .end = RUN_UNKNOWN, .best_test_loss = NAN, .best_test_accuracy = NAN};
    char *text;
    size_t length;
    enum status status = STATUS_OK;
    while (!is_done(&walk) && !(status = tail_next(tail, &text, &length, e)) && text) {
        struct json_read line;
        if (!may_matter(&walk, text, length))
            continue;
        if (json_read_text(path, text, length, &line, NULL))
            walk.damaged++;
        else
            take_line(record, &line, &walk);
        json_read_close(&line);
    }
    if (walk.skips >= TRAINER_SKIPS_MAX)
        record->state = RUN_DIVERGED;
    if (walk.damaged)
        add_gap(record, "metrics.jsonl: %d lines are damaged and left out", walk.damaged);
    return status;
}

static enum status read_metrics(struct run_record *record, struct error *e)
{
    char path[FILE_PATH_MAX];
    struct tail *tail;
    struct error reason;
    int gaps = record->gaps;
    enum status status = file_join(path, record->path, "metrics.jsonl", e);
    if (!status)
        status = read_facts(record, path, e);
    if (status)
        return status;
    status = tail_open(path, &tail, &reason);
    if (!status)
        status = walk_metrics(record, path, tail, &reason);
    tail_close(tail);
    status = note_gap(record, "metrics.jsonl", status, &reason, e);
    record->lacks_metrics = record->gaps > gaps;
    return status;
}

/* ---- timing.jsonl ---- */

/* Other files may show later steps than the last line of metrics.jsonl. */
static void see_step(struct run_record *record, int64_t step)
{
    record->step = step > record->step ? step : record->step;
}

/* What is known of the last start. */
struct start {
    bool known, ended; /* it is in the file; it came to its end, with whatever status */
};

struct clock {
    bool start_known, end_known; /* of the last start */
    bool seconds_known;
    int64_t first; /* steps behind it were undone by a later start */
    double seconds;
    bool any; /* seconds of steps were found */
};

static void take_start(struct run_record *record, const struct json_read *line, struct clock *clock)
{
    int64_t step = metrics_whole(line, "step");
    if (!clock->start_known) {
        clock->start_known = true;
        text_of(line, "host", record->host, sizeof record->host);
        text_of(line, "time", record->started, sizeof record->started);
        record->ranks = metrics_whole(line, "ranks");
        record->threads = metrics_whole(line, "threads");
    }
    if (step >= 0 && step < clock->first)
        clock->first = step;
}

/* Lines at which the seconds of the whole run until then are known: "checkpoint", and "stop" at the end of a start. */
static void take_sum(const struct json_read *line, struct clock *clock)
{
    double seconds = metrics_number(line, "run_seconds");
    if (clock->seconds_known || isnan(seconds) || metrics_whole(line, "step") > clock->first)
        return;
    clock->seconds += seconds;
    clock->seconds_known = clock->any = true;
}

static void take_stop(struct run_record *record, const struct json_read *line, struct clock *clock)
{
    if (!clock->start_known) {
        record->exit_status = metrics_whole(line, "exit_status");
        clock->end_known = true;
        see_step(record, metrics_whole(line, "step"));
    }
    take_sum(line, clock);
}

static void take_timing(struct run_record *record, const struct json_read *line, struct clock *clock)
{
    double seconds = metrics_number(line, "seconds");
    if (metrics_is_type(line, "start")) {
        take_start(record, line, clock);
    } else if (metrics_is_type(line, "train") && !clock->seconds_known && seconds >= 0 &&
               metrics_whole(line, "step") <= clock->first) {
        clock->seconds += seconds;
        clock->any = true;
    } else if (metrics_is_type(line, "stop")) {
        take_stop(record, line, clock);
    } else if (metrics_is_type(line, "cores")) {
        clock->end_known = clock->end_known || !clock->start_known;
    } else if (metrics_is_type(line, "checkpoint")) {
        take_sum(line, clock);
    }
}

static enum status walk_timing(struct run_record *record, const char *path, struct tail *tail, struct start *last,
                               struct error *e)
{
    struct clock clock = {.first = INT64_MAX};
    char *text;
    size_t length;
    enum status status = STATUS_OK;
    while (!(clock.start_known && clock.seconds_known) && !(status = tail_next(tail, &text, &length, e)) && text) {
        struct json_read line;
        if (!json_read_text(path, text, length, &line, NULL))
            take_timing(record, &line, &clock);
        json_read_close(&line);
    }
    if (clock.any)
        record->seconds = clock.seconds;
    *last = (struct start){clock.start_known, clock.end_known};
    return status;
}

static enum status read_timing(struct run_record *record, struct start *last, struct error *e)
{
    char path[FILE_PATH_MAX];
    struct tail *tail;
    struct error reason;
    enum status status = file_join(path, record->path, "timing.jsonl", e);
    if (status)
        return status;
    status = tail_open(path, &tail, &reason);
    if (!status)
        status = walk_timing(record, path, tail, last, &reason);
    tail_close(tail);
    return note_gap(record, "timing.jsonl", status, &reason, e);
}

/* ---- the whole ---- */

/* metrics.jsonl does not say how the run ended; status 0 means that it has finished. */
static enum run_state state_of_end(struct run_record *record)
{
    if (record->exit_status == RUN_UNKNOWN || record->exit_status == STATUS_STOPPED)
        return RUN_STOPPED;
    if (record->exit_status)
        return RUN_FAILED;
    if (!record->lacks_metrics)
        add_gap(record, "metrics.jsonl: it does not say how the run has ended, which timing.jsonl does");
    return RUN_FINISHED;
}

/* Runs of earlier versions record neither their end nor its status. But a run that ends by itself releases its lock and
 * has written a checkpoint. A run that reached its last step has finished only if it could save that step. */
static enum run_state state_of(struct run_record *record, const struct start *last)
{
    if (record->state == RUN_FINISHED)
        return record->exit_status > STATUS_OK ? RUN_FAILED : RUN_FINISHED;
    if (record->holder.may_live)
        return RUN_RUNNING;
    if (record->state == RUN_DIVERGED || record->exit_status == STATUS_DIVERGED)
        return RUN_DIVERGED;
    if (record->step <= 0 && !last->known)
        return RUN_NOT_BEGUN;
    bool saved = record->checkpoint != RUN_UNKNOWN && record->checkpoint >= record->step;
    if (!last->ended && (record->holder.is_there || !saved))
        return RUN_KILLED;
    return state_of_end(record);
}

/* A folder with a metrics.jsonl of another program. */
static bool is_foreign(const struct run_record *record)
{
    return !record->is_known && record->options_bytes == 0 && !record->holder.is_there &&
           record->checkpoint == RUN_UNKNOWN;
}

enum status run_record_read(const char *path, struct run_record *record, struct error *e)
{
    char lock[FILE_PATH_MAX];
    struct start last = {.known = false};
    *record = (struct run_record){.exit_status = RUN_UNKNOWN,
                                  .vocab = RUN_UNKNOWN,
                                  .parameters = RUN_UNKNOWN,
                                  .checkpoint = RUN_UNKNOWN,
                                  .step = RUN_UNKNOWN,
                                  .steps = RUN_UNKNOWN,
                                  .best_step = RUN_UNKNOWN,
                                  .averaged_since = RUN_UNKNOWN,
                                  .best_loss = NAN,
                                  .best_accuracy = NAN,
                                  .test_loss = NAN,
                                  .test_accuracy = NAN,
                                  .seconds = NAN,
                                  .ranks = RUN_UNKNOWN,
                                  .threads = RUN_UNKNOWN};
    enum status status = file_join(lock, path, "lock", e);
    if (status)
        return status;
    snprintf(record->path, sizeof record->path, "%s", path);
    run_lock_look(lock, &record->holder);
    status = read_config(record, e);
    if (!status)
        status = read_metrics(record, e);
    if (!status)
        status = read_timing(record, &last, e);
    record->checkpoint = rundir_newest(path);
    see_step(record, record->checkpoint);
    if (!status && is_foreign(record))
        status = error_set(e, STATUS_DATA,
                           "cannot find a run in '%.300s': what it holds is of another program; name "
                           "the --run of 'unroll train'",
                           path);
    record->state = state_of(record, &last);
    return status;
}

bool run_record_goes_on(const struct run_record *record)
{
    bool at_end = *record->why && record->checkpoint >= record->step;
    return record->state == RUN_STOPPED || record->state == RUN_KILLED || (record->state == RUN_FAILED && !at_end);
}

void run_record_release(struct run_record *record)
{
    mem_free(record->options);
    record->options = NULL;
    record->options_bytes = record->options_capacity = 0;
}
