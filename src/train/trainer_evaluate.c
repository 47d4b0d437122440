/* Evaluations on the way and in the end: validation text every so often, the test when the run is over. */
#include "trainer_private.h"

#include <math.h>

#include "unroll/base/clock.h"
#include "unroll/nn/output.h"
#include "unroll/train/signals.h"

/* --max-time does not stop an evaluation. If it did, an evaluation longer than --max-time could never be finished. */
static bool stop_of_evaluator(void *context)
{
    (void)context;
    return signals_seen() != 0;
}

static struct evaluator_config evaluation_of(struct trainer *trainer, enum split split, void (*beat)(void *context))
{
    return (struct evaluator_config){
        .split = split,
        .model = trainer->shape,
        .batch = trainer->config->batch,
        .bptt = trainer->config->step.bptt,
        .groups = trainer->share.groups,
        .threads = trainer->placement.threads,
        .beat = beat,
        .beat_context = trainer,
        .stop = stop_of_evaluator,
    };
}

static void beat_of_validation(void *context)
{
    struct trainer *trainer = context;
    heartbeat_beat(&trainer->heartbeat, "validation");
    trainer_pulse_window(trainer);
}

static void beat_of_test(void *context)
{
    struct trainer *trainer = context;
    heartbeat_beat(&trainer->heartbeat, "test");
    trainer_pulse_window(trainer);
}

enum status trainer_evaluate(struct trainer *trainer, struct evaluator *evaluator, const char *what, double *loss,
                             double *accuracy, struct error *e)
{
    double sum = 0, begun = clock_seconds();
    int64_t targets = 1;
    trainer_pulse_evaluate(trainer, what, evaluator_windows(evaluator));
    signals_stop_when("within this evaluation");
    enum status status = evaluator_run(evaluator, &sum, &targets, e);
    signals_stop_when(SIGNALS_STEP);
    trainer_pulse_evaluate(trainer, NULL, 0);
    if (status)
        return status;
    costs_add_evaluation(&trainer->costs, clock_seconds() - begun, targets);
    *loss = sum / (double)targets;
    *accuracy = NAN;
    if (trainer->shape.task == TASK_CLASSIFY)
        *accuracy = (double)evaluator_correct(evaluator) / (double)targets;
    return STATUS_OK;
}

#define SAMPLED_TOKENS                                                                            \
    20000 /* to validate on where the whole vocabulary costs many times what a training step does \
           */

/* Windows of validation on the way, from --eval-tokens; 0: all. */
static int64_t windows_on_the_way(const struct trainer *trainer)
{
    int64_t tokens = trainer->config->eval_tokens, text = trainer->corpus->tokens[SPLIT_VALID];
    if (tokens < 0)
        tokens = output_kind(&trainer->shape)->uses & OUTPUT_SAMPLES ? SAMPLED_TOKENS : 0;
    if (tokens == 0 || trainer->shape.task == TASK_CLASSIFY)
        return 0;
    int64_t window = (int64_t)evaluator_lanes(text, trainer->config->batch) * trainer->config->step.bptt;
    return (tokens + window - 1) / window;
}

enum status trainer_open_validation(struct trainer *trainer, struct error *e)
{
    struct evaluator_config config = evaluation_of(trainer, SPLIT_VALID, beat_of_validation);
    if (!trainer_has(trainer, SPLIT_VALID))
        return STATUS_OK;
    config.windows = windows_on_the_way(trainer);
    trainer->validated = trainer_weights(trainer);
    enum status status =
        evaluator_create(trainer->comm, trainer->corpus, &config, trainer->validated, &trainer->valid, e);
    trainer->valid_is_part = !status && evaluator_is_part(trainer->valid);
    return status;
}

enum status trainer_evaluate_valid(struct trainer *trainer, double *loss, double *accuracy, struct error *e)
{
    enum status status = STATUS_OK;
    heartbeat_beat(&trainer->heartbeat, "validation");
    if (trainer->validated != trainer_weights(trainer)) { /* an average has begun: values are never copied */
        evaluator_free(trainer->valid);
        trainer->valid = NULL;
        status = trainer_open_validation(trainer, e);
    }
    return status ? status : trainer_evaluate(trainer, trainer->valid, "validation", loss, accuracy, e);
}

enum status trainer_evaluate_split(struct trainer *trainer, enum split split, const float *values, double *loss,
                                   double *accuracy, struct error *e)
{
    struct evaluator_config config = evaluation_of(trainer, split, beat_of_test);
    struct evaluator *evaluator;
    if (!trainer_has(trainer, split))
        return STATUS_OK;
    heartbeat_beat(&trainer->heartbeat, "test");
    evaluator_free(trainer->valid); /* the last validation is over: never two at once */
    trainer->valid = NULL;
    enum status status = evaluator_create(trainer->comm, trainer->corpus, &config, values, &evaluator, e);
    if (status)
        return status;
    status = trainer_evaluate(trainer, evaluator, split == SPLIT_TEST ? "test" : "validation", loss, accuracy, e);
    evaluator_free(evaluator);
    return status;
}

enum status trainer_validate(struct trainer *trainer, struct error *e)
{
    struct progress *progress = &trainer->progress;
    double loss;
    trainer_settle(trainer);
    enum status status = trainer_evaluate_valid(trainer, &loss, &trainer->valid_accuracy, e);
    if (status == STATUS_STOPPED) { /* the loop ends the run; the next start validates first */
        trainer_gather_requests(trainer);
        return STATUS_OK;
    }
    if (status)
        return status;
    bool improved = trainer_improves(trainer, loss);
    progress->valid_loss = loss;
    progress->valid_step = progress->step;
    if (improved) {
        progress->best_valid_loss = loss;
        progress->best_step = progress->step;
        progress->stalls = 0;
    } else {
        progress->stalls++;
    }
    bool lr_changed =
        schedule_validated(&trainer->config->schedule, improved, &progress->lr_factor, &progress->plateau_stalls);
    trainer_report_valid(trainer, improved, lr_changed);
    trainer_average_validated(trainer);
    return improved ? trainer_save_best(trainer, e) : STATUS_OK;
}
