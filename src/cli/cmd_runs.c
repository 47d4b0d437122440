/* unroll runs: what became of runs, side by side, the best first. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/mem.h"
#include "unroll/base/shell.h"
#include "unroll/cli/commands.h"
#include "unroll/cli/escape.h"
#include "unroll/cli/load.h"
#include "unroll/cli/runs_table.h"
#include "unroll/sys/json.h"
#include "unroll/sys/terminal.h"
#include "unroll/train/run_find.h"

#define COMMANDS_MOST 6 /* to go on with runs */

struct place {
    const struct run_record *record;
    size_t group; /* of runs that compare: the number of the first that was found */
};

struct runs {
    struct run_record *record; /* [count] in the order in which they were found; owned */
    struct place *place;       /* [count] how they are sorted; owned */
    const struct run_record **sorted;
    size_t count;
};

/* ---- finding and reading them ---- */

static void warn(const char *text)
{
    char shown[ESCAPE_SHOWN];
    fprintf(stderr, "unroll: warning: %s\n", escape_shown(text, shown));
}

/* A folder that holds none, and what is no folder, may well have come from a pattern of the shell: then nothing is
 * `missing`. */
static enum status find(const struct options *options, struct run_list *list, struct error *missing, struct error *e)
{
    static const char *const here[] = {"."};
    const char *const *folder = options->files > 0 ? options->file : here;
    int folders = options->files > 0 ? options->files : 1;
    for (int i = 0; i < folders; i++) {
        struct error reason;
        enum status status = run_find(folder[i], list, &reason);
        if (status == STATUS_OS) {
            *e = reason;
            return status;
        }
        if (status && !missing->status && (status != STATUS_DATA || folders == 1))
            *missing = reason;
        else if (status)
            warn(reason.text);
    }
    return STATUS_OK;
}

static enum status read_all(const struct run_list *list, struct runs *runs, struct error *e)
{
    runs->record = mem_alloc(list->count, sizeof *runs->record, "records of runs", e);
    runs->place = mem_alloc(list->count, sizeof *runs->place, "records of runs", e);
    runs->sorted = mem_alloc(list->count, sizeof(const struct run_record *), "records of runs", e);
    if (!runs->record || !runs->place || !runs->sorted)
        return STATUS_OS;
    for (size_t i = 0; i < list->count; i++) {
        struct error reason;
        struct run_record *record = &runs->record[runs->count];
        enum status status = run_record_read(list->place[i].path, record, &reason);
        if (!status) {
            runs->count++;
            continue;
        }
        run_record_release(record);
        if (status == STATUS_OS) {
            *e = reason;
            return status;
        }
        warn(reason.text);
    }
    return STATUS_OK;
}

/* ---- their order ---- */

/* Runs that compare stand together, those that do not say what they trained on last; then the lowest loss is first. */
static int compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    double x_loss = x->record->best_loss, y_loss = y->record->best_loss;
    if (x->record->is_known != y->record->is_known)
        return x->record->is_known ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (isnan(x_loss) != isnan(y_loss))
        return isnan(x_loss) ? 1 : -1;
    if (x_loss < y_loss || x_loss > y_loss)
        return x_loss < y_loss ? -1 : 1;
    return strverscmp(x->record->path, y->record->path);
}

static void sort(struct runs *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        size_t first = 0;
        while (!runs_compare(&runs->record[first], &runs->record[i]))
            first++;
        runs->place[i] = (struct place){&runs->record[i], first};
    }
    qsort(runs->place, runs->count, sizeof *runs->place, compare);
    for (size_t i = 0; i < runs->count; i++)
        runs->sorted[i] = runs->place[i].record;
}

static size_t end_of_group(const struct runs *runs, size_t begin)
{
    size_t end = begin + 1;
    while (end < runs->count && runs_compare(runs->sorted[begin], runs->sorted[end]))
        end++;
    return end;
}

/* ---- for people ---- */

static const char *base_name(const char *path)
{
    return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

static void head_group(const struct run_record *record)
{
    const char *corpus = run_record_option(record, "corpus");
    if (!record->is_known)
        printf("of no known corpus:\n");
    else
        printf("%s on corpus '%s' (%.8s), vocabulary %lld:\n", record->classifies ? "classifiers" : "language models",
               corpus ? base_name(corpus) : "?", record->corpus_digest, (long long)record->vocab);
}

static void put_escaped(const char *before, const char *text)
{
    if (!*text)
        return;
    printf("%s", before);
    escape_put(stdout, text, strlen(text));
}

/* What a lock and timing.jsonl say may be anything. */
static void tell_running(const struct run_record *record)
{
    const struct run_lock_holder *holder = &record->holder;
    char started[64];
    put_escaped("running: ", record->path);
    put_escaped(" on host ", holder->host);
    put_escaped(", process ", holder->pid);
    put_escaped(", Slurm job ", holder->job);
    if (*record->started)
        put_escaped(", since ", runs_started(record, started));
    printf("\n");
}

/* A command for each run that goes on, as far as they are easy to look over. */
static void tell_how_to_go_on(const struct runs *runs)
{
    char program[SHELL_WORD(FILE_PATH_MAX)], run[SHELL_WORD(FILE_PATH_MAX)];
    int found = 0;
    shell_word(program_invocation_name, program, sizeof program);
    for (size_t i = 0; i < runs->count; i++) {
        const struct run_record *record = runs->sorted[i];
        if (!run_record_goes_on(record))
            continue;
        if (found++ == 0)
            printf("\nto go on with what has not finished:\n");
        shell_word(record->path, run, sizeof run);
        if (found <= COMMANDS_MOST)
            printf("  %s train --run %s\n", program, run);
    }
    if (found > COMMANDS_MOST)
        printf("  ... and %d more\n", found - COMMANDS_MOST);
}

/* Who runs where, and how the others go on. */
static void tell_states(const struct runs *runs)
{
    int running = 0;
    for (size_t i = 0; i < runs->count; i++) {
        const struct run_record *record = runs->sorted[i];
        if (record->state != RUN_RUNNING)
            continue;
        printf("%s", running++ == 0 ? "\n" : "");
        tell_running(record);
    }
    tell_how_to_go_on(runs);
}

static void tell_gaps(const struct runs *runs)
{
    char path[ESCAPE_SHOWN], gap[ESCAPE_SHOWN];
    for (size_t i = 0; i < runs->count; i++)
        for (int k = 0; k < runs->sorted[i]->gaps && runs->sorted[i]->state != RUN_NOT_BEGUN; k++)
            fprintf(stderr, "unroll: warning: run '%s': %s\n", escape_shown(runs->sorted[i]->path, path),
                    escape_shown(runs->sorted[i]->gap[k], gap));
}

static enum status print_tables(const struct runs *runs, struct error *e)
{
    struct terminal terminal;
    enum status status = STATUS_OK;
    terminal_init(&terminal, stdout);
    int width = terminal.interactive ? terminal_width(&terminal) : 0;
    for (size_t begin = 0, end; begin < runs->count && !status; begin = end) {
        end = end_of_group(runs, begin);
        if (begin > 0)
            printf("\n");
        if (begin > 0 || end < runs->count)
            head_group(runs->sorted[begin]);
        status = runs_table(runs->sorted + begin, end - begin, stdout, width, e);
    }
    if (status)
        return status;
    tell_states(runs);
    status = finish_output(e);
    tell_gaps(runs);
    return status;
}

/* ---- for programs ---- */

static void put_count(struct json *json, const char *key, int64_t value)
{
    if (value == RUN_UNKNOWN)
        json_put_null(json, key);
    else
        json_put_int(json, key, value);
}

static void put_text(struct json *json, const char *key, const char *text)
{
    json_put_string(json, key, text && *text ? text : NULL);
}

static void put_results(struct json *json, const struct run_record *record)
{
    put_count(json, "step", record->step);
    put_count(json, "steps", record->steps);
    put_count(json, "best_step", record->best_step);
    put_count(json, "best_averaged_since", record->averaged_since);
    json_put_double(json, "best_valid_loss", record->best_loss);
    if (record->classifies)
        json_put_double(json, "best_valid_accuracy", record->best_accuracy);
    else
        json_put_double(json, "best_valid_perplexity", arithmetic_exp(record->best_loss));
    json_put_double(json, "best_test_loss", record->test_loss);
    if (record->classifies)
        json_put_double(json, "best_test_accuracy", record->test_accuracy);
    json_put_double(json, "seconds", record->seconds);
}

static void put_holder(struct json *json, const struct run_lock_holder *holder)
{
    if (!holder->is_there || !holder->may_live) {
        json_put_null(json, "holder");
        return;
    }
    json_object_begin(json, "holder");
    put_text(json, "host", holder->host);
    put_text(json, "process", holder->pid);
    put_text(json, "slurm_job", holder->job);
    json_put_double(json, "renewed_seconds_ago", holder->age);
    json_object_end(json);
}

static void put_options(struct json *json, const struct run_record *record)
{
    const char *name, *value;
    json_object_begin(json, "options");
    for (size_t at = 0; run_record_next(record, &at, &name, &value);)
        if (run_record_option(record, name) == value) /* the first of that name */
            json_put_string(json, name, value);
    json_object_end(json);
}

static void put_run(struct json *json, const struct run_record *record)
{
    json_object_begin(json, NULL);
    json_put_string(json, "run", record->path);
    json_put_string(json, "state", run_state_name(record->state));
    put_text(json, "why", record->why);
    put_count(json, "exit_status", record->exit_status);
    put_text(json, "task", !record->is_known ? NULL : record->classifies ? "classify" : "lm");
    put_text(json, "corpus_digest", record->corpus_digest);
    put_count(json, "vocab", record->vocab);
    put_count(json, "parameters", record->parameters);
    put_results(json, record);
    put_text(json, "started", record->started);
    put_text(json, "host", record->host);
    put_count(json, "ranks", record->ranks);
    put_count(json, "threads", record->threads);
    put_holder(json, &record->holder);
    put_options(json, record);
    json_array_begin(json, "gaps");
    for (int i = 0; i < record->gaps; i++)
        json_put_string(json, NULL, record->gap[i]);
    json_array_end(json);
    json_object_end(json);
}

static enum status print_json(const struct runs *runs, struct error *e)
{
    struct json json;
    enum status status = STATUS_OK;
    json_init(&json);
    for (size_t i = 0; i < runs->count && !status; i++) {
        const char *text;
        json_clear(&json);
        put_run(&json, runs->sorted[i]);
        status = json_text(&json, &text, e);
        if (!status)
            printf("%s\n", text);
    }
    json_release(&json);
    return status ? status : finish_output(e);
}

/* ---- the command ---- */

static enum status find_none(const struct options *options, struct error *e)
{
    const char *folder = options->files > 0 ? options->file[0] : ".";
    return error_set(
        e, STATUS_NOINPUT,
        "cannot find a run in '%.300s'%s, %d levels deep; name the --run of 'unroll train', or a folder that "
        "holds such directories",
        folder, options->files > 1 ? " and the others" : "", RUN_FIND_DEPTH);
}

enum status cmd_runs(const struct options *options, struct error *e)
{
    struct run_list list = {.place = NULL};
    struct runs runs = {.record = NULL};
    struct error missing = {.status = STATUS_OK};
    enum status status = find(options, &list, &missing, e);
    if (!status)
        status = read_all(&list, &runs, e);
    if (!status && runs.count == 0 && !missing.status)
        status = find_none(options, e);
    if (!status && runs.count > 0) {
        sort(&runs);
        status = options->json ? print_json(&runs, e) : print_tables(&runs, e);
    }
    for (size_t i = 0; i < runs.count; i++)
        run_record_release(&runs.record[i]);
    mem_free(runs.record);
    mem_free(runs.place);
    mem_free(runs.sorted);
    run_list_release(&list);
    if (!status && missing.status)
        *e = missing;
    return status ? status : missing.status;
}
