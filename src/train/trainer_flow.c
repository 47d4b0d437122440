/* Gradients by time lag on validation text, with the trainer's own model: between steps it has all that is needed. */
#include "trainer_private.h"

#include "unroll/base/mem.h"
#include "unroll/train/lag_norms.h"

#define WINDOWS 4 /* of every lane: some percent of what a validation costs */

static void beat_of_flow(void *context)
{
    heartbeat_beat(context, "gradients by lag");
}

enum status trainer_check_flow(const struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    int64_t tokens = trainer->corpus->tokens[SPLIT_VALID];
    if (config->gradflow_every == 0)
        return STATUS_OK;
    if (trainer->shape.task == TASK_CLASSIFY)
        return error_set(e, STATUS_CONFIG,
                         "cannot use '--gradflow-every' with --task classify: a text has a loss at its end only; leave "
                         "the option out");
    if (lag_norms_fit(tokens, config->batch, config->step.bptt))
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "cannot use '--gradflow-every': the validation text has %lld tokens, less than a window of %d steps "
        "for each of %d lanes; use a longer one, a --bptt of at most %lld, a --batch of at most %lld, or leave the "
        "option out",
        (long long)tokens, config->step.bptt, config->batch, (long long)(tokens - 1) / config->batch,
        (long long)(tokens - 1) / config->step.bptt);
}

bool trainer_flow_due(const struct trainer *trainer)
{
    int64_t every = trainer->config->gradflow_every;
    return every > 0 && trainer->progress.step % every == 0;
}

enum status trainer_follow_gradients(struct trainer *trainer, struct error *e)
{
    const struct trainer_config *config = trainer->config;
    struct lag_norms_config norms_config = {
        .split = SPLIT_VALID,
        .model = trainer->shape,
        .share = trainer->share,
        .bptt = config->step.bptt,
        .windows = WINDOWS,
        .beat = beat_of_flow,
        .beat_context = &trainer->heartbeat,
    };
    size_t states = (size_t)model_state_count(&trainer->shape);
    int64_t samples = 0;
    double *norms = mem_alloc(states * (size_t)config->step.bptt, sizeof *norms, "gradients by time lag", e);
    enum status status = comm_agree(trainer->comm, norms ? STATUS_OK : STATUS_OS, e);
    heartbeat_beat(&trainer->heartbeat, "gradients by lag");
    trainer_settle(trainer);
    if (!status)
        status =
            lag_norms_measure(trainer->comm, trainer->corpus, &norms_config, trainer->step->model, norms, &samples, e);
    if (!status)
        trainer_report_flow(trainer, norms, samples);
    mem_free(norms);
    return status;
}
