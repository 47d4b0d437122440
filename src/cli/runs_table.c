/* Makes the table that `unroll runs` prints: the options that differ between runs, and their results. */
#include "unroll/cli/runs_table.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "unroll/base/arithmetic.h"
#include "unroll/base/number.h"
#include "unroll/cli/option_table.h"
#include "unroll/cli/table.h"

#define OPTION_VALUE_MOST 20 /* columns of a terminal for an option's value */

/* Which leave a narrow terminal first. An option's is between the two, the later in the table the earlier. */
enum drop {
    DROP_NEVER,
    DROP_TIME,
    DROP_LAST_OPTION,
    DROP_STEP = 40,
    DROP_QUALITY,
    DROP_AVERAGE,
    DROP_BEST_STEP,
    DROP_STARTED,
    DROP_HOST
};

bool runs_compare(const struct run_record *a, const struct run_record *b)
{
    return a->is_known == b->is_known && a->classifies == b->classifies &&
           strcmp(a->corpus_digest, b->corpus_digest) == 0;
}

struct view {
    const struct run_record *const *record; /* [count] */
    size_t count;
    struct table *table;
    int width;    /* 0: any */
    size_t shown; /* bytes at the beginning of each path that are not shown */
};

/* ---- the options in which they differ ---- */

/* What a run of a version that had no such option did. */
static bool is_default(const char *name, const char *value)
{
    const struct option *option = option_find(COMMAND_TRAIN, name);
    return option && option->initial && strcmp(option->initial, value) == 0;
}

/* How far to go shows in the steps; how it is carried out makes no other model. */
static bool is_of_interest(const char *name)
{
    const struct option *option = option_find(COMMAND_TRAIN, name);
    return !option || option->class == OPTION_MATHEMATICS;
}

/* Runs without config.ini say nothing. */
static bool differs(const struct view *view, const char *name)
{
    const char *first = NULL;
    bool absent = false;
    for (size_t i = 0; i < view->count; i++) {
        const char *value = run_record_option(view->record[i], name);
        if (value && first && strcmp(value, first) != 0)
            return true;
        first = first ? first : value;
        absent = absent || (!value && view->record[i]->options_bytes > 0);
    }
    return first && absent && !is_default(name, first);
}

static enum status put_option(const struct view *view, const char *name, int drop, struct error *e)
{
    int column = table_column(view->table, name, true, drop);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < view->count && !status; i++) {
        const char *value = run_record_option(view->record[i], name);
        size_t length = value ? strlen(value) : 0;
        bool cut = view->width > 0 && length > OPTION_VALUE_MOST;
        if (value)
            status = table_set(view->table, i, column, cut ? value + length - OPTION_VALUE_MOST : value, e);
    }
    return status;
}

static bool had_before(const struct view *view, size_t record, const char *name)
{
    for (size_t i = 0; i < record; i++)
        if (run_record_option(view->record[i], name))
            return true;
    return false;
}

/* In the order of the first config.ini, and what only later ones have behind it. */
static enum status put_options(const struct view *view, struct error *e)
{
    enum status status = STATUS_OK;
    int drop = DROP_LAST_OPTION;
    for (size_t i = 0; i < view->count && !status; i++) {
        const char *name, *value;
        for (size_t at = 0; !status && run_record_next(view->record[i], &at, &name, &value);) {
            if (!is_of_interest(name) || had_before(view, i, name) || !differs(view, name))
                continue;
            status = put_option(view, name, drop, e);
            drop += drop < DROP_STEP - 1;
        }
    }
    return status;
}

/* ---- what became of them ---- */

static const char *format_count(int64_t count, char text[64])
{
    snprintf(text, 64, count == RUN_UNKNOWN ? "-" : "%lld", (long long)count);
    return text;
}

static const char *format_step(const struct run_record *record, char text[64])
{
    int64_t step = record->step < 0 ? 0 : record->step;
    if (record->steps == RUN_UNKNOWN || record->steps == step)
        return format_count(record->step, text);
    snprintf(text, 64, "%lld/%lld", (long long)step, (long long)record->steps);
    return text;
}

static const char *format_loss(double loss, char text[64])
{
    snprintf(text, 64, isnan(loss) ? "-" : "%.4f", loss);
    return text;
}

static const char *format_quality(const struct run_record *record, char text[64])
{
    if (record->classifies)
        return format_loss(record->best_accuracy, text);
    double perplexity = arithmetic_exp(record->best_loss);
    snprintf(text, 64, isnan(record->best_loss) ? "-" : perplexity < 1e5 ? "%.2f" : "%.2g", perplexity);
    return text;
}

static const char *format_time(const struct run_record *record, char text[64])
{
    if (isnan(record->seconds))
        return "-";
    number_duration(record->seconds, text);
    return text;
}

/* To the minute, by the clock of those who read it. */
const char *runs_started(const struct run_record *record, char text[64])
{
    struct tm parts = {.tm_year = 0};
    const char *end = strptime(record->started, "%Y-%m-%dT%H:%M:%SZ", &parts);
    time_t when = end && !*end ? timegm(&parts) : -1;
    if (when == -1 || !localtime_r(&when, &parts) || strftime(text, 64, "%Y-%m-%d %H:%M", &parts) == 0)
        snprintf(text, 64, "%s", *record->started ? record->started : "-");
    return text;
}

static const char *format_state(const struct run_record *record, char text[64])
{
    if (record->state == RUN_FAILED)
        snprintf(text, 64, "failed (%lld)", (long long)record->exit_status);
    else
        snprintf(text, 64, "%s", run_state_name(record->state));
    return text;
}

static const char *host_of(const struct run_record *record)
{
    return record->state == RUN_RUNNING && *record->holder.host ? record->holder.host
           : *record->host                                      ? record->host
                                                                : "-";
}

struct columns {
    int best_loss, quality, best_step, averaged, state, step, time, started, host;
};

static enum status put_results(const struct view *view, size_t row, const struct columns *columns, struct error *e)
{
    const struct run_record *record = view->record[row];
    char text[64];
    enum status status = table_set(view->table, row, columns->best_loss, format_loss(record->best_loss, text), e);
    if (!status)
        status = table_set(view->table, row, columns->quality, format_quality(record, text), e);
    if (!status)
        status = table_set(view->table, row, columns->best_step, format_count(record->best_step, text), e);
    if (!status && columns->averaged >= 0)
        status = table_set(view->table, row, columns->averaged, format_count(record->averaged_since, text), e);
    if (!status)
        status = table_set(view->table, row, columns->state, format_state(record, text), e);
    if (!status)
        status = table_set(view->table, row, columns->step, format_step(record, text), e);
    if (!status)
        status = table_set(view->table, row, columns->time, format_time(record, text), e);
    if (!status)
        status = table_set(view->table, row, columns->started, runs_started(record, text), e);
    if (!status)
        status = table_set(view->table, row, columns->host, host_of(record), e);
    return status;
}

static bool any_averaged(const struct view *view)
{
    bool any = false;
    for (size_t i = 0; i < view->count; i++)
        any = any || view->record[i]->averaged_since != RUN_UNKNOWN;
    return any;
}

static enum status fill(struct view *view, struct error *e)
{
    int run = table_column(view->table, "run", false, DROP_NEVER);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < view->count && !status; i++)
        status = table_set(view->table, i, run, view->record[i]->path + view->shown, e);
    if (!status)
        status = put_options(view, e);
    struct columns columns = {
        .best_loss = table_column(view->table, "best loss", true, DROP_NEVER),
        .quality =
            table_column(view->table, view->record[0]->classifies ? "accuracy" : "perplexity", true, DROP_QUALITY),
        .best_step = table_column(view->table, "at step", true, DROP_BEST_STEP),
        .averaged = any_averaged(view) ? table_column(view->table, "averaged since", true, DROP_AVERAGE) : -1,
        .state = table_column(view->table, "state", false, DROP_NEVER),
        .step = table_column(view->table, "steps", true, DROP_STEP),
        .time = table_column(view->table, "time", true, DROP_TIME),
        .started = table_column(view->table, "started", false, DROP_STARTED),
        .host = table_column(view->table, "host", false, DROP_HOST),
    };
    for (size_t i = 0; i < view->count && !status; i++)
        status = put_results(view, i, &columns, e);
    return status;
}

/* ---- the whole ---- */

/* Bytes of the folder that all of them lie in, with its slash. */
static size_t common_folder(const struct run_record *const *record, size_t count)
{
    const char *first = record[0]->path;
    size_t length = strrchr(first, '/') ? (size_t)(strrchr(first, '/') + 1 - first) : 0;
    for (size_t i = 1; i < count; i++)
        while (length > 0 && strncmp(first, record[i]->path, length) != 0)
            do
                length--;
            while (length > 0 && first[length - 1] != '/');
    return length;
}

/* Fills the table anew if paths take the room of columns. */
static enum status make(struct view *view, struct error *e)
{
    view->table = table_new(view->count, e);
    enum status status = view->table ? fill(view, e) : STATUS_OS;
    if (status || view->width == 0 || view->shown > 0 || table_width(view->table) <= view->width)
        return status;
    view->shown = common_folder(view->record, view->count);
    if (view->shown == 0)
        return STATUS_OK;
    table_free(view->table);
    view->table = table_new(view->count, e);
    return view->table ? fill(view, e) : STATUS_OS;
}

enum status runs_table(const struct run_record *const *record, size_t count, FILE *stream, int width, struct error *e)
{
    struct view view = {.record = record, .count = count, .width = width};
    char left_out[TABLE_LEFT_OUT];
    enum status status = make(&view, e);
    if (!status) {
        if (view.shown > 0)
            fprintf(stream, "runs in '%.*s':\n", (int)view.shown - (view.shown > 1), record[0]->path);
        table_print(view.table, stream, width, left_out);
        if (*left_out)
            fprintf(stream, "left out for the width: %s\n", left_out);
    }
    table_free(view.table);
    return status;
}
