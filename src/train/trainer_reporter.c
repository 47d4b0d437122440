/* Opens and closes the log files of a run, and prints messages for people. */
#include "trainer_reporter.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE 1200

enum status reporter_open(struct reporter *reporter, const struct rundir *rundir, int64_t known, struct error *e)
{
    char path[FILE_PATH_MAX];
    rundir_file(rundir, "metrics.jsonl", path);
    enum status status = metrics_open(path, known, &rundir->guard, &reporter->metrics, e);
    if (!status && metrics_bytes(reporter->metrics) < known)
        reporter_warn(
            reporter,
            "'%.300s' has %lld bytes where the checkpoint knows %lld: lines are missing; the run goes on, its "
            "record has a gap",
            path, (long long)metrics_bytes(reporter->metrics), (long long)known);
    rundir_file(rundir, "timing.jsonl", path);
    if (!status)
        status = metrics_open(path, INT64_MAX, &rundir->guard, &reporter->timing, e);
    return status;
}

void reporter_close(struct reporter *reporter)
{
    metrics_close(reporter->metrics);
    metrics_close(reporter->timing);
    reporter->metrics = reporter->timing = NULL;
}

static void print_message(struct reporter *reporter, const char *before, const char *format, va_list arguments)
{
    char text[MESSAGE];
    if (!reporter->log)
        return;
    vsnprintf(text, sizeof text, format, arguments);
    reporter->covered = true;
    terminal_message(reporter->log, "%s%s", before, text);
}

void reporter_tell(struct reporter *reporter, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(reporter, "", format, arguments);
    va_end(arguments);
}

void reporter_warn(struct reporter *reporter, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(reporter, "unroll: warning: ", format, arguments);
    va_end(arguments);
}
