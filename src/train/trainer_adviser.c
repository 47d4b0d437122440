/* Gives the numbers of metrics.jsonl to train/advice.h and tells its advice. */
#include "trainer_adviser.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the lines of a run that goes on ---- */

static void take_line(const struct advice_run *run, struct advice_history *history, const struct json_read *line)
{
    int64_t step = metrics_whole(line, "step");
    if (step < 0)
        return;
    if (metrics_is_type(line, "train")) {
        int64_t tokens = metrics_whole(line, "tokens"), skipped = metrics_whole(line, "skipped");
        advice_train(run, history,
                     &(struct advice_train){.step = step,
                                            .tokens = tokens > 0 ? tokens : 0,
                                            .skipped = skipped > 0 ? skipped : 0,
                                            .loss = metrics_number(line, "loss"),
                                            .grad_norm = metrics_number(line, "grad_norm"),
                                            .lr = metrics_number(line, "lr")});
    } else if (metrics_is_type(line, "valid")) {
        advice_valid(run, history, step, metrics_whole(line, "epoch"), metrics_number(line, "loss"));
    } else {
        return;
    }
    (void)advice_seen(run, history); /* an earlier start has said it */
}

/* Lines that cannot be read are left out: advice then uses only the lines to come. */
static void read_lines(const char *path, const struct advice_run *run, struct advice_history *history)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    if (!file)
        return;
    while ((length = getline(&text, &room, file)) > 0) {
        struct json_read line;
        if (!json_read_text(path, text, (size_t)length, &line, NULL))
            take_line(run, history, &line);
        json_read_close(&line);
    }
    free(text); /* getline's */
    (void)fclose(file);
}

void adviser_begin(struct adviser *adviser, const struct advice_run *run, const char *lines)
{
    *adviser = (struct adviser){.run = *run};
    advice_begin(&adviser->history);
    read_lines(lines, &adviser->run, &adviser->history);
}

/* ---- on the way ---- */

static void tell_seen(struct adviser *adviser, struct reporter *reporter)
{
    struct advice advice;
    enum advice_kind kind = advice_seen(&adviser->run, &adviser->history);
    if (!kind)
        return;
    advice_tell(&adviser->run, &adviser->history, kind, &advice);
    if (kind <= ADVICE_TOO_LOW)
        reporter_warn(reporter, "%s", advice.found);
    else
        reporter_tell(reporter, "%s", advice.found);
}

void adviser_train(struct adviser *adviser, struct reporter *reporter, const struct advice_train *line)
{
    advice_train(&adviser->run, &adviser->history, line);
    tell_seen(adviser, reporter);
}

void adviser_valid(struct adviser *adviser, struct reporter *reporter, int64_t step, int64_t epoch, double loss)
{
    advice_valid(&adviser->run, &adviser->history, step, epoch, loss);
    tell_seen(adviser, reporter);
}

/* ---- in the end ---- */

void adviser_conclude(struct adviser *adviser, bool stopped, const struct advice_outcome *end)
{
    adviser->run.stopped = stopped;
    adviser->conclusion = advice_end(&adviser->run, &adviser->history, end);
}

void adviser_tell(const struct adviser *adviser, struct reporter *reporter)
{
    struct advice advice;
    if (!adviser->conclusion)
        return;
    advice_tell(&adviser->run, &adviser->history, adviser->conclusion, &advice);
    reporter_tell(reporter, "advice:");
    reporter_tell(reporter, "  %s", advice.found);
    reporter_tell(reporter, "  what helps: %s", advice.fix);
}

void adviser_put(const struct adviser *adviser, struct json *json)
{
    struct advice advice;
    if (!adviser->conclusion) {
        json_put_null(json, "advice");
        return;
    }
    advice_tell(&adviser->run, &adviser->history, adviser->conclusion, &advice);
    json_object_begin(json, "advice");
    json_put_string(json, "kind", advice_name(adviser->conclusion));
    json_put_string(json, "found", advice.found);
    json_put_string(json, "fix", advice.fix);
    json_object_end(json);
}
