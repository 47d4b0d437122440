/* Signs of life for people, by time: a line that rewrites itself on a terminal, now and then a plain one elsewhere.
 * What steps computed is in metrics.jsonl, each --log-every steps. */
#include "trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unroll/base/clock.h"
#include "unroll/base/number.h"

#define LONG_WRITE 2.0 /* seconds: told in a plain log as well */

/* Whether a line is due; then the next one's time is set. */
static bool is_due(struct trainer *trainer)
{
    struct pulse *pulse = &trainer->pulse;
    double elapsed = clock_seconds() - pulse->begun;
    if (!trainer->reporter.log || elapsed < pulse->due)
        return false;
    pulse->due = terminal_next_progress(trainer->reporter.log, elapsed);
    return true;
}

/* Time counts from the first step of this start, or from a validation that it begins with. */
static void start_clock(struct trainer *trainer)
{
    struct pulse *pulse = &trainer->pulse;
    if (pulse->begun > 0)
        return;
    pulse->begun = clock_seconds();
    pulse->due = trainer->reporter.log->interactive ? 0 : terminal_next_progress(trainer->reporter.log, 0);
}

/* ---- a line of steps ---- */

/* What a line may hold, from what it always has to what only wide terminals have room for. */
enum room { ROOM_STEP, ROOM_EPOCH, ROOM_PERPLEXITY, ROOM_NORM, ROOM_RATE };

static double loss_of_line(const struct trainer *trainer)
{
    const struct pulse *pulse = &trainer->pulse;
    return pulse->targets > 0 ? pulse->loss / (double)pulse->targets : pulse->shown_loss;
}

static void append_part(char line[PULSE_LINE], const char *text)
{
    size_t length = strlen(line);
    snprintf(line + length, PULSE_LINE - length, "%s%s", length > 0 ? "  " : "", text);
}

static void add_rate_and_time(const struct trainer *trainer, char line[PULSE_LINE])
{
    const struct pulse *pulse = &trainer->pulse;
    double seconds = trainer->costs.steps - pulse->seconds, left = trainer_left(trainer);
    char text[64], time[NUMBER_TEXT];
    if (seconds > 0) {
        snprintf(text, sizeof text, "%.0f %s/s", (double)(trainer->costs.tokens - pulse->tokens) / seconds,
                 trainer->shape.task == TASK_CLASSIFY ? "texts" : "tokens");
        append_part(line, text);
    }
    if (isfinite(left)) {
        snprintf(text, sizeof text, "%s left", number_duration(left, time));
        append_part(line, text);
    }
}

static void compose_line(const struct trainer *trainer, int64_t epoch, enum room room_for, char line[PULSE_LINE])
{
    const struct trainer_config *config = trainer->config;
    const struct progress *progress = &trainer->progress;
    int64_t total = trainer_total_steps(trainer);
    double loss = loss_of_line(trainer);
    char text[64], room[32];
    line[0] = '\0';
    if (room_for >= ROOM_EPOCH && !trainer_is_limited(trainer))
        snprintf(line, PULSE_LINE, "epoch %lld/%lld", (long long)epoch + 1, (long long)config->epochs);
    else if (room_for >= ROOM_EPOCH)
        snprintf(line, PULSE_LINE, "epoch %lld", (long long)epoch + 1);
    snprintf(text, sizeof text, "step %lld/%lld", (long long)progress->step, (long long)total);
    append_part(line, text);
    snprintf(text, sizeof text, "loss %.4f%s", loss,
             room_for >= ROOM_PERPLEXITY ? trainer_quality(trainer, loss, NAN, room) : "");
    append_part(line, text);
    if (room_for >= ROOM_NORM) {
        snprintf(text, sizeof text, "norm %.2f", trainer->grad_norm);
        append_part(line, text);
    }
    if (room_for >= ROOM_RATE) {
        snprintf(text, sizeof text, "lr %.3g", trainer->lr);
        append_part(line, text);
    }
    add_rate_and_time(trainer, line);
}

/* As much as there is room for. */
static void show_steps(struct trainer *trainer, int64_t epoch)
{
    char *line = trainer->pulse.line;
    size_t width = (size_t)terminal_width(trainer->reporter.log) - trainer->reporter.log->interactive;
    int most = isfinite(trainer_left(trainer)) ? ROOM_RATE : ROOM_EPOCH; /* the time left gets its place */
    compose_line(trainer, epoch, (enum room)most, line);
    for (int level = most - 1; level >= ROOM_STEP && strlen(line) > width; level--)
        compose_line(trainer, epoch, (enum room)level, line);
    terminal_progress(trainer->reporter.log, "%s", line);
}

void trainer_pulse_begin(struct trainer *trainer)
{
    struct pulse *pulse = &trainer->pulse;
    if (!trainer->reporter.log)
        return;
    start_clock(trainer);
    if (!pulse->stepping) {
        pulse->first_step = trainer->progress.step;
        terminal_progress(trainer->reporter.log, "training: step %lld of %lld runs",
                          (long long)trainer->progress.step + 1, (long long)trainer_total_steps(trainer));
    } else if (trainer->reporter.log->interactive && trainer->reporter.covered && pulse->line[0]) {
        show_steps(trainer, trainer->progress.epoch - (trainer->progress.window == 0)); /* of the last step */
    }
    pulse->stepping = true;
    trainer->reporter.covered = false;
}

void trainer_pulse_step(struct trainer *trainer, int64_t epoch, double loss, int64_t targets)
{
    struct pulse *pulse = &trainer->pulse;
    pulse->loss += loss;
    pulse->targets += targets;
    if (!trainer->reporter.log)
        return;
    trainer_tell_forecast(trainer);
    bool last = trainer->progress.step == trainer_total_steps(trainer);
    if (!is_due(trainer) && !last)
        return;
    pulse->shown_loss = pulse->targets > 0 ? pulse->loss / (double)pulse->targets : NAN;
    show_steps(trainer, epoch);
    if (last)
        terminal_finish(trainer->reporter.log);
    pulse->loss = 0;
    pulse->targets = 0;
    pulse->seconds = trainer->costs.steps;
    pulse->tokens = trainer->costs.tokens;
}

/* ---- what comes between steps ---- */

void trainer_pulse_evaluate(struct trainer *trainer, const char *what, int64_t windows)
{
    if (!trainer->reporter.log)
        return;
    start_clock(trainer);
    trainer->pulse.evaluating = what;
    trainer->pulse.windows = windows;
    trainer->pulse.done = 0;
}

void trainer_pulse_window(struct trainer *trainer)
{
    struct pulse *pulse = &trainer->pulse;
    pulse->done++;
    if (!pulse->evaluating || pulse->windows == 0 || !is_due(trainer))
        return;
    trainer->reporter.covered = true;
    terminal_progress(trainer->reporter.log, "step %lld/%lld  %s: %lld %% done", (long long)trainer->progress.step,
                      (long long)trainer_total_steps(trainer), pulse->evaluating,
                      (long long)(100 * pulse->done / pulse->windows));
}

void trainer_pulse_write(struct trainer *trainer, bool best)
{
    if (!trainer->reporter.log ||
        (!trainer->reporter.log->interactive && trainer_cost_of_writing(trainer, best) < LONG_WRITE))
        return;
    trainer->reporter.covered = true;
    terminal_progress(trainer->reporter.log, "step %lld/%lld  writing %s (%.1f MB)", (long long)trainer->progress.step,
                      (long long)trainer_total_steps(trainer), best ? "best.h5" : "a checkpoint",
                      1e-6 * (double)saver_bytes(&trainer->saver, best));
}
